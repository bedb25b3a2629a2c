// HTTP/1.1 as a proxy must speak it: framing, Expect, 1xx, versions, fields of one hop.

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

constexpr std::string_view kChunkedPost =
    "POST http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
constexpr std::string_view kExpecting =
    "POST http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    "Expect: 100-continue\r\n\r\n";

TEST(Semantics, ChunkedContentGoesBothWaysWithoutTrailersOrExtensions) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(std::string(kChunkedPost) + "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Secret: t\r\n\r\n");
  const std::string seen = gateway.destination().received();
  EXPECT_EQ(seen.substr(seen.find("\r\n\r\n") + 4), "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_NE(seen.find("\r\nTransfer-Encoding: chunked\r\n"), std::string::npos);

  gateway.destination().send(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
      "4;a=\"b\"\r\nwxyz\r\n0\r\nX-Sum: 1\r\n\r\n");
  const std::string got = sender.received();
  EXPECT_EQ(got.substr(got.find("\r\n\r\n") + 4), "4\r\nwxyz\r\n0\r\n\r\n");
  EXPECT_EQ(got.find("X-Sum"), std::string::npos);
  EXPECT_EQ(gateway.logged("request_bytes"), "5");
  EXPECT_EQ(gateway.logged("response_bytes"), "4");
  // Both ended cleanly, so both go on.
  sender.received().clear();
  sender.send(post("next"));
  EXPECT_EQ(gateway.destinations(), 1U);
}

TEST(Semantics, StreamsContentAsItComesInAnyPieces) {
  for (const size_t piece : {1, 2, 7}) {
    SCOPED_TRACE(piece);
    Sandbox gateway;
    FarEnd sender = gateway.connect();
    sender.peer().faults().most_per_read = piece;
    sender.send(std::string(kChunkedPost) + "3\r\nabc\r\n");
    sender.send("a\r\n0123456789\r\n");
    EXPECT_NE(gateway.destination().received().find("9\r\n"), std::string::npos)
        << "content goes on before it is whole";
    sender.send("0\r\n\r\n");
    EXPECT_EQ(gateway.destination().take(Kind::request).body, "abc0123456789");
    gateway.destination().peer().faults().most_per_read = piece;
    gateway.destination().send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        "2\r\nok\r\n1\r\n!\r\n0\r\n\r\n");
    EXPECT_EQ(sender.take(Kind::answer).body, "ok!");
  }
}

TEST(Semantics, SaysContinueOnceTheWayIsOpenAndNotBefore) {
  Sandbox gateway;
  gateway.connector.dialer().script(Sandbox::kEndpoint, {.after = 1s});
  FarEnd sender = gateway.connect();
  sender.send(kExpecting);
  EXPECT_EQ(sender.received(), "") << "the destination may still refuse";
  gateway.loop.advance(1s);
  EXPECT_EQ(sender.received(), "HTTP/1.1 100 Continue\r\n\r\n");
  sender.received().clear();
  sender.send("hello");
  const Message request = gateway.destination().take(Kind::request);
  EXPECT_EQ(request.body, "hello");
  EXPECT_EQ(request.field("Expect"), "") << "Egret has answered it";
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  EXPECT_FALSE(sender.ended());
}

TEST(Semantics, SaysNoContinueToWhoDidNotWait) {
  for (const std::string_view part : {"hello", "he"}) {
    Sandbox gateway;
    FarEnd sender = gateway.connect();
    sender.send(std::string(kExpecting) + std::string(part));
    sender.send(std::string_view("hello").substr(part.size()));
    EXPECT_EQ(sender.received(), "");
    EXPECT_EQ(gateway.destination().take(Kind::request).body, "hello");
    gateway.destination().send(kOk);
    EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  }
}

TEST(Semantics, RefusesBeforeTheContentThatWasAnnounced) {
  struct Case {
    std::string_view yaml;
    std::string_view request;
    int status;
  };
  const Case cases[] = {
      {"defaults: {methods: [GET]}\n", kExpecting, 403},
      {"defaults: {limits: {request_body: 4B}}\n", kExpecting, 413},
      {"",
       "POST http://10.0.0.1/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
       "Expect: 100-continue\r\n\r\n",
       403},
      {"", "POST http://hooks.acme.io/ HTTP/1.1\r\nHost: x\r\nExpect: a-pony\r\n\r\n", 417},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.request);
    Sandbox gateway(each.yaml);
    FarEnd sender = gateway.connect();
    sender.send(each.request);
    const Message answer = sender.take(Kind::answer);
    EXPECT_EQ(answer.status(), each.status) << "and no 100";
    EXPECT_EQ(answer.field("Connection"), "close");
  }
}

TEST(Semantics, PassesInterimAnswersOnButTheDestinationsContinue) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.destination().send(
      "HTTP/1.1 100 Continue\r\n\r\n"
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n"
      "Proxy-Status: liar\r\n\r\n");
  EXPECT_EQ(sender.received(), "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
  sender.received().clear();
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
}

TEST(Semantics, SendsAnHttp10SenderOneAnswerInItsOwnVersionsFraming) {
  struct Case {
    std::string_view name;
    std::string_view answer;
    bool close;
    std::string_view body;
  };
  const Case cases[] = {
      {"interim", "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false,
       "ok"},
      {"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
       false, "ok"},
      {"until close", "HTTP/1.1 200 OK\r\n\r\nok", true, "ok"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    Sandbox gateway;
    FarEnd sender = gateway.connect();
    sender.send("POST http://hooks.acme.io/ HTTP/1.0\r\nContent-Length: 1\r\n\r\nx");
    const Message request = gateway.destination().take(Kind::request);
    EXPECT_EQ(request.start, "POST / HTTP/1.1");
    EXPECT_EQ(request.field("Host"), "hooks.acme.io");
    EXPECT_EQ(request.field("Via"), "1.0 egret-test");
    gateway.destination().send(each.answer);
    if (each.close) gateway.destination().close();
    const Message answer = sender.take(Kind::answer);
    EXPECT_EQ(answer.status(), 200);
    EXPECT_EQ(answer.body, each.body);
    EXPECT_EQ(answer.field("Transfer-Encoding"), "");
    EXPECT_EQ(answer.field("Connection"), "close");
    EXPECT_TRUE(sender.received_eof());
    EXPECT_FALSE(sender.was_reset());
  }
}

TEST(Semantics, EndsAnAnswerWithoutALengthForEachVersion) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(get());
  gateway.destination().send("HTTP/1.0 200 OK\r\n\r\nall ");
  gateway.destination().send("of it");
  EXPECT_FALSE(sender.take(Kind::answer).whole);
  gateway.destination().close();
  EXPECT_EQ(sender.received(), "0\r\n\r\n") << "the end is known now";
  EXPECT_FALSE(sender.ended()) << "and an HTTP/1.1 sender goes on";
  EXPECT_EQ(gateway.logged("response_bytes"), "9");
}

TEST(Semantics, RelaysNoContentWhereThereIsNone) {
  struct Case {
    std::string request;
    std::string_view answer;
    std::string_view length;
  };
  const std::string head = "HEAD http://hooks.acme.io/ HTTP/1.1\r\nHost: x\r\n\r\n";
  const Case cases[] = {
      {head, "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", "999"},
      {head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ""},
      {head, "HTTP/1.1 200 OK\r\n\r\n", ""},
      {get(), "HTTP/1.1 204 No Content\r\n\r\n", ""},
      {get(), "HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n", "12"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.answer);
    Sandbox gateway;
    FarEnd sender = gateway.connect();
    sender.send(each.request);
    gateway.destination().send(each.answer);
    const Message answer = sender.take(Kind::answer_to_head);
    EXPECT_GE(answer.status(), 200);
    EXPECT_EQ(answer.field("Content-Length"), each.length);
    EXPECT_EQ(answer.field("Transfer-Encoding"), "");
    EXPECT_EQ(sender.received(), "");
    sender.send(get());
    EXPECT_EQ(gateway.destinations(), 1U) << "clean, so used again";
  }
}

TEST(Semantics, RefusesHeadWithoutContent) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send("HEAD http://10.0.0.1/ HTTP/1.1\r\nHost: x\r\n\r\n");
  const Message answer = sender.take(Kind::answer_to_head);
  EXPECT_EQ(answer.status(), 403);
  EXPECT_NE(answer.field("Content-Length"), "0");
  EXPECT_EQ(sender.received(), "");
  sender.send(get());
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
}

TEST(Semantics, RefusesAnUpgradeNobodyAskedFor) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(get("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  const Message request = gateway.destination().take(Kind::request);
  EXPECT_EQ(request.field("Upgrade"), "");
  gateway.destination().send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nboo");
  const Message answer = sender.take(Kind::answer);
  EXPECT_EQ(answer.status(), 502);
  EXPECT_EQ(answer.problem("reason"), "response_upgrade_unasked");
  EXPECT_TRUE(gateway.destination().ended());
}

TEST(Semantics, RemovesWhatBelongsToOneHopBothWays) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(post("x",
                   "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n"
                   "Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic c2VjcmV0\r\n"
                   "Proxy-Anything: 1\r\nProxy: evil\r\nTE: trailers\r\nTrailer: X\r\n"
                   "Egret-Anything: 1\r\nX-Stays: 1\r\n"
                   "Via: 1.1 other\r\n"));
  EXPECT_EQ(gateway.destination().received(),
            "POST /in HTTP/1.1\r\nHost: hooks.acme.io\r\nX-Stays: 1\r\nVia: 1.1 other\r\n"
            "Content-Length: 1\r\nVia: 1.1 egret-test\r\n\r\nx");
  gateway.destination().send(
      "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nProxy-Status: egret; error=lie\r\n"
      "Proxy-Authenticate: Basic\r\nEgret-Delivery: lie\r\nKeep-Alive: x\r\nSet-Cookie: a=b\r\n"
      "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(sender.received(),
            "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\nVia: 1.1 egret-test\r\n"
            "Proxy-Status: egret; received-status=200\r\nEgret-Attempts: 1\r\n\r\n");
}

TEST(Semantics, RefusesWhatHasBeenHereBefore) {
  for (const std::string_view via :
       {"Via: 1.1 egret-test\r\n", "Via: 1.0 a, 1.1 EGRET-TEST (x)\r\n",
        "Via: 1.1 a\r\nVia: 1.1 egret-test\r\n"}) {
    Sandbox gateway;
    FarEnd sender = gateway.connect();
    sender.send(get(via));
    const Message answer = sender.take(Kind::answer);
    EXPECT_EQ(answer.status(), 508);
    EXPECT_EQ(answer.field("Proxy-Status").rfind("egret; error=proxy_loop_detected", 0), 0U);
    EXPECT_EQ(gateway.destinations(), 0U);
  }
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(get("Via: 1.1 egret-testing, 1.1 egret\r\n"));
  EXPECT_EQ(gateway.destinations(), 1U) << "another Egret is no loop";
}

struct Ask {
  std::string_view request;
  std::string_view reason;  // empty: it goes on, to `start`
  int status;
  std::string_view start;
};

TEST(Semantics, FindsTheDestinationOrSaysHowToNameIt) {
  const Ask cases[] = {
      {"POST / HTTP/1.1\r\nHost: hooks.acme.io\r\nContent-Length: 0\r\n\r\n", "not_a_proxy_request",
       400, ""},
      {"OPTIONS * HTTP/1.1\r\nHost: hooks.acme.io\r\n\r\n", "not_a_proxy_request", 400, ""},
      {"GET / HTTP/1.1\r\nHost: x\r\nEgret-Target: http://hooks.acme.io/a?b\r\n\r\n", "", 200,
       "GET /a?b HTTP/1.1"},
      {"GET /x HTTP/1.1\r\nHost: x\r\nEgret-Target: http://10.0.0.1/\r\n\r\n", "address_prohibited",
       403, ""},
      {"GET / HTTP/1.1\r\nHost: x\r\nEgret-Target: http://hooks.acme.io/\r\n"
       "Egret-Target: http://hooks.acme.io/\r\n\r\n",
       "header_invalid", 400, ""},
      {"GET http://hooks.acme.io/ HTTP/1.1\r\nHost: x\r\nEgret-Target: http://hooks.acme.io/\r\n"
       "\r\n",
       "header_invalid", 400, ""},
      {"GET / HTTP/1.1\r\nHost: x\r\nEgret-Target: nonsense\r\n\r\n", "url_malformed", 400, ""},
      {"GET http://hooks.acme.io/ HTTP/1.1\r\nHost: x\r\nEgret-Scheme: http\r\n\r\n", "", 200,
       "GET / HTTP/1.1"},
      {"GET http://hooks.acme.io/ HTTP/1.1\r\nHost: x\r\nEgret-Scheme: gopher\r\n\r\n",
       "header_invalid", 400, ""},
      {"GET https://hooks.acme.io/ HTTP/1.1\r\nHost: x\r\nEgret-Scheme: http\r\n\r\n",
       "header_invalid", 400, ""},
      {"GET ftp://hooks.acme.io/ HTTP/1.1\r\nHost: x\r\n\r\n", "url_malformed", 400, ""},
      {"GET http://u:p@hooks.acme.io/ HTTP/1.1\r\nHost: x\r\n\r\n", "url_malformed", 400, ""},
      {"GET http://hooks.acme.io/ HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n", "", 200, "GET / HTTP/1.1"},
      {"GET http://hooks.acme.io/ HTTP/1.1\r\n\r\n", "request_malformed", 400, ""},
      {"GET http://hooks.acme.io/ HTTP/2.0\r\nHost: x\r\n\r\n", "http_version_unsupported", 505,
       ""},
      {"\x16\x03\x01\x02\x01\x03", "request_malformed", 400, ""},
  };
  for (const Ask& each : cases) {
    SCOPED_TRACE(each.request);
    Sandbox gateway;
    FarEnd sender = gateway.connect();
    sender.send(each.request);
    if (each.reason.empty()) {
      const Message request = gateway.destination().take(Kind::request);
      EXPECT_EQ(request.start, each.start);
      EXPECT_EQ(request.field("Host"), "hooks.acme.io") << "never the sender's";
      EXPECT_EQ(request.field("Egret-Target"), "");
      continue;
    }
    const Message answer = sender.take(Kind::answer);
    EXPECT_EQ(answer.status(), each.status);
    EXPECT_EQ(answer.problem("reason"), each.reason);
    EXPECT_EQ(gateway.logged("reason"), each.reason);
    EXPECT_EQ(gateway.destinations(), 0U);
  }
}

}  // namespace
}  // namespace egret::proxy
