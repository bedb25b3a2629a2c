#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "proxy/logging.h"
#include "proxy/worker.h"

namespace egret::proxy {

// Server is the running gateway: workers, listeners, what they share. Made, reloaded, drained and
// destroyed by the main thread; collect() and the state queries may be called from any.
class Server {
 public:
  // Opens the queue's store, binds every listener and starts the workers. Errors: internal_error or
  // queue_unavailable with a sentence.
  //   `admin` is where the admin API listens, if anywhere: no request may lead there.
  static Result<std::unique_ptr<Server>> start(std::shared_ptr<const config::Settings> settings,
                                               std::vector<policy::Endpoint> admin, Log& log);
  ~Server();

  // Changes to `settings`, whole or not at all: new listeners are bound before anything changes.
  // Errors, all counted as refused and leaving what was before in force: internal_error (null: the
  // text was wrong; a listener cannot be bound; the number of workers or the admin address differs:
  // these need a restart).
  Result<> reload(std::shared_ptr<const config::Settings> settings);

  // Stops accepting and lets exchanges finish. What it returns waits for them, may do so when the
  // server has gone, and is true when all were done before `limit` passed.
  std::function<bool()> begin_drain(Duration limit);

  // Adds up what the workers have counted and gives it to `take`, on one of their threads.
  void collect(std::function<void(Metrics)> take);
  [[nodiscard]] ProcessMetrics process() const;
  [[nodiscard]] bool draining() const { return draining_; }
  // Where it listens, for the start-up message and for tests that ask for port 0.
  [[nodiscard]] std::vector<std::string> addresses() const;
  [[nodiscard]] const Labels& labels() const { return labels_; }
  [[nodiscard]] Destinations& destinations() { return destinations_; }
  [[nodiscard]] Consents& consents() { return consents_; }
  // Null: nothing is kept.
  [[nodiscard]] queue::Queue* queue() const { return queue_.get(); }

 private:
  // Of the queue's database; a reload may change it. Any thread.
  struct StorePassword;
  struct Bound {
    std::shared_ptr<ListenerInfo> info;
    std::optional<policy::Endpoint> endpoint;
    std::string unix_path;
    std::vector<net::ListenSocket> sockets;  // one a worker, handed over when it starts listening
  };
  Server(std::shared_ptr<const config::Settings> settings, std::vector<policy::Endpoint> admin,
         Log& log);
  Result<> open_queue();
  [[nodiscard]] Result<std::unique_ptr<queue::Store>> open_postgres();
  Result<Bound> bind(const config::Listener& listener);
  Result<std::map<std::string, Bound>> bind_missing(const config::Settings& settings);
  void apply_limits();
  [[nodiscard]] std::vector<policy::Endpoint> own() const;
  TlsRoots tls_roots();
  std::vector<Orders> orders(std::map<std::string, Bound>& added,
                             const std::vector<std::string>& removed);

  Log& log_;
  SystemClock clock_;
  Labels labels_;
  Destinations destinations_;
  Consents consents_;
  BufferBudget buffer_memory_;
  std::shared_ptr<StorePassword> store_password_;
  std::unique_ptr<queue::Queue> queue_;  // null: nothing is kept; outlives the workers
  std::shared_ptr<const config::Settings> settings_;
  std::vector<policy::Endpoint> admin_;
  std::map<std::string, Bound> listeners_;  // by name
  Shared shared_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<bool> draining_ = false;
  std::atomic<uint64_t> reloads_applied_ = 0;
  std::atomic<uint64_t> reloads_refused_ = 0;
};

}  // namespace egret::proxy
