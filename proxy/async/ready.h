#pragma once

#include <cstddef>

namespace egret::async {

// ReadyNode is something that can be run once by the ready list: a suspended coroutine, mostly.
//   Intrusive, so that posting allocates nothing and destroying a posted node takes it off the
//   list: that is what makes destroying a Task a safe cancellation at any moment.
class ReadyNode {
 public:
  using Run = void (*)(ReadyNode&);
  explicit ReadyNode(Run run) : run_(run) {}
  ReadyNode(const ReadyNode&) = delete;
  ReadyNode& operator=(const ReadyNode&) = delete;
  ~ReadyNode() { unlink(); }

  [[nodiscard]] bool posted() const { return next_ != nullptr; }

 private:
  friend class ReadyList;
  void unlink() {
    if (next_ == nullptr) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    prev_ = next_ = nullptr;
  }
  ReadyNode* prev_ = nullptr;
  ReadyNode* next_ = nullptr;
  Run run_;
};

// ReadyList holds what may go on now, in the order in which it became ready. Only drain() runs
// anything; everything else posts. One thread.
class ReadyList {
 public:
  ReadyList() : head_(nullptr) { head_.prev_ = head_.next_ = &head_; }
  // Nodes may outlive it: they are posted nowhere then.
  ~ReadyList() {
    while (!empty()) head_.next_->unlink();
    head_.next_ = nullptr;
  }
  ReadyList(const ReadyList&) = delete;
  ReadyList& operator=(const ReadyList&) = delete;

  // At the back; nothing happens when the node is posted already.
  void post(ReadyNode& node) {
    if (node.posted()) return;
    node.prev_ = head_.prev_;
    node.next_ = &head_;
    head_.prev_->next_ = &node;
    head_.prev_ = &node;
  }
  [[nodiscard]] bool empty() const { return head_.next_ == &head_; }

  // Runs at most `most` nodes, those posted meanwhile included; returns how many ran. Bounded, so
  // that work which makes more work cannot keep the loop from looking at its sockets.
  size_t drain(size_t most) {
    size_t ran = 0;
    while (ran < most && !empty()) {
      ReadyNode& node = *head_.next_;
      node.unlink();
      immediate_ = 0;
      ++ran;
      node.run_(node);
    }
    return ran;
  }

  // Counts an operation that did not have to wait. True when the running coroutine has had so many
  // in a row that it should post itself and let others go first.
  bool has_had_its_turn() { return ++immediate_ > kImmediateOperations; }

 private:
  static constexpr int kImmediateOperations = 64;
  ReadyNode head_;
  int immediate_ = 0;
};

}  // namespace egret::async
