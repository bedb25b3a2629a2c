// Every limit, on both sides of its edge.

#include <gtest/gtest.h>

#include "proxy/http/body.h"
#include "tests/support/proxy_world.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using test::expect_refused;
using test::FarEnd;
using test::get;
using test::Kind;
using test::kOk;
using test::Message;
using test::post;
using test::Sandbox;

std::string chunked_post(size_t chunks, size_t size, std::string_view extra = {}) {
  std::string request =
      "POST http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  char head[20];
  const size_t head_size = http::write_chunk_head(head, size);
  for (size_t i = 0; i < chunks; ++i) {
    request.append(head, head_size).append(size, 'x').append("\r\n");
  }
  return request + std::string(extra) + "0\r\n\r\n";
}

TEST(Limits, OfARequestBodyWithALength) {
  const char* yaml = "defaults: {limits: {request_body: 1KiB}}\n";
  {
    Sandbox gateway(yaml);
    FarEnd sender = gateway.connect();
    sender.send(post(std::string(1024, 'x')));
    EXPECT_EQ(gateway.destination().take(Kind::request).body.size(), 1024U);
  }
  Sandbox gateway(yaml);
  FarEnd sender = gateway.connect();
  sender.send(post(std::string(1025, 'x')));
  expect_refused(gateway, sender, 413, "request_body_too_large", "http_request_error");
  EXPECT_TRUE(gateway.dns.asked().empty()) << "known from the head alone";
  EXPECT_FALSE(sender.ended()) << "the content was there and is skipped";
  sender.send(get());
  EXPECT_EQ(gateway.destinations(), 1U);
}

// After five seconds: 100 bytes for each second that has passed, whoever sends.
TEST(Limits, OfTheRateOfARequest) {
  for (const bool enough : {false, true}) {
    SCOPED_TRACE(enough);
    Sandbox gateway("defaults: {limits: {min_rate: 100B/s}, timeouts: {total: 1m}}\n");
    FarEnd sender = gateway.connect();
    sender.send("POST http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n");
    gateway.loop.advance(4s);
    sender.send(std::string(enough ? 700 : 699, 'x'));
    gateway.loop.advance(2s - 1ns);  // nearly six seconds
    EXPECT_TRUE(gateway.lines().empty()) << "too early";
    gateway.loop.advance(1ns);
    EXPECT_EQ(gateway.lines().size(), enough ? 0U : 1U) << "699 bytes are earned for six seconds";
    if (!enough) {
      expect_refused(gateway, sender, 408, "request_too_slow", "http_request_error");
      continue;
    }
    sender.send(std::string(1300, 'x'));
    gateway.destination().send(kOk);
    EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  }
}

TEST(Limits, OfTheRateOfAnAnswerCutIt) {
  for (const std::string_view rate : {"100B/s", "none"}) {
    SCOPED_TRACE(rate);
    Sandbox gateway("defaults: {limits: {min_rate: " + std::string(rate) +
                    "}, timeouts: {total: 1m}}\n");
    FarEnd sender = gateway.connect();
    sender.send(get());
    gateway.destination().send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    for (int second = 0; second < 5; ++second) {
      EXPECT_FALSE(sender.was_reset());
      gateway.loop.advance(1s);
      gateway.destination().send("x");
    }
    EXPECT_EQ(sender.was_reset(), rate != "none");
    if (rate == "none") continue;
    EXPECT_EQ(gateway.logged("reason"), "response_too_slow");
    EXPECT_TRUE(gateway.destination().ended());
  }
}

// A sender that reads slowly does not make the destination slow.
TEST(Limits, OfTheRateLeaveOutTheOtherSidesTime) {
  Sandbox gateway("defaults: {limits: {min_rate: 100B/s}, timeouts: {total: 1m}}\n");
  FarEnd sender = gateway.connect({.capacity = 300});
  sender.send(get());
  gateway.destination().send("HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n" +
                             std::string(300, 'x'));
  gateway.loop.advance(9s);
  EXPECT_TRUE(gateway.lines().empty());
  sender.received();
  gateway.loop.advance(1s);
  gateway.destination().send(std::string(100, 'x'));
  EXPECT_EQ(sender.take(Kind::answer).body.size(), 400U);
}

TEST(Limits, OfARequestBodyInChunksCountContentOnly) {
  const char* yaml = "defaults: {limits: {request_body: 1KiB}}\n";
  {
    Sandbox gateway(yaml);
    FarEnd sender = gateway.connect();
    sender.send(chunked_post(1024, 1));
    EXPECT_EQ(gateway.destination().take(Kind::request).body.size(), 1024U);
    gateway.destination().send(kOk);
    EXPECT_EQ(sender.take(Kind::answer).status(), 200);
    EXPECT_EQ(gateway.logged("request_bytes"), "1024");
  }
  Sandbox gateway(yaml);
  FarEnd sender = gateway.connect();
  sender.send(chunked_post(1024, 1, "1\r\ny\r\n"));
  expect_refused(gateway, sender, 413, "request_body_too_large", "http_request_error");
  EXPECT_FALSE(gateway.destination().take(Kind::request).whole) << "the destination sees it cut";
  EXPECT_TRUE(gateway.destination().ended());
  EXPECT_TRUE(sender.received_eof());
}

// `content` of the answer under a limit of 1 KiB.
Message answered(Sandbox& gateway, std::string_view answer, bool close, bool& reset) {
  FarEnd sender = gateway.connect();
  sender.send(get());
  gateway.destination().send(answer);
  if (close) gateway.destination().close();
  const Message relayed = sender.take(Kind::answer);
  reset = sender.was_reset();
  return relayed;
}

TEST(Limits, OfAnAnswerWithALength) {
  const char* yaml = "defaults: {limits: {response_body: 1KiB, oversize: fail}}\n";
  for (const size_t size : {1024, 1025}) {
    SCOPED_TRACE(size);
    Sandbox gateway(yaml);
    FarEnd sender = gateway.connect();
    sender.send(get());
    gateway.destination().send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(size) +
                               "\r\n\r\n" + std::string(size, 'x'));
    if (size == 1024) {
      EXPECT_EQ(sender.take(Kind::answer).body.size(), 1024U);
    } else {
      expect_refused(gateway, sender, 502, "response_body_too_large", "http_response_body_size");
    }
  }
}

TEST(Limits, OfAnAnswerWithoutALengthCutIt) {
  struct Case {
    std::string_view name;
    std::string_view head;
    std::string_view before;
    std::string_view after;
    bool close;
  };
  const Case cases[] = {
      {"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n", "\r\n", false},
      {"until close", "HTTP/1.1 200 OK\r\n\r\n", "", "", true},
  };
  for (const Case& each : cases) {
    for (const size_t size : {1024, 1025}) {
      SCOPED_TRACE(std::string(each.name) + std::to_string(size));
      Sandbox gateway("defaults: {limits: {response_body: 1KiB, oversize: fail}}\n");
      std::string answer(each.head);
      for (size_t i = 0; i < size; ++i) {
        answer.append(each.before).append("x").append(each.after);
      }
      if (!each.close) answer += "0\r\n\r\n";
      bool reset = false;
      const Message relayed = answered(gateway, answer, each.close, reset);
      if (size == 1024) {
        EXPECT_TRUE(relayed.whole && relayed.status() == 200 && !reset);
      } else if (relayed.status() != 200) {
        // Nothing was out yet.
        EXPECT_EQ(relayed.problem("reason"), "response_body_too_large");
      } else {
        EXPECT_TRUE(reset && !relayed.whole);
      }
      EXPECT_LE(relayed.body.size(), 1024U);
      EXPECT_EQ(gateway.logged("reason"), size == 1024 ? "" : "response_body_too_large");
    }
  }
}

// A request whose head is exactly `size` bytes.
std::string with_head_of(size_t size, std::string_view host = "hooks.acme.io") {
  std::string start = "GET http://" + std::string(host) + "/ HTTP/1.1\r\nHost: x\r\nX-Pad: ";
  return start + std::string(size - start.size() - 4, 'p') + "\r\n\r\n";
}

TEST(Limits, OfTheRequestsHead) {
  const char* yaml = "defaults: {limits: {headers: 40KiB}}\n";
  for (const size_t size : {size_t{40} * 1024, size_t{40} * 1024 + 1}) {
    for (const size_t piece : {size_t{SIZE_MAX}, size_t{1000}}) {
      SCOPED_TRACE(std::to_string(size) + " in pieces of " + std::to_string(piece));
      Sandbox gateway(yaml);
      FarEnd sender = gateway.connect();
      sender.peer().faults().most_per_read = piece;
      sender.send(with_head_of(size));
      if (size == 40 * 1024) {
        EXPECT_EQ(gateway.destinations(), 1U);
      } else {
        expect_refused(gateway, sender, 431, "request_headers_too_large", "http_request_error");
        EXPECT_EQ(gateway.destinations(), 0U);
      }
    }
  }
}

TEST(Limits, OfTheRequestsHeadAreTheRules) {
  const char* yaml =
      "rules: [{name: small, match: {hosts: [small.acme.io]}, limits: {headers: 1KiB}},"
      " {name: large, match: {hosts: [large.acme.io]}, limits: {headers: 64KiB}}]\n";
  struct Case {
    std::string_view host;
    size_t size;
    bool refused;
  };
  const Case cases[] = {
      {"small.acme.io", 1024, false},      {"small.acme.io", 1025, true},
      {"hooks.acme.io", 32 * 1024, false}, {"hooks.acme.io", 32 * 1024 + 1, true},
      {"large.acme.io", 64 * 1024, false}, {"large.acme.io", 64 * 1024 + 1, true},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(std::string(each.host) + " " + std::to_string(each.size));
    Sandbox gateway(yaml);
    for (const auto host : {"small.acme.io", "large.acme.io"}) {
      gateway.dns.answer(host, {Sandbox::kAddress});
    }
    FarEnd sender = gateway.connect();
    sender.send(with_head_of(each.size, each.host));
    EXPECT_EQ(gateway.destinations(), each.refused ? 0U : 1U);
    if (each.refused) {
      EXPECT_EQ(sender.take(Kind::answer).status(), 431);
    }
  }
}

TEST(Limits, OfFieldsInARequest) {
  for (const int fields : {99, 100}) {
    Sandbox gateway;
    FarEnd sender = gateway.connect();
    std::string many;
    for (int i = 0; i < fields; ++i) many += "A: b\r\n";
    sender.send(get(many));  // and Host
    EXPECT_EQ(gateway.destinations(), fields == 99 ? 1U : 0U);
    if (fields == 100) {
      EXPECT_EQ(sender.take(Kind::answer).status(), 431);
    }
  }
}

TEST(Limits, OfTheAnswersHead) {
  for (const size_t size : {2048, 2049}) {
    SCOPED_TRACE(size);
    Sandbox gateway("defaults: {limits: {headers: 2KiB}}\n");
    FarEnd sender = gateway.connect();
    sender.send(get());
    const std::string start = "HTTP/1.1 204 OK\r\nX-Pad: ";
    gateway.destination().send(start + std::string(size - start.size() - 4, 'p') + "\r\n\r\n");
    if (size == 2048) {
      EXPECT_EQ(sender.take(Kind::answer).status(), 204);
    } else {
      expect_refused(gateway, sender, 502, "response_headers_too_large",
                     "http_response_header_section_size");
    }
  }
}

TEST(Limits, OfAHeadThatNeverEnds) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(get());
  gateway.destination().send("HTTP/1.1 200 OK\r\nX: " + std::string(1 << 20, 'x'));
  expect_refused(gateway, sender, 502, "response_headers_too_large",
                 "http_response_header_section_size");
  sender.send("GET http://hooks.acme.io/ HTTP/1.1\r\nX: " + std::string(1 << 20, 'x'));
  gateway.loop.advance(20s);
  sender.close();
  gateway.expect_at_rest();
}

TEST(Limits, OfInterimAnswers) {
  for (const int interim : {16, 17}) {
    SCOPED_TRACE(interim);
    Sandbox gateway;
    FarEnd sender = gateway.connect();
    sender.send(get());
    std::string answers;
    for (int i = 0; i < interim; ++i) answers += "HTTP/1.1 102 Processing\r\n\r\n";
    gateway.destination().send(answers + std::string(kOk));
    for (int i = 0; i < interim; ++i) EXPECT_EQ(sender.take(Kind::answer).status(), 102);
    EXPECT_EQ(sender.take(Kind::answer).status(), interim == 16 ? 200 : 502);
    EXPECT_EQ(gateway.logged("reason"), interim == 16 ? "" : "response_malformed");
  }
}

TEST(Limits, OfExchangesWithOneHost) {
  Sandbox gateway("defaults: {ports: [80, 443, 8080], limits: {in_flight_per_host: 2}}\n");
  gateway.dns.answer("other.acme.io", {Sandbox::kAddress});
  FarEnd first = gateway.connect();
  FarEnd second = gateway.connect();
  FarEnd third = gateway.connect();
  first.send(get());
  second.send("GET http://HOOKS.acme.io:80/else HTTP/1.1\r\nHost: x\r\n\r\n");
  third.send(get());
  EXPECT_EQ(gateway.destinations(), 2U);
  const Message refusal = third.take(Kind::answer);
  EXPECT_EQ(refusal.status(), 429);
  EXPECT_EQ(refusal.problem("reason"), "in_flight_limit");
  EXPECT_EQ(refusal.field("Retry-After"), "1");
  EXPECT_EQ(refusal.field("Proxy-Status").rfind("egret; error=connection_limit_reached", 0), 0U);
  EXPECT_EQ(gateway.logged("reason"), "in_flight_limit");

  // Another port or host is another destination.
  third.send("GET http://hooks.acme.io:8080/ HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(gateway.destinations(), 3U);
  gateway.destination(2).send(kOk);
  EXPECT_EQ(third.take(Kind::answer).status(), 200);
  third.send("GET http://other.acme.io/ HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(gateway.destinations(), 4U);
  gateway.destination(3).send(kOk);
  EXPECT_EQ(third.take(Kind::answer).status(), 200);

  // One that ends makes room, however it ends.
  first.close();
  third.send(get());
  EXPECT_EQ(third.received(), "") << "waits for its answer";
}

}  // namespace
}  // namespace egret::proxy
