#include "proxy/commands/check.h"

#include <iostream>

namespace egret::commands {

config::Loaded load(const std::string& path) {
  if (path.empty()) return {config::built_in_defaults(), {}, {}, {}};
  config::Loaded loaded = config::load_file(path);
  for (const config::Diagnostic& diagnostic : loaded.diagnostics) {
    std::cerr << diagnostic.to_string() << "\n";
  }
  return loaded;
}

int check(const std::string& path) {
  const auto settings = load(path).settings;
  if (!settings) return 2;
  std::cout << (path.empty() ? "the built-in defaults" : path) << ": ok ("
            << settings->listeners.size() << " listeners, " << settings->senders.all().size()
            << " senders, " << settings->rules.size() << " rules)\n";
  return 0;
}

}  // namespace egret::commands
