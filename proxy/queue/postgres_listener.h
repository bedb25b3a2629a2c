#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "proxy/queue/postgres_connection.h"

namespace egret::queue::pg {

// Listener hears, on a thread and a connection of its own, what other Egrets have made due. While
// it has no connection nothing is heard, and it tries again.
class Listener {
 public:
  // `changed` is told on the listener's thread. `own`: the news of this Egret are none.
  Listener(std::function<Login()> login, Patience patience, std::function<void()> changed);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void set_own(int64_t owner) { own_ = owner; }
  // It has listened once: the server can, and so may be told something.
  [[nodiscard]] bool can_listen() const { return can_listen_; }

 private:
  void run();
  void hear(Connection& connection);
  // False: it is to end.
  bool pause(Duration time);

  const std::function<Login()> login_;
  const Patience patience_;
  const std::function<void()> changed_;
  std::atomic<int64_t> own_ = 0;
  std::atomic<bool> can_listen_ = false;
  std::atomic<bool> stopping_ = false;
  int wake_ = -1;  // an eventfd: it is to end
  std::thread thread_;
};

}  // namespace egret::queue::pg
