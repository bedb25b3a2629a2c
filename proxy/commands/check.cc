#include "proxy/commands/check.h"

#include <iostream>

#include "proxy/queue/store.h"

namespace egret::commands {

namespace {

config::Loaded said(config::Loaded loaded) {
  for (const config::Diagnostic& diagnostic : loaded.diagnostics) {
    std::cerr << diagnostic.to_string() << "\n";
  }
  return loaded;
}

}  // namespace

config::Loaded load(const std::string& path) {
  if (!path.empty()) return said(config::load_file(path));
  config::Loaded loaded;
  loaded.settings = config::built_in_defaults();
  return loaded;
}

config::Loaded load_again(const std::string& text, const std::string& path) {
  return said(config::load_text(text, path));
}

int check(const std::string& path) {
  const auto settings = load(path).settings;
  if (!settings) return 2;
  if (settings->queue) {
    const config::Queue& kept = *settings->queue;
    const Result<> store = kept.path.empty() ? queue::check_postgres_store(
                                                   kept.postgres, kept.password.value_or(Secret()))
                                             : queue::check_sqlite_store(kept.path);
    if (!store) {
      std::cerr << path << ": queue.store: " << store.error().detail << "\n";
      return 2;
    }
  }
  std::cout << (path.empty() ? "the built-in defaults" : path) << ": ok ("
            << settings->listeners.size() << " listeners, " << settings->senders.all().size()
            << " senders, " << settings->rules.size() << " rules)\n";
  return 0;
}

}  // namespace egret::commands
