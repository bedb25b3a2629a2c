#include "proxy/http/forward.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proxy/http/parser.h"

namespace egret::http {
namespace {

using std::string;
using std::string_view;
using testing::HasSubstr;
using testing::Not;

policy::Url url(string_view text) {
  auto parsed = policy::parse_url(text);
  EXPECT_TRUE(parsed) << text;
  return *parsed;
}

// What the destination gets for a request with these fields.
string forwarded(string_view fields, string_view method = "POST",
                 string_view target = "http://hooks.example.com/in?x=1",
                 string_view version = "HTTP/1.1") {
  const string text = string(method) + " " + string(target) + " " + string(version) +
                      "\r\nHost: wrong.test\r\n" + string(fields) + "\r\n";
  RequestHead head;
  const auto parsed = parse_request(text, head);
  EXPECT_TRUE(parsed) << text << parsed.error().detail;
  string out;
  append_request(out, head, url(target), head.framing, "egret-1");
  return out;
}

TEST(AppendRequest, DropsWhatIsOfThisHopOnly) {
  for (const string_view field :
       {"Connection: close", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic eDp5", "proxy-anything: 1", "PROXY: http://evil.test",
        "Proxy_Authorization: Basic eDp5", "TE: trailers", "Trailer: X-T", "Upgrade: h2c",
        "HTTP2-Settings: AAMA", "Egret-Target: http://a.test/", "EGRET-KEY: a", "Egret_Key: a",
        "Expect: 100-continue"}) {
    EXPECT_EQ(forwarded(string(field) + "\r\n"), forwarded("")) << field;
  }
}

TEST(AppendRequest, DropsWhatConnectionNames) {
  EXPECT_EQ(forwarded("Connection: X-Signature, x-other\r\nX-Signature: abc\r\nX-Other: 1\r\n"),
            forwarded(""));
  EXPECT_EQ(forwarded("X-A: 1\r\nConnection: close\r\nConnection:\tb ,, x-a,\r\n"), forwarded(""));
}

TEST(AppendRequest, KeepsWhatConnectionMustNotTakeAway) {
  const string kept =
      "Authorization: Bearer t\r\nContent-Type: application/json\r\nVia: 1.1 a\r\n"
      "Cache-Control: no-store\r\nIdempotency-Key: k\r\n";
  const string sent = forwarded(
      "Connection: Host, Content-Length, Authorization, Content-Type, Via, Cache-Control, "
      "Idempotency-Key, close\r\nContent-Length: 7\r\n" +
      kept);
  EXPECT_EQ(sent, "POST /in?x=1 HTTP/1.1\r\nHost: hooks.example.com\r\n" + kept +
                      "Content-Length: 7\r\nVia: 1.1 egret-1\r\n\r\n");
}

TEST(AppendRequest, DoesNotDropFieldsThatOnlyBeginLikeIt) {
  for (const string_view field : {"Proxied: 1", "Egrets: 1", "Hosts: a", "Connections: close",
                                  "Upgrade-Insecure-Requests: 1", "Tea: 1", "Keep-Alives: 1"}) {
    EXPECT_THAT(forwarded(string(field) + "\r\n"), HasSubstr("\r\n" + string(field) + "\r\n"));
  }
}

TEST(AppendRequest, WritesTheWholeHead) {
  EXPECT_EQ(forwarded("x-CASE:  kept \r\nEmpty:\r\nObs: \xff\tb\r\nTransfer-Encoding: chunked\r\n"),
            "POST /in?x=1 HTTP/1.1\r\nHost: hooks.example.com\r\nx-CASE: kept\r\nEmpty: \r\n"
            "Obs: \xff\tb\r\nTransfer-Encoding: chunked\r\nVia: 1.1 egret-1\r\n\r\n");
}

TEST(AppendRequest, GivesALengthToMethodsThatMeanContent) {
  EXPECT_THAT(forwarded("", "POST"), HasSubstr("\r\nContent-Length: 0\r\n"));
  EXPECT_THAT(forwarded("", "GET"), Not(HasSubstr("Content-Length")));
  EXPECT_THAT(forwarded("Content-Length: 0\r\n", "GET"), HasSubstr("\r\nContent-Length: 0\r\n"));
  EXPECT_THAT(forwarded("Content-Length: 007\r\n", "GET"), HasSubstr("\r\nContent-Length: 7\r\n"));
}

TEST(AppendRequest, WritesHostAsTheUrlSaysIt) {
  for (const string_view text :
       {"http://hooks.example.com", "http://hooks.example.com:80/", "http://HOOKS.example.com:81/",
        "https://hooks.example.com/", "https://hooks.example.com:80/a", "http://192.0.2.1:8080/?q",
        "http://[2001:db8::1]/", "http://[2001:DB8::1]:81/a/../b?c?d", "http://a.test/?"}) {
    const policy::Url parsed = url(text);
    EXPECT_THAT(forwarded("", "GET", text),
                testing::StartsWith("GET " + parsed.origin_form() +
                                    " HTTP/1.1\r\nHost: " + parsed.host_header() + "\r\n"))
        << text;
  }
}

TEST(AppendRequest, AsksOptionsOfAServerWithAnAsterisk) {
  EXPECT_THAT(forwarded("", "OPTIONS", "http://a.test"), testing::StartsWith("OPTIONS * HTTP"));
  EXPECT_THAT(forwarded("", "OPTIONS", "http://a.test/"), testing::StartsWith("OPTIONS / HTTP"));
  EXPECT_THAT(forwarded("", "OPTIONS", "http://a.test?"), testing::StartsWith("OPTIONS /? HTTP"));
  EXPECT_THAT(forwarded("", "GET", "http://a.test"), testing::StartsWith("GET / HTTP"));
}

TEST(AppendRequest, AddsItsViaAfterEarlierOnes) {
  EXPECT_THAT(
      forwarded("Via: 1.0 fred, 1.1 p.example\r\nX: y\r\n", "GET"),
      testing::EndsWith("\r\nVia: 1.0 fred, 1.1 p.example\r\nX: y\r\nVia: 1.1 egret-1\r\n\r\n"));
  EXPECT_THAT(forwarded("", "GET", "http://a.test/", "HTTP/1.0"),
              testing::EndsWith("\r\nVia: 1.0 egret-1\r\n\r\n"));
}

TEST(AppendRequest, OnlyAppends) {
  RequestHead head;
  const string text = "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n";
  ASSERT_TRUE(parse_request(text, head));
  string out = "before";
  append_request(out, head, url("http://a.test/"), head.framing, "e");
  EXPECT_EQ(out, "beforeGET / HTTP/1.1\r\nHost: a.test\r\nVia: 1.1 e\r\n\r\n");
}

struct Answer {
  string head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n";
  const char* method = "POST";
  int sender_minor = 1;
  bool keep_alive = true;
  string extra = {};
};

string answered(const Answer& answer) {
  const string text = answer.head + "\r\n";
  ResponseHead head;
  const auto parsed = parse_response(text, answer.method, head);
  EXPECT_TRUE(parsed) << text << parsed.error().detail;
  string out;
  append_response(out, head, head.framing, answer.sender_minor, answer.keep_alive, "egret-1",
                  answer.extra);
  return out;
}

TEST(AppendResponse, DropsWhatTheDestinationMustNotSay) {
  const string base = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n";
  for (const string_view field :
       {"Connection: close", "Connection: X-Hop\r\nX-Hop: secret", "Keep-Alive: timeout=5",
        "Proxy-Status: egret; error=dns_error", "Proxy-Authenticate: Basic", "Egret-Attempts: 9",
        "egret-delivery: x", "Egret_Delivery: x", "Trailer: X-T", "TE: x", "Upgrade: h2c"}) {
    EXPECT_EQ(answered({.head = base + string(field) + "\r\n"}), answered({})) << field;
  }
}

TEST(AppendResponse, WritesTheWholeHead) {
  EXPECT_EQ(answered({.head = "HTTP/1.0 404 Not \xff Found\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
                              "Content-Length: 0005\r\n",
                      .extra = "Proxy-Status: egret\r\n"}),
            "HTTP/1.1 404 Not \xff Found\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 5\r\n"
            "Via: 1.0 egret-1\r\nProxy-Status: egret\r\n\r\n");
  EXPECT_THAT(answered({.head = "HTTP/1.1 299\r\nContent-Length: 0\r\n"}),
              testing::StartsWith("HTTP/1.1 299 \r\n"));
}

TEST(AppendResponse, FramesForTheSender) {
  const string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";
  EXPECT_EQ(answered({.head = chunked}),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nVia: 1.1 egret-1\r\n\r\n");
  EXPECT_EQ(answered({.head = chunked, .sender_minor = 0}),
            "HTTP/1.1 200 OK\r\nConnection: close\r\nVia: 1.1 egret-1\r\n\r\n");
  EXPECT_EQ(answered({.head = "HTTP/1.1 200 OK\r\n"}),
            "HTTP/1.1 200 OK\r\nConnection: close\r\nVia: 1.1 egret-1\r\n\r\n");
  EXPECT_EQ(
      answered({.keep_alive = false}),
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nVia: 1.1 egret-1\r\n\r\n");
}

TEST(AppendResponse, TellsTheLengthThatWouldHaveCome) {
  const string five = "Content-Length: 5\r\n";
  EXPECT_THAT(answered({.method = "HEAD"}), HasSubstr("\r\nContent-Length: 5\r\n"));
  EXPECT_THAT(answered({.head = "HTTP/1.1 304 Not Modified\r\n" + five, .method = "GET"}),
              HasSubstr("\r\nContent-Length: 5\r\n"));
  EXPECT_THAT(answered({.head = "HTTP/1.1 204 No Content\r\n" + five}),
              Not(HasSubstr("Content-Length")));
  EXPECT_THAT(answered({.head = "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n"}),
              Not(HasSubstr("Transfer-Encoding")));
}

TEST(AppendInterim, IsAStatusLineAndForwardableFields) {
  const string text =
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: X\r\nX: 1\r\nEgret-A: b\r\n\r\n";
  ResponseHead head;
  ASSERT_TRUE(parse_response(text, "POST", head));
  string out;
  append_interim(out, head);
  EXPECT_EQ(out, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
}

bool seen(string_view fields) {
  const string text = "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n" + string(fields) + "\r\n";
  RequestHead head;
  EXPECT_TRUE(parse_request(text, head));
  return has_been_here(head.fields, "egret-1");
}

TEST(HasBeenHere, FindsTheNameInEveryPlaceOfEveryVia) {
  for (const string_view via :
       {"Via: 1.1 egret-1\r\n", "via: 1.0 a\r\nVIA: 1.1 b, HTTP/1.1\t EGRET-1 (Egret)\r\n",
        "Via: 1.1 egret-1(c), 1.1 x\r\n", "Via: ,,1.1 a , 1.1 egret-1,\r\n"}) {
    EXPECT_TRUE(seen(via)) << via;
  }
}

TEST(HasBeenHere, IsNotMistaken) {
  for (const string_view via :
       {"", "Via: 1.1 egret-10\r\n", "Via: egret-1\r\n", "Via: 1.1 a (egret-1)\r\n", "Via:\r\n",
        "Viable: 1.1 egret-1\r\n", "Via: 1.1 egret\r\n"}) {
    EXPECT_FALSE(seen(via)) << via;
  }
}

TEST(HasBeenHere, RecognisesWhatAppendRequestWrote) {
  const string sent = forwarded("Via: 1.1 a\r\n");
  RequestHead head;
  ASSERT_TRUE(parse_request(sent, head));
  EXPECT_TRUE(has_been_here(head.fields, "egret-1"));
}

// What leaves with changes, and what a signer is told: the two never disagree.
TEST(Changes, LeaveOutAndAddWhatASignerIsToldOf) {
  struct Case {
    string_view fields;
    std::vector<string> remove;
    string_view add;
    string_view leaves;
  };
  const Case cases[] = {
      {"X-A: 1\r\nX-B: 2\r\nX-C: 3\r\n", {"x-b"}, "", "X-A: 1\r\nX-C: 3\r\n"},
      {"x-a: 1\r\nX_A: 2\r\nX-AA: 3\r\n", {"x-a"}, "", "X-AA: 3\r\n"},
      {"X_A: 1\r\nX-A: 2\r\n", {"x_a"}, "", "X-A: 2\r\n"},
      {"X-A:1\r\nX-B:  2  \r\n", {}, "X-N: new\r\n", "X-A: 1\r\nX-B: 2\r\nX-N: new\r\n"},
      {"X-A: 1\r\n", {"x-a"}, "X-A: 2\r\nX-E: \r\n", "X-A: 2\r\nX-E: \r\n"},
      {"Connection: X-Hop\r\nX-Hop: 1\r\nEgret-Key: a\r\nX-A: 1\r\n", {}, "", "X-A: 1\r\n"},
      {"", {"x-a"}, "", ""},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.fields);
    const string text =
        "GET http://hooks.example.com/ HTTP/1.1\r\nHost: x\r\n" + string(each.fields) + "\r\n";
    RequestHead head;
    ASSERT_TRUE(parse_request(text, head));
    const Changes changes{each.remove, each.add};
    string out;
    append_request(out, head, url("http://hooks.example.com/"), head.framing, "egret-1", &changes);
    EXPECT_EQ(out, "GET / HTTP/1.1\r\nHost: hooks.example.com\r\n" + string(each.leaves) +
                       "Via: 1.1 egret-1\r\n\r\n");
    string told;
    for (const Field& field : forwarded(head, changes)) {
      told += string(field.name) + ": " + string(field.value) + "\r\n";
    }
    EXPECT_EQ(told, each.leaves);
  }
}

TEST(AppendRequest, KeepsTraceContextAndIdsWhateverConnectionNames) {
  const string out = forwarded(
      "Connection: traceparent, tracestate, webhook-id\r\ntraceparent: 00-a-b-01\r\n"
      "tracestate: a=b\r\nwebhook-id: msg_1\r\n");
  EXPECT_THAT(out, HasSubstr("traceparent: 00-a-b-01\r\ntracestate: a=b\r\nwebhook-id: msg_1\r\n"));
}

}  // namespace
}  // namespace egret::http
