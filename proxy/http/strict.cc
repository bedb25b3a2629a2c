#include "proxy/http/strict.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/text.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace egret::http {
namespace {

constexpr std::array<bool, 256> kTokenChars = [] {
  std::array<bool, 256> table{};
  for (int c = 0; c < 256; ++c) {
    const char ch = static_cast<char>(c);
    table[c] = text::is_digit(ch) || text::is_alpha(ch);
  }
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<uint8_t>(c)] = true;
  return table;
}();

constexpr bool is_control(char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7f; }

constexpr size_t kVersionSize = 8;  // "HTTP/1.1"

struct Version {
  int major;
  int minor;
};

// "HTTP/" DIGIT "." DIGIT and nothing else.
bool parse_version(std::string_view text, Version& out) {
  if (text.size() != kVersionSize || !text.starts_with("HTTP/") || !text::is_digit(text[5]) ||
      text[6] != '.' || !text::is_digit(text[7])) {
    return false;
  }
  out = {text[5] - '0', text[7] - '0'};
  return true;
}

int as_understood(int minor) { return minor == 0 ? 0 : 1; }

// No control byte, no white space, nothing beyond ASCII. One pass without branches.
bool is_target(std::string_view target) {
  bool bad = target.empty();
  for (const char c : target) bad |= static_cast<uint8_t>(c - 0x21) > 0x7e - 0x21;
  return !bad;
}

Unexpected bad_request(std::string_view detail) {
  return Unexpected(Reason::request_malformed, std::string(detail));
}

Unexpected bad_response(std::string_view detail) {
  return Unexpected(Reason::response_malformed, std::string(detail));
}

}  // namespace

bool is_token_char(char c) { return kTokenChars[static_cast<uint8_t>(c)]; }

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, is_token_char);
}

bool is_field_value_char(char c) { return c == '\t' || !is_control(c); }

const char* find_control(const char* begin, const char* end) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHigh = kOnes * 0x80;
  const char* at = begin;
#ifdef __SSE2__
  // Sixteen at a time, and the place at once: a head is looked at in whole before anything else.
  const __m128i last_low = _mm_set1_epi8(0x1f);
  const __m128i del_byte = _mm_set1_epi8(0x7f);
  for (; end - at >= 16; at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_low), bytes);
    const int found = _mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(bytes, del_byte)));
    if (found != 0) return at + std::countr_zero(static_cast<unsigned>(found));
  }
#endif
  // Eight bytes at a time: the high bit of a byte ends up set when it was below 0x20 or was 0x7f.
  // (A borrow can also mark the byte above such a one, which only makes the slow loop look.)
  for (; end - at >= 8; at += 8) {
    uint64_t word;
    std::memcpy(&word, at, sizeof(word));
    const uint64_t del = word ^ (kOnes * 0x7f);
    const uint64_t low = (word - kOnes * 0x20) & ~word;
    if ((((del - kOnes) & ~del) | low) & kHigh) break;
  }
  while (at != end && !is_control(*at)) ++at;
  return at;
}

Result<> split_request_line(std::string_view head, RequestLine& out) {
  const size_t end = head.find("\r\n");
  if (end == std::string_view::npos) return bad_request("the request line has no end");
  const std::string_view line = head.substr(0, end);
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    return bad_request("the request line is not: method, target, HTTP version");
  }
  out.method = line.substr(0, first);
  out.target = line.substr(first + 1, last - first - 1);
  out.size = end + 2;
  Version version{};
  if (!parse_version(line.substr(last + 1), version)) {
    return bad_request("the request line does not end with an HTTP version");
  }
  if (!is_token(out.method)) return bad_request("the method is not a token");
  if (!is_target(out.target)) {
    return bad_request("the request target has a space, a control byte or a byte beyond ASCII");
  }
  if (version.major != 1) {
    return Unexpected(Reason::http_version_unsupported,
                      "the request is in " + std::string(line.substr(last + 1)));
  }
  out.minor_version = as_understood(version.minor);
  return {};
}

Result<> split_status_line(std::string_view head, StatusLine& out) {
  const size_t end = head.find("\r\n");
  if (end == std::string_view::npos) return bad_response("the status line has no end");
  const std::string_view line = head.substr(0, end);
  Version version{};
  if (!parse_version(line.substr(0, kVersionSize), version)) {
    return bad_response("the answer does not begin with an HTTP version");
  }
  if (version.major != 1) {
    return bad_response("the answer is in " + std::string(line.substr(0, kVersionSize)));
  }
  const std::string_view rest = line.substr(kVersionSize);
  const bool has_status = rest.size() >= 4 && rest[0] == ' ' && rest[1] >= '1' &&
                          text::is_digit(rest[1]) && text::is_digit(rest[2]) &&
                          text::is_digit(rest[3]) && (rest.size() == 4 || rest[4] == ' ');
  if (!has_status) return bad_response("the status is not three digits from 100 to 999");
  out.status = (rest[1] - '0') * 100 + (rest[2] - '0') * 10 + (rest[3] - '0');
  out.reason_phrase = rest.size() > 5 ? rest.substr(5) : std::string_view();
  if (!std::ranges::all_of(out.reason_phrase, is_field_value_char)) {
    return bad_response("the reason phrase has a control byte");
  }
  out.minor_version = as_understood(version.minor);
  out.size = end + 2;
  return {};
}

bool fields_are_lines(std::string_view lines, const Fields& fields) {
  const auto skip_white_space = [&lines] {
    while (!lines.empty() && (lines[0] == ' ' || lines[0] == '\t')) lines.remove_prefix(1);
  };
  for (const Field& field : fields.all()) {
    const size_t colon = field.name.size();
    if (field.name.data() != lines.data() || colon >= lines.size() || lines[colon] != ':' ||
        !is_token(field.name)) {
      return false;
    }
    lines.remove_prefix(colon + 1);
    skip_white_space();
    if (!field.value.empty()) {
      if (field.value.data() != lines.data() || field.value.size() > lines.size() ||
          field.value.find('\n') != std::string_view::npos) {
        return false;
      }
      lines.remove_prefix(field.value.size());
      skip_white_space();
    }
    if (!lines.starts_with("\r\n")) return false;
    lines.remove_prefix(2);
  }
  return lines == "\r\n";
}

}  // namespace egret::http
