#include <gtest/gtest.h>

#include <string>

#include "tests/http/heads.h"

namespace egret::http {
namespace {

class RequestIsRefused : public testing::TestWithParam<Refused> {};

TEST_P(RequestIsRefused, WithItsReason) {
  RequestHead head;
  const Result<> parsed = parse_request(GetParam().head, head);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(name(parsed.error().reason), name(GetParam().reason)) << parsed.error().detail;
  EXPECT_NE(parsed.error().detail, "");
}

INSTANTIATE_TEST_SUITE_P(
    StartLine, RequestIsRefused,
    testing::Values(
        Refused{"NoVersion", request("", "GET http://a.test/"), Reason::request_malformed},
        Refused{"TwoSpaces", request("", "GET  http://a.test/ HTTP/1.1"),
                Reason::request_malformed},
        Refused{"TrailingSpace", request("", "GET http://a.test/ HTTP/1.1 "),
                Reason::request_malformed},
        Refused{"SpaceInTarget", request("", "GET http://a.test/a b HTTP/1.1"),
                Reason::request_malformed},
        Refused{"TabForSpace", request("", "GET\thttp://a.test/\tHTTP/1.1"),
                Reason::request_malformed},
        Refused{"TabInTarget", request("", "GET http://a.test/a\tb HTTP/1.1"),
                Reason::request_malformed},
        Refused{"TargetBeyondAscii", request("", "GET http://a.test/\xc3\xa9 HTTP/1.1"),
                Reason::request_malformed},
        Refused{"DelInTarget", request("", "GET http://a.test/\x7f HTTP/1.1"),
                Reason::request_malformed},
        Refused{"NoTarget", request("", "GET HTTP/1.1"), Reason::request_malformed},
        Refused{"EmptyTarget", request("", "GET  HTTP/1.1"), Reason::request_malformed},
        Refused{"NoMethod", request("", " http://a.test/ HTTP/1.1"), Reason::request_malformed},
        Refused{"MethodNotAToken", request("", "G(T http://a.test/ HTTP/1.1"),
                Reason::request_malformed},
        Refused{"UnknownMethod", request("", "FROB http://a.test/ HTTP/1.1"),
                Reason::method_prohibited},
        Refused{"LowerCaseMethod", request("", "post http://a.test/ HTTP/1.1"),
                Reason::method_prohibited},
        Refused{"MethodOfRtsp", request("", "ANNOUNCE http://a.test/ HTTP/1.1"),
                Reason::method_prohibited},
        Refused{"MethodWithALongerName", request("", "GETX http://a.test/ HTTP/1.1"),
                Reason::method_prohibited},
        Refused{"Http2Preface", "PRI * HTTP/2.0\r\n\r\n", Reason::http_version_unsupported},
        Refused{"PriInHttp1", request("", "PRI * HTTP/1.1"), Reason::method_prohibited},
        Refused{"Http2", request("", "GET http://a.test/ HTTP/2.0"),
                Reason::http_version_unsupported},
        Refused{"Http09", request("", "GET http://a.test/ HTTP/0.9"),
                Reason::http_version_unsupported},
        Refused{"VersionWithTwoDigits", request("", "GET http://a.test/ HTTP/1.10"),
                Reason::request_malformed},
        Refused{"VersionWithoutMinor", request("", "GET http://a.test/ HTTP/1"),
                Reason::request_malformed},
        Refused{"LowerCaseVersion", request("", "GET http://a.test/ http/1.1"),
                Reason::request_malformed},
        Refused{"Rtsp", request("", "OPTIONS http://a.test/ RTSP/1.0"), Reason::request_malformed}),
    test_name);

INSTANTIATE_TEST_SUITE_P(
    Fields, RequestIsRefused,
    testing::Values(
        Refused{"SpaceBeforeColon", request("X : y\r\n"), Reason::request_malformed},
        Refused{"TabBeforeColon", request("X\t: y\r\n"), Reason::request_malformed},
        Refused{"EmptyName", request(": y\r\n"), Reason::request_malformed},
        Refused{"NoColon", request("X\r\n"), Reason::request_malformed},
        Refused{"NameBeyondAscii", request("X\xa0: y\r\n"), Reason::request_malformed},
        Refused{"BracketInName", request("X[]: y\r\n"), Reason::request_malformed},
        Refused{"ObsFold", request("X: y\r\n z: 1\r\n"), Reason::request_malformed},
        Refused{"ObsFoldWithTab", request("X: y\r\n\tz: 1\r\n"), Reason::request_malformed},
        Refused{"SpaceBeforeFirstField", "GET http://a.test/ HTTP/1.1\r\n Host: a.test\r\n\r\n",
                Reason::request_malformed},
        Refused{"NulInValue", request(string("X: a\0b\r\n", 8)), Reason::request_malformed},
        Refused{"BellInValue", request("X: a\ab\r\n"), Reason::request_malformed},
        Refused{"DelInValue", request("X: a\x7f\r\n"), Reason::request_malformed},
        Refused{"BareCrInValue", request("X: a\rb\r\n"), Reason::request_malformed},
        Refused{"BareLf", request("X: a\nY: b\r\n"), Reason::request_malformed},
        Refused{"NoHost", "GET http://a.test/ HTTP/1.1\r\n\r\n", Reason::request_malformed},
        Refused{"TwoHosts", request("Host: a.test\r\n"), Reason::request_malformed},
        Refused{"TwoHostsInHttp10", request("Host: a.test\r\n", "GET http://a.test/ HTTP/1.0"),
                Reason::request_malformed},
        Refused{"HostWithSpace", "GET http://a.test/ HTTP/1.1\r\nHost: a, b\r\n\r\n",
                Reason::request_malformed},
        Refused{"HostWithPath", "GET http://a.test/ HTTP/1.1\r\nHost: a/b\r\n\r\n",
                Reason::request_malformed},
        Refused{"ConnectionNotTokens", request("Connection: close; x\r\n"),
                Reason::request_malformed},
        Refused{"UnknownExpectation", request("Expect: 200-maybe\r\n"), Reason::expectation_failed},
        Refused{"TwoExpectations", request("Expect: 100-continue\r\nExpect: 100-continue\r\n"),
                Reason::expectation_failed},
        Refused{"AnotherHeadBehind", request("") + request(""), Reason::request_malformed},
        Refused{"NotAWholeHead", "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n",
                Reason::request_malformed},
        Refused{"Nothing", "", Reason::request_malformed}),
    test_name);

INSTANTIATE_TEST_SUITE_P(
    Framing, RequestIsRefused,
    testing::Values(
        Refused{"LengthAndChunked", request("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
                Reason::body_framing_ambiguous},
        Refused{"ChunkedAndLength", request("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
                Reason::body_framing_ambiguous},
        Refused{"TwoLengths", request("Content-Length: 5\r\nContent-Length: 6\r\n"),
                Reason::body_framing_ambiguous},
        Refused{"TheSameLengthTwice", request("Content-Length: 5\r\nContent-Length: 5\r\n"),
                Reason::body_framing_ambiguous},
        Refused{"LengthList", request("Content-Length: 5, 5\r\n"), Reason::body_framing_ambiguous},
        Refused{"LengthWithPlus", request("Content-Length: +5\r\n"),
                Reason::body_framing_ambiguous},
        Refused{"NegativeLength", request("Content-Length: -5\r\n"),
                Reason::body_framing_ambiguous},
        Refused{"HexLength", request("Content-Length: 0x5\r\n"), Reason::body_framing_ambiguous},
        Refused{"EmptyLength", request("Content-Length: \r\n"), Reason::body_framing_ambiguous},
        Refused{"LengthWithNbsp", request("Content-Length: 5\xa0\r\n"),
                Reason::body_framing_ambiguous},
        Refused{"LengthOf2To63", request("Content-Length: 9223372036854775808\r\n"),
                Reason::body_framing_ambiguous},
        Refused{"LengthThatWraps", request("Content-Length: 18446744073709551621\r\n"),
                Reason::body_framing_ambiguous},
        Refused{"LengthLookAlike", request("Content_Length: 5\r\n"),
                Reason::body_framing_ambiguous},
        Refused{"ChunkedLookAlike", request("Transfer_Encoding: chunked\r\n"),
                Reason::body_framing_ambiguous},
        Refused{"OtherCoding", request("Transfer-Encoding: gzip\r\n"),
                Reason::body_framing_ambiguous},
        Refused{"CodingBeforeChunked", request("Transfer-Encoding: gzip, chunked\r\n"),
                Reason::body_framing_ambiguous},
        Refused{"ChunkedNotFinal", request("Transfer-Encoding: chunked, identity\r\n"),
                Reason::body_framing_ambiguous},
        Refused{"ChunkedTwice", request("Transfer-Encoding: chunked, chunked\r\n"),
                Reason::body_framing_ambiguous},
        Refused{"ChunkedInTwoFields",
                request("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
                Reason::body_framing_ambiguous},
        Refused{"EmptyListElement", request("Transfer-Encoding: ,chunked\r\n"),
                Reason::body_framing_ambiguous},
        Refused{"EmptyCoding", request("Transfer-Encoding:\r\n"), Reason::body_framing_ambiguous},
        Refused{"ChunkedWithParameter", request("Transfer-Encoding: chunked;q=1\r\n"),
                Reason::body_framing_ambiguous},
        Refused{"Xchunked", request("Transfer-Encoding: xchunked\r\n"),
                Reason::body_framing_ambiguous},
        Refused{"ChunkedInHttp10",
                request("Transfer-Encoding: chunked\r\n", "POST http://a.test/ HTTP/1.0"),
                Reason::body_framing_ambiguous},
        Refused{"ConnectWithContent",
                request("Content-Length: 5\r\n", "CONNECT a.test:443 HTTP/1.1"),
                Reason::body_framing_ambiguous},
        Refused{"ConnectChunked",
                request("Transfer-Encoding: chunked\r\n", "CONNECT a.test:443 HTTP/1.1"),
                Reason::body_framing_ambiguous}),
    test_name);

TEST(ParseRequest, RefusesMoreThanAHundredFieldsAndTakesAHundred) {
  RequestHead head;
  const Result<> refused = parse_request(request(many_fields(kMaxFields)), head);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, Reason::request_headers_too_large);
  EXPECT_TRUE(parse_request(request(many_fields(kMaxFields - 1)), head));
}

TEST(ParseRequest, RefusesMoreThan32ConnectionOptions) {
  string options = "a";
  for (int i = 1; i < 32; ++i) options += ",a";
  RequestHead head;
  EXPECT_TRUE(parse_request(request("Connection: " + options + "\r\n"), head));
  EXPECT_FALSE(parse_request(request("Connection: " + options + ",a\r\n"), head));
}

TEST(ParseRequest, LeavesTheTargetToTheUrlParser) {
  for (const string_view target : {"http://a.test/\"lovely\"?a=\\\"b\\\"", "!", "http://a\\b/", "*",
                                   "http://u:p@a.test/", "/origin/form", "http://a.test/#f"}) {
    RequestHead head;
    const string text = request("", "GET " + string(target) + " HTTP/1.1");
    ASSERT_TRUE(parse_request(text, head)) << target;
    EXPECT_EQ(head.target, target);
  }
}

TEST(ParseRequest, GivesEveryPartAsAViewIntoTheHead) {
  const string text = request("hoSt2:\t v \t \r\nEmpty:\r\nObs: D\xfcsseldorf\r\nTab: a\tb\r\n");
  RequestHead head;
  ASSERT_TRUE(parse_request(text, head));
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.target, "http://a.test/");
  EXPECT_EQ(head.minor_version, 1);
  ASSERT_EQ(head.fields.all().size(), 5u);
  EXPECT_EQ(head.fields.all()[1].name, "hoSt2");
  EXPECT_EQ(head.fields.all()[1].value, "v");
  EXPECT_EQ(head.fields.find("EMPTY")->value, "");
  EXPECT_EQ(head.fields.find("obs")->value, "D\xfcsseldorf");
  EXPECT_EQ(head.fields.find("tab")->value, "a\tb");
  EXPECT_EQ(head.fields.find("none"), nullptr);
  EXPECT_EQ(head.fields.count("host"), 1u);
  EXPECT_GE(head.method.data(), text.data());
  EXPECT_LE(head.fields.all()[4].value.data(), text.data() + text.size());
}

TEST(ParseRequest, CanReuseAHead) {
  RequestHead head;
  const string first = request("X: 1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n");
  const string second = "GET http://b.test/ HTTP/1.0\r\n\r\n";
  ASSERT_TRUE(parse_request(first, head));
  ASSERT_TRUE(parse_request(second, head));
  EXPECT_EQ(head.fields.all().size(), 0u);
  EXPECT_EQ(head.framing.kind, Framing::Kind::none);
  EXPECT_FALSE(head.expect_continue);
  EXPECT_FALSE(head.keep_alive);
}

TEST(ParseRequest, FramesContent) {
  const auto framing = [](string_view fields) {
    const string text = request(fields);
    RequestHead head;
    const auto parsed = parse_request(text, head);
    EXPECT_TRUE(parsed) << fields << parsed.error().detail;
    return head.framing;
  };
  EXPECT_EQ(framing("").kind, Framing::Kind::none);
  EXPECT_EQ(framing("Transfer-Encoding: cHuNkEd\r\n").kind, Framing::Kind::chunked);
  EXPECT_EQ(framing("TRANSFER-ENCODING:\tchunked \r\n").kind, Framing::Kind::chunked);
  EXPECT_EQ(framing("Content-Length: 0\r\n").kind, Framing::Kind::length);
  EXPECT_EQ(framing("Content-Length: 00005\r\n").length, 5u);
  EXPECT_EQ(framing("Content-Length: 5 \r\n").length, 5u);
  EXPECT_EQ(framing("Content-Length:\t42\t  \r\n").length, 42u);
  EXPECT_EQ(framing("Content-Length: 9223372036854775807\r\n").length, uint64_t{INT64_MAX});
  EXPECT_EQ(framing("X-Transfer-Encoding: chunked\r\nContent-Length: 4\r\n").length, 4u);
}

TEST(ParseRequest, TakesAConnectWithContentLengthZeroAsOneWithoutContent) {
  RequestHead head;
  const string text = request("Content-Length: 0\r\n", "CONNECT a.test:443 HTTP/1.1");
  ASSERT_TRUE(parse_request(text, head));
  EXPECT_EQ(head.framing.kind, Framing::Kind::none);
  EXPECT_EQ(head.target, "a.test:443");
}

TEST(ParseRequest, TakesAConnectInHttp10WithoutHost) {
  RequestHead head;
  EXPECT_TRUE(parse_request("CONNECT a.test:443 HTTP/1.0\r\n\r\n", head));
}

TEST(ParseRequest, TakesHostsThatRealSendersGetWrong) {
  for (const string_view host : {"", "u:p@a.test", "2606:4700::1111:8080", "a.test:", "[::1]:80"}) {
    RequestHead head;
    const string text = "GET http://a.test/ HTTP/1.1\r\nHost: " + string(host) + "\r\n\r\n";
    EXPECT_TRUE(parse_request(text, head)) << host;
  }
}

TEST(ParseRequest, TakesAHigherMinorVersionForHttp11) {
  RequestHead head;
  ASSERT_TRUE(parse_request(request("", "GET http://a.test/ HTTP/1.2"), head));
  EXPECT_EQ(head.minor_version, 1);
  EXPECT_TRUE(head.keep_alive);
}

TEST(ParseRequest, KnowsWhetherTheSenderKeepsTheConnection) {
  const auto keeps = [](string_view fields, string_view version) {
    RequestHead head;
    const string text = request(fields, "GET http://a.test/ " + string(version));
    EXPECT_TRUE(parse_request(text, head));
    return head.keep_alive;
  };
  EXPECT_TRUE(keeps("", "HTTP/1.1"));
  EXPECT_TRUE(keeps("Proxy-Connection: close\r\n", "HTTP/1.1"));
  EXPECT_FALSE(keeps("Connection: close\t\r\n", "HTTP/1.1"));
  EXPECT_FALSE(keeps("Connection: x\r\nConnection: y, CLOSE\r\n", "HTTP/1.1"));
  EXPECT_FALSE(keeps("", "HTTP/1.0"));
  // RFC 9112 C.2.2: not through a proxy.
  EXPECT_FALSE(keeps("Connection: keep-alive\r\n", "HTTP/1.0"));
}

TEST(ParseRequest, ExpectsContinueOnlyInHttp11) {
  RequestHead head;
  ASSERT_TRUE(parse_request(request("Expect: 100-Continue\r\n"), head));
  EXPECT_TRUE(head.expect_continue);
  ASSERT_TRUE(parse_request(request("Expect: 100-continue\r\n", "POST http://a/ HTTP/1.0"), head));
  EXPECT_FALSE(head.expect_continue);
}

}  // namespace
}  // namespace egret::http
