#include "proxy/server.h"

#include <fmt/format.h>

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>

#include "proxy/own_listeners.h"

namespace egret::proxy {
namespace {

// Names this process in Via: random, so that two Egrets in a chain are not one.
std::string make_pseudonym() {
  uint32_t number = 0;
  [[maybe_unused]] const auto got = getrandom(&number, sizeof number, 0);
  return fmt::format("egret-{:08x}", number);
}

queue::Bounds bounds_of(const config::Queue& settings) {
  return {.max_deliveries = settings.max_deliveries,
          .max_size = settings.max_size,
          .delivered = settings.delivered,
          .dead = settings.dead};
}

bool same_store(const config::Settings& a, const config::Settings& b) {
  if (!a.queue || !b.queue) return !a.queue && !b.queue;
  return a.queue->path == b.queue->path && a.queue->postgres == b.queue->postgres;
}

}  // namespace

struct Server::StorePassword {
  Secret get() {
    const std::lock_guard lock(mutex);
    return password;
  }
  void set(Secret now) {
    const std::lock_guard lock(mutex);
    password = std::move(now);
  }
  std::mutex mutex;
  Secret password;
};

Server::Server(std::shared_ptr<const config::Settings> settings,
               std::vector<policy::Endpoint> admin, Log& log)
    : log_(log),
      store_password_(std::make_shared<StorePassword>()),
      settings_(std::move(settings)),
      admin_(std::move(admin)),
      shared_{.clock = clock_,
              .labels = labels_,
              .destinations = destinations_,
              .consents = consents_,
              .buffer_memory = buffer_memory_,
              .pseudonym = make_pseudonym(),
              .event = [this](config::LogLevel level, std::string_view message) {
                log_.event(level, message);
              }} {}

Server::~Server() {
  workers_.clear();
  for (const auto& [name, bound] : listeners_) {
    if (!bound.unix_path.empty()) unlink(bound.unix_path.c_str());
  }
}

Result<std::unique_ptr<queue::Store>> Server::open_postgres() {
  store_password_->set(settings_->queue->password.value_or(Secret()));
  return queue::open_postgres_store(
      {.uri = settings_->queue->postgres,
       .password = [password = store_password_] { return password->get(); },
       .say = [this](const std::string& what) { log_.event(config::LogLevel::warn, what); }});
}

Result<> Server::open_queue() {
  if (!settings_->queue) return {};
  const std::string& path = settings_->queue->path;
  Result<std::unique_ptr<queue::Store>> store =
      path.empty() ? open_postgres() : queue::open_sqlite_store(path, clock_.wall());
  if (!store) return Unexpected(std::move(store.error()));
  queue_ = std::make_unique<queue::Queue>(std::move(*store), bounds_of(*settings_->queue), clock_);
  queue_->start();
  shared_.queue = queue_.get();
  return {};
}

Result<std::unique_ptr<Server>> Server::start(std::shared_ptr<const config::Settings> settings,
                                              std::vector<policy::Endpoint> admin, Log& log) {
  std::unique_ptr<Server> server(new Server(std::move(settings), std::move(admin), log));
  const Result<> opened = server->open_queue();
  if (!opened) return Unexpected(opened.error());
  Result<std::map<std::string, Bound>> bound = server->bind_missing(*server->settings_);
  if (!bound) return Unexpected(std::move(bound.error()));
  std::vector<Orders> orders = server->orders(*bound, {});
  try {
    for (uint32_t index = 0; index < server->settings_->workers; ++index) {
      server->workers_.push_back(
          std::make_unique<Worker>(server->shared_, index, std::move(orders[index])));
    }
  } catch (const std::exception& error) {
    return Unexpected(Reason::internal_error, error.what());
  }
  return server;
}

Result<> Server::reload(std::shared_ptr<const config::Settings> settings) {
  const auto refuse = [this](std::string why) {
    ++reloads_refused_;
    return Unexpected(Reason::internal_error, std::move(why));
  };
  if (!settings) return refuse("see the messages above");
  const bool workers = settings->workers != settings_->workers;
  const bool admin = settings->admin.address != settings_->admin.address;
  if (workers && admin) return refuse("`workers` and `admin.address` need a restart");
  if (workers) return refuse("`workers` needs a restart");
  if (admin) return refuse("`admin.address` needs a restart");
  if (!same_store(*settings, *settings_)) return refuse("`queue.store` needs a restart");
  if (settings->sandbox != settings_->sandbox) return refuse("`sandbox` needs a restart");
  Result<std::map<std::string, Bound>> added = bind_missing(*settings);
  if (!added) return refuse(added.error().detail);
  const Result<> logged = log_.configure(settings->log);
  if (!logged) return refuse("log.access: " + logged.error().detail);

  std::vector<std::string> removed;
  for (const auto& [name, bound] : listeners_) {
    const bool stays = std::ranges::any_of(settings->listeners, [&](const config::Listener& each) {
      return each.address.name == name;
    });
    if (!stays) removed.push_back(name);
  }
  const auto before = std::exchange(settings_, std::move(settings));
  std::vector<Orders> each = orders(*added, removed);
  try {
    for (size_t index = 0; index < workers_.size(); ++index) {
      workers_[index]->apply(std::move(each[index]));
    }
  } catch (const std::exception& error) {
    settings_ = before;
    apply_limits();
    return refuse(error.what());
  }
  for (const std::string& name : removed) {
    const std::string& path = listeners_[name].unix_path;
    if (!path.empty()) unlink(path.c_str());
    listeners_.erase(name);
  }
  ++reloads_applied_;
  return {};
}

Result<Server::Bound> Server::bind(const config::Listener& listener) {
  Bound bound;
  bound.info = std::make_shared<ListenerInfo>();
  bound.info->name = listener.address.name;
  bound.info->label = labels_.intern(listener.address.name);
  bound.info->max_connections = listener.max_connections;
  bound.unix_path = listener.address.unix_path;
  bound.endpoint = listener.address.endpoint;
  for (uint32_t index = 0; index < settings_->workers; ++index) {
    const net::Claim claim = index == 0 ? net::Claim::first : net::Claim::more;
    Result<net::ListenSocket> socket = bound.endpoint ? net::listen_tcp(*bound.endpoint, claim)
                                       : index == 0   ? net::listen_unix(bound.unix_path)
                                                      : net::share(bound.sockets.front());
    if (!socket) return Unexpected(std::move(socket.error()));
    // The first socket of port 0 decides for the others.
    bound.endpoint = socket->endpoint;
    bound.sockets.push_back(std::move(*socket));
  }
  return bound;
}

Result<std::map<std::string, Server::Bound>> Server::bind_missing(
    const config::Settings& settings) {
  std::map<std::string, Bound> added;
  for (const config::Listener& listener : settings.listeners) {
    if (listeners_.contains(listener.address.name)) continue;
    Result<Bound> bound = bind(listener);
    if (!bound) return Unexpected(std::move(bound.error()));
    added.emplace(listener.address.name, std::move(*bound));
  }
  return added;
}

std::vector<policy::Endpoint> Server::own() const {
  std::vector<policy::Endpoint> own;
  for (const auto& [name, bound] : listeners_) {
    if (bound.endpoint) add_own(own, *bound.endpoint);
  }
  for (const policy::Endpoint& endpoint : admin_) add_own(own, endpoint);
  return own;
}

// The system's roots as they are on disk now, and ticket keys that end what was resumable.
TlsRoots Server::tls_roots() {
  Result<std::shared_ptr<const tls::Trust>> trust = tls::Trust::system();
  if (!trust) log_.event(config::LogLevel::warn, trust.error().detail);
  return {.trust = trust ? *trust : tls::Trust::nobody()};
}

void Server::apply_limits() {
  for (const config::Listener& listener : settings_->listeners) {
    listeners_[listener.address.name].info->max_connections = listener.max_connections;
  }
  buffer_memory_.set_most(settings_->buffer_memory);
  if (!queue_) return;
  queue_->set_bounds(bounds_of(*settings_->queue));
  store_password_->set(settings_->queue->password.value_or(Secret()));
}

// What each worker is to do, with its sockets of the added listeners.
std::vector<Orders> Server::orders(std::map<std::string, Bound>& added,
                                   const std::vector<std::string>& removed) {
  std::vector<Orders> all(settings_->workers);
  for (auto& [name, bound] : added) {
    for (size_t index = 0; index < all.size(); ++index) {
      all[index].listen.push_back({bound.info, std::move(bound.sockets[index])});
    }
    bound.sockets.clear();
    listeners_[name] = std::move(bound);
  }
  apply_limits();
  const TlsRoots tls = tls_roots();
  for (Orders& each : all) {
    each.settings = settings_;
    each.tls = tls;
    each.own = own();
    each.access_log = log_.access();
    each.stop_listening = removed;
  }
  return all;
}

std::function<bool()> Server::begin_drain(Duration limit) {
  draining_ = true;
  struct Waiting {
    std::mutex mutex;
    std::condition_variable changed;
    size_t left;
  };
  const auto waiting = std::make_shared<Waiting>();
  waiting->left = workers_.size();
  for (const auto& worker : workers_) {
    worker->drain([waiting] {
      const std::lock_guard lock(waiting->mutex);
      --waiting->left;
      waiting->changed.notify_all();
    });
  }
  return [waiting, limit] {
    std::unique_lock lock(waiting->mutex);
    return waiting->changed.wait_for(lock, limit, [&] { return waiting->left == 0; });
  };
}

void Server::collect(std::function<void(Metrics)> take) {
  struct Sum {
    std::mutex mutex;
    Metrics metrics;
    size_t left;
    std::function<void(Metrics)> take;
  };
  const auto sum = std::make_shared<Sum>();
  sum->left = workers_.size();
  sum->take = std::move(take);
  for (const auto& worker : workers_) {
    worker->report([sum](const Metrics& metrics) {
      const std::lock_guard lock(sum->mutex);
      sum->metrics.add(metrics);
      if (--sum->left == 0) sum->take(std::move(sum->metrics));
    });
  }
}

ProcessMetrics Server::process() const {
  ProcessMetrics process{.reloads_applied = reloads_applied_,
                         .reloads_refused = reloads_refused_,
                         .log_lines_dropped = log_.dropped(),
                         .buffer_memory = buffer_memory_.most(),
                         .buffer_memory_reserved = buffer_memory_.used(),
                         .draining = draining_,
                         .workers = static_cast<uint32_t>(workers_.size())};
  process.breakers_open = destinations_.open_breakers().size();
  process.breakers_opened = destinations_.breakers_opened();
  process.consents = consents_.counts();
  if (queue_) process.queue = {queue_->stats(), queue_->counts(), queue_->owners(), clock_.wall()};
  return process;
}

std::vector<std::string> Server::addresses() const {
  std::vector<std::string> all;
  for (const auto& [name, bound] : listeners_) {
    all.push_back(bound.endpoint ? bound.endpoint->to_string() : name);
  }
  return all;
}

}  // namespace egret::proxy
