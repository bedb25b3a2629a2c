#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "tests/http/heads.h"

namespace egret::http {
namespace {

class ResponseIsRefused : public testing::TestWithParam<Refused> {};

TEST_P(ResponseIsRefused, WithItsReason) {
  ResponseHead head;
  const Result<> parsed = parse_response(GetParam().head, "POST", head);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(name(parsed.error().reason), name(GetParam().reason)) << parsed.error().detail;
  EXPECT_NE(parsed.error().detail, "");
}

INSTANTIATE_TEST_SUITE_P(
    All, ResponseIsRefused,
    testing::Values(
        Refused{"TwoDigits", response("", "HTTP/1.1 20 OK"), Reason::response_malformed},
        Refused{"FourDigits", response("", "HTTP/1.1 2000 OK"), Reason::response_malformed},
        Refused{"Below100", response("", "HTTP/1.1 099 Low"), Reason::response_malformed},
        Refused{"TwoSpaces", response("", "HTTP/1.1  200 OK"), Reason::response_malformed},
        Refused{"TabAfterStatus", response("", "HTTP/1.1 200\tOK"), Reason::response_malformed},
        Refused{"PlusStatus", response("", "HTTP/1.1 +200 OK"), Reason::response_malformed},
        Refused{"LowerCase", response("", "http/1.1 200 OK"), Reason::response_malformed},
        Refused{"Http2", response("", "HTTP/2.0 200 OK"), Reason::response_malformed},
        Refused{"Http09", response("", "HTTP/0.9 200 OK"), Reason::response_malformed},
        Refused{"Shoutcast", response("", "ICY 200 OK"), Reason::response_malformed},
        Refused{"SshBanner", "SSH-2.0-OpenSSH_9.2\r\n", Reason::response_malformed},
        Refused{"BellInReason", response("", "HTTP/1.1 200 O\aK"), Reason::response_malformed},
        Refused{"ObsFold", response("A: b\r\n c\r\n"), Reason::response_malformed},
        Refused{"SpaceBeforeColon", response("A : b\r\n"), Reason::response_malformed},
        Refused{"TwoLengths", response("Content-Length: 5\r\nContent-Length: 6\r\n"),
                Reason::response_malformed},
        Refused{"TheSameLengthTwice", response("Content-Length: 5\r\nContent-Length: 5\r\n"),
                Reason::response_malformed},
        Refused{"LengthAndChunked", response("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
                Reason::response_malformed},
        Refused{"BadLength", response("Content-Length: abc\r\n"), Reason::response_malformed},
        Refused{"ChunkedInHttp10", response("Transfer-Encoding: chunked\r\n", "HTTP/1.0 200 OK"),
                Reason::response_malformed},
        Refused{"OtherCoding", response("Transfer-Encoding: gzip\r\n"), Reason::response_malformed},
        Refused{"LengthLookAlike", response("Content_Length: 5\r\n"), Reason::response_malformed},
        Refused{"TooManyFields", response(many_fields(kMaxFields + 1)),
                Reason::response_headers_too_large},
        Refused{"AnotherHeadBehind", response("") + response(""), Reason::response_malformed},
        Refused{"Nothing", "", Reason::response_malformed}),
    test_name);

struct Framed {
  string head;
  const char* method;
  Framing::Kind kind;
  bool keep_alive;
};

TEST(ParseResponse, FramesContentAndKnowsWhetherTheConnectionLives) {
  const string te = "Transfer-Encoding: chunked\r\n";
  const string five = "Content-Length: 5\r\n";
  using enum Framing::Kind;
  for (const Framed& row : std::vector<Framed>{
           {response(five), "POST", length, true},
           {response(te), "POST", chunked, true},
           {response(""), "POST", until_close, false},
           {response(five), "HEAD", none, true},
           {response(""), "HEAD", none, true},
           {response(te, "HTTP/1.1 204 No Content"), "POST", none, true},
           {response(five, "HTTP/1.1 304 Not Modified"), "GET", none, true},
           {response("", "HTTP/1.1 100 Continue"), "POST", none, true},
           {response("", "HTTP/1.1 199 What"), "POST", none, true},
           {response(five, "HTTP/1.1 200 OK"), "CONNECT", none, true},
           {response(five, "HTTP/1.1 403 No"), "CONNECT", length, true},
           {response(five + "Connection: close\r\n"), "POST", length, false},
           {response(five, "HTTP/1.0 200 OK"), "POST", length, false},
           {response(five + "Connection: keep-alive\r\n", "HTTP/1.0 200 OK"), "POST", length, true},
           {response(five + "Connection: keep-alive; timeout=5\r\n"), "POST", length, true}}) {
    ResponseHead head;
    const Result<> parsed = parse_response(row.head, row.method, head);
    ASSERT_TRUE(parsed) << row.head << parsed.error().detail;
    EXPECT_EQ(head.framing.kind, row.kind) << row.method << " " << row.head;
    EXPECT_EQ(head.keep_alive, row.keep_alive) << row.method << " " << row.head;
  }
}

TEST(ParseResponse, TakesEveryShapeOfStatusLineThatIsCommon) {
  for (const auto& [line, status, phrase] :
       std::vector<std::tuple<string, int, string>>{{"HTTP/1.1 200", 200, ""},
                                                    {"HTTP/1.1 200 ", 200, ""},
                                                    {"HTTP/1.1 200  OK", 200, " OK"},
                                                    {"HTTP/1.0 404 Not Found", 404, "Not Found"},
                                                    {"HTTP/1.1 200 \xff\xfe", 200, "\xff\xfe"},
                                                    {"HTTP/1.1 600 High", 600, "High"},
                                                    {"HTTP/1.3 999 Max", 999, "Max"}}) {
    ResponseHead head;
    const string text = response("", line);
    const Result<> parsed = parse_response(text, "POST", head);
    ASSERT_TRUE(parsed) << line << ": " << parsed.error().detail;
    EXPECT_EQ(head.status, status);
    EXPECT_EQ(head.reason_phrase, phrase);
  }
}

}  // namespace
}  // namespace egret::http
