// Every timeout, on both sides of its edge: nothing an instant before, the reason at it.

#include <gtest/gtest.h>

#include <functional>

#include "tests/support/proxy_world.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using test::connect_request;
using test::FakeDialer;
using test::FarEnd;
using test::get;
using test::Kind;
using test::kOk;
using test::Message;
using test::post;
using test::Sandbox;

constexpr std::string_view kYaml =
    "defaults: {timeouts: {resolve: 2s, connect: 3s, response: 4s, idle: 5s, total: 9s, "
    "tunnel: 30s}, limits: {request_body: 8MiB, response_body: 8MiB, min_rate: none}}\n";

std::string chunked(std::string_view rest) {
  return "POST http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
         std::string(rest);
}
std::string announcing(size_t length) {
  return "POST http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\nContent-Length: " +
         std::to_string(length) + "\r\n\r\n";
}
FakeDialer::Script slow_reader(size_t capacity) {
  FakeDialer::Script script;
  script.capacity = capacity;
  return script;
}

struct Case {
  std::string_view name;
  // What happens before the wait that is timed.
  std::function<void(Sandbox&, FarEnd&)> arrange;
  Duration limit;
  std::string_view reason;
  int status;  // 0: no answer, the connection is closed
  std::string_view token = "";
  bool keeps = false;  // the sender owes nothing: its connection goes on
};

void expect_refusal(const Message& answer, const Case& expected) {
  ASSERT_EQ(answer.status(), expected.status);
  EXPECT_TRUE(answer.whole);
  EXPECT_EQ(answer.problem("reason"), expected.reason);
  EXPECT_EQ(answer.field("Content-Type"), "application/problem+json");
  EXPECT_EQ(answer.field("Connection"), expected.keeps ? "" : "close");
  const std::string status = answer.field("Proxy-Status");
  EXPECT_EQ(status.substr(0, status.find(';', 8)), "egret; error=" + std::string(expected.token));
}

void run(const Case& each) {
  SCOPED_TRACE(each.name);
  Sandbox gateway(kYaml);
  FarEnd sender = gateway.connect();
  each.arrange(gateway, sender);
  const size_t lines = gateway.lines().size();
  sender.received().clear();

  gateway.loop.advance(each.limit - 1ns);
  EXPECT_EQ(gateway.lines().size(), lines) << "too early";
  EXPECT_FALSE(sender.ended()) << "too early";

  gateway.loop.advance(1ns);
  ASSERT_EQ(gateway.lines().size(), lines + 1) << "too late";
  EXPECT_EQ(gateway.logged("reason"), each.reason);
  if (each.status != 0) {
    expect_refusal(sender.take(Kind::answer), each);
    EXPECT_EQ(gateway.logged("status"), std::to_string(each.status));
  }
  EXPECT_EQ(sender.ended(), !each.keeps);
  sender.close();
  gateway.loop.advance(10s);
  gateway.expect_at_rest();
  EXPECT_EQ(gateway.lines().size(), lines + 1);
}

TEST(Timeouts, OfTheWayToTheAnswer) {
  const Case cases[] = {
      {"resolve",
       [](Sandbox& g, FarEnd& s) {
         g.dns.hang("slow.acme.io");
         s.send("GET http://slow.acme.io/ HTTP/1.1\r\nHost: x\r\n\r\n");
       },
       2s, "dns_timeout", 504, "dns_timeout", true},
      {"connect",
       [](Sandbox& g, FarEnd& s) {
         g.connector.dialer().hang(Sandbox::kEndpoint);
         s.send(post("x"));
       },
       3s, "connection_timeout", 504, "connection_timeout"},
      {"connect, of a tunnel",
       [](Sandbox& g, FarEnd& s) {
         g.connector.dialer().hang("93.184.215.14:443");
         s.send(connect_request());
       },
       3s, "connection_timeout", 504, "connection_timeout"},
      {"response", [](Sandbox&, FarEnd& s) { s.send(post("x")); }, 4s, "response_timeout", 504,
       "http_response_timeout"},
      {"response, within its head",
       [](Sandbox& g, FarEnd& s) {
         s.send(post("x"));
         g.destination().send("HTTP/1.1 200 OK\r\nX: ");
       },
       4s, "response_timeout", 504, "http_response_timeout"},
      {"response, interim answers do not extend it",
       [](Sandbox& g, FarEnd& s) {
         s.send(post("x"));
         g.loop.advance(3s);
         g.destination().send("HTTP/1.1 103 Early Hints\r\n\r\n");
       },
       1s, "response_timeout", 504, "http_response_timeout"},
      {"response, after streamed content",
       [](Sandbox&, FarEnd& s) {
         s.send(announcing(2));
         s.send("ab");
       },
       4s, "response_timeout", 504, "http_response_timeout"},
  };
  for (const Case& each : cases) run(each);
}

TEST(Timeouts, OfAGapInTheRequest) {
  const Case cases[] = {
      {"idle, within the request's head", [](Sandbox&, FarEnd& s) { s.send("POST http://ho"); }, 5s,
       "request_timeout", 408, "http_request_error"},
      {"idle, before the content", [](Sandbox&, FarEnd& s) { s.send(announcing(5)); }, 5s,
       "request_timeout", 408, "http_request_error"},
      {"idle, within the content",
       [](Sandbox& g, FarEnd& s) {
         s.send(announcing(5) + "ab");
         g.loop.advance(3s);
         s.send("c");
       },
       5s, "request_timeout", 408, "http_request_error"},
      {"idle, within a chunk", [](Sandbox&, FarEnd& s) { s.send(chunked("5\r\nab")); }, 5s,
       "request_timeout", 408, "http_request_error"},
      {"idle, after 100 Continue",
       [](Sandbox&, FarEnd& s) {
         s.send(
             "POST http://hooks.acme.io/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
             "Expect: 100-continue\r\n\r\n");
       },
       5s, "request_timeout", 408, "http_request_error"},
      {"idle, the destination takes no more of a whole request",
       [](Sandbox& g, FarEnd& s) {
         g.connector.dialer().script(Sandbox::kEndpoint, slow_reader(10));
         s.send(post("hello"));
       },
       5s, "write_timeout", 504, "connection_write_timeout"},
      {"idle, the destination takes no more of a stream",
       [](Sandbox& g, FarEnd& s) {
         g.connector.dialer().script(Sandbox::kEndpoint, slow_reader(500));
         s.send(announcing(100'000) + std::string(100'000, 'x'));
       },
       5s, "write_timeout", 504, "connection_write_timeout"},
  };
  for (const Case& each : cases) run(each);
}

TEST(Timeouts, OfTheWholeExchange) {
  const Case cases[] = {
      {"total, while content trickles",
       [](Sandbox& g, FarEnd& s) {
         s.send(announcing(90));
         for (int i = 0; i < 4; ++i) {
           g.loop.advance(2s);
           s.send("x");
         }
       },
       1s, "total_timeout", 504, "http_response_timeout"},
      {"total, while waiting for the answer",
       [](Sandbox& g, FarEnd& s) {
         s.send(announcing(3) + "a");
         g.loop.advance(4s);
         s.send("b");
         g.loop.advance(4s);
         s.send("c");
       },
       1s, "total_timeout", 504, "http_response_timeout"},
  };
  for (const Case& each : cases) run(each);
}

// Once a part of the answer is out, a reset is the only way to say that it is not whole.
TEST(Timeouts, WithinTheAnswerResetTheSender) {
  const Case cases[] = {
      {"idle, within content of a known length",
       [](Sandbox& g, FarEnd& s) {
         s.send(post("x"));
         g.destination().send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
       },
       5s, "idle_timeout", 0},
      {"idle, between chunks",
       [](Sandbox& g, FarEnd& s) {
         s.send(post("x"));
         g.destination().send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
         g.loop.advance(1s);
         g.destination().send("1\r\nb\r\n");
       },
       5s, "idle_timeout", 0},
      {"idle, before the close that ends it",
       [](Sandbox& g, FarEnd& s) {
         s.send(post("x"));
         g.destination().send("HTTP/1.1 200 OK\r\n\r\nabc");
       },
       5s, "idle_timeout", 0},
      {"total, while the answer trickles",
       [](Sandbox& g, FarEnd& s) {
         s.send(post("x"));
         g.destination().send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na");
         for (int i = 0; i < 2; ++i) {
           g.loop.advance(4s);
           g.destination().send("a");
         }
       },
       1s, "total_timeout", 0},
  };
  for (const Case& each : cases) {
    run(each);
    SCOPED_TRACE(each.name);
    Sandbox gateway(kYaml);
    FarEnd sender = gateway.connect();
    each.arrange(gateway, sender);
    gateway.loop.advance(each.limit);
    EXPECT_TRUE(sender.was_reset());
    EXPECT_EQ(gateway.logged("status"), "200");
  }
}

TEST(Timeouts, EndASenderThatTakesNoMoreOfItsAnswer) {
  Sandbox gateway(kYaml);
  FarEnd sender = gateway.connect({.capacity = 300});
  sender.send(post("x"));
  gateway.destination().send("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" +
                             std::string(5000, 'x'));
  gateway.loop.advance(5s - 1ns);
  EXPECT_TRUE(gateway.lines().empty());
  gateway.loop.advance(1ns);
  EXPECT_EQ(gateway.logged("reason"), "sender_idle");
  EXPECT_TRUE(sender.was_reset());
  gateway.expect_at_rest();
}

TEST(Timeouts, CloseAnIdleSenderWithoutAWord) {
  for (const bool used : {false, true}) {
    SCOPED_TRACE(used);
    Sandbox gateway(kYaml);
    FarEnd sender = gateway.connect();
    if (used) {
      sender.send(post("x"));
      gateway.destination().send(kOk);
      EXPECT_EQ(sender.take(Kind::answer).status(), 200);
    }
    const size_t lines = gateway.lines().size();
    gateway.loop.advance(5s - 1ns);
    EXPECT_FALSE(sender.ended());
    gateway.loop.advance(1ns);
    EXPECT_TRUE(sender.received_eof());
    EXPECT_EQ(sender.received(), "");
    EXPECT_EQ(gateway.lines().size(), lines);
    gateway.expect_at_rest();
  }
}

TEST(Timeouts, KeepAnIdleDestinationForAsLong) {
  for (const bool in_time : {true, false}) {
    SCOPED_TRACE(in_time);
    Sandbox gateway(kYaml);
    FarEnd first = gateway.connect();
    first.send(post("x"));
    gateway.destination().send(kOk);
    gateway.loop.advance(in_time ? 5s - 1ns : 5s);
    FarEnd second = gateway.connect();
    second.send(post("y"));
    EXPECT_EQ(gateway.destinations(), in_time ? 1U : 2U);
  }
}

TEST(Timeouts, EndATunnelThatCarriesNothing) {
  Sandbox gateway(kYaml);
  FarEnd sender = gateway.connect();
  sender.send(connect_request());
  EXPECT_EQ(sender.take(Kind::answer_to_head).status(), 200);
  // Either way counts, and the limit is the longer of idle and response.
  gateway.loop.advance(4s);
  sender.send("ping");
  gateway.loop.advance(4s);
  gateway.destination().send("pong");
  gateway.loop.advance(5s - 1ns);
  EXPECT_FALSE(sender.ended());
  gateway.loop.advance(1ns);
  EXPECT_TRUE(sender.ended());
  EXPECT_TRUE(gateway.destination().ended());
  EXPECT_EQ(gateway.logged("reason"), "tunnel_idle");
  EXPECT_EQ(gateway.logged("status"), "200");
  EXPECT_EQ(gateway.logged("request_bytes"), "4");
  EXPECT_EQ(gateway.logged("response_bytes"), "4");
  gateway.expect_at_rest();
}

TEST(Timeouts, EndABusyTunnelAtItsLifetime) {
  Sandbox gateway(kYaml);
  FarEnd sender = gateway.connect();
  sender.send(connect_request());
  for (int i = 0; i < 29; ++i) {
    gateway.loop.advance(1s);
    sender.send("x");
    gateway.destination().send("y");
  }
  gateway.loop.advance(1s - 1ns);
  EXPECT_FALSE(sender.ended());
  gateway.loop.advance(1ns);
  EXPECT_TRUE(sender.ended());
  EXPECT_EQ(gateway.logged("reason"), "tunnel_expired");
  EXPECT_EQ(gateway.logged("request_bytes"), "29");
  gateway.expect_at_rest();
}

TEST(Timeouts, DoNotBindWhenTheyAreNone) {
  Sandbox gateway("defaults: {timeouts: {response: none, idle: none, total: none}}\n");
  FarEnd sender = gateway.connect();
  sender.send(get());
  gateway.loop.advance(std::chrono::hours(24 * 300));
  EXPECT_FALSE(sender.ended());
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
}

}  // namespace
}  // namespace egret::proxy
