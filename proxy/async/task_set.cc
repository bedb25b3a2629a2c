#include "proxy/async/task_set.h"

namespace egret::async {

void TaskSet::spawn(Task<void> task) {
  auto* entry = new Entry(*this, std::move(task));
  entry->next = first_;
  if (first_ != nullptr) first_->prev = entry;
  first_ = entry;
  ++entries_;
  entry->task.start();
  if (entry->task.done()) {
    retire(*entry);
  } else {
    entry->task.notify(*entry);
  }
}

void TaskSet::cancel_all() {
  while (first_ != nullptr) {
    Entry* entry = first_;
    first_ = entry->next;
    if (first_ != nullptr) first_->prev = nullptr;
    --entries_;
    delete entry;
  }
}

void TaskSet::Entry::finished(ReadyNode& node) {
  auto& entry = static_cast<Entry&>(node);
  entry.set.retire(entry);
}

void TaskSet::retire(Entry& entry) {
  (entry.prev != nullptr ? entry.prev->next : first_) = entry.next;
  if (entry.next != nullptr) entry.next->prev = entry.prev;
  --entries_;
  std::exception_ptr bug;
  try {
    entry.task.result();
  } catch (...) {
    bug = std::current_exception();
  }
  delete &entry;
  if (bug && on_bug_) on_bug_(bug);
}

}  // namespace egret::async
