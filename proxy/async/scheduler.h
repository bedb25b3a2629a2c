#pragma once

#include "base/clock.h"
#include "proxy/async/ready.h"
#include "proxy/async/timer.h"

namespace egret::async {

// Scheduler is who runs when on one thread: the instant, what is ready, what is timed. The event
// loop turns it in production; a test turns it by hand over a ManualClock.
//   Owner: the thread that made it, which has at most one at a time (current()).
class Scheduler {
 public:
  explicit Scheduler(const Clock& clock);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // This thread's; there must be one. A thread has one loop, and a coroutine's promise has no
  // parameter to carry it in.
  static Scheduler& current() { return *current_; }

  ReadyList& ready() { return ready_; }
  TimerHeap& timers() { return timers_; }
  const Clock& clock() const { return clock_; }

  // The instant of this turn. Constant while a turn lasts.
  [[nodiscard]] TimePoint now() const { return now_; }
  // Begins a turn: reads the clock and posts what has come due.
  void begin_turn();
  // Runs what is ready, at most `most` of it; true when something is left.
  bool run(size_t most = kMostATurn) {
    ready_.drain(most);
    return !ready_.empty();
  }

 private:
  static constexpr size_t kMostATurn = 4096;
  static thread_local constinit Scheduler* current_;
  const Clock& clock_;
  TimePoint now_;
  ReadyList ready_;
  TimerHeap timers_{ready_};
};

}  // namespace egret::async
