#include "proxy/commands/run.h"

#include <signal.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <thread>

#include "config/command.h"
#include "proxy/admin/admin.h"
#include "proxy/commands/check.h"
#include "proxy/commands/command_helper.h"
#include "proxy/commands/confine.h"
#include "proxy/commands/file_watch.h"
#include "proxy/commands/queue_watch.h"
#include "proxy/logging.h"
#include "proxy/server.h"
#include "proxy/version.h"

namespace egret::commands {
namespace {

// SIGTERM lets exchanges finish for this long: under the 30 s that service managers and Kubernetes
// wait before they kill.
constexpr Duration kDrainLimit = std::chrono::seconds(25);
constexpr Duration kCutLimit = std::chrono::seconds(2);

using config::LogLevel;

// Signals are blocked in every thread and taken here, one at a time.
class Signals {
 public:
  Signals() {
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set_);
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set_, number);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }
  int wait() const {
    int number = 0;
    while (sigwait(&set_, &number) != 0) {
    }
    return number;
  }
  // The same, or 0 once a look at the files is due.
  int wait_for_a_look() const {
    const timespec look{1, 0};
    const int number = sigtimedwait(&set_, nullptr, &look);
    return number < 0 ? 0 : number;
  }

 private:
  sigset_t set_;
};

class ServerGateway final : public admin::Gateway {
 public:
  ServerGateway(proxy::Server& server, std::shared_ptr<const config::Settings> settings)
      : server_(server), settings_(std::move(settings)) {}
  void set_settings(std::shared_ptr<const config::Settings> settings) {
    const std::lock_guard lock(mutex_);
    settings_ = std::move(settings);
  }
  bool draining() const override { return server_.draining(); }
  void collect(std::function<void(proxy::Metrics)> take) override {
    server_.collect(std::move(take));
  }
  proxy::ProcessMetrics process() const override { return server_.process(); }
  const proxy::Labels& labels() const override { return server_.labels(); }
  proxy::Destinations& destinations() override { return server_.destinations(); }
  proxy::Consents& consents() override { return server_.consents(); }
  queue::Queue* queue() const override { return server_.queue(); }
  std::shared_ptr<const config::Settings> settings() const override {
    const std::lock_guard lock(mutex_);
    return settings_;
  }

 private:
  proxy::Server& server_;
  mutable std::mutex mutex_;
  std::shared_ptr<const config::Settings> settings_;
};

// Why a reload may have been refused: a file in a folder that was not named at the start.
std::string sandbox_hint(const config::Loaded& loaded, const std::string& why) {
  if (loaded.settings && loaded.settings->sandbox == config::Sandbox::off) return {};
  const auto says_so = [](const std::string& message) {
    return message.find("Permission denied") != std::string::npos ||
           message.find("Operation not permitted") != std::string::npos;
  };
  const bool denied =
      says_so(why) ||
      std::ranges::any_of(loaded.diagnostics, [&](const config::Diagnostic& diagnostic) {
        return says_so(diagnostic.message);
      });
  if (!denied) return {};
  return "; if its owner and mode are right, its folder was not named at the start, and the "
         "sandbox "
         "is not widened: restart Egret (docs/configuration.md, `sandbox`)";
}

// What `egret run` works with after its start.
struct Running {
  const std::string& path;
  std::string text;  // of the configuration in force
  FileWatch watch;   // over the files that it names
  proxy::Server& server;
  ServerGateway& gateway;
  admin::Admin& admin;
  proxy::Log& log;
};

std::vector<std::string> named_files(const config::Loaded& loaded, const std::string& path) {
  std::vector<std::string> files = loaded.files;
  std::erase(files, path);
  return files;
}

// `why`: empty, or what made Egret look.
void take(config::Loaded loaded, const std::string& why, Running& running) {
  const auto& settings = loaded.settings;
  const Result<> reloaded = running.server.reload(settings);
  if (!reloaded) {
    running.log.event(LogLevel::error,
                      "reload refused, the old configuration stays: " + reloaded.error().detail +
                          why + sandbox_hint(loaded, reloaded.error().detail));
    return;
  }
  protect_secrets(*settings, running.log);
  look_for_name_servers(*settings, running.log);
  running.admin.set_token(settings->admin.token);
  running.gateway.set_settings(settings);
  running.watch = FileWatch(named_files(loaded, running.path), loaded.since);
  running.text = std::move(loaded.text);
  running.log.event(LogLevel::info, "configuration reloaded from " + running.path + why);
}

void reload(Running& running) {
  if (running.path.empty()) {
    running.log.event(LogLevel::warn, "SIGHUP: there is no configuration file to reload");
    return;
  }
  take(load(running.path), "", running);
}

// The files that the configuration names, with its text as it is in force: a file that is being
// edited beside them is not for now.
void look_at_files(Running& running) {
  const std::string changed = running.watch.settled_change();
  if (changed.empty()) return;
  take(load_again(running.text, running.path), "; " + changed + " has changed", running);
}

// What became of the exchanges that were open at SIGTERM.
enum class Drained : uint8_t { whole, cut, stopped };

// Drains while listening for the second signal.
Drained drain(proxy::Server& server, const Signals& signals, proxy::Log& log) {
  log.event(LogLevel::info, "draining: no new connections, exchanges may finish");
  struct Waiting {
    std::atomic<bool> finished = false;
    std::atomic<bool> whole = false;
  };
  const auto waiting = std::make_shared<Waiting>();  // may outlive this function
  const std::function<bool()> wait = server.begin_drain(kDrainLimit);
  const pthread_t main_thread = pthread_self();
  std::thread waiter([waiting, wait, main_thread] {
    waiting->whole = wait();
    waiting->finished = true;
    pthread_kill(main_thread, SIGTERM);  // wakes the wait below
  });
  int number = SIGHUP;
  while (number == SIGHUP) number = signals.wait();
  if (!waiting->finished) {
    log.event(LogLevel::warn, "stopped by a second signal");
    waiter.detach();
    return Drained::stopped;
  }
  waiter.join();
  if (waiting->whole) return Drained::whole;
  log.event(LogLevel::warn, "the drain limit has passed: cutting what is left");
  return Drained::cut;
}

// Exchanges that are cut are unwound: each writes its line, and a part of an answer ends in a
// reset. Should that hang, the process ends all the same.
void end_within(Duration limit, int status) {
  std::thread([limit, status] {
    std::this_thread::sleep_for(limit);
    std::_Exit(status);
  }).detach();
}

int serve(const std::string& path, const config::Loaded& loaded, const Signals& signals,
          proxy::Log& log) {
  const auto& settings = loaded.settings;
  Result<net::ListenSocket> admin_socket = admin::bind(settings->admin.address);
  if (!admin_socket) {
    std::cerr << "egret: admin: " << admin_socket.error().detail << "\n";
    return 1;
  }
  std::vector<policy::Endpoint> admin_endpoints;
  if (admin_socket->endpoint) admin_endpoints.push_back(*admin_socket->endpoint);
  const std::string admin_name =
      admin_socket->endpoint ? admin_socket->endpoint->to_string() : settings->admin.address.name;
  Result<std::unique_ptr<proxy::Server>> server =
      proxy::Server::start(settings, admin_endpoints, log);
  if (!server) {
    const std::string& why = server.error().detail;
    const bool stores = settings->queue && server.error().reason == Reason::queue_unavailable &&
                        why.find(settings->queue->path) == std::string::npos;
    std::cerr << "egret: " << (stores ? "queue.store " + settings->queue->path + ": " : "") << why
              << "\n";
    return 1;
  }
  ServerGateway gateway(**server, settings);
  admin::Admin admin(std::move(*admin_socket), settings->admin, gateway);
  log.event(LogLevel::info,
            fmt::format("egret {} listens on {}, admin on {}, {} workers{}", proxy::kVersion,
                        fmt::join((*server)->addresses(), ", "), admin_name, settings->workers,
                        settings->mode == policy::Mode::report ? ", report mode" : ""));
  Running running{path,     loaded.text, FileWatch(named_files(loaded, path), loaded.since),
                  **server, gateway,     admin,
                  log};
  std::optional<QueueWatch> queue;
  if ((*server)->queue() != nullptr) queue.emplace(*(*server)->queue(), log);
  int number = signals.wait_for_a_look();
  while (number == 0 || number == SIGHUP) {
    number == SIGHUP ? reload(running) : look_at_files(running);
    if (queue) queue->look();
    number = signals.wait_for_a_look();
  }
  const Drained drained = drain(**server, signals, log);
  const int status = drained == Drained::stopped ? 1 : 0;
  if (drained != Drained::whole) end_within(kCutLimit, status);
  return status;
}

}  // namespace

int run(const std::string& path) {
  const config::Loaded loaded = load(path);
  const auto& settings = loaded.settings;
  if (!settings) return 2;
  const Signals signals;
  std::unique_ptr<CommandHelper> helper;
  if (!loaded.commands.empty() && settings->sandbox != config::Sandbox::off) {
    Result<std::unique_ptr<CommandHelper>> started = CommandHelper::start(loaded.commands);
    if (!started) {
      std::cerr << "egret: commands: " << started.error().detail << "\n";
      return 1;
    }
    helper = std::move(*started);
  }
  if (settings->sandbox != config::Sandbox::off) {
    config::set_command_runner(
        [&helper](const std::vector<std::string>& arguments, std::string& error) -> std::string {
          if (helper) return helper->run(arguments, error);
          error = "no command was in the configuration when Egret started; restart it";
          return {};
        });
  }
  const Result<Confined> confined = confine(loaded);
  if (!confined) {
    const bool required = settings->sandbox == config::Sandbox::required;
    std::cerr << "egret: sandbox: " << confined.error().detail << "; "
              << (required ? "`sandbox: auto` starts without it\n"
                           : "`sandbox: off` starts without any\n");
    return 1;
  }
  proxy::Log log;
  const Result<> logged = log.configure(settings->log);
  if (!logged) {
    std::cerr << "egret: log.access: " << logged.error().detail << "\n";
    return 1;
  }
  log.event(confined->level, confined->sentence);
  protect_secrets(*settings, log);
  look_for_name_servers(*settings, log);
  const Result<> files = raise_descriptor_limit(*settings, log);
  if (!files) {
    std::cerr << "egret: " << files.error().detail << "\n";
    return 1;
  }
  try {
    const int code = serve(path, loaded, signals, log);
    log.flush();
    return code;
  } catch (const std::exception& error) {
    std::cerr << "egret: " << error.what() << "\n";
    return 1;
  }
}

}  // namespace egret::commands
