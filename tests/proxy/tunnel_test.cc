// CONNECT: who may, where to, and bytes that nobody looks at.

#include <gtest/gtest.h>

#include "tests/support/proxy_world.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using test::connect_request;
using test::FarEnd;
using test::Kind;
using test::Message;
using test::post;
using test::Sandbox;

constexpr std::string_view kEstablished = "HTTP/1.1 200 Connection Established\r\n\r\n";

FarEnd open_tunnel(Sandbox& gateway) {
  FarEnd sender = gateway.connect();
  sender.send(connect_request());
  EXPECT_EQ(sender.received(), kEstablished);
  sender.received().clear();
  return sender;
}

TEST(Tunnel, CarriesBytesBothWaysUntouched) {
  Sandbox gateway;
  FarEnd sender = open_tunnel(gateway);
  EXPECT_EQ(gateway.connector.dialled(), std::vector<std::string>{"93.184.215.14:443"});
  EXPECT_EQ(gateway.metrics.tunnels_open, 1);
  EXPECT_EQ(gateway.buffers.lent(), 0U) << "none while nothing moves";

  const std::string bytes("\x16\x03\x00GET / HTTP/1.1\r\n\r\n\0", 21);
  sender.send(bytes);
  EXPECT_EQ(gateway.destination().received(), bytes);
  gateway.destination().send("HTTP/1.1 407 what\r\n\r\n");
  EXPECT_EQ(sender.received(), "HTTP/1.1 407 what\r\n\r\n");
  EXPECT_EQ(gateway.buffers.lent(), 0U);
}

TEST(Tunnel, LosesNoByteThatCameWithTheConnect) {
  for (const size_t size : {5, 10'000, 60'000}) {
    SCOPED_TRACE(size);
    Sandbox gateway;
    gateway.connector.dialer().script("93.184.215.14:443", {.after = 1s});
    FarEnd sender = gateway.connect();
    std::string early(size, 'e');
    early.back() = '!';
    sender.send(connect_request() + early);
    gateway.loop.advance(1s);
    sender.send("more");
    EXPECT_EQ(sender.received(), kEstablished);
    EXPECT_EQ(gateway.destination().received(), early + "more");
  }
}

TEST(Tunnel, PassesAHalfCloseOnAndLetsTheOtherWayFinish) {
  for (const bool sender_first : {true, false}) {
    SCOPED_TRACE(sender_first);
    Sandbox gateway;
    FarEnd sender = open_tunnel(gateway);
    FarEnd& first = sender_first ? sender : gateway.destination();
    FarEnd& second = sender_first ? gateway.destination() : sender;
    first.send("last words");
    first.finish();
    EXPECT_EQ(second.received(), "last words");
    EXPECT_TRUE(second.received_eof());
    EXPECT_FALSE(first.ended());
    second.send("an answer");
    EXPECT_EQ(first.received(), "an answer");
    EXPECT_TRUE(gateway.lines().empty()) << "still open";
    second.finish();
    EXPECT_TRUE(first.received_eof());
    EXPECT_FALSE(sender.was_reset());
    ASSERT_EQ(gateway.lines().size(), 1U);
    EXPECT_EQ(gateway.logged("reason"), "");
    EXPECT_EQ(gateway.logged("method"), "CONNECT");
    EXPECT_EQ(gateway.logged("destination"), "hooks.acme.io:443");
    EXPECT_EQ(gateway.logged("request_bytes"), sender_first ? "10" : "9");
    EXPECT_EQ(gateway.logged("response_bytes"), sender_first ? "9" : "10");
    EXPECT_EQ(gateway.metrics.tunnel_bytes_up, sender_first ? 10U : 9U);
    gateway.expect_at_rest();
  }
}

TEST(Tunnel, ResetsTheOtherEndWhenOneIsReset) {
  for (const bool sender_first : {true, false}) {
    SCOPED_TRACE(sender_first);
    Sandbox gateway;
    FarEnd sender = open_tunnel(gateway);
    sender.send("abc");
    sender_first ? sender.reset() : gateway.destination().reset();
    EXPECT_EQ(gateway.logged("reason"), "tunnel_reset");
    EXPECT_TRUE((sender_first ? gateway.destination() : sender).was_reset())
        << "what came must not be taken for whole";
    gateway.expect_at_rest();
  }
}

TEST(Tunnel, EndsTheConnectionThatWasOneEvenWhenBothEndsWereClean) {
  Sandbox gateway;
  FarEnd sender = open_tunnel(gateway);
  gateway.destination().finish();
  sender.finish();
  gateway.expect_at_rest();
  EXPECT_EQ(gateway.pool.size(), 0U) << "a tunnel's connection is nobody else's";
}

TEST(Tunnel, NeverUsesAnotherExchangesConnection) {
  Sandbox gateway;
  FarEnd plain = gateway.connect();
  plain.send(post("x"));
  gateway.destination().send(test::kOk);
  EXPECT_EQ(gateway.pool.size(), 1U);
  FarEnd sender = gateway.connect();
  sender.send(connect_request("hooks.acme.io:80"));
  EXPECT_EQ(gateway.destinations(), 2U);
}

TEST(Tunnel, CountsAmongTheExchangesWithItsHost) {
  Sandbox gateway("defaults: {limits: {in_flight_per_host: 1}}\n");
  FarEnd first = open_tunnel(gateway);
  FarEnd second = gateway.connect();
  second.send(connect_request());
  EXPECT_EQ(second.take(Kind::answer).status(), 429);
  first.reset();
  FarEnd third = gateway.connect();
  third.send(connect_request());
  EXPECT_EQ(third.take(Kind::answer_to_head).status(), 200);
}

TEST(Tunnel, HoldsBackAFastSideForASlowOne) {
  for (const bool up : {true, false}) {
    SCOPED_TRACE(up);
    Sandbox gateway;
    test::FakeDialer::Script script;
    if (up) script.capacity = 1000;
    gateway.connector.dialer().script("93.184.215.14:443", script);
    FarEnd sender = gateway.connect({.capacity = up ? SIZE_MAX : 1000});
    sender.send(connect_request());
    EXPECT_EQ(sender.received(), kEstablished);
    sender.received().clear();
    FarEnd& fast = up ? sender : gateway.destination();
    FarEnd& slow = up ? gateway.destination() : sender;
    fast.send(std::string(1 << 20, 'x'));
    EXPECT_GE(fast.peer().unread() + BufferPool::kBytes + 1000, size_t{1} << 20);
    EXPECT_LE(gateway.buffers.lent(), 1U);
    EXPECT_EQ(slow.received().size(), size_t{1} << 20);
    EXPECT_EQ(gateway.buffers.lent(), 0U);
  }
}

struct Refusal {
  std::string_view name;
  std::string request;
  std::string_view yaml;
  int status;
  std::string_view reason;
};

TEST(Tunnel, IsRefusedAsAnyRequestWouldBe) {
  const Refusal cases[] = {
      {"a private address", connect_request("10.0.0.1:443"), "", 403, "address_prohibited"},
      {"a mapped one", connect_request("[::ffff:10.0.0.1]:443"), "", 403, "address_prohibited"},
      {"localhost", connect_request("localhost:443"), "", 403, "address_prohibited"},
      {"a name for one", connect_request("private.acme.io:443"), "", 403, "address_prohibited"},
      {"a port", connect_request("hooks.acme.io:22"), "", 403, "port_prohibited"},
      {"no port", connect_request("hooks.acme.io"), "", 400, "url_malformed"},
      {"port 0", connect_request("hooks.acme.io:0"), "", 400, "url_malformed"},
      {"a URL", connect_request("http://hooks.acme.io:443/"), "", 400, "url_malformed"},
      {"userinfo", connect_request("user@hooks.acme.io:443"), "", 400, "url_malformed"},
      {"a path", connect_request("hooks.acme.io:443/x"), "", 400, "url_malformed"},
      {"a number", connect_request("0x7f000001:443"), "", 400, "host_not_canonical"},
      {"connect: deny", connect_request(), "defaults: {connect: deny}\n", 403,
       "connect_prohibited"},
      {"action: deny", connect_request(), "defaults: {action: deny}\n", 403, "rule_denied"},
      {"content", "CONNECT hooks.acme.io:443 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
       "", 400, "body_framing_ambiguous"},
      {"a loop", "CONNECT hooks.acme.io:443 HTTP/1.1\r\nHost: x\r\nVia: 1.1 egret-test\r\n\r\n", "",
       508, "loop_detected"},
  };
  for (const Refusal& each : cases) {
    SCOPED_TRACE(each.name);
    Sandbox gateway(each.yaml);
    gateway.dns.answer("private.acme.io", {"10.0.0.1"});
    FarEnd sender = gateway.connect();
    sender.send(each.request);
    const Message answer = sender.take(Kind::answer);
    EXPECT_EQ(answer.status(), each.status);
    EXPECT_EQ(answer.problem("reason"), each.reason);
    EXPECT_EQ(gateway.logged("reason"), each.reason);
    EXPECT_EQ(answer.field("Connection"), "close");
    EXPECT_EQ(gateway.destinations(), 0U);
    EXPECT_EQ(gateway.metrics.tunnels_open, 0);
  }
}

// Some senders write the tunnel's first bytes before the answer: they are somebody else's words.
TEST(Tunnel, RefusedDoesNotReadOnAsRequests) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(connect_request("10.0.0.1:443") + test::get());
  EXPECT_EQ(sender.take(Kind::answer).status(), 403);
  EXPECT_EQ(sender.received(), "");
  EXPECT_TRUE(sender.received_eof());
  EXPECT_EQ(gateway.lines().size(), 1U);
  EXPECT_EQ(gateway.destinations(), 0U);
}

TEST(Tunnel, IsCountedAndLoggedWhenEgretStops) {
  auto gateway = std::make_unique<Sandbox>();
  FarEnd sender = open_tunnel(*gateway);
  sender.send("abc");
  gateway->stop();
  EXPECT_EQ(gateway->logged("reason"), "stopped");
  EXPECT_EQ(gateway->logged("status"), "200");
  EXPECT_EQ(gateway->logged("request_bytes"), "3");
  gateway->expect_at_rest();
}

}  // namespace
}  // namespace egret::proxy
