// Either end goes away or answers early, at any point: who is told what, and what is used again.

#include <gtest/gtest.h>

#include "tests/support/proxy_world.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using test::FakeDialer;
using test::FarEnd;
using test::get;
using test::Kind;
using test::kOk;
using test::Message;
using test::post;
using test::Sandbox;

std::string announcing(size_t length, std::string_view fields = {},
                       std::string_view method = "POST") {
  return std::string(method) + " http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\n" +
         std::string(fields) + "Content-Length: " + std::to_string(length) + "\r\n\r\n";
}

// One exchange that leaves a connection in the pool, which the kernel would call alive.
void leave_a_kept_connection(Sandbox& gateway) {
  FarEnd sender = gateway.connect();
  sender.send(get());
  gateway.destination(0).send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  gateway.destination(0).received().clear();
  sender.close();
  EXPECT_EQ(gateway.pool.size(), 1U);
}

TEST(Failures, OfTheDestinationBeforeTheAnswerHaveAReason) {
  struct Case {
    std::string_view name;
    std::string_view answer;
    bool reset;
    std::string_view reason;
    std::string_view token;
  };
  const Case cases[] = {
      {"closed", "", false, "connection_terminated", "connection_terminated"},
      {"reset", "", true, "connection_terminated", "connection_terminated"},
      {"closed in the head", "HTTP/1.1 200 O", false, "response_incomplete",
       "http_response_incomplete"},
      {"reset in the head", "HTTP/1.1 200 O", true, "connection_terminated",
       "connection_terminated"},
      {"not HTTP", "SSH-2.0-OpenSSH\r\n\r\n", false, "response_malformed", "http_protocol_error"},
      {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", false,
       "response_malformed", "http_protocol_error"},
      {"length and coding",
       "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false,
       "response_malformed", "http_protocol_error"},
      {"a bad first chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", false,
       "response_malformed", "http_protocol_error"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    Sandbox gateway;
    FarEnd sender = gateway.connect();
    sender.send(post("x"));
    FarEnd& destination = gateway.destination();
    destination.send(each.answer);
    each.reset ? destination.reset() : destination.close();
    const Message answer = sender.take(Kind::answer);
    EXPECT_EQ(answer.status(), 502);
    EXPECT_EQ(answer.problem("reason"), each.reason);
    EXPECT_EQ(answer.field("Proxy-Status").rfind("egret; error=" + std::string(each.token), 0), 0U);
    EXPECT_EQ(gateway.logged("reason"), each.reason);
    EXPECT_EQ(gateway.destinations(), 1U) << "a fresh connection is not tried twice";
    EXPECT_EQ(gateway.pool.size(), 0U);
    sender.close();
    gateway.loop.advance(3s);
    gateway.expect_at_rest();
  }
}

TEST(Failures, WithinTheAnswerAreNeverACleanEnd) {
  struct Case {
    std::string_view name;
    std::string_view answer;
    bool reset;
    std::string_view reason;
  };
  const Case cases[] = {
      {"short of its length", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", false,
       "response_incomplete"},
      {"reset", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", true, "connection_terminated"},
      {"without the last chunk",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", false,
       "response_incomplete"},
      {"reset before the close that ends it", "HTTP/1.1 200 OK\r\n\r\nabc", true,
       "connection_terminated"},
  };
  for (const Case& each : cases) {
    for (const bool old : {false, true}) {
      SCOPED_TRACE(std::string(each.name) + (old ? ", HTTP/1.0" : ""));
      Sandbox gateway;
      FarEnd sender = gateway.connect();
      sender.send(old ? "GET http://hooks.acme.io/ HTTP/1.0\r\n\r\n" : get());
      gateway.destination().send(each.answer);
      EXPECT_FALSE(sender.ended());
      each.reset ? gateway.destination().reset() : gateway.destination().close();
      EXPECT_TRUE(sender.was_reset());
      EXPECT_EQ(gateway.logged("reason"), each.reason);
      EXPECT_EQ(gateway.logged("status"), "200");
      EXPECT_EQ(gateway.logged("response_bytes"), "3");
      gateway.expect_at_rest();
    }
  }
}

TEST(Failures, OfTheWayThereHaveAReason) {
  struct Case {
    Reason reason;
    int status;
    std::string_view token;
  };
  const Case dialling[] = {{Reason::connection_refused, 502, "connection_refused"},
                           {Reason::destination_unroutable, 502, "destination_ip_unroutable"},
                           {Reason::connection_failed, 502, "destination_unavailable"},
                           {Reason::peer_mismatch, 502, "destination_ip_prohibited"},
                           {Reason::out_of_resources, 503, "proxy_internal_error"}};
  const Case resolving[] = {{Reason::name_not_found, 502, "dns_error"},
                            {Reason::name_has_no_address, 502, "dns_error"},
                            {Reason::dns_error, 502, "dns_error"},
                            {Reason::dns_timeout, 504, "dns_timeout"}};
  const auto check = [](Sandbox& gateway, const Case& each) {
    for (const bool tunnel : {false, true}) {
      SCOPED_TRACE(std::string(name(each.reason)) + (tunnel ? ", CONNECT" : ""));
      FarEnd sender = gateway.connect();
      sender.send(tunnel ? test::connect_request("x.acme.io:80")
                         : "GET http://x.acme.io/ HTTP/1.1\r\nHost: x\r\n\r\n");
      const Message answer = sender.take(Kind::answer);
      EXPECT_EQ(answer.status(), each.status);
      EXPECT_EQ(answer.problem("reason"), name(each.reason));
      EXPECT_EQ(answer.field("Proxy-Status").rfind("egret; error=" + std::string(each.token), 0),
                0U);
      EXPECT_EQ(gateway.logged("reason"), name(each.reason));
    }
  };
  for (const Case& each : dialling) {
    Sandbox gateway;
    gateway.dns.answer("x.acme.io", {Sandbox::kAddress});
    gateway.connector.dialer().fail(Sandbox::kEndpoint, each.reason);
    check(gateway, each);
  }
  for (const Case& each : resolving) {
    Sandbox gateway;
    gateway.dns.fail("x.acme.io", each.reason);
    check(gateway, each);
  }
}

TEST(Failures, OfTheSenderEndTheExchangeAndTheDestinationsConnection) {
  struct Case {
    std::string_view name;
    std::string_view request;
    std::string_view answer;
  };
  const std::string whole = post("hello");
  const std::string part = announcing(9) + "abc";
  const Case cases[] = {
      {"while it waits", whole, ""},
      {"within its content", part, ""},
      {"within its content, chunked",
       "POST http://hooks.acme.io/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
       "chunked\r\n\r\n3\r\nab",
       ""},
      {"between an interim answer and the final", whole, "HTTP/1.1 103 Early\r\n\r\n"},
  };
  for (const Case& each : cases) {
    for (const bool reset : {false, true}) {
      SCOPED_TRACE(std::string(each.name) + (reset ? ", reset" : ""));
      Sandbox gateway;
      FarEnd sender = gateway.connect();
      sender.send(each.request);
      gateway.destination().send(each.answer);
      reset ? sender.reset() : sender.close();
      EXPECT_EQ(gateway.logged("reason"), "sender_disconnected");
      EXPECT_EQ(gateway.logged("status"), "0");
      EXPECT_TRUE(gateway.destination().ended());
      EXPECT_EQ(gateway.lines().size(), 1U);
      EXPECT_EQ(gateway.pool.size(), 0U);
      gateway.expect_at_rest();
    }
  }
}

TEST(Failures, OfTheSenderWithinItsAnswerEndTheDestinationsConnection) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(get());
  gateway.destination().send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
  EXPECT_EQ(sender.take(Kind::answer).body, "abc");
  sender.reset();
  gateway.destination().send("def");
  EXPECT_EQ(gateway.logged("reason"), "sender_disconnected");
  EXPECT_TRUE(gateway.destination().ended());
  gateway.expect_at_rest();
}

TEST(Failures, AnEarlyNoStopsTheUploadAndTheConnections) {
  for (const std::string_view status : {"413 Too Large", "500 Broken"}) {
    Sandbox gateway;
    FarEnd sender = gateway.connect();
    sender.send(announcing(100) + "first");
    gateway.destination().received().clear();
    gateway.destination().send("HTTP/1.1 " + std::string(status) +
                               "\r\nContent-Length: 2\r\n\r\nno");
    const Message answer = sender.take(Kind::answer);
    EXPECT_EQ(answer.body, "no");
    EXPECT_EQ(answer.field("Connection"), "close");
    EXPECT_TRUE(sender.received_eof());
    sender.send(std::string(95, 'x') + get());
    EXPECT_EQ(gateway.destination().received(), "") << "no more content goes there";
    EXPECT_TRUE(gateway.destination().ended());
    EXPECT_EQ(gateway.destinations(), 1U) << "what follows is not read as a request";
    EXPECT_EQ(gateway.logged("request_bytes"), "5");
    sender.close();
    gateway.loop.advance(3s);
    gateway.expect_at_rest();
  }
}

TEST(Failures, AnEarlyYesLetsTheUploadFinish) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(announcing(10) + "first");
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  sender.send("after" + post("next"));
  EXPECT_EQ(gateway.destination().take(Kind::request).body, "firstafter");
  ASSERT_EQ(gateway.destinations(), 1U);
  EXPECT_EQ(gateway.destination().take(Kind::request).body, "next");
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  EXPECT_EQ(gateway.lines().size(), 2U);
}

TEST(Failures, ADestinationThatClosesAsItIsWrittenToMayHaveAnsweredFirst) {
  for (const bool streamed : {false, true}) {
    SCOPED_TRACE(streamed);
    Sandbox gateway;
    FakeDialer::Script script;
    script.capacity = 200;
    gateway.connector.dialer().script(Sandbox::kEndpoint, script);
    FarEnd sender = gateway.connect();
    const std::string content(streamed ? 60'000 : 5'000, 'x');
    sender.send(announcing(content.size()) + content);
    gateway.destination().peer().feed("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    gateway.destination().reset();
    const Message answer = sender.take(Kind::answer);
    EXPECT_EQ(answer.status(), 413);
    EXPECT_EQ(answer.body, "no");
    EXPECT_EQ(gateway.pool.size(), 0U) << "whatever the answer says of keeping it";
  }
}

struct Stale {
  std::string_view name;
  std::string request;
  bool again;
};

TEST(Failures, OfAKeptConnectionAreRepairedOnlyWhenThatIsHarmless) {
  const Stale cases[] = {
      {"GET", get(), true},
      {"PUT with its content", announcing(2, "", "PUT") + "hi", true},
      {"DELETE", announcing(0, "", "DELETE"), true},
      {"POST", post("hi"), false},
      {"POST with Idempotency-Key", post("hi", "Idempotency-Key: 1\r\n"), true},
      {"PATCH", announcing(2, "", "PATCH") + "hi", false},
  };
  for (const Stale& each : cases) {
    SCOPED_TRACE(each.name);
    Sandbox gateway;
    leave_a_kept_connection(gateway);
    // It is reset by what is written to it next.
    gateway.destination(0).peer().faults().reset_after_write =
        gateway.destination(0).peer().transcript().size() + 1;
    FarEnd sender = gateway.connect();
    sender.send(each.request);
    if (!each.again) {
      EXPECT_EQ(gateway.destinations(), 1U);
      EXPECT_EQ(sender.take(Kind::answer).problem("reason"), "connection_terminated");
      continue;
    }
    ASSERT_EQ(gateway.destinations(), 2U);
    const Message request = gateway.destination(1).take(Kind::request);
    EXPECT_TRUE(request.whole);
    EXPECT_TRUE(request.body.empty() || request.body == "hi");
    // Once: the second is a failure of the destination.
    gateway.destination(1).close();
    EXPECT_EQ(sender.take(Kind::answer).problem("reason"), "connection_terminated");
    EXPECT_EQ(gateway.destinations(), 2U);
  }
}

TEST(Failures, OfAKeptConnectionAreNotRepairedOnceAnAnswerBegan) {
  Sandbox gateway;
  leave_a_kept_connection(gateway);
  FarEnd sender = gateway.connect();
  sender.send(get());
  gateway.destination(0).send("HTTP/1.1 102 Processing\r\n\r\n");
  gateway.destination(0).close();
  EXPECT_EQ(sender.take(Kind::answer).status(), 102);
  EXPECT_EQ(sender.take(Kind::answer).status(), 502);
  EXPECT_EQ(gateway.destinations(), 1U);
}

// Content that was streamed is gone. What stands in the buffer by then is the next request, and
// must not become this one's content.
TEST(Failures, OfAKeptConnectionAreNotRepairedWithTheNextRequestsBytes) {
  Sandbox gateway;
  leave_a_kept_connection(gateway);
  FarEnd sender = gateway.connect();
  sender.send(announcing(100, "", "PUT") + std::string(50, 'a'));
  ASSERT_EQ(gateway.destinations(), 1U);
  gateway.destination(0).peer().faults().reset_after_write =
      gateway.destination(0).peer().transcript().size() + 1;
  sender.send(std::string(50, 'a') + post("SECRET OF THE NEXT " + std::string(200, 'n')));

  const Message answer = sender.take(Kind::answer);
  EXPECT_EQ(answer.status(), 502);
  EXPECT_EQ(answer.problem("reason"), "connection_terminated");
  for (size_t i = 1; i < gateway.destinations(); ++i) {
    EXPECT_EQ(gateway.destination(i).received().find("SECRET"), std::string::npos);
  }
}

// A destination that answers before it has the request meets a sender that takes no 100 Continue.
TEST(Failures, AnAnswerDoesNotOvertakeTheContinueThatBlocks) {
  Sandbox gateway;
  FarEnd sender = gateway.connect({.capacity = 10});
  sender.send(
      "POST http://hooks.acme.io/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
      "Expect: 100-continue\r\n\r\n");
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).start, "HTTP/1.1 100 Continue");
  sender.send("hello");
  EXPECT_EQ(sender.take(Kind::answer).body, "ok");
}

}  // namespace
}  // namespace egret::proxy
