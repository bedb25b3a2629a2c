#pragma once

#include <optional>
#include <utility>

#include "proxy/async/task.h"

namespace egret::async {

// `co_await race(std::move(work), deadline)`: the work's value, or nothing when the deadline came
// first; then the work has been destroyed. Work that is done at the deadline wins.
template <typename T>
class DeadlineRace {
 public:
  DeadlineRace(Task<T> work, Deadline deadline) : work_(std::move(work)), deadline_(deadline) {}

  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  bool await_suspend(std::coroutine_handle<Promise> parent) {
    work_.start();
    if (work_.done()) return false;
    work_.notify(parent.promise());
    timer_.arm(Scheduler::current().timers(), deadline_, parent.promise());
    return true;
  }
  std::optional<T> await_resume() {
    std::optional<T> value;
    if (work_.done()) value.emplace(work_.result());
    work_.reset();
    return value;
  }

 private:
  Task<T> work_;
  Deadline deadline_;
  Timer timer_;
};
template <typename T>
DeadlineRace<T> race(Task<T> work, Deadline deadline) {
  return DeadlineRace<T>(std::move(work), deadline);
}

// `co_await race(std::move(a), std::move(b))`: both start, the first to finish wins, the other is
// destroyed. When both are done at once, both values are there.
template <typename A, typename B>
struct Raced {
  std::optional<A> first;
  std::optional<B> second;
};
template <typename A, typename B>
class TaskRace {
 public:
  TaskRace(Task<A> a, Task<B> b) : a_(std::move(a)), b_(std::move(b)) {}

  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  bool await_suspend(std::coroutine_handle<Promise> parent) {
    a_.start();
    if (a_.done()) return false;
    b_.start();
    if (b_.done()) return false;
    a_.notify(parent.promise());
    b_.notify(parent.promise());
    return true;
  }
  Raced<A, B> await_resume() {
    Raced<A, B> raced;
    if (a_.done()) raced.first.emplace(a_.result());
    if (b_.valid() && b_.done()) raced.second.emplace(b_.result());
    a_.reset();
    b_.reset();
    return raced;
  }

 private:
  Task<A> a_;
  Task<B> b_;
};
template <typename A, typename B>
TaskRace<A, B> race(Task<A> a, Task<B> b) {
  return TaskRace<A, B>(std::move(a), std::move(b));
}

}  // namespace egret::async
