#pragma once

#include <coroutine>

#include "proxy/async/scheduler.h"

namespace egret::async {

// `co_await sleep_until(deadline)`: goes on when the deadline has come.
class SleepUntil {
 public:
  explicit SleepUntil(Deadline deadline) : deadline_(deadline) {}
  bool await_ready() const { return deadline_ <= Scheduler::current().now(); }
  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise> parent) {
    timer_.arm(Scheduler::current().timers(), deadline_, parent.promise());
  }
  void await_resume() {}

 private:
  Deadline deadline_;
  Timer timer_;
};
inline SleepUntil sleep_until(Deadline deadline) { return SleepUntil(deadline); }

// Event: one coroutine at a time waits until somebody sets it. Setting posts the waiter; it stays
// set until cleared. One thread; outlives its waiter.
class Event {
 public:
  void set() {
    set_ = true;
    if (waiter_ != nullptr) Scheduler::current().ready().post(*waiter_);
  }
  void clear() { set_ = false; }
  [[nodiscard]] bool is_set() const { return set_; }

  // `bool came = co_await event.wait(deadline);` false when the deadline came first.
  class Wait {
   public:
    Wait(Event& event, Deadline deadline) : event_(event), deadline_(deadline) {}
    ~Wait() {
      if (waiting_) event_.waiter_ = nullptr;
    }
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    bool await_ready() const { return event_.set_; }
    template <typename Promise>
    void await_suspend(std::coroutine_handle<Promise> parent) {
      event_.waiter_ = &parent.promise();
      waiting_ = true;
      timer_.arm(Scheduler::current().timers(), deadline_, parent.promise());
    }
    // Set and cleared again before the waiter ran is still "came".
    bool await_resume() { return event_.set_ || !timer_.fired(); }

   private:
    Event& event_;
    Deadline deadline_;
    Timer timer_;
    bool waiting_ = false;
  };
  Wait wait(Deadline deadline) { return {*this, deadline}; }

 private:
  ReadyNode* waiter_ = nullptr;
  bool set_ = false;
};

}  // namespace egret::async
