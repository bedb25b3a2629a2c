#include "config/load.h"

#include <chrono>
#include <memory>

#include "config/diagnostics.h"
#include "config/document.h"
#include "config/files.h"
#include "config/reader.h"
#include "config/secrets.h"
#include "config/sections.h"

namespace egret::embedded {
extern const std::string_view kDefaultsYaml;
}

namespace egret::config {
namespace {

// Remembers which files were read.
class Recorded final : public SecretSource {
 public:
  Recorded(SecretSource& source, Loaded& loaded)
      : source_(source), files_(loaded.files), commands_(loaded.commands) {}
  std::string read_file(const std::string& path, std::string& error) override {
    files_.push_back(path);
    return source_.read_file(path, error);
  }
  std::string read_list(const std::string& path, std::string& error) override {
    files_.push_back(path);
    return source_.read_list(path, error);
  }
  std::string read_env(const std::string& name, std::string& error) override {
    return source_.read_env(name, error);
  }
  std::string read_command(const std::vector<std::string>& arguments, std::string& error) override {
    commands_.push_back(arguments);
    return source_.read_command(arguments, error);
  }
  std::string file_warning(const std::string& path) override { return source_.file_warning(path); }

 private:
  SecretSource& source_;
  std::vector<std::string>& files_;
  std::vector<std::vector<std::string>>& commands_;
};

void read_settings(const Node& root, Settings& settings, Diagnostics& diagnostics,
                   SecretSource& secrets) {
  const Mapping mapping(root, root.span, "configuration", "", diagnostics);
  PemFiles pem(secrets);
  read_listeners(mapping, settings, pem);
  read_admin(mapping, settings, secrets);
  read_process(mapping, settings);
  read_queue(mapping, settings, secrets);
  read_resolver(mapping, settings);
  read_senders(mapping, settings, secrets);
  read_interception(mapping, settings, pem);
  const std::vector<NamedSpan> keys = read_keys(mapping, settings, secrets);
  read_rules(mapping, settings, secrets, pem);
  warn_unused_keys(keys, settings, diagnostics);
  warn_unused_queue(mapping, settings);
  warn_open_admin(mapping, settings);
}

}  // namespace

Loaded load_text(std::string_view text, std::string path, SecretSource& secrets) {
  const Source source(std::move(path), text);
  Diagnostics diagnostics(source);
  Loaded loaded;
  loaded.since = std::chrono::system_clock::now();
  loaded.text = text;
  Recorded recorded(secrets, loaded);
  hide_pem(source, diagnostics);
  auto settings = std::make_shared<Settings>();
  if (const std::optional<Node> root = parse_document(source, diagnostics)) {
    hide_secrets(*root, diagnostics);
    read_settings(*root, *settings, diagnostics, recorded);
  }
  if (!diagnostics.has_errors()) loaded.settings = std::move(settings);
  loaded.diagnostics = diagnostics.take();
  return loaded;
}

Loaded load_file(const std::filesystem::path& path) {
  std::string error;
  const auto text = read_whole(path.string(), kMostBytes, error);
  if (text) {
    Loaded loaded = load_text(*text, path.string());
    loaded.files.push_back(path.string());
    return loaded;
  }
  Loaded loaded;
  Diagnostic unreadable;
  unreadable.path = path.string();
  unreadable.message = error;
  loaded.diagnostics.push_back(std::move(unreadable));
  return loaded;
}

std::shared_ptr<const Settings> built_in_defaults() {
  return load_text(embedded::kDefaultsYaml, "built-in defaults").settings;
}

}  // namespace egret::config
