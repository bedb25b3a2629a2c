// What changes under open connections: new settings, and the end.

#include <gtest/gtest.h>

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

constexpr std::string_view kLong =
    "defaults: {timeouts: {response: 15s, total: 20s}, limits: {response_body: 1KiB}}\n";
constexpr std::string_view kDeny = "defaults: {action: deny}\n";

TEST(Reload, LetsAnOpenExchangeFinishWithWhatItBeganWith) {
  Sandbox gateway(kLong);
  FarEnd sender = gateway.connect();
  sender.send(get());
  gateway.reload("defaults: {timeouts: {response: 1s}, limits: {response_body: 1B}}\n");
  gateway.loop.advance(14s);
  gateway.destination().send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" +
                             std::string(100, 'x'));
  EXPECT_EQ(sender.take(Kind::answer).body.size(), 100U);

  sender.send(get());
  gateway.loop.advance(1s);
  EXPECT_EQ(sender.take(Kind::answer).problem("reason"), "response_timeout");
}

TEST(Reload, JudgesTheNextRequestOfAnOpenConnectionAnew) {
  Sandbox gateway(kLong);
  FarEnd sender = gateway.connect();
  sender.send(get());
  gateway.reload(kDeny);
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  sender.send(get());
  EXPECT_EQ(sender.take(Kind::answer).problem("reason"), "rule_denied");
}

TEST(Reload, JudgesWithTheOldSettingsWhileDnsIsAsked) {
  Sandbox gateway("defaults: {addresses: {allow: [10.0.0.1]}}\n");
  gateway.dns.answer("slow.acme.io", {"10.0.0.1"}, 2s);
  FarEnd sender = gateway.connect();
  sender.send("GET http://slow.acme.io/ HTTP/1.1\r\nHost: x\r\n\r\n");
  gateway.loop.advance(1s);
  gateway.reload("resolver: {tries: 5}\n");
  gateway.loop.advance(1s);
  ASSERT_EQ(gateway.destinations(), 1U);
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
}

TEST(Reload, DropsKeptConnections) {
  Sandbox gateway(kLong);
  FarEnd sender = gateway.connect();
  sender.send(get());
  gateway.destination().send(kOk);
  EXPECT_EQ(gateway.pool.size(), 1U);
  gateway.reload(kLong);
  EXPECT_TRUE(gateway.destination().ended());
  sender.send(get());
  EXPECT_EQ(gateway.destinations(), 2U);
}

TEST(Drain, EndsIdleConnectionsAtOnce) {
  Sandbox gateway;
  FarEnd unused = gateway.connect();
  FarEnd used = gateway.connect();
  used.send(get());
  gateway.destination().send(kOk);
  EXPECT_EQ(used.take(Kind::answer).status(), 200);
  gateway.drain();
  EXPECT_TRUE(unused.received_eof());
  EXPECT_TRUE(used.received_eof());
  EXPECT_EQ(gateway.serving_now(), 0U);
  gateway.expect_at_rest();
}

TEST(Drain, LetsAnExchangeFinishAndThenCloses) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.drain();
  EXPECT_FALSE(sender.ended());
  gateway.destination().send(kOk);
  const Message answer = sender.take(Kind::answer);
  EXPECT_EQ(answer.status(), 200);
  EXPECT_EQ(answer.field("Connection"), "close");
  EXPECT_TRUE(sender.received_eof());
  sender.close();
  gateway.expect_at_rest();
}

TEST(Drain, RefusesARequestThatComesMeanwhile) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send("GET http://hooks.acme.io/ HTTP/1.1\r\n");
  gateway.drain();
  EXPECT_FALSE(sender.ended()) << "its request is on its way";
  sender.send("Host: x\r\n\r\n");
  const Message answer = sender.take(Kind::answer);
  EXPECT_EQ(answer.status(), 503);
  EXPECT_EQ(answer.problem("reason"), "draining");
  EXPECT_EQ(answer.field("Proxy-Status").rfind("egret; error=proxy_internal_response", 0), 0U);
  EXPECT_EQ(answer.field("Retry-After"), "1");
  EXPECT_EQ(answer.field("Connection"), "close");
  EXPECT_TRUE(sender.received_eof());
  EXPECT_EQ(gateway.destinations(), 0U);
}

TEST(Drain, DoesNotSendAPipelinedRequestAfterTheLastAnswer) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(post("one") + post("two"));
  gateway.drain();
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).field("Connection"), "close");
  EXPECT_EQ(sender.received(), "");
  EXPECT_EQ(gateway.destination().received().find("two"), std::string::npos);
}

TEST(Drain, LetsATunnelRunOn) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(connect_request());
  gateway.drain();
  sender.received().clear();
  gateway.destination().send("still here");
  EXPECT_EQ(sender.received(), "still here");
}

TEST(Stop, EndsEverythingAndLogsIt) {
  Sandbox gateway;
  FarEnd waiting = gateway.connect();
  waiting.send(post("x"));
  FarEnd streaming = gateway.connect();
  streaming.send("POST http://hooks.acme.io/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
  FarEnd answering = gateway.connect();
  answering.send(get());
  gateway.destination(2).send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd");
  FarEnd idle = gateway.connect();
  gateway.stop();
  ASSERT_EQ(gateway.lines().size(), 3U);
  for (const std::string& line : gateway.lines()) {
    EXPECT_EQ(test::log_value(line, "reason"), "stopped");
  }
  EXPECT_TRUE(answering.was_reset()) << "what came must not be taken for whole";
  gateway.expect_at_rest();
}

TEST(Stop, LogsARequestWhoseRefusalNobodyTook) {
  Sandbox gateway;
  FarEnd sender = gateway.connect({.capacity = 1});
  sender.send("no request\r\n\r\n");
  ASSERT_TRUE(gateway.lines().empty());

  gateway.stop();

  ASSERT_EQ(gateway.lines().size(), 1U);
  EXPECT_EQ(gateway.logged("reason"), "request_malformed");
  EXPECT_EQ(gateway.logged("status"), "0");
  gateway.expect_at_rest();
}

}  // namespace
}  // namespace egret::proxy
