#pragma once

#include <memory>
#include <vector>

#include "proxy/async/mailbox.h"
#include "proxy/async/task.h"
#include "proxy/async/wait.h"
#include "proxy/queue/queue.h"

namespace egret::queue {

struct TurnedOver {
  Result<> settled;  // all, or none of them
  Result<std::vector<Claimed>> claimed;
};

// Client asks a queue from a loop: each call waits until the store has done it, for good. One
// thread, the loop's; outlived by the queue. A call that is cancelled may still be done.
//   Errors of all: those of Store.
class Client {
 public:
  Client(Queue& queue, std::shared_ptr<async::Mailbox> mailbox)
      : queue_(queue), mailbox_(std::move(mailbox)) {}

  async::Task<Result<Accepted>> accept(NewDelivery delivery);
  async::Task<Result<std::optional<Accepted>>> known(NewDelivery delivery);
  async::Task<Result<>> settle(Settled settled);
  // All of them, and a claim in the same transaction as a rule; nothing wanted: no claim.
  async::Task<TurnedOver> turn_over(std::shared_ptr<const std::vector<Settled>> settled,
                                    Wanted wanted);
  // Settles them without waiting.
  void leave(std::vector<Settled> settled);
  async::Task<Result<Page>> list(Filter filter);
  async::Task<Result<std::optional<Shown>>> show(std::string id);
  async::Task<Result<std::optional<Content>>> content(std::string id);
  async::Task<Result<std::optional<State>>> replay(std::string id);
  // Of one page of the filter: all that it has.
  async::Task<Result<Replayed>> replay_page(Filter filter);
  async::Task<Result<std::optional<State>>> cancel(std::string id);

  async::Task<Result<std::vector<Endpoint>>> endpoints();
  async::Task<Result<bool>> disable(std::string host, std::string why);
  async::Task<Result<bool>> enable(std::string host);
  async::Task<Result<std::optional<std::string>>> recall(std::string name);
  async::Task<Result<>> remember(std::string name, std::string value, WallTime until);

  [[nodiscard]] Queue& queue() { return queue_; }
  [[nodiscard]] const std::shared_ptr<async::Mailbox>& mailbox() const { return mailbox_; }

 private:
  template <typename T>
  async::Task<Result<T>> ask(std::function<Result<T>(Store&)> work,
                             Queue::Turn turn = Queue::Turn::any);
  Queue::Work settling(std::shared_ptr<const std::vector<Settled>> settled);
  Queue& queue_;
  std::shared_ptr<async::Mailbox> mailbox_;
};

}  // namespace egret::queue
