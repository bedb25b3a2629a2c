#include "config/interception_paths.h"

#include "config/document.h"
#include "config/files.h"
#include "config/reader.h"
#include "config/secrets.h"

namespace egret::config {
namespace {

std::optional<std::string> parse_path(std::string_view text, std::string& why) {
  if (!text.empty()) return std::string(text);
  why = "it is empty; name a file";
  return std::nullopt;
}

}  // namespace

InterceptionPaths interception_paths(const std::filesystem::path& path) {
  InterceptionPaths paths;
  std::string error;
  const auto text = read_whole(path.string(), kMostBytes, error);
  if (!text) {
    Diagnostic unreadable;
    unreadable.path = path.string();
    unreadable.message = error;
    paths.diagnostics.push_back(std::move(unreadable));
    return paths;
  }
  const Source source(path.string(), *text);
  Diagnostics diagnostics(source);
  if (const std::optional<Node> root = parse_document(source, diagnostics)) {
    hide_secrets(*root, diagnostics);
    const Mapping mapping(*root, root->span, "configuration", "", diagnostics);
    const std::optional<Mapping> interception = mapping.mapping("interception");
    if (!interception) {
      mapping.error("",
                    "interception: it is not there; write interception: {ca_certificate: FILE, "
                    "ca_key: FILE}");
    } else {
      interception->scalar("ca_certificate", paths.ca_certificate, parse_path);
      interception->scalar("ca_key", paths.ca_key, parse_path);
      for (const std::string_view key : {"ca_certificate", "ca_key"}) {
        if (!interception->has(key)) {
          interception->error("", "interception: " + std::string(key) + " is needed");
        }
      }
    }
  }
  paths.diagnostics = diagnostics.take();
  return paths;
}

}  // namespace egret::config
