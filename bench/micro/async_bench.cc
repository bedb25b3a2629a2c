#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "base/clock.h"
#include "proxy/async/scheduler.h"
#include "proxy/async/task.h"
#include "proxy/async/timer.h"

namespace egret::async {
namespace {

struct Idle : ReadyNode {
  Idle() : ReadyNode([](ReadyNode&) {}) {}
};

// A deadline that moves with every byte: what a busy connection does.
void rearm_timer(benchmark::State& state) {
  SystemClock clock;
  Scheduler scheduler(clock);
  Idle idle;
  Timer timer;
  Deadline deadline = scheduler.now() + std::chrono::hours(1);
  for (auto _ : state) {
    deadline += Duration(1);
    timer.arm(scheduler.timers(), deadline, idle);
  }
}
BENCHMARK(rearm_timer);

// A new timer among 10,000: what a new connection does.
void arm_new_timer(benchmark::State& state) {
  SystemClock clock;
  Scheduler scheduler(clock);
  Idle idle;
  const Deadline deadline = scheduler.now() + std::chrono::hours(1);
  std::vector<std::unique_ptr<Timer>> others;
  for (int i = 0; i < 10000; ++i) {
    others.push_back(std::make_unique<Timer>());
    others.back()->arm(scheduler.timers(), deadline + Duration(i), idle);
  }
  for (auto _ : state) {
    Timer timer;
    timer.arm(scheduler.timers(), deadline + Duration(5000), idle);
    benchmark::DoNotOptimize(timer);
  }
}
BENCHMARK(arm_new_timer);

Task<int> leaf(int value) { co_return value; }
Task<int> branch(int value) {
  const int doubled = co_await leaf(value);
  co_return doubled;
}

// A Task that awaits a Task, neither of which waits.
void await_ready_task(benchmark::State& state) {
  SystemClock clock;
  Scheduler scheduler(clock);
  for (auto _ : state) {
    Task<int> task = branch(1);
    task.start();
    benchmark::DoNotOptimize(task.result());
  }
}
BENCHMARK(await_ready_task);

}  // namespace
}  // namespace egret::async
