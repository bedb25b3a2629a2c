#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "proxy/async/ready.h"

namespace egret::async {

class TimerHeap;

// Timer posts its target when its deadline has come. Lives with what it times: arming one that is
// already in the heap for an earlier instant only stores the deadline (the heap looks again when
// that instant comes), so a deadline that moves with every byte costs a store.
//   Destroying an armed timer disarms it. One thread: its heap's.
class Timer {
 public:
  Timer() = default;
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Posts `target` at `deadline`; replaces what was armed before. kNever disarms.
  void arm(TimerHeap& heap, Deadline deadline, ReadyNode& target);
  void disarm() {
    deadline_ = kNever;
    target_ = nullptr;
  }
  // Since the last arm(): the deadline came and the target was posted because of it.
  [[nodiscard]] bool fired() const { return fired_; }
  [[nodiscard]] Deadline deadline() const { return deadline_; }

 private:
  friend class TimerHeap;
  static constexpr uint32_t kNowhere = UINT32_MAX;
  TimerHeap* heap_ = nullptr;
  Deadline deadline_ = kNever;
  ReadyNode* target_ = nullptr;
  uint32_t index_ = kNowhere;
  bool fired_ = false;
};

// TimerHeap is the worker's one heap of deadlines, told the time and never asking. One thread.
class TimerHeap {
 public:
  explicit TimerHeap(ReadyList& ready) : ready_(ready) {}
  ~TimerHeap();
  TimerHeap(const TimerHeap&) = delete;
  TimerHeap& operator=(const TimerHeap&) = delete;

  // Posts the target of every timer whose deadline is at or before `now`.
  void fire(TimePoint now);
  // Look again at this instant at the latest; kNever when nothing is armed. May be early.
  [[nodiscard]] Deadline next() const { return heap_.empty() ? kNever : heap_.front().key; }
  [[nodiscard]] size_t size() const { return heap_.size(); }

 private:
  friend class Timer;
  struct Entry {
    Deadline key;  // at or before the timer's deadline
    Timer* timer;
  };
  void insert(Timer& timer);
  void remove(Timer& timer);
  void place(uint32_t index, Entry entry);
  void sift_up(uint32_t index, Entry entry);
  void sift_down(uint32_t index, Entry entry);

  ReadyList& ready_;
  std::vector<Entry> heap_;  // binary, smallest key first
};

}  // namespace egret::async
