#include "proxy/commands/confine.h"

#include <fmt/format.h>

#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include "proxy/queue/store.h"
#include "proxy/sandbox/sandbox.h"
#include "proxy/tls/trust.h"

namespace egret::commands {
namespace {

namespace fs = std::filesystem;

// Loop, wake-ups, sockets to name servers and listeners of each worker; the admin's, the log's.
constexpr uint64_t kFilesAtRest = 24;
constexpr uint64_t kFilesAWorker = 8;

using config::LogLevel;
using config::Sandbox;

// c-ares draws the numbers of its queries from /dev/urandom, and from something weaker without it.
// Name servers, hosts, time zones; and where systemd keeps the file that /etc/resolv.conf links to.
// Folders, since such files are replaced by renaming another.
constexpr const char* kSystemPlaces[] = {"/dev/urandom",        "/etc",
                                         "/usr/share/zoneinfo", "/run/systemd/resolve",
                                         "/run/resolvconf",     "/run/NetworkManager"};

// The folder that holds a file, so that what replaces the file by renaming is reached too; in `/`
// itself, which is everything, only the file.
void add_folder_of(std::vector<std::string>& places, const fs::path& file) {
  const fs::path folder = file.parent_path();
  places.push_back(folder == folder.root_path() ? file.string() : folder.string());
}

// Where the file is, and where it really is when it is a link, as in a mounted Kubernetes volume.
void add_both(std::vector<std::string>& places, const std::string& file) {
  std::error_code ignored;
  const fs::path path = fs::absolute(file, ignored);
  add_folder_of(places, path);
  const fs::path real = fs::weakly_canonical(path, ignored);
  if (!real.empty()) add_folder_of(places, real);
}

// Of /dev/stdout and the like only itself.
void add_log(std::vector<std::string>& places, const std::string& file) {
  std::error_code ignored;  // the log says what is wrong when it cannot be opened
  const fs::path path = fs::absolute(file, ignored);
  if (path.string().starts_with("/dev/") || path.string().starts_with("/proc/")) {
    places.push_back(path.string());
    return;
  }
  fs::create_directories(path.parent_path(), ignored);
  if (path.parent_path() == path.root_path()) std::ofstream(path, std::ios::app);  // then it exists
  add_both(places, file);
}

Result<> add_socket(std::vector<std::string>& places, const config::ListenAddress& address) {
  if (address.unix_path.empty()) return {};
  const fs::path folder = fs::path(address.unix_path).parent_path();
  if (folder == folder.root_path()) {
    return Unexpected(Reason::internal_error,
                      address.name + ": a Unix socket needs a folder of its own, not /");
  }
  places.push_back(folder.string());
  return {};
}

// The folder that the queue's store is in: it needs one of its own.
Result<> add_store(std::vector<std::string>& places, const std::string& file) {
  std::error_code ignored;
  const fs::path path = fs::absolute(file, ignored);
  const fs::path folder = fs::weakly_canonical(path.parent_path(), ignored);
  if (folder == folder.root_path()) {
    return Unexpected(Reason::internal_error,
                      "queue.store: the database needs a folder of its own, not /");
  }
  places.push_back(folder.string());
  return {};
}

Result<> add_postgres(sandbox::Needs& needs, const std::string& uri) {
  const Result<queue::PostgresPlaces> places = queue::postgres_places(uri);
  if (!places) return Unexpected(places.error());
  for (const std::string& file : places->named) add_both(needs.read, file);
  needs.read.insert(needs.read.end(), places->usual.begin(), places->usual.end());
  needs.unix_clients = places->unix_socket;
  return {};
}

Result<sandbox::Needs> needs_of(const config::Loaded& loaded) {
  sandbox::Needs needs;
  needs.read.assign(std::begin(kSystemPlaces), std::end(kSystemPlaces));
  add_both(needs.read, "/etc/resolv.conf");
  add_both(needs.read, tls::Trust::system_file());
  for (const std::string& file : loaded.files) add_both(needs.read, file);
  const config::Settings& settings = *loaded.settings;
  if (settings.log.access == config::Log::Access::file) {
    add_log(needs.logs, settings.log.access_file);
  }
  if (settings.queue) {
    const Result<> added = settings.queue->path.empty()
                               ? add_postgres(needs, settings.queue->postgres)
                               : add_store(needs.stores, settings.queue->path);
    if (!added) return Unexpected(added.error());
  }
  for (const config::Listener& listener : settings.listeners) {
    const Result<> added = add_socket(needs.sockets, listener.address);
    if (!added) return Unexpected(added.error());
  }
  const Result<> added = add_socket(needs.sockets, settings.admin.address);
  if (!added) return Unexpected(added.error());
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  needs.sanitizers = true;
  needs.read.emplace_back("/");  // a report reads the program to name places in its source
#endif
  return needs;
}

}  // namespace

Result<Confined> confine(const config::Loaded& loaded) {
  const Sandbox wanted = loaded.settings->sandbox;
  if (wanted == Sandbox::off) return Confined{LogLevel::warn, "sandbox: off, as configured"};
  const Result<sandbox::Needs> needs = needs_of(loaded);
  if (!needs) return Unexpected(needs.error());
  Result<sandbox::Entered> entered = sandbox::enter(*needs);
  if (!entered) return Unexpected(std::move(entered.error()));
  const std::string& missing = entered->missing;
  if (wanted == Sandbox::required && !missing.empty()) {
    return Unexpected(Reason::internal_error, missing);
  }
  if (!missing.empty()) return Confined{LogLevel::warn, "sandbox: " + missing};
  return Confined{LogLevel::info, fmt::format("sandbox: no new privileges, {} rules for system "
                                              "calls, files by Landlock ABI {}",
                                              entered->seccomp_rules, entered->landlock_version)};
}

void look_for_name_servers(const config::Settings& settings, proxy::Log& log) {
  if (!settings.resolver.servers.empty() || std::ifstream("/etc/resolv.conf").good()) return;
  log.event(
      LogLevel::warn,
      "/etc/resolv.conf cannot be read, so names are asked of 127.0.0.1; set resolver.servers, or "
      "restart Egret once the file and its folder are there");
}

void protect_secrets(const config::Settings& settings, proxy::Log& log) {
  if (!settings.holds_secrets() || sandbox::keep_memory_private()) return;
  log.event(LogLevel::warn, "core dumps cannot be switched off: one would hold secrets");
}

Result<> raise_descriptor_limit(const config::Settings& settings, proxy::Log& log) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    log.event(LogLevel::warn, "the limit of open files cannot be raised");
    return {};
  }
  const uint64_t least = kFilesAtRest + kFilesAWorker * settings.workers;
  if (limit.rlim_max < least) {
    return Unexpected(Reason::internal_error,
                      fmt::format("the limit of open files is {}, and {} workers need {} to begin "
                                  "with; raise it (LimitNOFILE, ulimit -Hn)",
                                  limit.rlim_max, settings.workers, least));
  }
  uint64_t connections = 0;
  for (const config::Listener& listener : settings.listeners) {
    connections += listener.max_connections;
  }
  if (2 * connections <= limit.rlim_max) return {};
  log.event(
      LogLevel::warn,
      fmt::format("the limit of open files is {}, and {} connections with a request each need "
                  "{}; raise it (LimitNOFILE, ulimit -Hn) or lower max_connections",
                  limit.rlim_max, connections, 2 * connections));
  return {};
}

}  // namespace egret::commands
