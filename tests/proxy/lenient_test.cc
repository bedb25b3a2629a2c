// What is forgiven in an answer, and what is not: docs/answers.md, row by row.

#include <gtest/gtest.h>

#include "tests/support/proxy_world.h"

namespace egret::proxy {
namespace {

using test::FarEnd;
using test::Kind;
using test::Message;
using test::post;
using test::Sandbox;

TEST(Lenient, AnAnswerCountsByItsStatusWhateverElseItIs) {
  struct Case {
    std::string_view name;
    std::string answer;
    bool closes = false;
  };
  const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n";
  const Case cases[] = {
      {"no content type", ok + "\r\nok"},
      {"a content type that is none", ok + "Content-Type: ;;;\r\n\r\nok"},
      {"content that is not what its type says", ok + "Content-Type: application/json\r\n\r\n<p"},
      {"content that says error",
       "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"error\":\"bad\"}"},
      {"no content", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
      {"201", "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"},
      {"202", "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"},
      {"204", "HTTP/1.1 204 No Content\r\n\r\n"},
      {"204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"},
      {"a status that nobody registered", "HTTP/1.1 299 Fine\r\nContent-Length: 0\r\n\r\n"},
      {"no reason phrase", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"},
      {"not even the space before it", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"},
      {"another reason phrase", "HTTP/1.1 200 Internal Error\r\nContent-Length: 0\r\n\r\n"},
      {"a reason phrase that is not ASCII",
       "HTTP/1.1 200 \xC3\xA4\xFF\r\nContent-Length: 0\r\n\r\n"},
      {"odd case of names", "HTTP/1.1 200 OK\r\ncONTENT-lENGTH: 2\r\ncOnNeCtIoN: ClOsE\r\n\r\nok"},
      {"white space around values", "HTTP/1.1 200 OK\r\nContent-Length:   2\t\r\n\r\nok"},
      {"no white space before values", "HTTP/1.1 200 OK\r\nContent-Length:2\r\n\r\nok"},
      {"values that are not ASCII", ok + "X-Name: Z\xC3\xB6\r\n\r\nok"},
      {"fields with no value", ok + "X-Empty:\r\n\r\nok"},
      {"a Date that is none", ok + "Date: yesterday\r\n\r\nok"},
      {"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nok", true},
      {"no length, until the end", "HTTP/1.1 200 OK\r\n\r\nok", true},
      {"chunks with extensions and trailers",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX-T: 1\r\n\r\n"},
      {"Transfer-Encoding in another case",
       "HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
      {"bytes behind its end", ok + "\r\nok and more"},
      {"an interim answer first",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + ok + "\r\nok"},
      {"content that is too large",
       "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + std::string(200'000, 'x')},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    Sandbox gateway;
    FarEnd sender = gateway.connect();
    sender.send(post("x"));
    gateway.destination().send(each.answer);
    if (each.closes) gateway.destination().finish();
    Message got = sender.take(Kind::answer);
    while (got.status() / 100 == 1) got = sender.take(Kind::answer);
    EXPECT_EQ(got.status() / 100, 2);
    EXPECT_EQ(gateway.logged("reason"), "");
    EXPECT_EQ(gateway.logged("success"), "true");
  }
}

TEST(Lenient, WhatTwoReadersCouldReadInTwoWaysIsNotForgiven) {
  struct Case {
    std::string_view name;
    std::string answer;
  };
  const Case cases[] = {
      {"bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"},
      {"folded lines", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"},
      {"a space before a colon", "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"},
      {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"},
      {"length and chunks",
       "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"another coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
      {"a chunk size that is none",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nok"},
      {"a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"},
      {"another protocol", "ICY 200 OK\r\n\r\n"},
      {"an upgrade unasked", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    Sandbox gateway;
    FarEnd sender = gateway.connect();
    sender.send(post("x"));
    gateway.destination().send(each.answer);
    EXPECT_EQ(sender.take(Kind::answer).status(), 502);
    EXPECT_EQ(gateway.logged("success"), "false");
  }
}

}  // namespace
}  // namespace egret::proxy
