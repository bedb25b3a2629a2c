// RFC 8305: which of a name's permitted addresses are dialled, when, and which connection is used.

#include "proxy/net/happy_eyeballs.h"

#include <gtest/gtest.h>

#include "tests/support/fakes.h"
#include "tests/support/manual_loop.h"

namespace egret::net {
namespace {

using namespace std::chrono_literals;
using test::permitted;
using Endpoints = std::vector<std::string>;

// A dialer with a bug: what attempts throw must not leave anybody waiting.
class ThrowingDialer final : public Dialer {
 public:
  async::Task<Result<std::unique_ptr<Stream>>> dial(policy::PermittedAddress,
                                                    std::optional<policy::Address>,
                                                    Deadline) override {
    throw std::runtime_error("no watch");
    co_return Unexpected(Reason::internal_error, "");
  }
};

struct HappyEyeballsTest : testing::Test {
  test::ManualLoop loop;
  test::FakeDialer dialer;
  HappyEyeballs connector{dialer};

  async::Task<Result<Connection>> connect(policy::PermittedAddresses addresses,
                                          std::optional<std::string_view> source = std::nullopt) {
    std::optional<policy::Address> from;
    if (source) from = policy::Address::parse(*source);
    return connector.connect(std::move(addresses), from, loop.in(5s));
  }
};

TEST_F(HappyEyeballsTest, TriesTheFamiliesInTurnIpv6First) {
  for (const char* each :
       {"192.0.2.1:80", "192.0.2.2:80", "[2001:db8::1]:80", "[2001:db8::2]:80"}) {
    dialer.refuse(each);
  }
  const auto result = loop.run(
      connect(permitted({"192.0.2.1:80", "192.0.2.2:80", "[2001:db8::1]:80", "[2001:db8::2]:80"})));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().reason, Reason::connection_refused);
  EXPECT_EQ(dialer.dialled(),
            (Endpoints{"[2001:db8::1]:80", "192.0.2.1:80", "[2001:db8::2]:80", "192.0.2.2:80"}));
}

TEST_F(HappyEyeballsTest, GivesEachAttemptAHeadStart) {
  dialer.hang("[2001:db8::1]:80");
  const TimePoint began = loop.now();
  const auto result = loop.run(connect(permitted({"[2001:db8::1]:80", "192.0.2.1:80"})));
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->peer.to_string(), "192.0.2.1:80");
  EXPECT_EQ(loop.now() - began, HappyEyeballs::kAttemptDelay);
  EXPECT_EQ(dialer.dialling(), 0) << "the loser is given up";
}

TEST_F(HappyEyeballsTest, DialsOneWhenThatOneAnswersInTime) {
  dialer.script("[2001:db8::1]:80", {.after = HappyEyeballs::kAttemptDelay - 1ms});
  const auto result = loop.run(connect(permitted({"[2001:db8::1]:80", "192.0.2.1:80"})));
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(dialer.dialled(), Endpoints{"[2001:db8::1]:80"});
}

TEST_F(HappyEyeballsTest, ALateFirstMayStillWin) {
  dialer.script("[2001:db8::1]:80", {.after = 400ms});
  dialer.script("192.0.2.1:80", {.after = 1s});
  const auto result = loop.run(connect(permitted({"[2001:db8::1]:80", "192.0.2.1:80"})));
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->peer.to_string(), "[2001:db8::1]:80");
}

TEST_F(HappyEyeballsTest, DialsAtMostEightOfAName) {
  policy::PermittedAddresses many;
  for (int i = 1; i <= 20; ++i) {
    const std::string endpoint = "192.0.2." + std::to_string(i) + ":80";
    dialer.refuse(endpoint);
    many.push_back(permitted({endpoint}).front());
  }
  EXPECT_FALSE(loop.run(connect(many)));
  EXPECT_EQ(dialer.dialled().size(), 8U);
}

TEST_F(HappyEyeballsTest, DialsOnlyTheFamilyOfItsSource) {
  const auto both = permitted({"192.0.2.1:80", "[2001:db8::1]:80", "192.0.2.2:80"});
  dialer.refuse("192.0.2.1:80");
  dialer.refuse("192.0.2.2:80");
  const auto over_v4 = loop.run(connect(both, "192.0.2.77"));
  EXPECT_FALSE(over_v4);
  EXPECT_EQ(dialer.dialled(), (Endpoints{"192.0.2.1:80", "192.0.2.2:80"}));
  EXPECT_EQ(dialer.sources().back(), policy::Address::parse("192.0.2.77"));
  const auto over_v6 = loop.run(connect(both, "2001:db8::77"));
  ASSERT_TRUE(over_v6.has_value());
  EXPECT_EQ(over_v6->peer.to_string(), "[2001:db8::1]:80");
  EXPECT_EQ(dialer.sources().back(), policy::Address::parse("2001:db8::77"));
}

// The eight that are dialled are of the source's family, however many of the other come first.
TEST_F(HappyEyeballsTest, ChoosesAmongTheFamilyOfItsSource) {
  policy::PermittedAddresses many;
  for (int i = 1; i <= 20; ++i) {
    many.push_back(permitted({"[2001:db8::" + std::to_string(i) + "]:80"}).front());
  }
  many.push_back(permitted({"192.0.2.1:80"}).front());
  const auto result = loop.run(connect(many, "192.0.2.77"));
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(dialer.dialled(), Endpoints{"192.0.2.1:80"});
}

TEST_F(HappyEyeballsTest, SaysThatItsSourceHasNoWayThere) {
  const auto result = loop.run(connect(permitted({"[2001:db8::1]:80"}), "192.0.2.77"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().reason, Reason::destination_unroutable);
  EXPECT_EQ(result.error().detail,
            "source 192.0.2.77: the destination has no address of its family");
  EXPECT_TRUE(dialer.dialled().empty());
}

TEST_F(HappyEyeballsTest, ABugInAnAttemptEndsTheWait) {
  ThrowingDialer throwing;
  HappyEyeballs broken(throwing);
  const auto result = loop.run(
      broken.connect(permitted({"192.0.2.1:80", "192.0.2.2:80"}), std::nullopt, loop.in(5s)));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().reason, Reason::connection_failed);
}

}  // namespace
}  // namespace egret::net
