#include "proxy/http/framing.h"

#include <algorithm>
#include <cstdint>

#include "base/text.h"
#include "proxy/http/strict.h"

namespace egret::http {
namespace {

using text::equals_ignore_case;

// A length above this is refused: arithmetic on it could overflow a signed 64-bit offset.
constexpr uint64_t kMaxLength = INT64_MAX;

// The fields that decide, found in one pass over the head.
struct Deciding {
  std::string_view content_length;
  std::string_view transfer_encoding;
  std::string_view host;
  size_t content_lengths = 0;
  size_t transfer_encodings = 0;
  size_t hosts = 0;
  size_t expects = 0;
  bool expects_continue = true;  // every Expect says 100-continue
  bool look_alike = false;       // Content_Length, Transfer_Encoding
  bool close = false;
  bool keep_alive = false;
  bool bad_connection = false;  // an option that is not a token
  size_t options = 0;
};

// CGI-like servers read "_" as "-": what they would take for a length must not pass unjudged.
bool is_look_alike(std::string_view name, std::string_view real) {
  return name.size() == real.size() && std::ranges::equal(name, real, [](char a, char b) {
           return text::lower(a == '_' ? '-' : a) == b;
         });
}

void read_connection(std::string_view value, Deciding& out) {
  for_each_element(value, [&out](std::string_view option) {
    ++out.options;
    if (!is_token(option)) out.bad_connection = true;
    if (equals_ignore_case(option, "close")) out.close = true;
    if (equals_ignore_case(option, "keep-alive")) out.keep_alive = true;
  });
}

void read_field(const Field& field, Deciding& out) {
  switch (field.name.size()) {  // most fields are none of these: one comparison and on
    case 4:
      if (equals_ignore_case(field.name, "host")) {
        ++out.hosts;
        out.host = field.value;
      }
      break;
    case 6:
      if (equals_ignore_case(field.name, "expect")) {
        ++out.expects;
        out.expects_continue &= equals_ignore_case(field.value, "100-continue");
      }
      break;
    case 10:
      if (equals_ignore_case(field.name, "connection")) read_connection(field.value, out);
      break;
    case 14:
      if (equals_ignore_case(field.name, "content-length")) {
        ++out.content_lengths;
        out.content_length = field.value;
      } else if (is_look_alike(field.name, "content-length")) {
        out.look_alike = true;
      }
      break;
    case 17:
      if (equals_ignore_case(field.name, "transfer-encoding")) {
        ++out.transfer_encodings;
        out.transfer_encoding = field.value;
      } else if (is_look_alike(field.name, "transfer-encoding")) {
        out.look_alike = true;
      }
      break;
    default:
      break;
  }
}

Deciding read(const Fields& fields) {
  Deciding out;
  for (const Field& field : fields.all()) read_field(field, out);
  return out;
}

// What the two length fields say; `absent` is what it means when there is neither.
Result<Framing> declared(const Deciding& fields, int minor_version, Framing::Kind absent,
                         Reason reason) {
  const auto refuse = [reason](std::string_view detail) {
    return Unexpected(reason, std::string(detail));
  };
  if (fields.look_alike) {
    return refuse("a field name looks like Content-Length or Transfer-Encoding with '_' for '-'");
  }
  if (fields.transfer_encodings > 0) {
    if (fields.content_lengths > 0) {
      return refuse("Content-Length and Transfer-Encoding are both there");
    }
    if (minor_version == 0) return refuse("Transfer-Encoding does not exist in HTTP/1.0");
    if (fields.transfer_encodings > 1) return refuse("Transfer-Encoding is there more than once");
    if (!equals_ignore_case(fields.transfer_encoding, "chunked")) {
      return refuse("the only transfer coding is one 'chunked'");
    }
    return Framing{Framing::Kind::chunked, 0};
  }
  if (fields.content_lengths == 0) return Framing{absent, 0};
  if (fields.content_lengths > 1) return refuse("Content-Length is there more than once");
  const auto length = text::parse_decimal(fields.content_length, kMaxLength);
  if (!length) return refuse("Content-Length is not a plain decimal number below 2^63");
  return Framing{Framing::Kind::length, *length};
}

// The bytes of an authority (RFC 3986 3.2), '@' too: urllib repeats the URL's userinfo here, and
// axios leaves out an IPv6 address' brackets. Egret never forwards or trusts this value, so what
// it means is not asked here (policy::parse_host_header does, for who wants to know).
bool is_host_value(std::string_view value) {
  return std::ranges::all_of(value, [](char c) {
    return text::is_alpha(c) || text::is_digit(c) ||
           std::string_view("-._~%!$&'()*+,;=:[]@").find(c) != std::string_view::npos;
  });
}

}  // namespace

Result<> settle_request(RequestHead& head) {
  const Deciding fields = read(head.fields);
  if (fields.hosts > 1 || (fields.hosts == 0 && head.minor_version > 0)) {
    return Unexpected(Reason::request_malformed, fields.hosts == 0
                                                     ? "an HTTP/1.1 request must have a Host field"
                                                     : "Host is there more than once");
  }
  if (!is_host_value(fields.host)) {
    return Unexpected(Reason::request_malformed, "Host has a byte that no authority has");
  }
  if (fields.bad_connection || fields.options > kMaxConnectionOptions) {
    return Unexpected(Reason::request_malformed, "Connection is not a short list of tokens");
  }
  Result<Framing> framing =
      declared(fields, head.minor_version, Framing::Kind::none, Reason::body_framing_ambiguous);
  if (!framing) return Unexpected(std::move(framing.error()));
  head.framing = *framing;
  if (head.method == "CONNECT" && head.framing.kind != Framing::Kind::none) {
    // Mojo sends Content-Length: 0. Anything more could be read as the tunnel's first bytes.
    if (head.framing.kind != Framing::Kind::length || head.framing.length > 0) {
      return Unexpected(Reason::body_framing_ambiguous, "a CONNECT request has no content");
    }
    head.framing = {};
  }
  if (fields.expects > 1 || !fields.expects_continue) {
    return Unexpected(Reason::expectation_failed, "the only expectation met is 100-continue");
  }
  // HTTP/1.0 knows neither 100 (RFC 9110 10.1.1) nor, through a proxy, persistence: its keep-alive
  // may have been passed on by one that does not know it (RFC 9112 C.2.2).
  head.expect_continue = fields.expects > 0 && head.minor_version > 0;
  head.keep_alive = head.minor_version > 0 && !fields.close;
  return {};
}

Result<> settle_response(std::string_view request_method, ResponseHead& head) {
  const Deciding fields = read(head.fields);
  if (fields.options > kMaxConnectionOptions) {
    return Unexpected(Reason::response_malformed, "Connection has too many options");
  }
  Result<Framing> framing =
      declared(fields, head.minor_version, Framing::Kind::until_close, Reason::response_malformed);
  if (!framing) return Unexpected(std::move(framing.error()));
  const bool no_content = head.status < 200 || head.status == 204 || head.status == 304 ||
                          request_method == "HEAD" ||
                          (request_method == "CONNECT" && head.status < 300);
  head.framing = no_content ? Framing{} : *framing;
  head.keep_alive = !fields.close && (head.minor_version > 0 || fields.keep_alive) &&
                    head.framing.kind != Framing::Kind::until_close;
  return {};
}

}  // namespace egret::http
