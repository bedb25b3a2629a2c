#include "proxy/async/task_set.h"

namespace egret::async {

void TaskSet::spawn(Task<void> task) {
  auto* entry = new Entry(*this, std::move(task));
  entry->next = first_;
  (first_ != nullptr ? first_->prev : last_) = entry;
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
    unlink(*entry);
    delete entry;
  }
}

void TaskSet::cancel_oldest() {
  Entry* entry = last_;
  if (entry == nullptr) return;
  unlink(*entry);
  delete entry;
}

void TaskSet::unlink(Entry& entry) {
  (entry.prev != nullptr ? entry.prev->next : first_) = entry.next;
  (entry.next != nullptr ? entry.next->prev : last_) = entry.prev;
  --entries_;
}

void TaskSet::Entry::finished(ReadyNode& node) {
  auto& entry = static_cast<Entry&>(node);
  entry.set.retire(entry);
}

void TaskSet::retire(Entry& entry) {
  unlink(entry);
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
