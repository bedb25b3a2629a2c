#include "proxy/http/body.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "proxy/http/strict.h"

namespace egret::http {
namespace {

// A chunk above this is refused, as a Content-Length is.
constexpr uint64_t kMaxChunk = INT64_MAX;
constexpr uint32_t kMaxSizeDigits = 16;
constexpr uint32_t kMaxExtensionBytes = 256;  // a chunk
constexpr uint32_t kMaxTrailerBytes = 4096;   // a message

uint64_t hex_value(char c) {
  return text::is_digit(c) ? static_cast<uint64_t>(c - '0')
                           : static_cast<uint64_t>(text::lower(c) - 'a' + 10);
}

}  // namespace

BodyDecoder::BodyDecoder(Framing framing) : framing_(framing), left_(framing.length) {
  switch (framing.kind) {
    case Framing::Kind::none:
      break;
    case Framing::Kind::length:
      state_ = left_ == 0 ? State::done : State::data;
      break;
    case Framing::Kind::chunked:
      state_ = State::size_first;
      left_ = 0;
      break;
    case Framing::Kind::until_close:
      state_ = State::data;
      break;
  }
}

bool BodyDecoder::done() const { return state_ == State::done; }

bool BodyDecoder::finish() {
  if (framing_.kind == Framing::Kind::until_close) state_ = State::done;
  return done();
}

Result<BodyDecoder::Step> BodyDecoder::next(std::string_view in) {
  if (state_ == State::failed) {
    return Unexpected(Reason::request_malformed, "the content was malformed before");
  }
  size_t used = 0;
  while (used < in.size() && state_ != State::done) {
    if (state_ == State::data) {
      const std::string_view content = take(in.substr(used));
      return Step{used + content.size(), content};
    }
    const char* refused =
        state_ < State::trailer_start ? chunk_byte(in[used]) : trailer_byte(in[used]);
    if (refused != nullptr) {
      state_ = State::failed;
      return Unexpected(Reason::request_malformed, refused);
    }
    ++used;
  }
  return Step{used, {}};
}

std::string_view BodyDecoder::take(std::string_view in) {
  if (framing_.kind == Framing::Kind::until_close) return in;
  const std::string_view content = in.substr(0, left_);
  left_ -= content.size();
  if (left_ == 0) {
    state_ = framing_.kind == Framing::Kind::length ? State::done : State::data_cr;
  }
  return content;
}

const char* BodyDecoder::size_byte(char c) {
  if (text::is_hex(c)) {
    // Counted before the value is used, so it cannot overflow 64 bits.
    if (++digits_ > kMaxSizeDigits) return "a chunk size has more than 16 digits";
    left_ = left_ << 4 | hex_value(c);
    if (left_ > kMaxChunk) return "a chunk is too large";
    state_ = State::size;
    return nullptr;
  }
  if (state_ == State::size_first) return "a chunk size is not a hexadecimal number";
  if (c == ';') {
    line_bytes_ = 0;
    state_ = State::ext_start;
    return nullptr;
  }
  if (c != '\r') return "a chunk size is followed by neither CRLF nor ';'";
  state_ = State::size_lf;
  return nullptr;
}

// An extension is `;name`, `;name=token` or `;name="quoted"`, without white space. Its meaning is
// nobody's beyond this hop (RFC 9112 7.1.1), so it is only walked over.
const char* BodyDecoder::extension_byte(char c) {
  if (++line_bytes_ > kMaxExtensionBytes) return "the chunk extensions are too long";
  const bool ends = c == ';' || c == '\r';
  switch (state_) {
    case State::ext_start:
      if (!is_token_char(c)) break;
      state_ = State::ext_name;
      return nullptr;
    case State::ext_name:
      if (c == '=') {
        state_ = State::ext_value_start;
        return nullptr;
      }
      if (is_token_char(c)) return nullptr;
      if (!ends) break;
      state_ = c == ';' ? State::ext_start : State::size_lf;
      return nullptr;
    case State::ext_value_start:
      if (c != '"' && !is_token_char(c)) break;
      state_ = c == '"' ? State::ext_quoted : State::ext_token;
      return nullptr;
    case State::ext_token:
      if (is_token_char(c)) return nullptr;
      [[fallthrough]];
    case State::ext_after_quoted:
      if (!ends) break;
      state_ = c == ';' ? State::ext_start : State::size_lf;
      return nullptr;
    case State::ext_quoted:
      if (!is_field_value_char(c)) break;
      if (c == '\\') state_ = State::ext_escape;
      if (c == '"') state_ = State::ext_after_quoted;
      return nullptr;
    case State::ext_escape:
      if (!is_field_value_char(c)) break;
      state_ = State::ext_quoted;
      return nullptr;
    default:
      break;
  }
  return "a chunk extension is malformed";
}

const char* BodyDecoder::chunk_byte(char c) {
  switch (state_) {
    case State::size_first:
    case State::size:
      return size_byte(c);
    case State::size_lf:
      if (c != '\n') return "a chunk size's CR has no LF";
      digits_ = 0;
      line_bytes_ = 0;
      state_ = left_ > 0 ? State::data : State::trailer_start;
      return nullptr;
    case State::data_cr:
      if (c != '\r') return "a chunk is longer than its size, or has no CRLF";
      state_ = State::data_lf;
      return nullptr;
    case State::data_lf:
      if (c != '\n') return "a chunk's CR has no LF";
      state_ = State::size_first;
      return nullptr;
    default:
      return extension_byte(c);
  }
}

const char* BodyDecoder::trailer_byte(char c) {
  if (++line_bytes_ > kMaxTrailerBytes) return "the trailer section is too long";
  switch (state_) {
    case State::trailer_start:
      if (c == '\r') {
        state_ = State::end_lf;
        return nullptr;
      }
      if (!is_token_char(c)) break;
      state_ = State::trailer_name;
      return nullptr;
    case State::trailer_name:
      if (c == ':') state_ = State::trailer_value;
      if (c != ':' && !is_token_char(c)) break;
      return nullptr;
    case State::trailer_value:
      if (c == '\r') {
        state_ = State::trailer_lf;
        return nullptr;
      }
      if (!is_field_value_char(c)) break;
      return nullptr;
    case State::trailer_lf:
      if (c != '\n') break;
      state_ = State::trailer_start;
      return nullptr;
    case State::end_lf:
      if (c != '\n') break;
      state_ = State::done;
      return nullptr;
    default:
      break;
  }
  return "a trailer field is malformed";
}

size_t write_chunk_head(char* out, uint64_t size) {
  const auto [end, error] = std::to_chars(out, out + 16, size, 16);
  (void)error;  // 64 bits are at most 16 digits
  end[0] = '\r';
  end[1] = '\n';
  return static_cast<size_t>(end + 2 - out);
}

}  // namespace egret::http
