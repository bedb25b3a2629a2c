#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/dispatcher.h"
#include "tests/support/proxy_world.h"

namespace egret::test {

// A Sandbox that keeps deliveries, in a database in a folder of its own; its queue is turned by
// hand. `yaml` needs no `queue`.
class KeepingSandbox : public Sandbox {
 public:
  explicit KeepingSandbox(std::string_view yaml, queue::Bounds bounds = {});
  ~KeepingSandbox();

  // Everything that can happen without time passing, in the queue too.
  void settle();
  void advance(Duration by);
  // A sender's answer, or what a destination has got, once everything has settled.
  Message answer(FarEnd& sender);
  Message request(size_t destination = 0);
  // The answer to a request on a connection of its own.
  Message sent(std::string_view request);

  // Nothing is delivered from the one to the other.
  void stop_dispatcher();
  void start_dispatcher();
  // Every transaction fails from now on, or no longer.
  void break_store(bool broken);

  // What the dispatcher has told the store, in order; and what bugs it has told of, once they are
  // expected.
  [[nodiscard]] const std::vector<queue::Settled>& settled() const;
  void expect_bugs() { bugs_expected_ = true; }
  [[nodiscard]] size_t bugs() const { return bugs_; }
  void disable(const std::string& host);

  std::optional<queue::Shown> show(const std::string& id);
  [[nodiscard]] queue::Stats stats() const { return queue_->stats(); }
  [[nodiscard]] queue::Queue& queue() { return *queue_; }
  [[nodiscard]] proxy::Dispatcher& dispatcher() { return *dispatcher_; }

 private:
  class Breakable;
  std::string folder_;
  Breakable* store_ = nullptr;  // the queue's
  bool bugs_expected_ = false;
  size_t bugs_ = 0;
  std::unique_ptr<queue::Queue> queue_;
  std::vector<std::function<void()>> posted_;
  std::unique_ptr<async::MailboxOwner> mailbox_;
  std::unique_ptr<queue::Client> client_;
  std::unique_ptr<proxy::Dispatcher> dispatcher_;
};

}  // namespace egret::test
