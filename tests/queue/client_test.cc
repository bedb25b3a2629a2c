#include "proxy/queue/client.h"

#include <gtest/gtest.h>

#include "tests/queue/store_fixture.h"
#include "tests/support/manual_loop.h"

namespace egret::queue {
namespace {

using async::Task;

std::unique_ptr<Store> open_store(const std::string& path, WallTime now) {
  Result<std::unique_ptr<Store>> opened = open_sqlite_store(path, now);
  if (!opened) throw std::runtime_error(opened.error().detail);
  return std::move(*opened);
}

// From acceptance to the end, as senders, the dispatcher and an operator ask.
Task<void> round_trip(Client& client) {
  NewDelivery made = new_delivery("dlv_1", client.queue().now());
  NewDelivery same = made;
  const Result<Accepted> accepted = co_await client.accept(std::move(made));
  EXPECT_TRUE(accepted);
  const auto none = std::make_shared<const std::vector<Settled>>();
  const Wanted wanted{.most = 10, .most_bytes = 1000};
  const TurnedOver first = co_await client.turn_over(none, wanted);
  const Result<std::vector<Claimed>>& claimed = first.claimed;
  EXPECT_TRUE(claimed && claimed->size() == 1);
  if (!claimed || claimed->size() != 1) co_return;
  const TurnedOver again = co_await client.turn_over(none, wanted);
  EXPECT_TRUE(again.claimed && again.claimed->empty());
  Settled settled{.number = claimed->front().number,
                  .lane = claimed->front().lane,
                  .fence = claimed->front().fence,
                  .state = State::dead,
                  .attempt = Attempt{.began = client.queue().now(), .status = 410}};
  const Result<> done = co_await client.settle(std::move(settled));
  EXPECT_TRUE(done);
  const Result<std::optional<Shown>> shown = co_await client.show("dlv_1");
  EXPECT_TRUE(shown && *shown && (*shown)->delivery.state == State::dead);
  const Result<std::optional<State>> replayed = co_await client.replay("dlv_1");
  EXPECT_TRUE(replayed && *replayed == State::dead);
  const Result<std::optional<State>> cancelled = co_await client.cancel("dlv_1");
  EXPECT_TRUE(cancelled && *cancelled == State::queued);
  const Result<std::optional<Content>> content = co_await client.content("dlv_1");
  EXPECT_TRUE(content && *content && (*content)->body == claimed->front().body);
  Filter all;
  const Result<Page> page = co_await client.list(std::move(all));
  EXPECT_TRUE(page && page->deliveries.size() == 1);
  const Result<std::optional<Accepted>> known = co_await client.known(std::move(same));
  EXPECT_TRUE(known && !*known);
}

TEST(QueueClient, AsksFromALoopWhatTheQueuesThreadDoes) {
  const TempFolder folder;
  const SystemClock clock;
  async::Loop loop(clock);
  const async::MailboxOwner mailbox(std::make_shared<async::Mailbox>(loop));
  Queue queue(open_store(folder.file("queue.db"), clock.wall()), {}, clock);
  queue.start();
  Client client(queue, mailbox.shared());
  Task<void> task = round_trip(client);
  task.start();
  while (!task.done()) loop.turn(true);
  task.result();
  const Counts counts = queue.counts();
  EXPECT_EQ(counts.accepted, 1U);
  EXPECT_EQ(counts.dead, 1U);
  EXPECT_EQ(counts.delivered, 0U);
  EXPECT_EQ(counts.failures, 0U);
}

// Loop and queue are turned by hand.
class ManualQueueClient : public testing::Test {
 protected:
  Task<Result<Accepted>> accept() { return client_.accept(new_delivery("dlv_1", queue_.now())); }

  TempFolder folder_;
  test::ManualLoop loop_;
  std::shared_ptr<async::Mailbox> mailbox_ = std::make_shared<async::Mailbox>(
      [](const std::function<void()>& work) { work(); });  // the queue's thread is the loop's
  Queue queue_{open_store(folder_.file("queue.db"), loop_.clock().wall()), {}, loop_.clock()};
  Client client_{queue_, mailbox_};
};

TEST_F(ManualQueueClient, WaitsUntilItIsKept) {
  Task<Result<Accepted>> task = accept();
  task.start();
  loop_.run_until_idle();
  EXPECT_FALSE(task.done());
  queue_.turn();
  loop_.run_until_idle();
  ASSERT_TRUE(task.done());
  EXPECT_EQ(task.result()->id, "dlv_1");
}

TEST_F(ManualQueueClient, HearsWhyNot) {
  queue_.set_bounds({.max_deliveries = 0});
  Task<Result<Accepted>> task = accept();
  task.start();
  queue_.turn();
  loop_.run_until_idle();
  ASSERT_TRUE(task.done());
  EXPECT_EQ(task.result().error().reason, Reason::queue_full);
}

TEST_F(ManualQueueClient, MayGoBeforeTheQueueAnswers) {
  {
    Task<Result<Accepted>> task = accept();
    task.start();
    loop_.run_until_idle();
  }
  queue_.turn();
  loop_.run_until_idle();
  EXPECT_EQ(queue_.counts().accepted, 1U);  // it is done all the same
}

TEST_F(ManualQueueClient, TurnsOverInOneCommit) {
  for (const char* id : {"dlv_1", "dlv_2"}) {
    Task<Result<Accepted>> task = client_.accept(new_delivery(id, queue_.now()));
    task.start();
  }
  queue_.turn();
  loop_.run_until_idle();
  const auto turn_over = [&](std::vector<Settled> settled, size_t most) {
    auto all = std::make_shared<const std::vector<Settled>>(std::move(settled));
    Wanted wanted{.most = most, .most_bytes = 1000};
    Task<TurnedOver> task = client_.turn_over(std::move(all), std::move(wanted));
    task.start();
    const uint64_t before = queue_.counts().commits;
    queue_.turn();
    loop_.run_until_idle();
    EXPECT_TRUE(task.done());
    EXPECT_EQ(queue_.counts().commits, before + 1);
    return task.result();
  };
  const auto delivered = [&](const Claimed& of) {
    return Settled{.number = of.number,
                   .lane = of.lane,
                   .fence = of.fence,
                   .state = State::delivered,
                   .attempt = Attempt{.began = queue_.now(), .status = 204},
                   .well = true};
  };
  const TurnedOver first = turn_over({}, 10);
  ASSERT_EQ(first.claimed->size(), 1U) << "the window of a lane begins with one";
  // The room that the one leaves is the other's.
  const TurnedOver second = turn_over({delivered(first.claimed->at(0))}, 10);
  EXPECT_TRUE(second.settled);
  ASSERT_EQ(second.claimed->size(), 1U);
  const TurnedOver third = turn_over({delivered(second.claimed->at(0))}, 0);
  EXPECT_TRUE(third.settled);
  EXPECT_TRUE(third.claimed->empty());
  EXPECT_EQ(queue_.counts().delivered, 2U);
}

TEST_F(ManualQueueClient, LeavesWhatNobodyWaitsFor) {
  Task<Result<Accepted>> task = accept();
  task.start();
  queue_.turn();
  Task<TurnedOver> trip = client_.turn_over(std::make_shared<const std::vector<Settled>>(),
                                            Wanted{.most = 10, .most_bytes = 1000});
  trip.start();
  queue_.turn();
  loop_.run_until_idle();
  const TurnedOver turned = trip.result();
  const Claimed& lent = turned.claimed->at(0);
  client_.leave({{.number = lent.number,
                  .lane = lent.lane,
                  .fence = lent.fence,
                  .state = State::delivered,
                  .attempt = Attempt{.began = queue_.now(), .status = 204},
                  .well = true}});
  queue_.turn();
  EXPECT_EQ(queue_.stats().delivered, 1U);
}

TEST_F(ManualQueueClient, IsToldNothingOnceItsMailboxIsClosed) {
  Task<Result<Accepted>> task = accept();
  task.start();
  mailbox_->close();
  queue_.turn();
  loop_.run_until_idle();
  EXPECT_FALSE(task.done());
}

}  // namespace
}  // namespace egret::queue
