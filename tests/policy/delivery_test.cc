#include "policy/delivery.h"

#include <gtest/gtest.h>

namespace egret::policy {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using When = KeepPlan::When;
using What = Next::What;

struct Preferred {
  const char* value;
  bool respond_async;
  std::optional<Duration> wait;
};

TEST(Preferences, AreReadAsRfc7240HasThem) {
  const Preferred all[] = {
      {"respond-async", true, {}},
      {"Respond-Async", true, {}},
      {"wait=10", false, seconds(10)},
      {"respond-async, wait=10", true, seconds(10)},
      {"respond-async;foo=\"a,b\", wait=\"7\"", true, seconds(7)},
      {"handling=lenient; x=\"respond-async\"", false, {}},
      {"note=\"a, respond-async\", return=minimal", false, {}},
      {"note=\"a\\\", respond-async\"", false, {}},
      {"wait=3, wait=9", false, seconds(3)},
      {"wait = 3", false, seconds(3)},
      {"wait", false, {}},
      {"wait=-1", false, {}},
      {"wait=1.5", false, {}},
      {"wait=99999999999999999999", false, hours(24)},
      {"respond-asynchronous", false, {}},
      {"", false, {}},
      {",,;,\"", false, {}},
  };
  for (const Preferred& each : all) {
    Preferences read;
    read_preferences(each.value, read);
    EXPECT_EQ(read.respond_async, each.respond_async) << each.value;
    EXPECT_EQ(read.wait, each.wait) << each.value;
  }
}

struct Planned {
  DeliveryMode mode;
  Preferences preferences;
  When when;
  std::optional<Duration> patience;
};

TEST(KeepPlan, IsTheRulesUnlessTheSenderMayChoose) {
  const Preferences none;
  const Preferences async{.respond_async = true};
  const Preferences wait{.wait = seconds(3)};
  const Preferences both{.respond_async = true, .wait = seconds(3)};
  const Preferences no_wait{.wait = Duration::zero()};
  const Planned all[] = {
      {DeliveryMode::sync, both, When::never, {}},
      {DeliveryMode::async, none, When::at_once, {}},
      {DeliveryMode::async, wait, When::after_trying, seconds(3)},
      {DeliveryMode::async, no_wait, When::at_once, {}},
      {DeliveryMode::on_request, none, When::never, {}},
      {DeliveryMode::on_request, async, When::at_once, {}},
      {DeliveryMode::on_request, both, When::after_trying, seconds(3)},
      {DeliveryMode::on_request, wait, When::after_trying, seconds(3)},
      {DeliveryMode::on_request, no_wait, When::at_once, {}},
      {DeliveryMode::fallback, none, When::after_trying, {}},
      {DeliveryMode::fallback, async, When::at_once, {}},
      {DeliveryMode::fallback, wait, When::after_trying, seconds(3)},
  };
  for (size_t i = 0; i < std::size(all); ++i) {
    const KeepPlan plan = plan_keeping(all[i].mode, all[i].preferences);
    EXPECT_EQ(plan.when, all[i].when) << i;
    EXPECT_EQ(plan.patience, all[i].patience) << i;
  }
}

TEST(Keeping, IsForWhatMayPassAndNeverForARefusal) {
  for (const ReasonInfo& each : all_reasons()) {
    if (may_be_kept(each.reason)) {
      EXPECT_TRUE(each.status == 502 || each.status == 504 || each.status == 429 ||
                  each.reason == Reason::breaker_open)
          << each.name;
    }
  }
  EXPECT_TRUE(may_be_kept(Reason::connection_refused));
  EXPECT_TRUE(may_be_kept(Reason::dns_timeout));
  EXPECT_TRUE(may_be_kept(Reason::tls_certificate_error));
  EXPECT_FALSE(may_be_kept(Reason::name_not_found));
  EXPECT_FALSE(may_be_kept(Reason::address_prohibited));
  EXPECT_FALSE(may_be_kept(Reason::peer_mismatch));
  EXPECT_FALSE(may_be_kept(Reason::redirect_downgrade));
  EXPECT_FALSE(may_be_kept(Reason::sender_disconnected));
}

TEST(Schedule, HasOneMoreAttemptThanWaits) {
  const Delivery rule{.schedule = {seconds(5), seconds(60)}, .jitter = 0};
  const Delivered failed{.status = 500};
  EXPECT_EQ(after_attempt(rule, failed, 0, 0.5).what, What::again);
  EXPECT_EQ(after_attempt(rule, failed, 0, 0.5).wait, seconds(5));
  EXPECT_EQ(after_attempt(rule, failed, 1, 0.5).wait, seconds(60));
  EXPECT_EQ(after_attempt(rule, failed, 2, 0.5).what, What::dead);
  EXPECT_EQ(after_attempt(rule, failed, 3, 0.5).what, What::dead);
  EXPECT_EQ(after_attempt({.schedule = {}}, failed, 0, 0.5).what, What::dead);
}

TEST(Schedule, IsSpreadByJitter) {
  const Delivery rule{.schedule = {seconds(100)}, .jitter = 0.2};
  const Delivered failed{.failure = Reason::connection_refused};
  EXPECT_EQ(after_attempt(rule, failed, 0, 0).wait, seconds(80));
  EXPECT_EQ(after_attempt(rule, failed, 0, 0.5).wait, seconds(100));
  EXPECT_LT(after_attempt(rule, failed, 0, 0.999).wait, seconds(120));
}

struct Ended {
  Delivered attempt;
  What what;
  Duration wait;
};

TEST(Delivery, EndsOrGoesOnByWhatTheDestinationSaid) {
  const Delivery rule{.schedule = {seconds(5)}, .jitter = 0};
  const Ended all[] = {
      {{.status = 200, .successful = true}, What::delivered, {}},
      // A success is one, whatever else the answer says.
      {{.status = 200, .successful = true, .unwanted = true}, What::delivered, {}},
      {{.status = 410}, What::dead, {}},
      {{.status = 400, .unwanted = true}, What::dead, {}},
      {{.status = 400}, What::again, seconds(5)},
      {{.status = 302}, What::again, seconds(5)},
      {{.failure = Reason::response_timeout}, What::again, seconds(5)},
      {{.failure = Reason::address_prohibited}, What::again, seconds(5)},
      {{.status = 429, .retry_after = seconds(90)}, What::again, seconds(90)},
      {{.status = 503, .retry_after = seconds(1)}, What::again, seconds(5)},
      {{.status = 503, .retry_after = hours(24 * 365)}, What::again, kLongestAsked},
  };
  for (size_t i = 0; i < std::size(all); ++i) {
    const Next next = after_attempt(rule, all[i].attempt, 0, 0.5);
    EXPECT_EQ(next.what, all[i].what) << i;
    EXPECT_EQ(next.wait, all[i].wait) << i;
  }
}

TEST(Delivery, IsUnwantedByTheWordsOfStandardWebhooks) {
  EXPECT_TRUE(says_unwanted("abort-message"));
  EXPECT_TRUE(says_unwanted("Disable"));
  EXPECT_TRUE(says_disable("disable"));
  EXPECT_FALSE(says_disable("abort-message"));
  EXPECT_FALSE(says_unwanted("continue"));
  EXPECT_FALSE(says_unwanted(""));
}

}  // namespace
}  // namespace egret::policy
