#pragma once

#include <string_view>

#include "base/result.h"
#include "proxy/http/message.h"

namespace egret::http {

// The checks that are stricter than llhttp's, and the start lines, which are taken apart here so
// that there is one opinion about where they end. Internal to this room.

bool is_token_char(char c);            // RFC 9110 5.6.2
bool is_token(std::string_view text);  // one or more of them
bool is_field_value_char(char c);      // RFC 9110 5.5: no control byte but HTAB; obs-text is fine

// The first control byte (below 0x20, or DEL) in [begin, end), or `end`.
const char* find_control(const char* begin, const char* end);

struct RequestLine {
  std::string_view method;
  std::string_view target;
  int minor_version = 1;
  size_t size = 0;  // with its CRLF
};
// `head` starts with the request line. HTTP/1.2 to 1.9 count as HTTP/1.1 (RFC 9110 2.5).
// Errors: request_malformed, http_version_unsupported.
Result<> split_request_line(std::string_view head, RequestLine& out);

struct StatusLine {
  int status = 0;
  std::string_view reason_phrase;
  int minor_version = 1;
  size_t size = 0;
};
// The status is 100 to 999: 600 and above mean no more than "a 5xx" (RFC 9110 15), but they are
// what the destination said and are relayed. The reason phrase, and the space before an empty one,
// may be missing. Errors: response_malformed.
Result<> split_status_line(std::string_view head, StatusLine& out);

// True when every field is exactly one line of `lines` (what follows the start line, with the empty
// line), its name a token directly before the colon, its value the rest without white space at both
// ends; nothing is left over. The bytes of values are find_head_end's to judge. Two parsers that
// disagree about a head are how smuggling starts.
bool fields_are_lines(std::string_view lines, const Fields& fields);

}  // namespace egret::http
