#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "proxy/async/loop.h"
#include "proxy/consent.h"
#include "proxy/net/listener.h"
#include "proxy/session.h"

namespace egret::proxy {

// What all workers share. Outlives them. Any thread.
struct Shared {
  const Clock& clock;
  Labels& labels;
  Destinations& destinations;
  Consents& consents;
  BufferBudget& buffer_memory;
  queue::Queue* queue = nullptr;  // null: nothing is kept
  std::string pseudonym;
  std::function<void(config::LogLevel, std::string_view)> event;
};

// One worker's own queue of a listener.
struct WorkerListener {
  std::shared_ptr<ListenerInfo> info;
  net::ListenSocket socket;
};

// What a worker is told when it starts and at each reload.
struct Orders {
  std::shared_ptr<const config::Settings> settings;
  TlsRoots tls;
  std::vector<policy::Endpoint> own;  // where Egret itself listens
  AccessLog access_log;
  std::vector<WorkerListener> listen;       // begin to accept
  std::vector<std::string> stop_listening;  // names; open connections go on
};

// Worker is one thread with everything it needs: loop, resolver, cache, connections, counters. It
// shares nothing on the hot path. Its public functions may be called from any thread.
class Worker {
 public:
  // Starts the thread and waits until it is serving. Throws what kept it from it.
  Worker(Shared& shared, uint32_t index, Orders orders);
  // Stops: cancels everything that is left and joins.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Takes effect before the next request is read; open exchanges finish with what they began with.
  // Throws (before anything changes) when the resolver cannot be made.
  void apply(Orders orders);
  // Stops accepting, ends idle connections, lets exchanges finish. `drained` is called on the
  // worker's thread when nothing is left.
  void drain(std::function<void()> drained);
  // Gives a copy of its counters to `take`, on its thread.
  void report(std::function<void(Metrics)> take);

 private:
  class Inside;  // lives on the thread
  std::thread thread_;
  async::Loop* loop_ = nullptr;  // of the thread; valid from construction to join
  Inside* inside_ = nullptr;
};

}  // namespace egret::proxy
