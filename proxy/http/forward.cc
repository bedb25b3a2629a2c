#include "proxy/http/forward.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/text.h"
#include "proxy/http/framing.h"

namespace egret::http {
namespace {

using std::string_view_literals::operator""sv;  // appended without looking for their end
using text::equals_ignore_case;

enum class Direction : uint8_t { request, response };

// "_" counts as "-": a CGI-like server behind the destination reads both as one.
bool starts_with_word(std::string_view name, std::string_view word) {
  if (name.size() < word.size() || !equals_ignore_case(name.substr(0, word.size()), word)) {
    return false;
  }
  return name.size() == word.size() || name[word.size()] == '-' || name[word.size()] == '_';
}

bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
  return std::ranges::any_of(
      names, [name](std::string_view other) { return equals_ignore_case(name, other); });
}

// This hop's fields, and those that are written anew. `Proxy` itself is one of Proxy-*: a CGI-like
// server would make HTTP_PROXY of it (httpoxy).
bool stays_here(std::string_view name, Direction direction) {
  switch (text::lower(name[0])) {
    case 'c':
      return equals_ignore_case(name, "connection") || equals_ignore_case(name, "content-length");
    case 'e':
      return starts_with_word(name, "egret") ||
             (direction == Direction::request && equals_ignore_case(name, "expect"));
    case 'h':
      // HTTP2-Settings is for a switch to h2c (RFC 7540 3.2.1), which Egret does not make.
      return direction == Direction::request &&
             (equals_ignore_case(name, "host") || equals_ignore_case(name, "http2-settings"));
    case 'k':
      return equals_ignore_case(name, "keep-alive");
    case 'p':
      return starts_with_word(name, "proxy");
    case 't':
      return equals_ignore_case(name, "te") || equals_ignore_case(name, "trailer") ||
             equals_ignore_case(name, "transfer-encoding");
    case 'u':
      return equals_ignore_case(name, "upgrade");
    default:
      return false;
  }
}

// What Connection cannot take away: fields that route, frame, identify or describe the content.
bool is_end_to_end(std::string_view name) {
  static constexpr std::string_view kNames[] = {"authorization",
                                                "cache-control",
                                                "content-encoding",
                                                "content-length",
                                                "content-range",
                                                "content-type",
                                                "cookie",
                                                "host",
                                                "idempotency-key",
                                                "traceparent",
                                                "tracestate",
                                                "transfer-encoding",
                                                "via",
                                                "webhook-id"};
  return is_one_of(name, kNames);
}

// Which fields a head's Connection removes.
class Options {
 public:
  explicit Options(const Fields& fields) {
    for (const Field& field : fields.all()) {
      if (!equals_ignore_case(field.name, "connection")) continue;
      for_each_element(field.value, [this](std::string_view option) {
        // A parsed head has no more options than fit.
        const bool names_a_field = !equals_ignore_case(option, "close") &&
                                   !equals_ignore_case(option, "keep-alive") &&
                                   !is_end_to_end(option);
        if (names_a_field && count_ < names_.size()) names_[count_++] = option;
      });
    }
  }
  [[nodiscard]] bool remove(std::string_view name) const {
    return count_ > 0 && is_one_of(name, {names_.data(), count_});
  }

 private:
  std::array<std::string_view, kMaxConnectionOptions> names_;
  size_t count_ = 0;
};

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": "sv).append(value).append("\r\n"sv);
}

void append_length(std::string& out, uint64_t length) {
  out.append("Content-Length: "sv);
  text::append_decimal(out, length);
  out.append("\r\n"sv);
}

// Whether `value` stands behind `name` as append_field would write it.
bool is_written_plainly(const Field& field) {
  const char* end = field.name.data() + field.name.size();
  return field.value.data() == end + 2 && end[0] == ':' && end[1] == ' ';
}

// `name`, as a sender wrote it, is one of `names`. "_" counts as "-", as in starts_with_word.
bool is_removed(std::string_view name, std::span<const std::string> names) {
  return std::ranges::any_of(names, [name](std::string_view removed) {
    return name.size() == removed.size() &&
           std::ranges::equal(name, removed, [](char ours, char theirs) {
             return text::lower(ours) == theirs || (ours == '_' && theirs == '-');
           });
  });
}

// Which of a head's fields go on.
class Forwardable {
 public:
  Forwardable(const Fields& fields, Direction direction, std::span<const std::string> removed)
      : options_(fields), direction_(direction), removed_(removed) {}
  [[nodiscard]] bool operator()(std::string_view name) const {
    return !stays_here(name, direction_) && !options_.remove(name) &&
           (removed_.empty() || !is_removed(name, removed_));
  }

 private:
  Options options_;
  Direction direction_;
  std::span<const std::string> removed_;
};

// Fields that lie in the head as they are to be written, one behind the other, are one piece.
void append_forwardable(std::string& out, const Fields& fields, Direction direction,
                        std::span<const std::string> removed = {}) {
  const Forwardable goes_on(fields, direction, removed);
  std::string_view piece;
  const auto flush = [&] {
    if (!piece.empty()) out.append(piece).append("\r\n"sv);
    piece = {};
  };
  for (const Field& field : fields.all()) {
    if (!goes_on(field.name)) continue;
    if (!is_written_plainly(field)) {
      flush();
      append_field(out, field.name, field.value);
      continue;
    }
    const char* end = piece.data() + piece.size();
    const bool follows =
        !piece.empty() && field.name.data() == end + 2 && end[0] == '\r' && end[1] == '\n';
    if (!follows) {
      flush();
      end = field.name.data();
      piece = {end, 0};
    }
    piece = {piece.data(),
             static_cast<size_t>(field.value.data() + field.value.size() - piece.data())};
  }
  flush();
}

// A line of its own after those of earlier hops: the list's order is kept (RFC 9110 5.3).
void append_via(std::string& out, int minor_version, std::string_view pseudonym) {
  out.append(minor_version == 0 ? "Via: 1.0 "sv : "Via: 1.1 "sv).append(pseudonym).append("\r\n"sv);
}

// As Url::host_header and Url::origin_form say it, without making a string of each.
void append_host(std::string& out, const policy::Url& url) {
  out.append("Host: "sv);
  const bool bracketed = url.host.text.find(':') != std::string::npos;
  if (bracketed) out.push_back('[');
  out.append(url.host.text);
  if (bracketed) out.push_back(']');
  if (url.port != policy::default_port(url.scheme)) {
    out.push_back(':');
    text::append_decimal(out, url.port);
  }
  out.append("\r\n"sv);
}

// OPTIONS of a URL without a path is about the server as a whole, and the last proxy says so with
// an asterisk (RFC 9112 3.2.4). The parsed URL has a path by now; the target tells.
bool asks_about_server(const RequestHead& head, const policy::Url& url) {
  return head.method == "OPTIONS" && url.path == "/" && !url.has_query &&
         head.target.find("://") != std::string_view::npos && !head.target.ends_with('/');
}

// These have content by their meaning; without a length some servers answer 411 (RFC 9110 8.6).
bool has_content_by_meaning(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

void append_status_line(std::string& out, const ResponseHead& head) {
  out.append("HTTP/1.1 "sv);
  text::append_decimal(out, static_cast<uint64_t>(head.status));
  out.push_back(' ');
  out.append(head.reason_phrase).append("\r\n"sv);
}

}  // namespace

void append_request(std::string& out, const RequestHead& head, const policy::Url& url,
                    Framing framing, std::string_view pseudonym, const Changes* changes) {
  out.append(head.method).push_back(' ');
  if (asks_about_server(head, url)) {
    out.push_back('*');
  } else {
    out.append(url.path);
    if (url.has_query) out.append("?"sv).append(url.query);
  }
  out.append(" HTTP/1.1\r\n"sv);
  append_host(out, url);
  if (changes == nullptr) {
    append_forwardable(out, head.fields, Direction::request);
  } else {
    append_forwardable(out, head.fields, Direction::request, changes->remove);
    out.append(changes->add);
  }
  if (framing.kind == Framing::Kind::chunked) {
    out.append("Transfer-Encoding: chunked\r\n"sv);
  } else if (framing.kind == Framing::Kind::length) {
    append_length(out, framing.length);
  } else if (has_content_by_meaning(head.method)) {
    append_length(out, 0);
  }
  append_via(out, head.minor_version, pseudonym);
  out.append("\r\n"sv);
}

void append_kept(std::string& out, const RequestHead& head, const policy::Url& url, uint64_t length,
                 const Changes& changes) {
  out.append(head.method).append(" "sv).append(policy::to_string(url.scheme)).append("://"sv);
  out.append(url.authority().to_string());
  if (!asks_about_server(head, url)) out.append(url.origin_form());
  out.append(" HTTP/1.1\r\n"sv);
  append_host(out, url);
  append_forwardable(out, head.fields, Direction::request, changes.remove);
  out.append(changes.add);
  if (length > 0 || has_content_by_meaning(head.method)) append_length(out, length);
  out.append("\r\n"sv);
}

std::vector<Field> forwarded(const RequestHead& head, const Changes& changes) {
  const Forwardable goes_on(head.fields, Direction::request, changes.remove);
  std::vector<Field> fields;
  for (const Field& field : head.fields.all()) {
    if (goes_on(field.name)) fields.push_back(field);
  }
  std::string_view lines = changes.add;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find("\r\n"));
    lines.remove_prefix(line.size() + 2);
    const size_t colon = line.find(':');
    fields.push_back({line.substr(0, colon), text::trim(line.substr(colon + 1))});
  }
  return fields;
}

void append_response(std::string& out, const ResponseHead& head, Framing framing, int sender_minor,
                     bool keep_alive, std::string_view pseudonym, std::string_view extra) {
  append_status_line(out, head);
  append_forwardable(out, head.fields, Direction::response);
  bool close = !keep_alive;
  switch (framing.kind) {
    case Framing::Kind::none:
      // To HEAD, and in a 304, the length is that of the content that would have come; a 204 has
      // none (RFC 9110 8.6).
      if (head.status >= 200 && head.status != 204) {
        if (const Field* length = head.fields.find("content-length")) {
          append_field(out, "Content-Length", length->value);
        }
      }
      break;
    case Framing::Kind::length:
      append_length(out, framing.length);
      break;
    case Framing::Kind::chunked:
      if (sender_minor == 0) {
        close = true;
      } else {
        out.append("Transfer-Encoding: chunked\r\n"sv);
      }
      break;
    case Framing::Kind::until_close:
      close = true;
      break;
  }
  if (close) out.append("Connection: close\r\n"sv);
  append_via(out, head.minor_version, pseudonym);
  out.append(extra).append("\r\n"sv);
}

void append_interim(std::string& out, const ResponseHead& head) {
  append_status_line(out, head);
  append_forwardable(out, head.fields, Direction::response);
  out.append("\r\n"sv);
}

bool has_been_here(const Fields& fields, std::string_view pseudonym) {
  bool here = false;
  for (const Field& field : fields.all()) {
    if (!equals_ignore_case(field.name, "via")) continue;
    // An element is: protocol, white space, received-by, and perhaps a comment.
    for_each_element(field.value, [&here, pseudonym](std::string_view element) {
      const size_t space = element.find_first_of(" \t");
      if (space == std::string_view::npos) return;
      const std::string_view rest = text::trim(element.substr(space));
      here |= equals_ignore_case(rest.substr(0, rest.find_first_of(" \t(")), pseudonym);
    });
  }
  return here;
}

}  // namespace egret::http
