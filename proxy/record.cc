#include "proxy/record.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/text.h"

namespace egret::proxy {
namespace {

double milliseconds(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }

std::string rfc3339(WallTime wall) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(wall);
  const auto fraction = std::chrono::duration_cast<std::chrono::microseconds>(wall - seconds);
  return fmt::format(
      "{:%Y-%m-%dT%H:%M:%S}.{:06}Z",
      fmt::gmtime(std::chrono::system_clock::to_time_t(
          std::chrono::time_point_cast<std::chrono::system_clock::duration>(seconds))),
      fraction.count());
}

std::string_view verdict_of(const Record& record) {
  if (!record.admitted) return record.failure ? refusal_word(record.failure->reason) : "denied";
  return record.reported ? "reported" : "allowed";
}

// Calls `put(key, value, is_text)` for each field of the line, in order.
template <typename Put>
void each_field(const Record& record, Put put) {
  put("time", rfc3339(record.wall), true);
  put("request_id", request_id(record.id), true);
  put("listener", record.listener, true);
  put("sender", record.sender, true);
  put("rule", record.rule, true);
  put("method", record.method, true);
  put("destination", record.destination, true);
  put("address", record.address ? record.address->to_string() : std::string(), true);
  put("verdict", verdict_of(record), true);
  const auto& why = record.failure ? record.failure : record.reported;
  const std::string_view tried = record.tried ? name(*record.tried) : std::string_view();
  put("reason", why ? name(why->reason) : tried, true);
  put("detail", why ? std::string_view(why->detail) : record.tried_detail, true);
  put("attempts", fmt::to_string(record.attempts), false);
  put("redirects", fmt::to_string(record.redirects), false);
  put("webhook_id", record.webhook_id, true);
  put("delivery", record.delivery, true);
  put("status", fmt::to_string(record.status), false);
  put("success", record.successful ? "true" : "false", false);
  put("truncated", record.truncated ? "true" : "false", false);
  put("request_bytes", fmt::to_string(record.bytes_up), false);
  put("response_bytes", fmt::to_string(record.bytes_down), false);
  const auto phase = [&](std::string_view key, Duration duration) {
    put(key, fmt::format("{:.3f}", milliseconds(duration)), false);
  };
  phase("receive_ms", record.receive);
  phase("resolve_ms", record.resolve);
  phase("connect_ms", record.connect);
  phase("tls_ms", record.tls);
  phase("send_ms", record.send);
  phase("wait_ms", record.wait);
  phase("backoff_ms", record.backoff);
  phase("relay_ms", record.relay);
  phase("total_ms", record.total);
}

bool needs_quotes(std::string_view value) {
  return value.empty() || std::ranges::any_of(value, [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return byte <= 0x20 || byte >= 0x7F || c == '"' || c == '=' || c == '\\';
         });
}

}  // namespace

std::string request_id(uint64_t id) { return fmt::format("{:016x}", id); }

std::string to_json(const Record& record) {
  std::string line = "{";
  each_field(record, [&line](std::string_view key, std::string_view value, bool is_text) {
    if (line.size() > 1) line += ',';
    line.append("\"").append(key).append("\":");
    if (!is_text) {
      line += value;
      return;
    }
    line += '"';
    text::append_json(line, value);
    line += '"';
  });
  line += '}';
  return line;
}

std::string to_text(const Record& record) {
  std::string line;
  each_field(record, [&line](std::string_view key, std::string_view value, bool is_text) {
    if (is_text && value.empty()) return;
    if (!line.empty()) line += ' ';
    line.append(key).append("=");
    if (!is_text || !needs_quotes(value)) {
      line += value;
      return;
    }
    line += '"';
    text::append_json(line, value);
    line += '"';
  });
  return line;
}

void finish(Record& record, TimePoint now, config::LogFormat format, const AccessLog& access,
            Metrics& metrics) {
  record.total = now - record.began;
  const Metrics::Outcome outcome{
      .listener = record.listener_label,
      .sender = record.sender_label,
      .rule = record.rule_label,
      .reason = record.failure ? std::optional(record.failure->reason) : std::nullopt,
      .code_class = static_cast<uint8_t>(record.status / 100)};
  metrics.count(outcome);
  if (record.reported && record.admitted) {  // addresses are enforced in every mode
    Metrics::Outcome would_be = outcome;
    would_be.reason = record.reported->reason;
    ++metrics.reported[Metrics::pack(would_be)];
  }
  if (record.tunnel) {
    metrics.tunnel_bytes_up += record.bytes_up;
    metrics.tunnel_bytes_down += record.bytes_down;
  } else {
    metrics.request_bytes += record.bytes_up;
    metrics.response_bytes += record.bytes_down;
  }
  if (record.resolve > Duration::zero()) metrics.resolve.observe(record.resolve);
  if (record.connect > Duration::zero()) metrics.connect.observe(record.connect);
  if (record.tls > Duration::zero()) metrics.tls.observe(record.tls);
  if (record.wait > Duration::zero()) metrics.response.observe(record.wait);
  metrics.total.observe(record.total);
  if (access) access(format == config::LogFormat::json ? to_json(record) : to_text(record));
}

}  // namespace egret::proxy
