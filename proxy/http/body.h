#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "proxy/http/message.h"

namespace egret::http {

// Takes a message's content out of its framing, incrementally and without copying.
//   Strict chunked coding (RFC 9112 7.1): CRLF only; 1 to 16 hex digits, below 2^63; chunk
//   extensions are checked (token, "=", token or quoted-string; at most 256 bytes a line in all)
//   and dropped; trailer fields are checked as fields are, limited to 4 KiB in all, and dropped
//   (RFC 9110 6.5.1 lets an intermediary discard them).
class BodyDecoder {
 public:
  BodyDecoder() = default;
  explicit BodyDecoder(Framing framing);

  struct Step {
    size_t consumed = 0;       // bytes of `in` that are done with
    std::string_view content;  // a piece of `in`; may be empty while consumed > 0
  };
  // Consumes a prefix of `in`; call until done() or `in` is used up. Never consumes a byte that
  // is not this message's. Errors: request_malformed (the caller maps it for answers); after one,
  // every further call fails.
  Result<Step> next(std::string_view in);

  [[nodiscard]] bool done() const;
  // Bytes of content that the framing has announced and that have not come: of the chunk, or of
  // the whole with Kind::length. A chunk's size counts from the end of its line: until then the
  // line may still turn out to be malformed, in however many pieces it comes.
  [[nodiscard]] uint64_t announced() const { return state_ == State::data ? left_ : 0; }
  // The peer has closed: Kind::until_close is done by it, everything else is cut short.
  // False when the message was incomplete.
  bool finish();
  [[nodiscard]] Framing framing() const { return framing_; }

 private:
  // In the order of chunk_byte's and trailer_byte's; see next.
  enum class State : uint8_t {
    size_first,
    size,
    ext_start,
    ext_name,
    ext_value_start,
    ext_token,
    ext_quoted,
    ext_escape,
    ext_after_quoted,
    size_lf,
    data,
    data_cr,
    data_lf,
    failed,
    trailer_start,
    trailer_name,
    trailer_value,
    trailer_lf,
    end_lf,
    done
  };
  // The part of `in` that is content; at least one byte of it is.
  std::string_view take(std::string_view in);
  // One byte of the framing; what is wrong with it, or nullptr.
  const char* chunk_byte(char c);
  const char* size_byte(char c);
  const char* extension_byte(char c);
  const char* trailer_byte(char c);

  Framing framing_;
  State state_ = State::done;
  uint64_t left_ = 0;  // of the chunk or of Kind::length
  uint32_t digits_ = 0;
  uint32_t line_bytes_ = 0;  // of extensions, then of trailers
};

// Writes "1a2b\r\n" for a chunk of `size` bytes into `out` (at least 18 bytes); returns its length.
size_t write_chunk_head(char* out, uint64_t size);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace egret::http
