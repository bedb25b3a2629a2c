// Memory for bytes in flight: what may use it, and what happens when there is none.

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/proxy_world.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using test::connect_request;
using test::FarEnd;
using test::get;
using test::Kind;
using test::kOk;
using test::Message;
using test::post;
using test::Sandbox;

// So that half of the budget is exactly this many steps.
constexpr uint64_t steps(uint64_t count) { return 2 * count * BufferPool::kStep; }
constexpr size_t kBuffersAStep = BufferPool::kStep / BufferPool::kBytes;

TEST(BufferBudget, GivesHalfOfItselfToNewWorkAndAllOfItToAnswers) {
  BufferBudget budget(steps(2));
  BufferPool pool(budget);
  std::vector<Buffer> requests;
  while (true) {
    std::optional<Buffer> taken = pool.take_if_left(MemoryFor::request);
    if (!taken) break;
    requests.push_back(std::move(*taken));
  }
  EXPECT_EQ(requests.size(), 2 * kBuffersAStep);
  std::vector<Buffer> answers;
  for (size_t i = 0; i < requests.size(); ++i) answers.push_back(pool.take());
  EXPECT_EQ(budget.used(), budget.most());
  EXPECT_EQ(pool.lent_bytes(), budget.most());
  EXPECT_FALSE(requests.front().grow(2 * BufferPool::kBytes, MemoryFor::answer));
  EXPECT_EQ(requests.front().capacity(), BufferPool::kBytes) << "nothing has changed";

  requests.clear();
  answers.clear();
  EXPECT_EQ(pool.lent_bytes(), 0U);
  EXPECT_LE(budget.used(), BufferPool::kStep);
  EXPECT_TRUE(pool.take_if_left(MemoryFor::request));
}

TEST(BufferBudget, IsSharedByPools) {
  BufferBudget budget(steps(2));
  BufferPool one(budget);
  std::vector<Buffer> taken;
  {
    BufferPool other(budget);
    for (size_t i = 0; i < 2 * kBuffersAStep; ++i)
      taken.push_back(*one.take_if_left(MemoryFor::request));
    EXPECT_FALSE(other.take_if_left(MemoryFor::request));
    taken.clear();
    for (size_t i = 0; i < kBuffersAStep; ++i)
      taken.push_back(*other.take_if_left(MemoryFor::request));
    EXPECT_TRUE(one.take_if_left(MemoryFor::request));
    EXPECT_FALSE(other.take_if_left(MemoryFor::request));
    taken.clear();
  }
  EXPECT_LE(budget.used(), BufferPool::kStep) << "a pool that ends gives all of it back";
}

TEST(BufferBudget, MayBeChangedWhileMuchIsLent) {
  BufferBudget budget(steps(1));
  BufferPool pool(budget);
  std::vector<Buffer> taken;
  for (size_t i = 0; i < kBuffersAStep; ++i)
    taken.push_back(*pool.take_if_left(MemoryFor::request));
  EXPECT_FALSE(pool.take_if_left(MemoryFor::request));
  budget.set_most(steps(2));
  EXPECT_TRUE(pool.take_if_left(MemoryFor::request));
  budget.set_most(0);
  taken.clear();
  Buffer growing = pool.take();
  EXPECT_FALSE(growing.grow(3 * BufferPool::kStep, MemoryFor::answer));
}

// Senders whose requests wait for their answers, as many as the memory is for.
std::vector<FarEnd> fill(Sandbox& gateway, size_t size = 1) {
  gateway.buffer_memory.set_most(steps(size));
  std::vector<FarEnd> senders;
  for (size_t i = 0; i < size * kBuffersAStep; ++i) {
    senders.push_back(gateway.connect());
    senders.back().send(post("{}"));
  }
  EXPECT_EQ(gateway.buffers.lent(), size * kBuffersAStep);
  return senders;
}

void expect_refused_for_memory(Sandbox& gateway, FarEnd& sender) {
  const Message answer = sender.take(Kind::answer);
  EXPECT_EQ(answer.status(), 503);
  EXPECT_EQ(answer.problem("reason"), "memory_limit");
  EXPECT_EQ(answer.field("Retry-After"), "1");
  EXPECT_EQ(answer.field("Connection"), "close");
  EXPECT_EQ(answer.field("Proxy-Status").rfind("egret; error=proxy_internal_error", 0), 0U);
  EXPECT_EQ(gateway.logged("reason"), "memory_limit");
}

TEST(Memory, ThatIsUsedUpRefusesARequestAndNotThoseUnderWay) {
  Sandbox gateway;
  std::vector<FarEnd> senders = fill(gateway);
  FarEnd kept = gateway.connect();
  kept.send(post(std::string(100'000, 'x')));
  expect_refused_for_memory(gateway, kept);
  EXPECT_TRUE(kept.received_eof());
  EXPECT_EQ(gateway.destinations(), kBuffersAStep) << "it is not forwarded";

  for (size_t i = 0; i < senders.size(); ++i) gateway.destination(i).send(kOk);
  for (FarEnd& sender : senders) EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  FarEnd again = gateway.connect();
  again.send(post("{}"));
  gateway.destination(senders.size() - 1).send(kOk);
  EXPECT_EQ(again.take(Kind::answer).status(), 200);
  for (FarEnd& sender : senders) sender.close();
  for (FarEnd* each : {&kept, &again}) each->close();
  gateway.expect_at_rest();
}

TEST(Memory, ThatIsUsedUpLetsIdleConnectionsBe) {
  Sandbox gateway;
  FarEnd idle = gateway.connect();
  FarEnd leaving = gateway.connect();
  const std::vector<FarEnd> senders = fill(gateway);
  const size_t lines = gateway.lines().size();
  EXPECT_FALSE(idle.ended());
  leaving.close();
  EXPECT_EQ(gateway.lines().size(), lines) << "who leaves asks for nothing";
}

TEST(Memory, ThatIsUsedUpRefusesALongerHead) {
  Sandbox gateway;
  std::vector<FarEnd> senders = fill(gateway);
  senders.back().close();
  gateway.loop.run_until_idle();
  FarEnd sender = gateway.connect();
  sender.send(get("X-Long: " + std::string(20'000, 'x') + "\r\n"));
  expect_refused_for_memory(gateway, sender);
}

constexpr std::string_view kLongAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Long: ";

TEST(Memory, ForNewWorkUsedUpLeavesSomeForAnAnswerWithALongerHead) {
  Sandbox gateway;
  std::vector<FarEnd> senders = fill(gateway);
  gateway.destination(0).send(std::string(kLongAnswer) + std::string(20'000, 'x') + "\r\n\r\n");
  EXPECT_EQ(senders[0].take(Kind::answer).status(), 200);
}

TEST(Memory, ThatAnswersHaveUsedUpTooFailsOneWithALongerHead) {
  Sandbox gateway;
  std::vector<FarEnd> senders = fill(gateway);
  for (size_t i = 1; i < senders.size(); ++i) gateway.destination(i).send("HTTP/1.1 200 ");
  gateway.destination(0).send(std::string(kLongAnswer) + std::string(20'000, 'x') + "\r\n\r\n");
  const Message answer = senders[0].take(Kind::answer);
  EXPECT_EQ(answer.status(), 503);
  EXPECT_EQ(answer.problem("reason"), "memory_limit");
  EXPECT_EQ(answer.field("Retry-After"), "") << "the destination has had it";
}

TEST(Memory, ThatIsUsedUpPausesATunnelAndLosesNothingOfIt) {
  Sandbox gateway;
  FarEnd tunnel = gateway.connect();
  tunnel.send(connect_request());
  tunnel.received().clear();
  std::vector<FarEnd> senders = fill(gateway, 2);
  // Open tunnels still have a quarter, until answers need it.
  tunnel.send("moves");
  EXPECT_EQ(gateway.destination(0).received(), "moves");
  gateway.destination(0).received().clear();
  for (size_t i = 1; i <= senders.size(); ++i) gateway.destination(i).send("HTTP/1.1 200 ");
  const std::string bytes(50'000, 'b');
  tunnel.send(bytes);
  gateway.loop.advance(100ms);
  EXPECT_EQ(gateway.destination(0).received().size(), 0U);
  EXPECT_FALSE(tunnel.ended());

  for (FarEnd& sender : senders) sender.close();
  gateway.loop.advance(100ms);
  EXPECT_TRUE(gateway.destination(0).received() == bytes);
}

TEST(Memory, ThatIsUsedUpKeepsNoTunnelPastItsTime) {
  Sandbox gateway("defaults: {timeouts: {tunnel: 3s, response: 1m, total: 1m, idle: 1m}}\n");
  FarEnd tunnel = gateway.connect();
  tunnel.send(connect_request());
  tunnel.received().clear();
  std::vector<FarEnd> senders = fill(gateway);
  for (size_t i = 1; i <= senders.size(); ++i) gateway.destination(i).send("HTTP/1.1 200 ");
  tunnel.send("bytes that wait");
  gateway.loop.advance(3s);
  EXPECT_TRUE(tunnel.ended());
  EXPECT_EQ(gateway.logged("reason"), "tunnel_expired");
}

}  // namespace
}  // namespace egret::proxy
