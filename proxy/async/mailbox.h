#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "proxy/async/loop.h"

namespace egret::async {

// Mailbox is where other threads leave work for a loop that may have gone by then: the work is
// dropped then. post(): any thread. close(): the loop's, before the loop goes.
class Mailbox {
 public:
  explicit Mailbox(Loop& loop) : loop_(&loop) {}
  // With something else that takes work, in tests.
  explicit Mailbox(std::function<void(std::function<void()>)> post) : post_(std::move(post)) {}
  void post(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    if (loop_ != nullptr) {
      loop_->post_from_anywhere(std::move(work));
    } else if (post_) {
      post_(std::move(work));
    }
  }
  void close() {
    const std::lock_guard lock(mutex_);
    loop_ = nullptr;
    post_ = {};
  }

 private:
  std::mutex mutex_;
  Loop* loop_ = nullptr;  // nothing: gone
  std::function<void(std::function<void()>)> post_;
};

// Closes a mailbox when its loop's part that is posted to dies.
class MailboxOwner {
 public:
  explicit MailboxOwner(std::shared_ptr<Mailbox> mailbox) : mailbox_(std::move(mailbox)) {}
  ~MailboxOwner() { mailbox_->close(); }
  MailboxOwner(const MailboxOwner&) = delete;
  MailboxOwner& operator=(const MailboxOwner&) = delete;
  [[nodiscard]] const std::shared_ptr<Mailbox>& shared() const { return mailbox_; }

 private:
  std::shared_ptr<Mailbox> mailbox_;
};

}  // namespace egret::async
