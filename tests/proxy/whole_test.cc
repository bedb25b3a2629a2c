// Content that is needed whole before anything is sent, and answers that are larger than allowed.

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

constexpr std::string_view kTwice =
    "defaults: {retry: {attempts: 2, on: [503], backoff: {initial: 1ms, jitter: 0%}}}";
constexpr std::string_view kChunked =
    "POST http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST(Whole, ContentIsSentOnlyOnceAllOfItIsThere) {
  struct Case {
    std::string_view name;
    std::string begin;
    std::string end;
    std::string body;
  };
  const std::string large(100'000, 'x');
  const Case cases[] = {
      {"a length",
       "POST http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc", "def",
       "abcdef"},
      {"chunks", std::string(kChunked) + "3\r\nabc\r\n", "3\r\ndef\r\n0\r\n\r\n", "abcdef"},
      {"no chunk", std::string(kChunked), "0\r\n\r\n", ""},
      {"more than a buffer",
       "POST http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nx",
       large.substr(1), large},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    Sandbox gateway(kTwice);
    FarEnd sender = gateway.connect();
    sender.send(each.begin);
    EXPECT_EQ(gateway.destinations(), 0U) << "nothing is dialled before";
    gateway.loop.advance(1s);
    sender.send(each.end);
    for (const std::string_view status : {"503", "200"}) {
      const Message request = gateway.destination().take(Kind::request);
      EXPECT_EQ(request.body, each.body);
      EXPECT_EQ(request.field("Content-Length"), std::to_string(each.body.size()));
      EXPECT_EQ(request.field("Transfer-Encoding"), "");
      EXPECT_EQ(request.field("Host"), "hooks.acme.io");
      gateway.destination().send("HTTP/1.1 " + std::string(status) +
                                 " X\r\nContent-Length: 0\r\n\r\n");
      gateway.loop.advance(1ms);
    }
    EXPECT_EQ(sender.take(Kind::answer).status(), 200);
    EXPECT_EQ(gateway.logged("request_bytes"), std::to_string(each.body.size()));
    EXPECT_EQ(gateway.logged("receive_ms"), "1000.000");
    // The connection goes on with the next request.
    sender.send(post("next"));
    EXPECT_EQ(gateway.destination().take(Kind::request).body, "next");
    gateway.destination().send(kOk);
    EXPECT_EQ(sender.take(Kind::answer).status(), 200);
    sender.close();
    gateway.expect_at_rest();
  }
}

TEST(Whole, ContentInOneWriteWithTheNextRequestIsNotMixedUp) {
  Sandbox gateway(kTwice);
  FarEnd sender = gateway.connect();
  sender.send(post("first") + post("second"));
  for (const std::string_view body : {"first", "second"}) {
    for (int attempt = 0; attempt < 2; ++attempt) {
      EXPECT_EQ(gateway.destination().take(Kind::request).body, body);
      gateway.destination().send(attempt == 0 ? "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n"
                                              : std::string(kOk));
      gateway.loop.advance(1ms);
    }
    EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  }
}

constexpr std::string_view kExpecting =
    "POST http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    "Expect: 100-continue\r\n\r\n";

TEST(Whole, ContentIsAskedForBeforeAConnectionIsMade) {
  Sandbox gateway(kTwice);
  FarEnd sender = gateway.connect();
  sender.send(kExpecting);
  EXPECT_EQ(sender.received(), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(gateway.destinations(), 0U);
  sender.received().clear();
  sender.send("hello");
  EXPECT_EQ(gateway.destination().take(Kind::request).body, "hello");
}

TEST(Whole, ContentIsNotAskedForWhenTheAddressIsRefused) {
  Sandbox gateway(R"(
defaults: {addresses: {deny: [93.184.215.0/24]}, retry: {attempts: 2}}
)");
  FarEnd sender = gateway.connect();
  sender.send(kExpecting);
  test::expect_refused(gateway, sender, 403, "address_prohibited", "destination_ip_prohibited");
}

TEST(Whole, ContentThatDoesNotComeHasItsReason) {
  struct Case {
    std::string_view name;
    std::string content;
    bool closes;
    int status;
    std::string_view reason;
  };
  const Case cases[] = {
      {"stops", "3\r\nabc\r\n", false, 408, "request_too_slow"},
      {"closes", "3\r\nabc\r\n", true, 0, "sender_disconnected"},
      {"is no chunk", "zz\r\n", false, 400, "request_malformed"},
      {"is too large", "200000\r\n", false, 413, "request_body_too_large"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    Sandbox gateway(kTwice);
    FarEnd sender = gateway.connect();
    sender.send(std::string(kChunked) + each.content);
    if (each.closes) sender.close();
    gateway.loop.advance(10s);
    EXPECT_EQ(gateway.logged("reason"), each.reason);
    if (each.status != 0) {
      EXPECT_EQ(sender.take(Kind::answer).status(), each.status);
    }
    EXPECT_EQ(gateway.destinations(), 0U);
    sender.close();
    gateway.loop.advance(3s);
    gateway.expect_at_rest();
  }
}

TEST(Whole, ContentNeedsMemoryOfTheBudget) {
  Sandbox gateway(kTwice);
  gateway.buffer_memory.set_most(1 << 20);
  FarEnd sender = gateway.connect();
  sender.send("POST http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n" +
              std::string(900'000, 'x'));
  test::expect_refused(gateway, sender, 503, "memory_limit", "proxy_internal_error");
  sender.close();
  gateway.loop.advance(3s);
  gateway.expect_at_rest();
}

TEST(Oversize, AnswersCountByTheirStatusAndAreCut) {
  struct Case {
    std::string_view name;
    std::string answer;
    std::string body;
  };
  const Case cases[] = {
      {"a length", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcdefghi", "abcd"},
      {"a length, not all of it there", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd", "abcd"},
      {"one chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabcdefghi\r\n",
       "abcd"},
      {"the chunk after the limit",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n5\r\n", "abcd"},
      {"until the end", "HTTP/1.1 200 OK\r\n\r\nabcdefghi", "abcd"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    Sandbox gateway("defaults: {limits: {response_body: 4B}}");
    FarEnd sender = gateway.connect();
    sender.send(post("x"));
    gateway.destination().send(each.answer);
    const Message got = sender.take(Kind::answer);
    EXPECT_EQ(got.status(), 200);
    EXPECT_TRUE(got.whole);
    EXPECT_EQ(got.body, each.body);
    EXPECT_EQ(gateway.logged("reason"), "");
    EXPECT_EQ(gateway.logged("success"), "true");
    EXPECT_EQ(gateway.logged("truncated"), "true");
    EXPECT_EQ(gateway.logged("response_bytes"), "4");
    EXPECT_EQ(gateway.metrics.answers_truncated, 1U);
    EXPECT_TRUE(gateway.destination().ended()) << "the rest is not read";
    sender.send(post("next"));
    EXPECT_EQ(gateway.destinations(), 2U) << "the sender's connection goes on";
  }
}

TEST(Oversize, AnswersWithinTheLimitAreNotCut) {
  for (const std::string_view answer :
       {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"}) {
    Sandbox gateway("defaults: {limits: {response_body: 4B}}");
    FarEnd sender = gateway.connect();
    sender.send(post("x"));
    gateway.destination().send(answer);
    const Message got = sender.take(Kind::answer);
    EXPECT_EQ(got.body, "abcd");
    EXPECT_EQ(got.field("Proxy-Status"), "egret; received-status=200");
    EXPECT_EQ(gateway.logged("truncated"), "false");
    EXPECT_FALSE(gateway.destination().ended());
  }
}

TEST(Oversize, IsSaidWhenItIsKnownBefore) {
  Sandbox gateway("defaults: {limits: {response_body: 4B}}");
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.destination().send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcdefghi");
  const Message got = sender.take(Kind::answer);
  EXPECT_EQ(got.field("Content-Length"), "4");
  EXPECT_EQ(got.field("Proxy-Status"),
            "egret; received-status=200; error=http_response_body_size; "
            "details=\"cut at limits.response_body\"");
}

TEST(Oversize, FailsWhereTheRuleSaysSo) {
  Sandbox gateway("defaults: {limits: {response_body: 4B, oversize: fail}}");
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.destination().send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcdefghi");
  test::expect_refused(gateway, sender, 502, "response_body_too_large", "http_response_body_size");
}

}  // namespace
}  // namespace egret::proxy
