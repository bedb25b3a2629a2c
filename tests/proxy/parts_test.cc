// The small parts that exchanges share: pool of connections, places in flight, buffers.

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "proxy/buffer.h"
#include "proxy/destinations.h"
#include "proxy/upstream_pool.h"
#include "tests/support/fakes.h"
#include "tests/support/manual_loop.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using test::ManualLoop;
using test::permitted;
using test::ScriptedPeer;

class UpstreamPoolTest : public testing::Test {
 protected:
  ScriptedPeer keep(std::string_view endpoint, Duration idle = 10s) {
    test::ScriptedConnection made = test::make_scripted_connection();
    pool.put({std::move(made.stream), test::endpoint(endpoint)}, idle);
    return made.peer;
  }
  // The far end tells which connection was taken.
  static void mark(Upstream& upstream) {
    iovec piece{const_cast<char*>("!"), 1};
    EXPECT_TRUE(upstream.connection.stream->try_write({&piece, 1}).ok());
  }
  ManualLoop loop;
  UpstreamPool pool;
};

TEST_F(UpstreamPoolTest, HandsOutTheNewestOfAnEndpoint) {
  const ScriptedPeer older = keep("192.0.2.1:80");
  const ScriptedPeer newer = keep("192.0.2.1:80");
  auto taken = pool.take(permitted({"192.0.2.1:80"}));
  ASSERT_TRUE(taken);
  EXPECT_TRUE(taken->reused);
  EXPECT_EQ(taken->connection.peer, test::endpoint("192.0.2.1:80"));
  mark(*taken);
  EXPECT_EQ(newer.received(), "!");
  EXPECT_EQ(pool.size(), 1U);
}

TEST_F(UpstreamPoolTest, HandsOutNothingForAnotherPortOrAddress) {
  keep("192.0.2.1:80");
  EXPECT_FALSE(pool.take(permitted({"192.0.2.1:443"})));
  EXPECT_FALSE(pool.take(permitted({"192.0.2.2:80"})));
  EXPECT_TRUE(pool.take(permitted({"192.0.2.2:80", "192.0.2.1:80"})));
  EXPECT_EQ(pool.size(), 0U);
}

TEST_F(UpstreamPoolTest, NeverHandsOutOneThatIsPastItsTime) {
  const ScriptedPeer kept = keep("192.0.2.1:80", 500ms);
  loop.advance(500ms - 1ns);
  auto taken = pool.take(permitted({"192.0.2.1:80"}));
  ASSERT_TRUE(taken);
  pool.put(std::move(taken->connection), 500ms);
  loop.advance(500ms);
  EXPECT_FALSE(pool.take(permitted({"192.0.2.1:80"})));
}

TEST_F(UpstreamPoolTest, ClosesWhatIsPastItsTimeWithinASecond) {
  const ScriptedPeer kept = keep("192.0.2.1:80", 3s);
  loop.advance(3s - 1ns);
  EXPECT_FALSE(kept.hung_up());
  loop.advance(1s);
  EXPECT_TRUE(kept.hung_up());
  EXPECT_EQ(pool.size(), 0U);
}

TEST_F(UpstreamPoolTest, NeverHandsOutADeadOneHoweverItDied) {
  enum class How { said_something, finished, reset, died_unseen };
  for (const How how : {How::said_something, How::finished, How::reset, How::died_unseen}) {
    ScriptedPeer alive = keep("192.0.2.1:80");
    ScriptedPeer dead = keep("192.0.2.1:80");
    if (how == How::said_something) dead.feed("x");
    if (how == How::finished) dead.finish();
    if (how == How::reset) dead.reset();
    if (how != How::died_unseen) {
      loop.run_until_idle();
    } else {
      loop.clock().advance(1s);
      loop.scheduler().begin_turn();
      dead.finish();  // its edge has not been told yet: the kernel is asked
    }
    auto taken = pool.take(permitted({"192.0.2.1:80"}));
    ASSERT_TRUE(taken);
    mark(*taken);
    EXPECT_EQ(alive.received(), "!");
    EXPECT_FALSE(pool.take(permitted({"192.0.2.1:80"})));
    EXPECT_EQ(pool.size(), 0U);
    EXPECT_TRUE(dead.hung_up());
  }
}

TEST_F(UpstreamPoolTest, TakesNoneThatHasSomethingToSay) {
  test::ScriptedConnection made = test::make_scripted_connection();
  made.peer.feed("unasked");
  loop.run_until_idle();
  pool.put({std::move(made.stream), test::endpoint("192.0.2.1:80")}, 10s);
  EXPECT_EQ(pool.size(), 0U);
  EXPECT_TRUE(made.peer.hung_up());
}

TEST_F(UpstreamPoolTest, KeepsABoundedNumberOfAnEndpoint) {
  for (size_t i = 0; i < UpstreamPool::kMostPerEndpoint + 3; ++i) keep("192.0.2.1:80");
  EXPECT_EQ(pool.size(), UpstreamPool::kMostPerEndpoint);
}

TEST_F(UpstreamPoolTest, ForgetsEverythingAtOnce) {
  const ScriptedPeer one = keep("192.0.2.1:80");
  const ScriptedPeer two = keep("192.0.2.2:80");
  pool.clear();
  EXPECT_EQ(pool.size(), 0U);
  EXPECT_TRUE(one.hung_up() && two.hung_up());
  EXPECT_FALSE(pool.take(permitted({"192.0.2.1:80"})));
  keep("192.0.2.1:80");
  loop.advance(20s);
  EXPECT_EQ(pool.size(), 0U) << "the sweep goes on after it";
}

policy::Url url(std::string_view text) { return *policy::parse_url(text); }

policy::Rule limited(uint32_t most) {
  policy::Rule rule;
  rule.limits.in_flight_per_host = most;
  return rule;
}

std::optional<Reason> refused(Destinations& table, std::string_view text, const policy::Rule& rule,
                              TimePoint now = TimePoint(), Destinations::Slot* keep = nullptr) {
  Destinations::Slot slot;
  const policy::Url there = url(text);
  const auto why = table.enter({.url = there, .rule = rule, .sender = {}}, now, slot);
  if (keep != nullptr) *keep = std::move(slot);
  if (!why) return std::nullopt;
  return why->failure.reason;
}

TEST(Destinations, GrantSoManyPlacesEach) {
  Destinations table;
  const policy::Rule two = limited(2);
  Destinations::Slot first;
  Destinations::Slot second;
  EXPECT_EQ(refused(table, "http://a/", two, {}, &first), std::nullopt);
  EXPECT_EQ(refused(table, "http://a/", two, {}, &second), std::nullopt);
  EXPECT_TRUE(first.granted() && second.granted());
  EXPECT_EQ(refused(table, "http://a/", two), Reason::in_flight_limit);
  EXPECT_EQ(refused(table, "http://a/", two), Reason::in_flight_limit) << "it takes no place";
  EXPECT_EQ(refused(table, "http://a:443/", two), std::nullopt);
  EXPECT_EQ(refused(table, "http://b/", two), std::nullopt);
  EXPECT_EQ(refused(table, "https://a:80/", two), std::nullopt);

  Destinations::Slot moved = std::move(first);
  EXPECT_EQ(refused(table, "http://a/", two), Reason::in_flight_limit) << "moved, not given back";
  moved = Destinations::Slot();
  EXPECT_EQ(refused(table, "http://a/", two), std::nullopt);
}

TEST(Destinations, KeepNoEntryForOneAtRest) {
  Destinations table;
  const policy::Rule one = limited(1);
  {
    Destinations::Slot slot;
    EXPECT_EQ(refused(table, "http://a/", one, {}, &slot), std::nullopt);
    EXPECT_EQ(table.size(), 1U);
  }
  EXPECT_EQ(table.size(), 0U);
}

TEST(Destinations, OpenABreakerAndCloseItForTheOperator) {
  Destinations table;
  policy::Rule rule;
  rule.breaker = {.failures = 2, .window = 60s, .cooldown = 30s};
  const TimePoint now{1000h};
  for (int i = 0; i < 2; ++i) {
    Destinations::Slot slot;
    EXPECT_EQ(refused(table, "http://a/", rule, now, &slot), std::nullopt);
    slot.note(policy::Health::failing, now);
  }
  EXPECT_EQ(refused(table, "http://a/", rule, now), Reason::breaker_open);
  EXPECT_EQ(refused(table, "http://b/", rule, now), std::nullopt);
  EXPECT_EQ(table.breakers_opened(), 1U);
  ASSERT_EQ(table.open_breakers().size(), 1U);
  EXPECT_EQ(table.open_breakers()[0].scheme, "http");
  EXPECT_EQ(table.open_breakers()[0].host, "a");
  EXPECT_EQ(table.open_breakers()[0].port, 80);
  EXPECT_EQ(table.in_flight(), 0U);
  EXPECT_EQ(table.close_breakers("b"), 0U);
  EXPECT_EQ(table.close_breakers("a"), 1U);
  EXPECT_EQ(refused(table, "http://a/", rule, now), std::nullopt);
}

TEST(Destinations, HoldBackWhatIsOverTheRate) {
  Destinations table;
  policy::Rule rule;
  rule.rate = {.every = 100ms, .burst = 1};
  const TimePoint now{1000h};
  EXPECT_EQ(refused(table, "http://a/", rule, now), std::nullopt);
  EXPECT_EQ(refused(table, "http://a/", rule, now), Reason::rate_limited);
  EXPECT_EQ(refused(table, "http://a/", rule, now + 100ms), std::nullopt);
}

TEST(Destinations, ForgetThoseOfWhichThereIsNothingToKnow) {
  Destinations table;
  policy::Rule rule;
  rule.rate = {.every = 1ms, .burst = 1};
  for (int i = 0; i < 100'000; ++i) {
    refused(table, "http://host" + std::to_string(i) + "/", rule, TimePoint(i * 1ms));
  }
  EXPECT_LT(table.size(), 40'000U);
}

TEST(Buffers, AreGivenBackAndLentAgain) {
  BufferPool pool;
  const char* where = nullptr;
  {
    Buffer buffer = pool.take();
    where = buffer.space().data();
    EXPECT_EQ(buffer.space().size(), BufferPool::kBytes);
    EXPECT_EQ(pool.lent(), 1U);
  }
  EXPECT_EQ(pool.lent(), 0U);
  Buffer again = pool.take();
  EXPECT_EQ(again.space().data(), where);
  EXPECT_TRUE(again.empty()) << "and what was in it is not seen";
  again = Buffer();
  EXPECT_EQ(pool.lent(), 0U);
}

TEST(Buffers, KeepTheirBytesWhenTheyMoveAndGrow) {
  BufferPool pool;
  Buffer buffer = pool.take();
  const std::span<char> space = buffer.space();
  std::memset(space.data(), 'a', space.size());
  space.back() = 'z';
  buffer.commit(space.size());
  EXPECT_TRUE(buffer.full());
  buffer.consume(10);
  EXPECT_EQ(buffer.space().size(), 10U) << "moved to the front";
  EXPECT_EQ(buffer.view().size(), BufferPool::kBytes - 10);
  EXPECT_EQ(buffer.view().back(), 'z');

  EXPECT_TRUE(buffer.grow(3 * BufferPool::kBytes, MemoryFor::answer));
  EXPECT_TRUE(buffer.grow(2 * BufferPool::kBytes, MemoryFor::answer));
  EXPECT_EQ(buffer.capacity(), 3 * BufferPool::kBytes);
  EXPECT_EQ(buffer.view().back(), 'z');
  EXPECT_EQ(pool.lent(), 1U);
  Buffer moved = std::move(buffer);
  moved.consume(moved.size());
  EXPECT_EQ(moved.space().size(), 3 * BufferPool::kBytes);
  moved = Buffer();
  EXPECT_EQ(pool.lent(), 0U);
}

}  // namespace
}  // namespace egret::proxy
