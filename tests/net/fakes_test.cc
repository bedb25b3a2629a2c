#include "tests/support/fakes.h"

#include <gtest/gtest.h>

#include "tests/support/manual_loop.h"

namespace egret::test {
namespace {

using namespace std::chrono_literals;
using Endpoints = std::vector<std::string>;

struct FakesTest : testing::Test {
  ManualLoop loop;
  FakeConnector connector;
  FakeResolver resolver;

  Reason failure_of(policy::PermittedAddresses addresses, Duration within) {
    const auto result =
        loop.run(connector.connect(std::move(addresses), std::nullopt, loop.in(within)));
    return result ? Reason::internal_error : result.error().reason;
  }
};

TEST_F(FakesTest, AnUnscriptedEndpointAcceptsAndGivesItsPeer) {
  auto result = loop.run(connector.connect(permitted({"192.0.2.1:80"}), std::nullopt, loop.in(1s)));
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->peer.to_string(), "192.0.2.1:80");
  EXPECT_EQ(connector.dialled(), Endpoints{"192.0.2.1:80"});
  EXPECT_EQ(connector.asked().size(), 1U);
  char text[] = "hello";
  const iovec piece{text, 5};
  EXPECT_TRUE(result->stream->try_write({&piece, 1}).ok());
  EXPECT_EQ(connector.peer().take_received(), "hello");
}

TEST_F(FakesTest, ARefusedEndpointIsFollowedByTheNext) {
  connector.dialer().refuse("192.0.2.1:80");
  auto result = loop.run(
      connector.connect(permitted({"192.0.2.1:80", "192.0.2.2:80"}), std::nullopt, loop.in(1s)));
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(connector.dialled(), (Endpoints{"192.0.2.1:80", "192.0.2.2:80"}));
  EXPECT_EQ(connector.dialer().accepted().at(0).endpoint, "192.0.2.2:80");
}

TEST_F(FakesTest, FailuresHaveTheirReasonAndHangingEndsAtTheDeadline) {
  connector.dialer().fail("192.0.2.1:80", Reason::destination_unroutable);
  EXPECT_EQ(failure_of(permitted({"192.0.2.1:80"}), 1s), Reason::destination_unroutable);
  connector.dialer().hang("[2001:db8::1]:443");
  const Deadline deadline = loop.in(3s);
  EXPECT_EQ(failure_of(permitted({"[2001:db8::1]:443"}), 3s), Reason::connection_timeout);
  EXPECT_EQ(loop.now(), deadline);
}

TEST_F(FakesTest, CancellingADialIsSeen) {
  connector.dialer().hang("192.0.2.1:80");
  {
    auto task = connector.connect(permitted({"192.0.2.1:80"}), std::nullopt, loop.in(1s));
    task.start();
    EXPECT_EQ(connector.dialer().dialling(), 1);
  }
  EXPECT_EQ(connector.dialer().dialling(), 0);
  EXPECT_EQ(loop.scheduler().timers().size(), 0U);
}

TEST_F(FakesTest, TheResolverAnswersInSequenceAndRepeatsTheLast) {
  resolver.answer("rebind.example", {"192.0.2.1"});
  resolver.answer("rebind.example", {"10.0.0.1", "10.0.0.2"}, 20ms);
  const auto ask = [&] { return loop.run(resolver.resolve("rebind.example", loop.in(1s))); };
  EXPECT_EQ(ask()->addresses.at(0).to_string(), "192.0.2.1");
  const TimePoint start = loop.now();
  EXPECT_EQ(ask()->addresses.size(), 2U);
  EXPECT_EQ(loop.now() - start, 20ms);
  EXPECT_EQ(ask()->addresses.size(), 2U);
  EXPECT_EQ(resolver.queries("rebind.example"), 3U);
}

TEST_F(FakesTest, TheResolverFailsAndHangsAsScripted) {
  resolver.fail("bad.example", Reason::dns_error);
  resolver.hang("silent.example");
  const auto reason = [&](std::string name) {
    return loop.run(resolver.resolve(std::move(name), loop.in(2s))).error().reason;
  };
  EXPECT_EQ(reason("bad.example"), Reason::dns_error);
  EXPECT_EQ(reason("unknown.example"), Reason::name_not_found);
  const Deadline deadline = loop.in(2s);
  EXPECT_EQ(reason("silent.example"), Reason::dns_timeout);
  EXPECT_EQ(loop.now(), deadline);
  EXPECT_EQ(resolver.resolving(), 0);
}

}  // namespace
}  // namespace egret::test
