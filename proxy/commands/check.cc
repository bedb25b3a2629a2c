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

// As queue::check_postgres_store().
Result<std::string> check_store(const config::Queue& queue) {
  if (queue.path.empty()) {
    return queue::check_postgres_store(queue.postgres, queue.password.value_or(Secret()));
  }
  const Result<> good = queue::check_sqlite_store(queue.path);
  if (!good) return Unexpected(good.error());
  return std::string();
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
    const Result<std::string> store = check_store(*settings->queue);
    if (!store) {
      std::cerr << path << ": queue.store: " << store.error().detail << "\n";
      return 2;
    }
    if (!store->empty()) {
      std::cerr << path << ": warning: queue.store: " << *store
                << " Egret starts all the same, and tries again; until then what is to be kept is "
                   "refused (503).\n";
    }
  }
  std::cout << (path.empty() ? "the built-in defaults" : path) << ": ok ("
            << settings->listeners.size() << " listeners, " << settings->senders.all().size()
            << " senders, " << settings->rules.size() << " rules)\n";
  return 0;
}

}  // namespace egret::commands
