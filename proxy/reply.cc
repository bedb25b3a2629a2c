#include "proxy/reply.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/text.h"

namespace egret::proxy {
namespace {

// Where nothing more is known: these conditions pass as soon as others finish.
constexpr Duration kRetryAfter = std::chrono::seconds(1);

void member(std::string& json, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  if (json.size() > 1) json += ',';
  json.append("\"").append(key).append("\":\"");
  text::append_json(json, value);
  json += '"';
}

std::string problem(const Failure& failure, const Record& record, const ReplyContext& context) {
  const ReasonInfo& reason = info(failure.reason);
  const bool full = context.detail == config::LogDetail::full;
  std::string json = "{";
  member(json, "type", fmt::format("urn:egret:reason:{}", reason.name));
  member(json, "title", reason.title);
  json += fmt::format(",\"status\":{}", reason.status);
  if (full) member(json, "detail", failure.detail);
  member(json, "reason", reason.name);
  member(json, "rule", record.rule);
  member(json, "destination", record.destination);
  member(json, "request_id", request_id(record.id));
  json += "}\n";
  return json;
}

// RFC 9209 2.1.2: the details parameter is an sf-string: printable ASCII, quotes and backslashes
// escaped.
std::string sf_string(std::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c < 0x20 || c > 0x7E) {
      out += '?';
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
  return out;
}

void append_connection(std::string& out, const ReplyContext& context) {
  if (!context.keep_alive) {
    out += "Connection: close\r\n";
  } else if (context.sender_minor == 0) {
    out += "Connection: keep-alive\r\n";
  }
}

}  // namespace

std::string_view reason_phrase(int status) {
  switch (status) {
    case 202:
      return "Accepted";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 407:
      return "Proxy Authentication Required";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 508:
      return "Loop Detected";
    default:
      return "OK";
  }
}

std::string refusal(const Failure& failure, const Record& record, const ReplyContext& context) {
  const ReasonInfo& reason = info(failure.reason);
  const std::string content = problem(failure, record, context);
  std::string out = fmt::format("HTTP/1.1 {} {}\r\n", reason.status, reason_phrase(reason.status));
  out += "Content-Type: application/problem+json\r\n";
  out += fmt::format("Content-Length: {}\r\n", content.size());
  out += fmt::format("Proxy-Status: egret; error={}", reason.token);
  if (context.detail == config::LogDetail::full && !failure.detail.empty()) {
    out += "; details=" + sf_string(failure.detail);
  }
  out += "\r\n";
  if (reason.status == 407) {
    out += "Proxy-Authenticate: Basic realm=\"egret\", charset=\"UTF-8\"\r\n";
    out += "Proxy-Authenticate: Bearer realm=\"egret\"\r\n";
  }
  // Not for a request that the destination may have had already.
  const bool sent = failure.reason == Reason::memory_limit && record.attempts > 0;
  if (reason.status == 429 || (reason.status == 503 && !sent)) {
    const Duration wait = std::max(record.retry_after, kRetryAfter);
    out +=
        fmt::format("Retry-After: {}\r\n", std::chrono::ceil<std::chrono::seconds>(wait).count());
  }
  if (record.attempts > 0) out += fmt::format("Egret-Attempts: {}\r\n", record.attempts);
  append_connection(out, context);
  out += "\r\n";
  if (!context.head_request) out += content;
  return out;
}

std::string accepted(const Record& record, std::string_view state,
                     const config::ListenAddress& admin, const policy::Preferences& preferences,
                     const ReplyContext& context) {
  std::string json = "{";
  member(json, "delivery", record.delivery);
  member(json, "status", state);
  json += "}\n";
  std::string out = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n";
  out += fmt::format("Content-Length: {}\r\n", json.size());
  const bool addressed = admin.endpoint && admin.endpoint->port != 0;
  out += fmt::format("Location: {}/v1/deliveries/{}\r\n",
                     addressed ? "http://" + admin.endpoint->to_string() : std::string(),
                     record.delivery);
  if (preferences.any()) {
    std::string applied;
    if (preferences.respond_async) applied = "respond-async";
    if (preferences.wait) {
      if (!applied.empty()) applied += ", ";
      applied += fmt::format(
          "wait={}", std::chrono::duration_cast<std::chrono::seconds>(*preferences.wait).count());
    }
    out += "Preference-Applied: " + applied + "\r\n";
  }
  out += "Proxy-Status: egret\r\nEgret-Delivery: " + record.delivery + "\r\n";
  if (record.attempts > 0) out += fmt::format("Egret-Attempts: {}\r\n", record.attempts);
  append_connection(out, context);
  out += "\r\n";
  if (!context.head_request) out += json;
  return out;
}

void append_relayed_fields(std::string& out, int status, int attempts, bool cut) {
  out += "Proxy-Status: egret; received-status=";
  text::append_decimal(out, static_cast<uint64_t>(status));
  if (cut) out += "; error=http_response_body_size; details=\"cut at limits.response_body\"";
  out += "\r\nEgret-Attempts: ";
  text::append_decimal(out, static_cast<uint64_t>(attempts));
  out += "\r\n";
}

}  // namespace egret::proxy
