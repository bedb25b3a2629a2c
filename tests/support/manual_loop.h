#pragma once

#include <stdexcept>

#include "proxy/async/task.h"
#include "tests/support/manual_clock.h"

namespace egret::test {

// ManualLoop turns the production Scheduler (ready list and timer heap) by hand over a ManualClock:
// nothing happens but what the test makes happen, in the same order every time.
//   One a thread at a time, as any Scheduler. Outlives every Task that runs on it.
class ManualLoop {
 public:
  ManualLoop() : scheduler_(clock_) {}

  ManualClock& clock() { return clock_; }
  async::Scheduler& scheduler() { return scheduler_; }
  [[nodiscard]] TimePoint now() const { return clock_.now(); }
  // The deadline `after` from now.
  [[nodiscard]] Deadline in(Duration after) const { return deadline_after(clock_.now(), after); }

  // One turn, as the event loop makes it: fires what is due, then runs at most `most` ready nodes.
  // True when something is left.
  bool turn(size_t most = kMostATurn);
  // One turn of one node. False when nothing was ready.
  bool step();
  // Turns until nothing is ready; time does not pass. Throws std::logic_error when that does not
  // end: something posts itself for ever.
  void run_until_idle();
  // Runs until idle, then moves the clock by `by`, stopping at each instant at which a timer is due
  // and running until idle there: what a coroutine arms on the way fires on the way.
  void advance(Duration by);
  // Moves the clock to the earliest instant the heap asks for and fires it, running nothing. False
  // when no timer is armed. A disarmed timer may still ask: then nothing becomes ready.
  bool advance_to_next_timer();

  // Starts `task` and runs it to its end, time passing as its timers ask. Throws what it throws,
  // or std::logic_error when it waits for what never comes.
  template <typename T>
  T run(async::Task<T> task) {
    task.start();
    while (!task.done()) {
      if (step() || advance_to_next_timer()) continue;
      throw std::logic_error("the task waits for what never comes");
    }
    return task.result();
  }

 private:
  static constexpr size_t kMostATurn = 4096;
  ManualClock clock_;
  async::Scheduler scheduler_;
};

}  // namespace egret::test
