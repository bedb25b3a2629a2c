#include "proxy/async/scheduler.h"

#include <cassert>

namespace egret::async {

thread_local constinit Scheduler* Scheduler::current_ = nullptr;

Scheduler::Scheduler(const Clock& clock) : clock_(clock), now_(clock.now()) {
  assert(current_ == nullptr);
  current_ = this;
}

Scheduler::~Scheduler() { current_ = nullptr; }

void Scheduler::begin_turn() {
  now_ = clock_.now();
  timers_.fire(now_);
}

}  // namespace egret::async
