#include "proxy/http/parser.h"

#include <llhttp.h>

#include <algorithm>

#include "base/text.h"
#include "proxy/http/framing.h"
#include "proxy/http/strict.h"

namespace egret::http {
namespace {

Unexpected malformed(std::string_view detail) {
  return Unexpected(Reason::request_malformed, std::string(detail));
}

// What is certain once the first line is there: nobody should wait for the rest of an SSH banner or
// an HTTP/0.9 request.
Result<> check_first_line(std::string_view line) {
  if (line.starts_with("PRI * HTTP/2")) {
    return Unexpected(Reason::http_version_unsupported, "HTTP/2 is not spoken here");
  }
  if (line.empty()) return malformed("an empty line where a start line belongs");
  if (line.starts_with("HTTP/") || line.find(" HTTP/") != std::string_view::npos) return {};
  return malformed("the first line names no HTTP version");
}

Unexpected bad_byte(std::string_view bytes, size_t at) {
  const char c = bytes[at];
  if (at == 0 && c == 0x16) return malformed("TLS on a plain listener");
  if (c == '\r') return malformed("a CR that no LF follows");
  if (c == '\n') return malformed("an LF without CR before it");
  return malformed(c == '\0' ? "a NUL byte in the head" : "a control byte in the head");
}

// llhttp's findings: spans of the one buffer it is given.
struct Found {
  Fields* fields;
  Field field;
  bool too_many = false;
  bool complete = false;
};

Found& found(llhttp_t* parser) { return *static_cast<Found*>(parser->data); }

void extend(std::string_view& span, const char* at, size_t size) {
  span = span.data() == nullptr ? std::string_view(at, size)
                                : std::string_view(span.data(), span.size() + size);
}

int on_field(llhttp_t* parser, const char* at, size_t size) {
  extend(found(parser).field.name, at, size);
  return 0;
}

int on_value(llhttp_t* parser, const char* at, size_t size) {
  extend(found(parser).field.value, at, size);
  return 0;
}

int on_value_complete(llhttp_t* parser) {
  Found& f = found(parser);
  f.field.value = text::trim(f.field.value);
  f.too_many = !f.fields->add(f.field);
  f.field = {};
  return f.too_many ? HPE_USER : 0;
}

// The content is BodyDecoder's: llhttp stops where the head does.
int on_headers_complete(llhttp_t* parser) {
  found(parser).complete = true;
  return HPE_PAUSED;
}

const llhttp_settings_t& settings() {
  static const llhttp_settings_t kSettings = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_header_field = on_field;
    s.on_header_value = on_value;
    s.on_header_value_complete = on_value_complete;
    s.on_headers_complete = on_headers_complete;
    return s;
  }();
  return kSettings;
}

// One head through llhttp. Minor versions above 1 are judged by the caller.
class Head {
 public:
  Head(llhttp_type_t type, Fields& fields) : found_{&fields, {}} {
    fields.clear();
    llhttp_init(&parser_, type, &settings());
    parser_.data = &found_;
    parser_.lenient_flags |= LENIENT_VERSION;
  }
  Head(const Head&) = delete;
  Head& operator=(const Head&) = delete;

  llhttp_errno_t feed(std::string_view bytes) {
    const llhttp_errno_t error = llhttp_execute(&parser_, bytes.data(), bytes.size());
    return error == HPE_PAUSED && found_.complete ? HPE_OK : error;
  }
  // The field lines, without the tabs that end one: they mean nothing (RFC 9112 5), but llhttp 8
  // takes them for a part of Content-Length.
  llhttp_errno_t feed_lines(std::string_view lines) {
    size_t from = 0;
    for (size_t tab; (tab = lines.find('\t', from)) != std::string_view::npos;) {
      from = std::min(lines.find_first_not_of(" \t", tab), lines.size());
      if (from == lines.size() || lines[from] != '\r') continue;
      if (const llhttp_errno_t error = feed(lines.substr(0, tab)); error != HPE_OK) return error;
      lines.remove_prefix(from);
      from = 0;
    }
    return feed(lines);
  }
  [[nodiscard]] bool complete() const { return found_.complete; }
  [[nodiscard]] bool too_many() const { return found_.too_many; }
  [[nodiscard]] std::string why() const {
    const char* reason = llhttp_get_error_reason(&parser_);
    return reason == nullptr || *reason == '\0' ? "the head is not valid" : reason;
  }

 private:
  Found found_;
  llhttp_t parser_;
};

// Why llhttp refused a request whose request line is already known to be well formed.
Unexpected refused(llhttp_errno_t error, const Head& parser, std::string_view method) {
  // PRI is HTTP/2's, and nothing but its preface.
  switch (method == "PRI" ? HPE_INVALID_METHOD : error) {
    case HPE_INVALID_METHOD:
    case HPE_INVALID_CONSTANT:  // a method of another protocol (RTSP, ICE)
    case HPE_PAUSED_H2_UPGRADE:
      return Unexpected(Reason::method_prohibited,
                        "the method " + text::printable(method, 32) + " is not known");
    case HPE_UNEXPECTED_CONTENT_LENGTH:
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_INVALID_TRANSFER_ENCODING:
      return Unexpected(Reason::body_framing_ambiguous, parser.why());
    default:
      return malformed(parser.why());
  }
}

}  // namespace

size_t leading_crlf(std::string_view bytes) { return bytes.starts_with("\r\n") ? 2 : 0; }

Result<size_t> find_head_end(std::string_view bytes, size_t& scanned) {
  const char* const begin = bytes.data();
  const char* const end = begin + bytes.size();
  const char* at = begin + scanned;
  bool first_line_seen = false;
  while (true) {
    // White space at the start of a line is obs-fold, or hides a field (RFC 9112 2.2, 5.2).
    if (at != begin && at != end && at[-1] == '\n' && (*at == ' ' || *at == '\t')) {
      return malformed("white space at the start of a line");
    }
    at = find_control(at, end);
    while (at != end && *at == '\t') at = find_control(at + 1, end);
    if (at == end || (*at == '\r' && at + 1 == end)) {
      scanned = static_cast<size_t>(at - begin);
      return size_t{0};
    }
    const size_t position = static_cast<size_t>(at - begin);
    if (*at != '\r' || at[1] != '\n') return bad_byte(bytes, position);
    if (!first_line_seen) {
      const std::string_view before = bytes.substr(0, position);
      if (before.find('\n') == std::string_view::npos) {
        if (auto checked = check_first_line(before); !checked) {
          return Unexpected(std::move(checked.error()));
        }
      }
      first_line_seen = true;
    }
    at += 2;
    if (position >= 2 && at[-3] == '\n') {
      scanned = static_cast<size_t>(at - begin);
      return scanned;
    }
  }
}

Result<> parse_request(std::string_view head, RequestHead& out) {
  size_t scanned = 0;
  Result<size_t> size = find_head_end(head, scanned);
  if (!size) return Unexpected(std::move(size.error()));
  if (*size != head.size() || head.empty()) return malformed("not exactly one head");
  return parse_found_request(head, out);
}

Result<> parse_found_request(std::string_view head, RequestHead& out) {
  RequestLine line;
  if (auto split = split_request_line(head, line); !split) return split;

  Head parser(HTTP_REQUEST, out.fields);
  // llhttp judges the method, the version and the fields. The target is policy::parse_url's alone:
  // in its place llhttp gets one that it likes.
  const size_t target = static_cast<size_t>(line.target.data() - head.data());
  llhttp_errno_t error = parser.feed(head.substr(0, target));
  if (error == HPE_OK) error = parser.feed(line.method == "CONNECT" ? "a:1" : "/");
  if (error == HPE_OK) error = parser.feed_lines(head.substr(target + line.target.size()));
  if (parser.too_many()) {
    return Unexpected(Reason::request_headers_too_large, "more than 100 fields");
  }
  if (error != HPE_OK) return refused(error, parser, line.method);
  if (!parser.complete() || !fields_are_lines(head.substr(line.size), out.fields)) {
    return malformed("the fields cannot be read in one way only");
  }
  out.method = line.method;
  out.target = line.target;
  out.minor_version = line.minor_version;
  return settle_request(out);
}

Result<> parse_response(std::string_view head, std::string_view request_method, ResponseHead& out) {
  const auto refuse = [](std::string detail) {
    return Unexpected(Reason::response_malformed, std::move(detail));
  };
  size_t scanned = 0;
  Result<size_t> size = find_head_end(head, scanned);
  if (!size) return refuse(std::move(size.error().detail));
  if (*size != head.size() || head.empty()) return refuse("not exactly one head");
  return parse_found_response(head, request_method, out);
}

Result<> parse_found_response(std::string_view head, std::string_view request_method,
                              ResponseHead& out) {
  const auto refuse = [](std::string detail) {
    return Unexpected(Reason::response_malformed, std::move(detail));
  };
  StatusLine line;
  if (auto split = split_status_line(head, line); !split) return split;

  Head parser(HTTP_RESPONSE, out.fields);
  const llhttp_errno_t error = parser.feed_lines(head);
  if (parser.too_many()) {
    return Unexpected(Reason::response_headers_too_large, "more than 100 fields");
  }
  if (error != HPE_OK) return refuse(parser.why());
  if (!parser.complete() || !fields_are_lines(head.substr(line.size), out.fields)) {
    return refuse("the fields cannot be read in one way only");
  }
  out.status = line.status;
  out.reason_phrase = line.reason_phrase;
  out.minor_version = line.minor_version;
  return settle_response(request_method, out);
}

}  // namespace egret::http
