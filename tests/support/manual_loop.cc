#include "tests/support/manual_loop.h"

#include <stdexcept>

namespace egret::test {

bool ManualLoop::turn(size_t most) {
  scheduler_.begin_turn();
  return scheduler_.run(most);
}

bool ManualLoop::step() {
  scheduler_.begin_turn();
  return scheduler_.ready().drain(1) == 1;
}

void ManualLoop::run_until_idle() {
  constexpr int kMostTurns = 100'000;
  for (int turns = 0; turns < kMostTurns; ++turns) {
    if (!turn()) return;
  }
  throw std::logic_error("the ready list never empties");
}

void ManualLoop::advance(Duration by) {
  run_until_idle();
  const TimePoint end = deadline_after(clock_.now(), by);
  while (scheduler_.timers().next() <= end) {
    clock_.advance_to(scheduler_.timers().next());
    run_until_idle();
  }
  clock_.advance_to(end);
  run_until_idle();
}

bool ManualLoop::advance_to_next_timer() {
  const Deadline next = scheduler_.timers().next();
  if (next == kNever) return false;
  clock_.advance_to(next);
  scheduler_.begin_turn();
  return true;
}

}  // namespace egret::test
