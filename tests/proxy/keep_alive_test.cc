// Which request gets which answer: keep-alive, pipelining, and when a connection is used again.

#include <gtest/gtest.h>

#include "tests/support/proxy_world.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using test::FarEnd;
using test::get;
using test::Kind;
using test::kOk;
using test::Message;
using test::post;
using test::Sandbox;

TEST(KeepAlive, SendsTheWebhookAndRelaysTheAnswerUnchanged) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(post("hello", "X-Event: paid\r\nAuthorization: Bearer of-the-receiver\r\n"));

  EXPECT_EQ(gateway.destination().received(),
            "POST /in HTTP/1.1\r\n"
            "Host: hooks.acme.io\r\n"
            "X-Event: paid\r\n"
            "Authorization: Bearer of-the-receiver\r\n"
            "Content-Length: 5\r\n"
            "Via: 1.1 egret-test\r\n\r\nhello");
  EXPECT_EQ(gateway.connector.dialled(), std::vector<std::string>{"93.184.215.14:80"});

  gateway.destination().send("HTTP/1.1 201 Made\r\nX-Id: 7\r\nContent-Length: 3\r\n\r\nyes");
  EXPECT_EQ(sender.received(),
            "HTTP/1.1 201 Made\r\n"
            "X-Id: 7\r\n"
            "Content-Length: 3\r\n"
            "Via: 1.1 egret-test\r\n"
            "Proxy-Status: egret; received-status=201\r\n"
            "Egret-Attempts: 1\r\n\r\nyes");
  EXPECT_FALSE(sender.ended());
  EXPECT_EQ(gateway.logged("verdict"), "allowed");
  EXPECT_EQ(gateway.logged("status"), "201");
  EXPECT_EQ(gateway.logged("address"), "93.184.215.14:80");
  EXPECT_EQ(gateway.logged("request_bytes"), "5");
  EXPECT_EQ(gateway.logged("response_bytes"), "3");
}

// A peer may send the content only when the head is acknowledged (Nagle): it must not wait for the
// kernel's own time.
TEST(KeepAlive, AcknowledgesAHeadAtOnceWhoseContentComesApart) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  const std::string whole = post("hello");
  sender.send(whole);
  FarEnd& destination = gateway.destination();
  EXPECT_EQ(sender.peer().expected_more(), 0U) << "all of it is there";
  destination.send(kOk);
  EXPECT_EQ(destination.peer().expected_more(), 0U);
  sender.send(std::string_view(whole).substr(0, whole.size() - 5));
  EXPECT_EQ(sender.peer().expected_more(), 1U);
  sender.send("he");
  sender.send("llo");
  EXPECT_EQ(sender.peer().expected_more(), 1U) << "once a message is enough";
  destination.send(std::string_view(kOk).substr(0, kOk.size() - 2));
  EXPECT_EQ(destination.peer().expected_more(), 1U);
  destination.send(std::string_view(kOk).substr(kOk.size() - 2));
  // A head in pieces, too.
  sender.send(std::string_view(whole).substr(0, 10));
  EXPECT_EQ(sender.peer().expected_more(), 2U);
}

TEST(KeepAlive, HoldsNoBufferWhileASenderIsIdleOrADestinationThinks) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  EXPECT_EQ(gateway.buffers.lent(), 0U);
  sender.send(post("hello"));
  EXPECT_EQ(gateway.buffers.lent(), 1U) << "the request, which may be needed again";
  gateway.destination().send(kOk);
  EXPECT_EQ(gateway.buffers.lent(), 0U);
}

TEST(KeepAlive, UsesBothConnectionsAgain) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  for (int i = 0; i < 3; ++i) {
    sender.send(post("n" + std::to_string(i)));
    ASSERT_EQ(gateway.destinations(), 1U);
    EXPECT_EQ(gateway.destination().take(Kind::request).body, "n" + std::to_string(i));
    gateway.destination().send(kOk);
    EXPECT_EQ(sender.take(Kind::answer).body, "ok");
  }
  EXPECT_EQ(gateway.metrics.upstream_opened, 1U);
  EXPECT_EQ(gateway.metrics.upstream_reused, 2U);
}

TEST(KeepAlive, AnswersPipelinedRequestsInOrderOneAtATime) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(post("one") + post("two") + post("three"));

  FarEnd& destination = gateway.destination();
  for (const std::string_view body : {"one", "two", "three"}) {
    EXPECT_EQ(destination.take(Kind::request).body, body);
    EXPECT_EQ(destination.received(), "") << "the next waits for this one's answer";
    destination.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) +
                     "\r\n\r\n" + std::string(body));
    EXPECT_EQ(sender.take(Kind::answer).body, body);
  }
  EXPECT_EQ(gateway.destinations(), 1U);
  EXPECT_EQ(gateway.lines().size(), 3U);
}

TEST(KeepAlive, GoesOnAfterARefusalOfARequestThatIsThereWhole) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send("POST http://10.0.0.1/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nGET " +
              post("good"));
  EXPECT_EQ(sender.take(Kind::answer).problem("reason"), "address_prohibited");
  EXPECT_EQ(gateway.destination().take(Kind::request).body, "good");
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  EXPECT_FALSE(sender.ended());
}

// The content of a refused request must never be read as a request.
TEST(KeepAlive, ClosesAfterARefusalWhenContentIsStillToCome) {
  struct Case {
    std::string_view name;
    std::string_view request;
  };
  const Case cases[] = {
      {"length", "POST http://10.0.0.1/ HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n"},
      {"chunked",
       "POST http://10.0.0.1/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"chunked, there whole",
       "POST http://10.0.0.1/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    Sandbox gateway;
    FarEnd sender = gateway.connect();
    sender.send(std::string(each.request) + get() + get());
    const Message refusal = sender.take(Kind::answer);
    EXPECT_EQ(refusal.problem("reason"), "address_prohibited");
    EXPECT_EQ(refusal.field("Connection"), "close");
    EXPECT_TRUE(sender.received_eof());
    sender.send(get());
    EXPECT_EQ(sender.received(), "");
    EXPECT_EQ(gateway.destinations(), 0U);
    sender.close();
    gateway.expect_at_rest();
  }
}

TEST(KeepAlive, ClosesWhenTheSenderAsksForIt) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(post("x", "Connection: close\r\n"));
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).field("Connection"), "close");
  EXPECT_TRUE(sender.received_eof());
}

TEST(KeepAlive, SkipsOneEmptyLineBetweenRequests) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(post("one") + "\r\n" + post("two"));
  gateway.destination().send(kOk);
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
}

// An empty line is not the beginning of a request: no 408, no log line, when nothing follows.
TEST(KeepAlive, ClosesWithoutAWordWhenOnlyAnEmptyLineCame) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(post("one") + "\r\n");
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  gateway.loop.advance(11s);
  EXPECT_EQ(sender.received(), "");
  EXPECT_TRUE(sender.received_eof());
  EXPECT_EQ(gateway.lines().size(), 1U);
}

struct Unclean {
  std::string_view name;
  std::string_view answer;
};

TEST(KeepAlive, NeverReusesAConnectionAfterAnAnswerThatDidNotEndCleanly) {
  const Unclean cases[] = {
      {"bytes behind the answer",
       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 evil"},
      {"a second answer",
       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
       "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"},
      {"content with 204", "HTTP/1.1 204 No Content\r\n\r\nevil"},
      {"Connection: close", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"},
      {"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"},
      {"bytes behind the last chunk",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nevil"},
  };
  for (const Unclean& each : cases) {
    SCOPED_TRACE(each.name);
    Sandbox gateway;
    FarEnd sender = gateway.connect();
    sender.send(post("one"));
    gateway.destination(0).send(each.answer);
    const Message answer = sender.take(Kind::answer);
    EXPECT_TRUE(answer.whole);
    EXPECT_EQ(answer.body.find("evil"), std::string::npos);
    EXPECT_EQ(sender.received(), "");
    sender.send(post("two"));
    ASSERT_EQ(gateway.destinations(), 2U);
    EXPECT_TRUE(gateway.destination(0).peer().hung_up());
    gateway.destination(1).send(kOk);
    EXPECT_EQ(sender.take(Kind::answer).body, "ok");
  }
}

// Bytes that come while nobody asked, on a kept connection, answer nothing.
TEST(KeepAlive, DropsAKeptConnectionThatSaidSomethingUnasked) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(post("one"));
  gateway.destination(0).send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  gateway.destination(0).send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");

  sender.send(post("two"));
  ASSERT_EQ(gateway.destinations(), 2U);
  gateway.destination(1).send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).body, "ok");
}

TEST(KeepAlive, DropsAKeptConnectionThatWasClosed) {
  for (const bool reset : {false, true}) {
    Sandbox gateway;
    FarEnd sender = gateway.connect();
    sender.send(post("one"));
    gateway.destination(0).send(kOk);
    reset ? gateway.destination(0).reset() : gateway.destination(0).close();
    sender.send(post("two"));
    ASSERT_EQ(gateway.destinations(), 2U) << reset;
    gateway.destination(1).send(kOk);
    EXPECT_EQ(sender.take(Kind::answer).status(), 200);
    EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  }
}

// What one sender's exchange left behind is never another's.
TEST(KeepAlive, GivesAnotherSenderItsOwnAnswer) {
  Sandbox gateway;
  FarEnd first = gateway.connect();
  FarEnd second = gateway.connect();
  first.send(post("first"));
  second.send(post("second"));
  ASSERT_EQ(gateway.destinations(), 2U) << "a connection carries one exchange at a time";
  EXPECT_EQ(gateway.destination(0).take(Kind::request).body, "first");
  EXPECT_EQ(gateway.destination(1).take(Kind::request).body, "second");
  gateway.destination(1).send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond");
  gateway.destination(0).send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst");
  EXPECT_EQ(first.take(Kind::answer).body, "first");
  EXPECT_EQ(second.take(Kind::answer).body, "second");
}

TEST(KeepAlive, TakesNoAnswerFromBeforeItsRequestWasSent) {
  Sandbox gateway;
  FarEnd first = gateway.connect();
  first.send(post("{}"));
  gateway.destination().send(kOk);
  EXPECT_EQ(first.take(Kind::answer).status(), 200);

  // A sender that is slow to take its 100, while the kept connection is held for it.
  FarEnd sender = gateway.connect({.capacity = 5});
  sender.peer().feed(
      "POST http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
      "Expect: 100-continue\r\n\r\n");
  gateway.loop.run_until_idle();
  gateway.destination().send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nunasked");
  EXPECT_EQ(sender.received(), "HTTP/1.1 100 Continue\r\n\r\n");
  sender.received().clear();
  sender.send("hello");
  EXPECT_EQ(gateway.destinations(), 2U) << "a connection of which nobody has spoken out of turn";
  EXPECT_EQ(gateway.destination(1).take(Kind::request).body, "hello");
  gateway.destination(1).send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).body, "ok");
}

}  // namespace
}  // namespace egret::proxy
