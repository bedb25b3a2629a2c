#include "proxy/http/body.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace egret::http {
namespace {

using std::string;
using std::string_view;

struct Decoded {
  string content;
  size_t consumed = 0;
  bool failed = false;
  bool done = false;
  bool operator==(const Decoded&) const = default;
};

void PrintTo(const Decoded& d, std::ostream* out) {
  *out << testing::PrintToString(d.content) << " consumed " << d.consumed
       << (d.failed ? " failed" : "") << (d.done ? " done" : "");
}

// Feeds `bytes`, `step` at a time.
Decoded decode(Framing framing, string_view bytes, size_t step) {
  BodyDecoder decoder(framing);
  Decoded out;
  for (size_t at = 0; at < bytes.size() && !decoder.done(); at += step) {
    string_view piece = bytes.substr(at, step);
    while (!piece.empty() && !decoder.done()) {
      const auto result = decoder.next(piece);
      if (!result) {
        EXPECT_EQ(result.error().reason, Reason::request_malformed);
        EXPECT_FALSE(decoder.next("0\r\n\r\n")) << "an error is for good";
        EXPECT_FALSE(decoder.finish());
        out.failed = true;
        out.consumed = 0;  // where exactly it is noticed does not matter
        return out;
      }
      EXPECT_LE(result->consumed, piece.size());
      EXPECT_GT(result->consumed, 0u);
      out.content += result->content;
      out.consumed += result->consumed;
      piece.remove_prefix(result->consumed);
    }
  }
  out.done = decoder.done();
  return out;
}

constexpr Framing kChunked{Framing::Kind::chunked, 0};

Decoded chunked(string_view bytes) {
  const Decoded whole = decode(kChunked, bytes, std::max<size_t>(bytes.size(), 1));
  for (const size_t step : {1, 2, 3, 5, 7}) {
    EXPECT_EQ(decode(kChunked, bytes, step), whole)
        << testing::PrintToString(bytes.substr(0, 60)) << " by " << step;
  }
  return whole;
}

TEST(ChunkedContent, IsRefusedWhenItsFramingIsNotExact) {
  for (const string& bytes : std::vector<string>{
           "\r\n",
           " 5\r\nhello\r\n0\r\n\r\n",
           "5 \r\nhello\r\n0\r\n\r\n",
           "+5\r\nhello\r\n0\r\n\r\n",
           "-1\r\n",
           "0x5\r\nhello\r\n0\r\n\r\n",
           "0_5\r\nhello\r\n0\r\n\r\n",
           "G\r\n",
           "5\nhello\r\n0\r\n\r\n",
           "5\rhello\r\n0\r\n\r\n",
           "5\r\nhello\n0\r\n\r\n",
           "5\r\nhello0\r\n\r\n",
           "5\r\nhelloXX\r\n0\r\n\r\n",
           "5\r\nhello\rX0\r\n\r\n",
           "5\r\nhello\r\n\r\n0\r\n\r\n",
           "0\n\n",
           "0\r\n\n",
           "0\r\n\rX",
           "FFFFFFFFFFFFFFFF\r\n",
           "8000000000000000\r\n",
           "10000000000000005\r\n",
           "00000000000000005\r\nhello\r\n0\r\n\r\n",
       }) {
    EXPECT_TRUE(chunked(bytes).failed) << testing::PrintToString(bytes);
  }
}

TEST(ChunkedContent, IsRefusedWhenAnExtensionIsMalformed) {
  for (const string_view extension :
       {";", ";;a", ";a=", ";a=\"", ";a=\"b\"c", ";a=b=c", "; a", ";a =b", " ;a", ";a b", ";[",
        ";a=[", ";a\n", ";a=\"\n\"", ";a=\"\\\x01\"", ";a=\"\x7f\"", ";=b", ";a\xff"}) {
    EXPECT_TRUE(chunked("5" + string(extension) + "\r\nhello\r\n0\r\n\r\n").failed) << extension;
  }
}

TEST(ChunkedContent, IsRefusedWhenATrailerIsMalformed) {
  for (const string_view trailer : {" a: b", "a b: c", "a : b", ": b", "a", "a: \x01", "a: b\nc: d",
                                    "a: b\r\n folded", "a: b\rc", "a: \x7f", "\xc3: b"}) {
    EXPECT_TRUE(chunked("0\r\n" + string(trailer) + "\r\n\r\n").failed) << trailer;
  }
}

TEST(ChunkedContent, BoundsExtensionsPerChunkAndTrailersPerMessage) {
  const auto with_extension = [](size_t size) {
    return "1;" + string(size, 'a') + "\r\nx\r\n1;" + string(size, 'a') + "\r\nx\r\n0\r\n\r\n";
  };
  EXPECT_TRUE(chunked(with_extension(255)).done);
  EXPECT_TRUE(chunked(with_extension(256)).failed);
  EXPECT_TRUE(chunked("1;a=\"" + string(300, 'a') + "\"\r\nx\r\n0\r\n\r\n").failed);

  // 4096 bytes with every CRLF, the last too.
  EXPECT_TRUE(chunked("0\r\nA: " + string(4089, 'b') + "\r\n\r\n").done);
  EXPECT_TRUE(chunked("0\r\nA: " + string(4090, 'b') + "\r\n\r\n").failed);
  string many = "0\r\n";
  for (int i = 0; i < 1000; ++i) many += "A: b\r\n";
  EXPECT_TRUE(chunked(many + "\r\n").failed);
}

TEST(ChunkedContent, IsTakenOutOfItsFraming) {
  EXPECT_EQ(chunked("5\r\nhello\r\n6\r\n world\r\n000\r\n\r\nGET /"),
            (Decoded{"hello world", 28, false, true}));
  EXPECT_EQ(chunked("A\r\n0123456789\r\n0\r\n\r\n").content, "0123456789");
  EXPECT_EQ(chunked("a\r\n0123456789\r\n0\r\n\r\n").content, "0123456789");
  EXPECT_EQ(chunked("0000000000000001\r\nx\r\n0\r\n\r\n").content, "x");
  EXPECT_EQ(chunked("0\r\n\r\n\r\n"), (Decoded{"", 5, false, true}));
}

TEST(ChunkedContent, LosesItsExtensionsAndTrailers) {
  EXPECT_EQ(chunked("5;a;b=c;d=\"x;y\\\"z\\\\\t\xfc\"\r\nhello\r\n0;e\r\nX-T: 1\r\nY:\r\n\r\n"),
            (Decoded{"hello", 50, false, true}));
}

TEST(ChunkedContent, IsIncompleteAtEveryByteBeforeItsEnd) {
  const string bytes = "5;a=\"b\"\r\nhello\r\n0\r\nX: y\r\n\r\n";
  for (size_t size = 0; size < bytes.size(); ++size) {
    BodyDecoder decoder(kChunked);
    string_view rest = string_view(bytes).substr(0, size);
    while (!rest.empty()) {
      const auto step = decoder.next(rest);
      ASSERT_TRUE(step);
      rest.remove_prefix(step->consumed);
    }
    EXPECT_FALSE(decoder.done()) << size;
    EXPECT_FALSE(decoder.finish()) << size;
  }
  EXPECT_TRUE(decode(kChunked, bytes, 4).done);
}

TEST(ChunkedContent, SaysWhatItsFramingHasAnnounced) {
  BodyDecoder decoder(kChunked);
  EXPECT_EQ(decoder.announced(), 0U);
  // Half a line announces nothing: it may still turn out to be malformed.
  ASSERT_TRUE(decoder.next("100000005"));
  EXPECT_EQ(decoder.announced(), 0U);
  ASSERT_TRUE(decoder.next("\r\n"));
  EXPECT_EQ(decoder.announced(), 0x100000005U);
  ASSERT_TRUE(decoder.next("hello"));
  EXPECT_EQ(decoder.announced(), 0x100000000U);
}

TEST(ContentByLength, EndsAtItsLength) {
  const Framing five{Framing::Kind::length, 5};
  for (size_t step = 1; step < 9; ++step) {
    EXPECT_EQ(decode(five, "helloGET", step), (Decoded{"hello", 5, false, true}));
    EXPECT_EQ(decode(five, "hell", step), (Decoded{"hell", 4, false, false}));
  }
  BodyDecoder decoder(five);
  ASSERT_TRUE(decoder.next("hell"));
  EXPECT_FALSE(decoder.finish());
}

TEST(NoContent, TakesNothing) {
  for (const Framing framing : {Framing{}, Framing{Framing::Kind::length, 0}}) {
    BodyDecoder decoder(framing);
    EXPECT_TRUE(decoder.done());
    const auto step = decoder.next("GET /");
    ASSERT_TRUE(step);
    EXPECT_EQ(step->consumed, 0u);
    EXPECT_TRUE(decoder.finish());
  }
}

TEST(ContentUntilClose, EndsWithTheConnection) {
  BodyDecoder decoder(Framing{Framing::Kind::until_close, 0});
  EXPECT_FALSE(decoder.done());
  const auto step = decoder.next("anything");
  ASSERT_TRUE(step);
  EXPECT_EQ(step->content, "anything");
  EXPECT_FALSE(decoder.done());
  EXPECT_TRUE(decoder.finish());
  EXPECT_TRUE(decoder.done());
}

TEST(WriteChunkHead, WritesWhatTheDecoderReads) {
  for (const uint64_t size : {uint64_t{1}, uint64_t{0x1a2b}, uint64_t{INT64_MAX}, UINT64_MAX}) {
    char out[18];
    const size_t written = write_chunk_head(out, size);
    ASSERT_LE(written, sizeof(out));
    EXPECT_EQ(string_view(out, written).substr(written - 2), "\r\n");
    EXPECT_EQ(std::stoull(string(out, written - 2), nullptr, 16), size);
  }
  char out[18];
  EXPECT_EQ(string_view(out, write_chunk_head(out, 0x1a2b)), "1a2b\r\n");
}

}  // namespace
}  // namespace egret::http
