#include "proxy/async/timer.h"

namespace egret::async {

Timer::~Timer() {
  if (index_ != kNowhere) heap_->remove(*this);
}

void Timer::arm(TimerHeap& heap, Deadline deadline, ReadyNode& target) {
  deadline_ = deadline;
  target_ = &target;
  fired_ = false;
  if (index_ != kNowhere) {
    if (heap_ == &heap && heap.heap_[index_].key <= deadline) return;
    heap_->remove(*this);
  }
  heap_ = &heap;
  if (deadline != kNever) heap.insert(*this);
}

TimerHeap::~TimerHeap() {
  for (const Entry& entry : heap_) entry.timer->index_ = Timer::kNowhere;
}

void TimerHeap::fire(TimePoint now) {
  while (!heap_.empty() && heap_.front().key <= now) {
    Timer& timer = *heap_.front().timer;
    if (timer.deadline_ > now) {
      // The deadline moved on since it was put here, or it was disarmed.
      remove(timer);
      if (timer.deadline_ != kNever) insert(timer);
      continue;
    }
    remove(timer);
    timer.fired_ = true;
    timer.deadline_ = kNever;
    if (timer.target_ != nullptr) ready_.post(*timer.target_);
  }
}

void TimerHeap::insert(Timer& timer) {
  heap_.emplace_back();
  sift_up(static_cast<uint32_t>(heap_.size() - 1), {timer.deadline_, &timer});
}

void TimerHeap::remove(Timer& timer) {
  const uint32_t index = timer.index_;
  timer.index_ = Timer::kNowhere;
  const Entry last = heap_.back();
  heap_.pop_back();
  if (index == heap_.size()) return;
  if (index > 0 && last.key < heap_[(index - 1) / 2].key) {
    sift_up(index, last);
  } else {
    sift_down(index, last);
  }
}

void TimerHeap::place(uint32_t index, Entry entry) {
  heap_[index] = entry;
  entry.timer->index_ = index;
}

void TimerHeap::sift_up(uint32_t index, Entry entry) {
  while (index > 0) {
    const uint32_t parent = (index - 1) / 2;
    if (heap_[parent].key <= entry.key) break;
    place(index, heap_[parent]);
    index = parent;
  }
  place(index, entry);
}

void TimerHeap::sift_down(uint32_t index, Entry entry) {
  const auto size = static_cast<uint32_t>(heap_.size());
  for (uint32_t child = 2 * index + 1; child < size; child = 2 * index + 1) {
    if (child + 1 < size && heap_[child + 1].key < heap_[child].key) ++child;
    if (entry.key <= heap_[child].key) break;
    place(index, heap_[child]);
    index = child;
  }
  place(index, entry);
}

}  // namespace egret::async
