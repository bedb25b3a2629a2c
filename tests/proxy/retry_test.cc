// A failed attempt is made again while the rule says so: within the sender's request and its time.

#include <gtest/gtest.h>

#include "tests/support/proxy_world.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using test::FarEnd;
using test::Kind;
using test::kOk;
using test::Message;
using test::post;
using test::Sandbox;

// No jitter: 100 ms, 200 ms, 400 ms.
constexpr std::string_view kThreeTimes = R"(
defaults:
  retry: {attempts: 3, on: [connect, timeout, reset, 503, 429], backoff: {initial: 100ms, jitter: 0%}}
)";

std::string answer(int status, std::string_view fields = {}) {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\n" + std::string(fields) +
         "Content-Length: 2\r\n\r\nno";
}

// To a name with two addresses.
constexpr std::string_view kToTwo =
    "POST http://two.acme.io/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx";

TEST(Retry, TakesTheAnswerOfTheAttemptThatSucceeds) {
  Sandbox gateway(kThreeTimes);
  FarEnd sender = gateway.connect();
  sender.send(post("hello"));
  for (int failures = 0; failures < 2; ++failures) {
    EXPECT_EQ(gateway.destination().take(Kind::request).body, "hello");
    gateway.destination().send(answer(503));
    EXPECT_EQ(sender.received(), "") << "no byte of a failed attempt's answer";
    gateway.loop.advance(failures == 0 ? 99ms : 199ms);
    EXPECT_EQ(gateway.destination().received(), "") << "not before its time";
    gateway.loop.advance(1ms);
  }
  EXPECT_EQ(gateway.destination().take(Kind::request).body, "hello");
  gateway.destination().send(kOk);
  const Message got = sender.take(Kind::answer);
  EXPECT_EQ(got.status(), 200);
  EXPECT_EQ(got.field("Egret-Attempts"), "3");
  EXPECT_EQ(gateway.logged("attempts"), "3");
  EXPECT_EQ(gateway.logged("backoff_ms"), "300.000");
  EXPECT_EQ(gateway.logged("success"), "true");
  EXPECT_EQ(gateway.metrics.retries, 2U);
  EXPECT_EQ(gateway.destinations(), 1U) << "an answer that came whole leaves its connection good";
  sender.close();
  gateway.expect_at_rest();
}

TEST(Retry, EndsWithTheLastAnswerWhenNoneSucceeds) {
  Sandbox gateway(kThreeTimes);
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  for (int attempt = 0; attempt < 3; ++attempt) {
    gateway.destination().send(answer(503));
    gateway.loop.advance(1s);
  }
  const Message got = sender.take(Kind::answer);
  EXPECT_EQ(got.status(), 503);
  EXPECT_EQ(got.body, "no");
  EXPECT_EQ(got.field("Egret-Attempts"), "3");
  EXPECT_EQ(gateway.logged("success"), "false");
  EXPECT_EQ(gateway.logged("reason"), "");
  EXPECT_EQ(gateway.metrics.answers_unsuccessful, 1U);
  gateway.loop.advance(10s);
  std::string rest = gateway.destination().received();
  for (int seen = 0; seen < 3; ++seen) test::take_message(rest, Kind::request);
  EXPECT_EQ(rest, "") << "no fourth request";
}

TEST(Retry, IsOnlyForWhatTheRuleLists) {
  for (const int status : {200, 204, 301, 400, 404, 410, 500, 502}) {
    SCOPED_TRACE(status);
    Sandbox gateway(kThreeTimes);
    FarEnd sender = gateway.connect();
    sender.send(post("x"));
    gateway.destination().send(status == 204 ? "HTTP/1.1 204 X\r\n\r\n" : answer(status));
    EXPECT_EQ(sender.take(Kind::answer).status(), status);
    EXPECT_EQ(gateway.logged("attempts"), "1");
  }
}

TEST(Retry, NeverFollowsASuccessWhateverIsListed) {
  Sandbox gateway(R"(
defaults:
  success: [2xx, 409]
  retry: {attempts: 3, on: [409, 4xx]}
)");
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.destination().send(answer(409));
  EXPECT_EQ(sender.take(Kind::answer).status(), 409);
  EXPECT_EQ(gateway.logged("success"), "true");
  EXPECT_EQ(gateway.logged("attempts"), "1");
}

TEST(Retry, OfAConnectionThatCouldNotBeMadeBeginsWithTheNextAddress) {
  Sandbox gateway(kThreeTimes);
  gateway.dns.answer("two.acme.io", {"93.184.215.14", "93.184.215.15"});
  gateway.connector.dialer().refuse("93.184.215.14:80");
  gateway.connector.dialer().refuse("93.184.215.15:80");
  gateway.connector.dialer().accept("93.184.215.15:80");  // the second time
  FarEnd sender = gateway.connect();
  sender.send(kToTwo);
  gateway.loop.advance(100ms);
  EXPECT_EQ(gateway.connector.dialled(),
            (std::vector<std::string>{"93.184.215.14:80", "93.184.215.15:80", "93.184.215.15:80"}));
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).field("Egret-Attempts"), "2");
}

TEST(Retry, IsForNameServersThatFailToo) {
  struct Case {
    Reason reason;
    bool again;
  };
  for (const Case& each : {Case{Reason::dns_error, true}, Case{Reason::dns_timeout, true},
                           Case{Reason::name_not_found, false}}) {
    SCOPED_TRACE(name(each.reason));
    Sandbox gateway(std::string(kThreeTimes) + "resolver: {cache: {negative_ttl: 0s}}\n");
    gateway.dns.fail("late.acme.io", each.reason);
    gateway.dns.answer("late.acme.io", {"93.184.215.14"});
    FarEnd sender = gateway.connect();
    sender.send("POST http://late.acme.io/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
    gateway.loop.advance(100ms);
    if (!each.again) {
      EXPECT_EQ(sender.take(Kind::answer).problem("reason"), name(each.reason));
      EXPECT_EQ(gateway.logged("attempts"), "0");
      continue;
    }
    EXPECT_EQ(gateway.destination().take(Kind::request).body, "x");
    gateway.destination().send(kOk);
    EXPECT_EQ(sender.take(Kind::answer).field("Egret-Attempts"), "2");
    EXPECT_EQ(gateway.logged("verdict"), "allowed");
  }
}

TEST(Retry, OfANameThatStaysLostEndsWithItsReason) {
  Sandbox gateway(std::string(kThreeTimes) + "resolver: {cache: {negative_ttl: 0s}}\n");
  gateway.dns.fail("lost.acme.io", Reason::dns_error);
  FarEnd sender = gateway.connect();
  sender.send("POST http://lost.acme.io/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
  gateway.loop.advance(1s);
  const Message got = sender.take(Kind::answer);
  EXPECT_EQ(got.problem("reason"), "dns_error");
  EXPECT_EQ(got.field("Egret-Attempts"), "3");
  EXPECT_EQ(gateway.dns.queries("lost.acme.io"), 3U);
}

TEST(Retry, OfALostRequestAvoidsTheAddressThatLostIt) {
  Sandbox gateway(kThreeTimes);
  gateway.dns.answer("two.acme.io", {"93.184.215.14", "93.184.215.15"});
  FarEnd sender = gateway.connect();
  sender.send(kToTwo);
  gateway.destination(0).reset();
  gateway.loop.advance(100ms);
  EXPECT_EQ(gateway.connector.dialled(),
            (std::vector<std::string>{"93.184.215.14:80", "93.184.215.15:80"}));
  gateway.destination(1).send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  EXPECT_EQ(gateway.logged("address"), "93.184.215.15:80");
}

TEST(Retry, JudgesTheAddressesOfEachAttempt) {
  Sandbox gateway(R"(
resolver: {cache: {min_ttl: 1s, max_ttl: 1s}}
defaults:
  retry: {attempts: 3, on: [503], backoff: {initial: 2s, jitter: 0%}}
)");
  gateway.dns.answer("rebinding.acme.io", {"93.184.215.14"});
  gateway.dns.answer("rebinding.acme.io", {"169.254.169.254"});
  FarEnd sender = gateway.connect();
  sender.send("POST http://rebinding.acme.io/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
  gateway.destination().send(answer(503));
  gateway.loop.advance(2s);
  test::expect_refused(gateway, sender, 403, "address_prohibited", "destination_ip_prohibited");
  EXPECT_EQ(gateway.destinations(), 1U);
}

TEST(Retry, WaitsAsLongAsTheDestinationAsksAndNoLessThanTheBackoff) {
  struct Case {
    std::string_view retry_after;
    Duration wait;
  };
  const Case cases[] = {{"3", 3s},
                        {"0", 100ms},
                        {"Fri, 02 Jan 2026 03:04:09 GMT", 4s},
                        {"Fri, 02 Jan 2015 03:04:09 GMT", 100ms},
                        {"soon", 100ms}};
  for (const Case& each : cases) {
    SCOPED_TRACE(each.retry_after);
    Sandbox gateway(kThreeTimes);
    FarEnd sender = gateway.connect();
    sender.send(post("x"));
    gateway.destination().take(Kind::request);
    gateway.destination().send(
        answer(429, "Retry-After: " + std::string(each.retry_after) + "\r\n"));
    gateway.loop.advance(each.wait - 1ms);
    EXPECT_EQ(gateway.destination().received(), "");
    gateway.loop.advance(1ms);
    EXPECT_EQ(gateway.destination().take(Kind::request).body, "x");
  }
}

TEST(Retry, NeverGoesPastTheTotal) {
  Sandbox gateway(kThreeTimes);
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.destination().send(answer(503, "Retry-After: 3600\r\n"));
  const Message got = sender.take(Kind::answer);
  EXPECT_EQ(got.status(), 503) << "at once: waiting so long would leave no time";
  EXPECT_EQ(got.field("Retry-After"), "3600");
  EXPECT_EQ(got.field("Egret-Attempts"), "1");
}

TEST(Retry, OfAnAnswerThatDoesNotComeIsWithinTheTotal) {
  Sandbox gateway(R"(
defaults:
  timeouts: {response: 4s, total: 10s}
  retry: {attempts: 9, on: [timeout], backoff: {initial: 500ms, factor: 1, jitter: 0%}}
)");
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.loop.advance(10s);
  const Message got = sender.take(Kind::answer);
  EXPECT_EQ(got.status(), 504);
  EXPECT_EQ(got.problem("reason"), "total_timeout");
  EXPECT_EQ(got.field("Egret-Attempts"), "3");
  sender.close();
  gateway.loop.advance(3s);
  gateway.expect_at_rest();
}

TEST(Retry, EndsWhenTheSenderHangsUpBetweenAttempts) {
  Sandbox gateway(kThreeTimes);
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.destination().take(Kind::request);
  gateway.destination().send(answer(503));
  sender.close();
  gateway.loop.advance(1s);
  EXPECT_EQ(gateway.logged("reason"), "sender_disconnected");
  EXPECT_EQ(gateway.destination().received(), "");
  gateway.expect_at_rest();
}

TEST(Retry, StopsWhenEgretDrains) {
  Sandbox gateway(kThreeTimes);
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.drain();
  gateway.destination().send(answer(503));
  EXPECT_EQ(sender.take(Kind::answer).status(), 503);
  EXPECT_EQ(gateway.logged("attempts"), "1");
}

TEST(Retry, NeverFollowsAnAnswerThatHasBegun) {
  Sandbox gateway(kThreeTimes);
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.destination().send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
  gateway.destination().reset();
  gateway.loop.advance(5s);
  EXPECT_TRUE(sender.was_reset());
  EXPECT_EQ(gateway.logged("attempts"), "1");
  EXPECT_EQ(gateway.destinations(), 1U);
}

TEST(Retry, KeepsInterimAnswersFromTheSender) {
  Sandbox gateway(kThreeTimes);
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.destination().send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
  EXPECT_EQ(sender.received(), "") << "the attempt may still fail";
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
}

TEST(Retry, ClosesAConnectionWhoseAnswerWasNotWhole) {
  Sandbox gateway(kThreeTimes);
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.destination(0).send("HTTP/1.1 503 X\r\nContent-Length: 9000\r\n\r\nbeginning");
  EXPECT_TRUE(gateway.destination(0).ended());
  gateway.loop.advance(100ms);
  gateway.destination(1).send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
}

TEST(Retry, JitterStaysWithinItsPart) {
  for (int seed = 0; seed < 50; ++seed) {
    Sandbox gateway(R"(
defaults:
  retry: {attempts: 2, on: [503], backoff: {initial: 1s, jitter: 50%}}
)");
    gateway.services.dice.seed(seed);
    FarEnd sender = gateway.connect();
    sender.send(post("x"));
    gateway.destination().take(Kind::request);
    gateway.destination().send(answer(503));
    gateway.loop.advance(499ms);
    EXPECT_EQ(gateway.destination().received(), "");
    gateway.loop.advance(1001ms);
    EXPECT_EQ(gateway.destination().take(Kind::request).body, "x");
  }
}

}  // namespace
}  // namespace egret::proxy
