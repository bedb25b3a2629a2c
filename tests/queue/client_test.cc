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
  const Result<std::vector<Claimed>> claimed = co_await client.claim(10, 1000);
  EXPECT_TRUE(claimed && claimed->size() == 1);
  if (!claimed || claimed->size() != 1) co_return;
  const Result<std::vector<Claimed>> again = co_await client.claim(10, 1000);
  EXPECT_TRUE(again && again->empty());
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
