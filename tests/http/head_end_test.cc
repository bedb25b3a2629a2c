#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proxy/http/parser.h"
#include "proxy/http/strict.h"

namespace egret::http {
namespace {

using std::string;
using std::string_view;

// What comes of `bytes` when they arrive `step` at a time: the head's size, 0 for "more", or -1.
int64_t head_end(string_view bytes, size_t step, Reason* reason = nullptr) {
  size_t scanned = 0;
  for (size_t have = std::min(step, bytes.size());; have = std::min(have + step, bytes.size())) {
    const Result<size_t> end = find_head_end(bytes.substr(0, have), scanned);
    if (!end) {
      if (reason != nullptr) *reason = end.error().reason;
      return -1;
    }
    EXPECT_LE(scanned, have);
    if (*end > 0) return static_cast<int64_t>(*end);
    if (have == bytes.size()) return 0;
  }
}

const string kHead = "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nX:\tD\xfcsseldorf\r\n\r\n";

TEST(FindHeadEnd, RefusesWhatCannotBecomeAHeadHoweverItArrives) {
  for (const string& bytes : std::vector<string>{
           "GET / HTTP/1.1\n", "GET / HTTP/1.1\rX", "GET / HTTP/1.1\r\r\n", string("GE\0", 3),
           "GET /\a", "GET / HTTP/1.1\r\nA: b\nC: d", "GET / HTTP/1.1\r\n X: obs-fold",
           "GET / HTTP/1.1\r\n\tX: obs-fold", "GET / HTTP/1.1\r\nA: b\r\n folded",
           "GET / HTTP/1.1\r\nA: b\r\n\rX", "GET /\r\n", "SSH-2.0-OpenSSH\r\n",
           "220 mail ESMTP\r\n", "\r\n", "\n", "A: \x7f"}) {
    for (size_t step = 1; step <= bytes.size(); ++step) {
      EXPECT_EQ(head_end(bytes, step), -1) << testing::PrintToString(bytes) << " by " << step;
    }
  }
}

TEST(FindHeadEnd, NamesTlsOnAPlainListener) {
  size_t scanned = 0;
  const auto found = find_head_end(string_view("\x16\x03\x01\x02\x00", 5), scanned);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().reason, Reason::request_malformed);
  EXPECT_EQ(found.error().detail, "TLS on a plain listener");
}

TEST(FindHeadEnd, RefusesTheHttp2PrefaceAsAVersion) {
  Reason reason{};
  EXPECT_EQ(head_end("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 1, &reason), -1);
  EXPECT_EQ(reason, Reason::http_version_unsupported);
}

TEST(FindHeadEnd, FindsTheSameEndHoweverItArrives) {
  const string with_more = kHead + "\r\n\r\nGET / HTTP/1.1\r\n\r\n\x01";
  for (size_t step = 1; step <= with_more.size(); ++step) {
    EXPECT_EQ(head_end(with_more, step), static_cast<int64_t>(kHead.size())) << step;
  }
}

TEST(FindHeadEnd, WantsMoreAtEveryByteBeforeTheEnd) {
  for (size_t size = 0; size < kHead.size(); ++size) {
    EXPECT_EQ(head_end(kHead.substr(0, size), 1 + size / 2), 0) << size;
  }
}

TEST(FindHeadEnd, FindsAControlByteAtEveryPlaceOfAWord) {
  for (size_t at = 0; at < 40; ++at) {
    for (const char c : {'\0', '\x1f', '\x7f', '\n'}) {
      string bytes(40, 'a');
      bytes[at] = c;
      EXPECT_EQ(head_end(bytes, bytes.size()), -1) << at;
    }
    for (const char c : {' ', '!', '~', '\x80', '\xff', '\x9f', '\t'}) {
      string bytes(40, 'a');
      bytes[at] = c;
      EXPECT_EQ(head_end(bytes, bytes.size()), 0) << at;
    }
  }
}

TEST(LeadingCrlf, IsSkippedOnce) {
  EXPECT_EQ(leading_crlf("\r\nGET"), 2u);
  EXPECT_EQ(leading_crlf("\r"), 0u);
  EXPECT_EQ(leading_crlf("GET"), 0u);
  EXPECT_EQ(leading_crlf(""), 0u);
}

// The search looks at many bytes at once: at each place, in each length, it must find the first.
TEST(FindControl, FindsTheFirstWhereverItIs) {
  for (const char control : {'\0', '\t', '\r', '\x1f', '\x7f'}) {
    for (size_t size = 0; size <= 70; ++size) {
      for (size_t at = 0; at < size; ++at) {
        std::string bytes(size, '\xff');
        for (size_t i = 0; i < size; i += 3) bytes[i] = static_cast<char>(0x20 + i);
        EXPECT_EQ(find_control(bytes.data(), bytes.data() + size), bytes.data() + size);
        bytes[at] = control;
        if (at + 1 < size) bytes[size - 1] = control;
        EXPECT_EQ(find_control(bytes.data(), bytes.data() + size), bytes.data() + at);
      }
    }
  }
}

}  // namespace
}  // namespace egret::http
