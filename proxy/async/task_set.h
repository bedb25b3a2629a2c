#pragma once

#include <exception>
#include <functional>
#include <utility>

#include "proxy/async/task.h"

namespace egret::async {

// TaskSet owns work that nobody awaits: sessions, background refreshes. Destroying the set cancels
// all of it; a task that finishes is removed at the next turn of the ready list.
//   An exception that leaves a task is a bug: it goes to `on_bug` and ends that task only.
//   One thread. Must not be destroyed by one of its own tasks.
class TaskSet {
 public:
  using OnBug = std::function<void(std::exception_ptr)>;
  explicit TaskSet(OnBug on_bug = {}) : on_bug_(std::move(on_bug)) {}
  ~TaskSet() { cancel_all(); }
  TaskSet(const TaskSet&) = delete;
  TaskSet& operator=(const TaskSet&) = delete;

  // Starts it; runs up to its first wait before it returns.
  void spawn(Task<void> task);
  // Cancels everything, in no particular order.
  void cancel_all();
  // Cancels the one that was spawned first of those that are left. Not from within that one.
  void cancel_oldest();
  [[nodiscard]] size_t size() const { return entries_; }

 private:
  // Posted by its task when that is done; removes itself.
  struct Entry : ReadyNode {
    Entry(TaskSet& owner, Task<void> work)
        : ReadyNode(&Entry::finished), set(owner), task(std::move(work)) {}
    static void finished(ReadyNode& node);
    TaskSet& set;
    Task<void> task;
    Entry* prev = nullptr;
    Entry* next = nullptr;
  };
  void retire(Entry& entry);
  void unlink(Entry& entry);

  OnBug on_bug_;
  Entry* first_ = nullptr;  // the newest
  Entry* last_ = nullptr;
  size_t entries_ = 0;
};

}  // namespace egret::async
