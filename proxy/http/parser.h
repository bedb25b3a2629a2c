#pragma once

#include <string_view>

#include "base/result.h"
#include "proxy/http/message.h"

namespace egret::http {

// Looks for the end of a head in `bytes`, which starts at the head. Strict: lines end with CRLF
// only. Call again with more bytes and the same `scanned`; work is linear in the bytes.
//   Returns the head's size with its final CRLF CRLF, or 0 when more bytes are needed.
//   At most one empty line before a request line is skipped by the caller (RFC 9112 2.2), see
//   leading_crlf.
// Errors: request_malformed as soon as the bytes cannot become a head (bare CR or LF, NUL, a
// control byte, an HTTP/2 preface, a TLS ClientHello): nothing waits for more of what is wrong.
// The caller maps it to response_malformed for answers.
Result<size_t> find_head_end(std::string_view bytes, size_t& scanned);

// The size of one empty line before a request line, which a sender may send after the content of
// the last request (RFC 9112 2.2), or 0. The caller skips one; find_head_end refuses a second.
size_t leading_crlf(std::string_view bytes);

// Parses exactly one head (llhttp, under our own stricter checks). `head` must outlive `out`.
// `out` need not be fresh. Errors:
//   request_malformed          start line, field name or value, obs-fold, Host not exactly once in
//                              HTTP/1.1 (RFC 9112 3.2), bad Connection
//   body_framing_ambiguous     Content-Length and Transfer-Encoding together, repeated or not a
//                              plain decimal, a transfer coding other than one final `chunked`,
//                              Transfer-Encoding in HTTP/1.0
//   request_headers_too_large  more than kMaxFields fields
//   http_version_unsupported   not HTTP/1.0 or HTTP/1.1
//   expectation_failed         an Expect other than 100-continue
//   method_prohibited          a method that is a token but unknown to llhttp
Result<> parse_request(std::string_view head, RequestHead& out);

// The same for a head that find_head_end has found the end of: it is not looked for again.
Result<> parse_found_request(std::string_view head, RequestHead& out);

// `request_method` decides whether content follows (HEAD, CONNECT; RFC 9112 6.3).
// Errors: response_malformed, response_headers_too_large.
Result<> parse_response(std::string_view head, std::string_view request_method, ResponseHead& out);
Result<> parse_found_response(std::string_view head, std::string_view request_method,
                              ResponseHead& out);

}  // namespace egret::http
