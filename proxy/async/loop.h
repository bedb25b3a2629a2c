#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "proxy/async/scheduler.h"

struct event;
struct event_base;

namespace egret::async {

// Told of edges on a descriptor: what became possible since the last time. Runs on the loop's
// thread from inside the poll, so it may only note things and post.
class FdHandler {
 public:
  struct Edges {
    bool readable = false;
    bool writable = false;
    bool peer_closed = false;  // FIN. A reset shows as readable and writable: libevent's way
  };
  virtual void on_edges(Edges edges) = 0;

 protected:
  ~FdHandler() = default;
};

// A descriptor's registration with a loop; destroying it ends the registration. The descriptor
// must still be open then.
class FdWatch {
 public:
  FdWatch() = default;
  FdWatch(FdWatch&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  FdWatch& operator=(FdWatch&& other) noexcept {
    std::swap(event_, other.event_);
    return *this;
  }
  ~FdWatch();

 private:
  friend class Loop;
  explicit FdWatch(event* event) : event_(event) {}
  event* event_ = nullptr;
};

// Loop turns a Scheduler over real descriptors. libevent serves as the reactor only.
//   One thread makes it, runs it and destroys it; post_from_anywhere and stop may be called from
//   others.
class Loop {
 public:
  explicit Loop(const Clock& clock);  // throws std::runtime_error when the kernel refuses
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  Scheduler& scheduler() { return scheduler_; }

  // Registers `fd` once, edge-triggered, for reading, writing and the peer's closing. `handler`
  // must outlive the watch. An unusable watch (event_ null) never happens: throws instead.
  FdWatch watch(int fd, FdHandler& handler);
  // Level-triggered, reading only: for listening sockets and for c-ares.
  struct Interest {
    bool read = false;
    bool write = false;
  };
  FdWatch watch_level(int fd, Interest interest, FdHandler& handler);

  // Runs turns until stop().
  void run();
  // One turn: waits for descriptors or timers (not at all when `wait` is false or something is
  // ready), then runs what is ready.
  void turn(bool wait);

  // Any thread. `work` runs on the loop's thread, in order; dropped if the loop never turns again.
  void post_from_anywhere(std::function<void()> work);
  void stop();

 private:
  class Wakeup;
  void arm_timer();
  void run_posted();

  Scheduler scheduler_;
  event_base* base_;
  event* timer_;
  Deadline timer_at_ = kNever;
  std::unique_ptr<Wakeup> wakeup_;
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;  // guarded by mutex_
  bool stopped_ = false;                       // loop's thread only
};

}  // namespace egret::async
