#include "config/load.h"

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

void read_settings(const Node& root, Settings& settings, Diagnostics& diagnostics,
                   SecretSource& secrets) {
  const Mapping mapping(root, root.span, "configuration", "", diagnostics);
  read_listeners(mapping, settings);
  read_admin(mapping, settings, secrets);
  read_process(mapping, settings);
  read_resolver(mapping, settings);
  read_senders(mapping, settings, secrets);
  read_rules(mapping, settings);
}

}  // namespace

Loaded load_text(std::string_view text, std::string path, SecretSource& secrets) {
  const Source source(std::move(path), text);
  Diagnostics diagnostics(source);
  auto settings = std::make_shared<Settings>();
  if (const std::optional<Node> root = parse_document(source, diagnostics)) {
    hide_secrets(*root, diagnostics);
    read_settings(*root, *settings, diagnostics, secrets);
  }
  Loaded loaded;
  if (!diagnostics.has_errors()) loaded.settings = std::move(settings);
  loaded.diagnostics = diagnostics.take();
  return loaded;
}

Loaded load_file(const std::filesystem::path& path) {
  std::string error;
  const auto text = read_whole(path.string(), kMostBytes, error);
  if (text) return load_text(*text, path.string());
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
