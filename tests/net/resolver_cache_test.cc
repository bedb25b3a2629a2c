#include "proxy/net/resolver_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <stdexcept>

#include "proxy/async/wait.h"
#include "tests/support/manual_loop.h"

namespace egret::net {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

Result<Answer> addresses(const std::string& text, Duration ttl = 60s) {
  return Answer{{policy::Address::parse(text).value()}, ttl};
}

// Answers by script after a while; remembers what it was asked and how many still run.
class FakeResolver final : public Resolver {
 public:
  std::map<std::string, std::vector<Result<Answer>>> script;  // the last repeats
  Duration delay = Duration::zero();
  bool throws = false;
  std::vector<std::string> asked;
  int running = 0;

  async::Task<Result<Answer>> resolve(std::string name, Deadline) override {
    struct Running {
      int& count;
      explicit Running(int& running) : count(running) { ++count; }
      ~Running() { --count; }
    };
    asked.push_back(name);
    const Running guard(running);
    if (delay > Duration::zero()) {
      const Deadline until = async::Scheduler::current().now() + delay;
      co_await async::sleep_until(until);
    }
    if (throws) throw std::runtime_error("bug");
    auto& answers = script.at(name);
    Result<Answer> answer = answers.front();
    if (answers.size() > 1) answers.erase(answers.begin());
    co_return answer;
  }
};

class CachingResolverTest : public testing::Test {
 protected:
  // Runs until idle; what is not done then is nothing.
  std::optional<Result<Answer>> ask(CachingResolver& cache, const std::string& name) {
    auto task = cache.resolve(name, kNever);
    task.start();
    loop_.run_until_idle();
    if (!task.done()) return std::nullopt;
    return task.result();
  }
  static std::string first(const Result<Answer>& answer) {
    return answer ? answer->addresses.front().to_string()
                  : std::string(name(answer.error().reason));
  }
  std::string ask_first(CachingResolver& cache, const std::string& name) {
    const auto answer = ask(cache, name);
    return answer ? first(*answer) : "waits";
  }

  test::ManualLoop loop_;
  FakeResolver upstream_;
};

TEST_F(CachingResolverTest, TtlIsHeldBetweenFloorAndCeiling) {
  struct Row {
    Duration ttl;
    Duration lives;
  };
  for (const Row& row : {Row{0s, 5s}, Row{5s, 5s}, Row{7s, 7s}, Row{30s, 30s}, Row{31s, 30s},
                         Row{std::chrono::seconds(2147483647), 30s}, Row{Duration::max(), 30s}}) {
    SCOPED_TRACE(row.ttl.count());
    FakeResolver upstream;
    upstream.script["a"] = {addresses("1.1.1.1", row.ttl), addresses("2.2.2.2", row.ttl)};
    CachingResolver cache(upstream, {.min_ttl = 5s, .max_ttl = 30s});
    EXPECT_EQ(cache.peek("a"), nullptr);
    EXPECT_EQ(ask_first(cache, "a"), "1.1.1.1");
    loop_.advance(row.lives - 1ns);
    EXPECT_EQ(ask_first(cache, "a"), "1.1.1.1");
    ASSERT_NE(cache.peek("a"), nullptr);
    EXPECT_EQ(first(*cache.peek("a")), "1.1.1.1");
    loop_.advance(1ns);
    EXPECT_EQ(cache.peek("a"), nullptr);
    EXPECT_EQ(ask_first(cache, "a"), "2.2.2.2");
    EXPECT_EQ(upstream.asked.size(), 2U);
  }
}

TEST_F(CachingResolverTest, RemembersAbsencesAndNoOtherFailures) {
  struct Row {
    Reason reason;
    bool remembered;
  };
  for (const Row& row : {Row{Reason::name_not_found, true}, Row{Reason::name_has_no_address, true},
                         Row{Reason::dns_error, false}, Row{Reason::dns_timeout, false}}) {
    SCOPED_TRACE(name(row.reason));
    FakeResolver upstream;
    upstream.script["a"] = {Unexpected(row.reason, "x"), addresses("1.1.1.1")};
    CachingResolver cache(upstream, {.negative_ttl = 5s});
    EXPECT_EQ(ask_first(cache, "a"), name(row.reason));
    EXPECT_EQ(cache.size(), row.remembered ? 1U : 0U);
    loop_.advance(5s - 1ns);
    if (row.remembered) {
      EXPECT_EQ(ask_first(cache, "a"), name(row.reason));
    }
    loop_.advance(1ns);
    EXPECT_EQ(ask_first(cache, "a"), "1.1.1.1");
  }
}

TEST_F(CachingResolverTest, TheLeastRecentlyUsedGoesFirst) {
  for (const char* name : {"a", "b", "c"}) upstream_.script[name] = {addresses("1.1.1.1")};
  CachingResolver cache(upstream_, {.entries = 2});
  ask(cache, "a");
  ask(cache, "b");
  EXPECT_NE(cache.peek("a"), nullptr);  // used: now b is the oldest
  ask(cache, "c");
  EXPECT_EQ(cache.size(), 2U);
  EXPECT_NE(cache.peek("a"), nullptr);
  EXPECT_EQ(cache.peek("b"), nullptr);
  EXPECT_NE(cache.peek("c"), nullptr);
}

TEST_F(CachingResolverTest, WithoutEntriesNothingIsRemembered) {
  upstream_.script["a"] = {addresses("1.1.1.1")};
  CachingResolver cache(upstream_, {.entries = 0});
  ask(cache, "a");
  EXPECT_EQ(ask_first(cache, "a"), "1.1.1.1");
  EXPECT_EQ(cache.size(), 0U);
  EXPECT_EQ(upstream_.asked.size(), 2U);
}

TEST_F(CachingResolverTest, CountsHitsAndMisses) {
  upstream_.script["a"] = {addresses("1.1.1.1")};
  CachingResolver cache(upstream_, {});
  ask(cache, "a");
  ask(cache, "a");
  cache.peek("a");
  cache.peek("b");
  EXPECT_EQ(cache.hits(), 2U);
  EXPECT_EQ(cache.misses(), 1U);
}

TEST_F(CachingResolverTest, OneQueryANameWhoeverWaits) {
  upstream_.script["a"] = {addresses("1.1.1.1", 0s)};
  upstream_.script["b"] = {addresses("2.2.2.2")};
  upstream_.delay = 1s;
  CachingResolver cache(upstream_, {});
  std::vector<async::Task<Result<Answer>>> waiters;
  for (const char* name : {"a", "a", "b", "a"}) {
    waiters.push_back(cache.resolve(name, kNever));
    waiters.back().start();
  }
  EXPECT_THAT(upstream_.asked, ElementsAre("a", "b"));
  loop_.advance(1s);
  std::vector<std::string> answers;
  for (auto& waiter : waiters) answers.push_back(first(waiter.result()));
  EXPECT_THAT(answers, ElementsAre("1.1.1.1", "1.1.1.1", "2.2.2.2", "1.1.1.1"));
  EXPECT_EQ(upstream_.running, 0);
}

TEST_F(CachingResolverTest, EachWaiterHasItsOwnDeadline) {
  upstream_.script["a"] = {addresses("1.1.1.1")};
  upstream_.delay = 3s;
  CachingResolver cache(upstream_, {});
  auto hasty = cache.resolve("a", loop_.in(1s));
  hasty.start();
  auto patient = cache.resolve("a", loop_.in(5s));
  patient.start();
  loop_.advance(1s);
  ASSERT_TRUE(hasty.done());
  const Result<Answer> gave_up = hasty.result();
  EXPECT_EQ(gave_up.error().reason, Reason::dns_timeout);
  EXPECT_FALSE(patient.done());
  loop_.advance(2s);
  ASSERT_TRUE(patient.done());
  EXPECT_EQ(first(patient.result()), "1.1.1.1");
  EXPECT_THAT(upstream_.asked, ElementsAre("a"));
}

TEST_F(CachingResolverTest, TheQueryGoesOnWithoutTheOneThatBeganIt) {
  upstream_.script["a"] = {addresses("1.1.1.1")};
  upstream_.delay = 1s;
  CachingResolver cache(upstream_, {});
  auto began = cache.resolve("a", kNever);
  began.start();
  auto joined = cache.resolve("a", kNever);
  joined.start();
  began.reset();
  loop_.advance(1s);
  ASSERT_TRUE(joined.done());
  EXPECT_EQ(first(joined.result()), "1.1.1.1");
  EXPECT_THAT(upstream_.asked, ElementsAre("a"));
}

TEST_F(CachingResolverTest, AQueryThatNobodyWaitsForEnds) {
  upstream_.script["a"] = {addresses("1.1.1.1")};
  upstream_.delay = 1s;
  CachingResolver cache(upstream_, {});
  auto task = cache.resolve("a", kNever);
  task.start();
  EXPECT_EQ(upstream_.running, 1);
  task.reset();
  // Whoever comes before it has ended does not join it.
  auto next = cache.resolve("a", kNever);
  next.start();
  loop_.run_until_idle();
  EXPECT_EQ(upstream_.running, 1);
  EXPECT_THAT(upstream_.asked, ElementsAre("a", "a"));
  loop_.advance(1s);
  ASSERT_TRUE(next.done());
  EXPECT_EQ(first(next.result()), "1.1.1.1");
  EXPECT_EQ(loop_.scheduler().timers().next(), kNever);
}

TEST_F(CachingResolverTest, TheDeadlineAndTheAnswerMayComeTogether) {
  upstream_.script["a"] = {addresses("1.1.1.1")};
  upstream_.delay = 1s;
  CachingResolver cache(upstream_, {});
  auto task = cache.resolve("a", loop_.in(1s));
  task.start();
  loop_.advance(1s);
  ASSERT_TRUE(task.done());
  EXPECT_THAT(first(task.result()), testing::AnyOf("1.1.1.1", "dns_timeout"));
  EXPECT_EQ(upstream_.running, 0);
  auto next = cache.resolve("a", kNever);
  next.start();
  loop_.advance(1s);
  ASSERT_TRUE(next.done());
  EXPECT_EQ(first(next.result()), "1.1.1.1");
}

TEST_F(CachingResolverTest, ABugUpstreamLeavesNobodyWaiting) {
  upstream_.throws = true;
  upstream_.delay = 1s;
  CachingResolver cache(upstream_, {});
  auto task = cache.resolve("a", kNever);
  task.start();
  loop_.advance(1s);
  ASSERT_TRUE(task.done());
  EXPECT_EQ(first(task.result()), "internal_error");
  upstream_.delay = 0s;
  EXPECT_EQ(ask_first(cache, "a"), "internal_error");
  EXPECT_EQ(cache.size(), 0U);
}

TEST_F(CachingResolverTest, ClearForgetsWhatIsInTheAirToo) {
  upstream_.script["a"] = {addresses("1.1.1.1"), addresses("2.2.2.2")};
  upstream_.delay = 1s;
  CachingResolver cache(upstream_, {});
  auto before = cache.resolve("a", kNever);
  before.start();
  cache.clear();
  auto after = cache.resolve("a", kNever);
  after.start();
  EXPECT_THAT(upstream_.asked, ElementsAre("a", "a"));
  loop_.advance(1s);
  EXPECT_EQ(first(before.result()), "1.1.1.1");
  EXPECT_EQ(first(after.result()), "2.2.2.2");
  ASSERT_NE(cache.peek("a"), nullptr);
  EXPECT_EQ(first(*cache.peek("a")), "2.2.2.2");
  cache.clear();
  EXPECT_EQ(cache.size(), 0U);
  EXPECT_EQ(cache.peek("a"), nullptr);
}

TEST_F(CachingResolverTest, CancelledAtEveryTurnLeavesNothing) {
  upstream_.script["a"] = {addresses("1.1.1.1")};
  upstream_.delay = 1s;
  for (int steps = 0; steps < 12; ++steps) {
    CachingResolver cache(upstream_, {});
    std::vector<async::Task<Result<Answer>>> tasks;
    for (int i = 0; i < 3; ++i) {
      tasks.push_back(cache.resolve("a", loop_.in(i == 0 ? 500ms : 5s)));
      tasks.back().start();
    }
    for (int i = 0; i < steps; ++i) {
      if (!loop_.step()) loop_.advance_to_next_timer();
    }
    tasks.clear();
    loop_.run_until_idle();
    EXPECT_EQ(upstream_.running, 0) << steps;
  }
  // And with the cache going first, its waiters unfinished but gone.
  {
    CachingResolver cache(upstream_, {});
    auto task = cache.resolve("a", kNever);
    task.start();
    task.reset();
  }
  EXPECT_EQ(upstream_.running, 0);
  EXPECT_TRUE(loop_.scheduler().ready().empty());
}

}  // namespace
}  // namespace egret::net
