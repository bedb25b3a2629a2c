#include "proxy/metrics.h"

#include <fmt/format.h>

#include <iterator>
#include <map>

#include "proxy/version.h"

namespace egret::proxy {
namespace {

constexpr Labels::Id kOther = UINT16_MAX;
constexpr uint8_t kNoReason = UINT8_MAX;

std::string escape_label(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

class Page {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(std::back_inserter(text_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name,
                   type);
  }
  template <typename Value>
  void sample(std::string_view name, std::string_view labels, Value value) {
    if (labels.empty()) {
      fmt::format_to(std::back_inserter(text_), "{} {}\n", name, value);
    } else {
      fmt::format_to(std::back_inserter(text_), "{}{{{}}} {}\n", name, labels, value);
    }
  }
  template <typename Value>
  void single(std::string_view name, std::string_view type, std::string_view help, Value value) {
    family(name, type, help);
    sample(name, "", value);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string outcome_labels(uint64_t packed, const Labels& labels) {
  const Metrics::Outcome outcome = Metrics::unpack(packed);
  const std::string code =
      outcome.code_class == 0 ? "none" : fmt::format("{}xx", outcome.code_class);
  return fmt::format(R"(listener="{}",sender="{}",rule="{}",reason="{}",code="{}")",
                     escape_label(labels.name(outcome.listener)),
                     escape_label(labels.name(outcome.sender)),
                     escape_label(labels.name(outcome.rule)),
                     outcome.reason ? name(*outcome.reason) : std::string_view("none"), code);
}

void print_outcomes(Page& page, const Metrics& metrics, const Labels& labels) {
  page.family("egret_exchanges_total", "counter",
              "Requests and tunnels that ended, by who sent them, which rule took them and how.");
  for (const auto& [packed, count] : std::map(metrics.exchanges.begin(), metrics.exchanges.end())) {
    page.sample("egret_exchanges_total", outcome_labels(packed, labels), count);
  }
  page.family("egret_reported_total", "counter",
              "Requests that report mode let pass and enforce mode would refuse.");
  for (const auto& [packed, count] : std::map(metrics.reported.begin(), metrics.reported.end())) {
    page.sample("egret_reported_total", outcome_labels(packed, labels), count);
  }
}

template <typename Count>
void print_by_listener(Page& page, const std::unordered_map<Labels::Id, Count>& counts,
                       const Labels& labels, std::string_view metric) {
  for (const auto& [listener, count] : std::map(counts.begin(), counts.end())) {
    page.sample(metric, fmt::format(R"(listener="{}")", escape_label(labels.name(listener))),
                count);
  }
}

void print_connections(Page& page, const Metrics& metrics, const Labels& labels) {
  page.family("egret_sender_connections", "gauge", "Open connections from senders.");
  print_by_listener(page, metrics.connections_open, labels, "egret_sender_connections");
  page.family("egret_sender_connections_total", "counter", "Connections accepted from senders.");
  print_by_listener(page, metrics.connections_total, labels, "egret_sender_connections_total");
  page.family("egret_accept_failures_total", "counter",
              "Times the kernel had no descriptor or memory for a connection.");
  print_by_listener(page, metrics.accept_failures, labels, "egret_accept_failures_total");
  page.single("egret_exchanges_in_flight", "gauge", "Requests being worked on.",
              metrics.exchanges_open);
  page.single("egret_tunnels_open", "gauge", "CONNECT tunnels open.", metrics.tunnels_open);
  page.single("egret_upstream_connections_total", "counter", "Connections opened to destinations.",
              metrics.upstream_opened);
  page.single("egret_upstream_reused_total", "counter",
              "Exchanges that went over a connection that was open already.",
              metrics.upstream_reused);
  page.single("egret_upstream_idle", "gauge", "Idle connections kept to destinations.",
              metrics.upstream_idle);
}

void print_attempts(Page& page, const Metrics& metrics) {
  page.single("egret_attempts_total", "counter", "Attempts at destinations, tunnels too.",
              metrics.attempts);
  page.single("egret_retries_total", "counter", "Attempts after one that failed.", metrics.retries);
  page.single("egret_redirects_followed_total", "counter",
              "Redirects that a rule followed on the sender's behalf.", metrics.redirects_followed);
  page.single("egret_requests_signed_total", "counter",
              "Requests that left with a signature, each attempt and redirect.",
              metrics.requests_signed);
  page.single("egret_answers_unsuccessful_total", "counter",
              "Answers passed on whose status is not in the rule's success.",
              metrics.answers_unsuccessful);
  page.single("egret_answers_truncated_total", "counter",
              "Answers passed on up to limits.response_body only.", metrics.answers_truncated);
}

void print_bytes(Page& page, const Metrics& metrics) {
  page.single("egret_request_bytes_total", "counter", "Content bytes from senders.",
              metrics.request_bytes);
  page.single("egret_response_bytes_total", "counter", "Content bytes to senders.",
              metrics.response_bytes);
  page.family("egret_tunnel_bytes_total", "counter", "Bytes through CONNECT tunnels.");
  page.sample("egret_tunnel_bytes_total", R"(direction="up")", metrics.tunnel_bytes_up);
  page.sample("egret_tunnel_bytes_total", R"(direction="down")", metrics.tunnel_bytes_down);
  page.single("egret_buffers", "gauge", "Buffers that hold bytes in flight.", metrics.buffers_lent);
  page.single("egret_buffer_bytes", "gauge",
              "Bytes of memory in buffers that hold bytes in flight.", metrics.buffer_bytes);
}

void print_dns(Page& page, const Metrics& metrics) {
  page.single("egret_dns_cache_entries", "gauge", "Names remembered.", metrics.dns_cache_entries);
  page.single("egret_dns_cache_hits_total", "counter", "Names answered from memory.",
              metrics.dns_cache_hits);
  page.single("egret_dns_cache_misses_total", "counter", "Names asked of the name servers.",
              metrics.dns_cache_misses);
}

void print_tls(Page& page, const Metrics& metrics) {
  page.family("egret_tls_handshakes_total", "counter", "TLS handshakes that ended well.");
  const auto sample = [&page](std::string_view side, std::string_view resumed, uint64_t count) {
    page.sample("egret_tls_handshakes_total",
                fmt::format(R"(side="{}",resumed="{}")", side, resumed), count);
  };
  sample("destination", "false", metrics.tls_full);
  sample("destination", "true", metrics.tls_resumed);
  sample("sender", "false", metrics.sender_tls_full);
  sample("sender", "true", metrics.sender_tls_resumed);
  page.family("egret_interception_certificates_total", "counter",
              "Certificates presented in intercepted tunnels.");
  page.sample("egret_interception_certificates_total", R"(made="now")", metrics.leafs_minted);
  page.sample("egret_interception_certificates_total", R"(made="before")", metrics.leafs_reused);
}

void print_phase(Page& page, std::string_view phase, const Histogram& histogram) {
  uint64_t cumulative = 0;
  for (size_t i = 0; i < Histogram::kBounds.size(); ++i) {
    cumulative += histogram.counts()[i];
    page.sample("egret_phase_seconds_bucket",
                fmt::format(R"(phase="{}",le="{}")", phase, Histogram::kBounds[i]), cumulative);
  }
  cumulative += histogram.counts().back();
  page.sample("egret_phase_seconds_bucket", fmt::format(R"(phase="{}",le="+Inf")", phase),
              cumulative);
  page.sample("egret_phase_seconds_sum", fmt::format(R"(phase="{}")", phase),
              histogram.sum_seconds());
  page.sample("egret_phase_seconds_count", fmt::format(R"(phase="{}")", phase), cumulative);
}

void print_process(Page& page, const ProcessMetrics& process) {
  page.family("egret_build_info", "gauge", "Always 1; the version is the label.");
  page.sample("egret_build_info", fmt::format(R"(version="{}")", kVersion), 1);
  page.single("egret_workers", "gauge", "Event loops.", process.workers);
  page.single("egret_buffer_bytes_limit", "gauge",
              "buffer_memory; new requests may set half of it aside.", process.buffer_memory);
  page.single("egret_buffer_bytes_reserved", "gauge",
              "Bytes of buffer_memory that workers have set aside, lent or not.",
              process.buffer_memory_reserved);
  page.single("egret_draining", "gauge", "1 while Egret shuts down.", process.draining ? 1 : 0);
  page.single("egret_breakers_open", "gauge", "Destinations that are left alone.",
              process.breakers_open);
  page.single("egret_breakers_opened_total", "counter",
              "Times that a destination had failed too often.", process.breakers_opened);
  page.family("egret_consent_handshakes_total", "counter",
              "Destinations that were asked for their consent, by what came of it.");
  page.sample("egret_consent_handshakes_total", R"(outcome="granted")", process.consents.granted);
  page.sample("egret_consent_handshakes_total", R"(outcome="refused")", process.consents.refused);
  page.sample("egret_consent_handshakes_total", R"(outcome="failed")", process.consents.failed);
  page.single("egret_consent_callbacks_total", "counter", "Destinations that agreed by a callback.",
              process.consents.callbacks);
  page.family("egret_reloads_total", "counter", "Configurations offered by SIGHUP.");
  page.sample("egret_reloads_total", R"(result="applied")", process.reloads_applied);
  page.sample("egret_reloads_total", R"(result="refused")", process.reloads_refused);
  page.single("egret_log_lines_dropped_total", "counter",
              "Log lines lost because the log could not be written as fast as it was made.",
              process.log_lines_dropped);
}

void print_queue(Page& page, const ProcessMetrics::QueueState& state) {
  const queue::Stats& stats = state.stats;
  const queue::Counts& counts = state.counts;
  page.family("egret_queue_deliveries", "gauge",
              "Deliveries in the queue's store, by their state.");
  const auto deliveries = [&page](queue::State of, uint64_t count) {
    page.sample("egret_queue_deliveries", fmt::format(R"(state="{}")", queue::to_string(of)),
                count);
  };
  deliveries(queue::State::queued, stats.queued - stats.running);
  deliveries(queue::State::running, stats.running);
  deliveries(queue::State::delivered, stats.delivered);
  deliveries(queue::State::dead, stats.dead);
  deliveries(queue::State::cancelled, stats.cancelled);
  const Duration age = stats.oldest ? state.now - *stats.oldest : Duration::zero();
  page.family("egret_queue_oldest_seconds", "gauge",
              "Age of the oldest delivery that is queued or running.");
  page.sample("egret_queue_oldest_seconds", "", static_cast<double>(age.count()) / 1e9);
  page.single("egret_queue_endpoints_disabled", "gauge", "Hosts and URLs that are switched off.",
              stats.disabled);
  page.single("egret_queue_bytes", "gauge",
              "Bytes of heads, contents and attempts in the queue's store.", stats.bytes);
  page.single("egret_queue_evicted_total", "counter",
              "Dead deliveries that were forgotten before their time, to make room.",
              stats.evicted);
  page.family("egret_queue_accepted_total", "counter", "Requests that were answered with 202.");
  page.sample("egret_queue_accepted_total", R"(known="false")", counts.accepted);
  page.sample("egret_queue_accepted_total", R"(known="true")", counts.known);
  page.family("egret_queue_attempts_total", "counter",
              "Attempts at queued deliveries, by what became of the delivery.");
  page.sample("egret_queue_attempts_total", R"(outcome="delivered")", counts.delivered);
  page.sample("egret_queue_attempts_total", R"(outcome="again")", counts.again);
  page.sample("egret_queue_attempts_total", R"(outcome="dead")", counts.dead);
  page.single("egret_queue_commits_total", "counter", "Transactions of the queue's store.",
              counts.commits);
  page.single("egret_queue_store_failures_total", "counter",
              "Transactions that the queue's store could not keep.", counts.failures);
  page.single("egret_queue_owners", "gauge", "Egrets that share the queue's store.", state.owners);
  page.single("egret_queue_stale_total", "counter",
              "Attempts whose delivery another Egret had taken over.", counts.stale);
}

}  // namespace

Labels::Id Labels::intern(std::string_view label) {
  const std::lock_guard lock(mutex_);
  const auto found = ids_.find(std::string(label));
  if (found != ids_.end()) return found->second;
  if (names_.size() >= kOther) return kOther;
  const Id id = static_cast<Id>(names_.size());
  names_.emplace_back(label);
  ids_.emplace(names_.back(), id);
  return id;
}

std::string Labels::name(Id id) const {
  const std::lock_guard lock(mutex_);
  return id < names_.size() ? names_[id] : "other";
}

void Histogram::observe(Duration duration) {
  const double seconds = static_cast<double>(duration.count()) / 1e9;
  size_t bucket = 0;
  while (bucket < kBounds.size() && seconds > kBounds[bucket]) ++bucket;
  ++counts_[bucket];
  sum_ += duration;
}

void Histogram::add(const Histogram& other) {
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  sum_ += other.sum_;
}

uint64_t Metrics::pack(const Outcome& outcome) {
  const uint64_t reason = outcome.reason ? static_cast<uint64_t>(*outcome.reason) : kNoReason;
  return uint64_t{outcome.listener} << 48 | uint64_t{outcome.sender} << 32 |
         uint64_t{outcome.rule} << 16 | reason << 8 | outcome.code_class;
}

Metrics::Outcome Metrics::unpack(uint64_t packed) {
  const auto reason = static_cast<uint8_t>(packed >> 8);
  return {.listener = static_cast<Labels::Id>(packed >> 48),
          .sender = static_cast<Labels::Id>(packed >> 32),
          .rule = static_cast<Labels::Id>(packed >> 16),
          .reason = reason == kNoReason ? std::nullopt : std::optional(static_cast<Reason>(reason)),
          .code_class = static_cast<uint8_t>(packed)};
}

void Metrics::add(const Metrics& other) {
  for (const auto& [key, count] : other.exchanges) exchanges[key] += count;
  for (const auto& [key, count] : other.reported) reported[key] += count;
  for (const auto& [key, count] : other.connections_open) connections_open[key] += count;
  for (const auto& [key, count] : other.connections_total) connections_total[key] += count;
  for (const auto& [key, count] : other.accept_failures) accept_failures[key] += count;
  exchanges_open += other.exchanges_open;
  tunnels_open += other.tunnels_open;
  request_bytes += other.request_bytes;
  response_bytes += other.response_bytes;
  tunnel_bytes_up += other.tunnel_bytes_up;
  tunnel_bytes_down += other.tunnel_bytes_down;
  attempts += other.attempts;
  retries += other.retries;
  redirects_followed += other.redirects_followed;
  requests_signed += other.requests_signed;
  answers_unsuccessful += other.answers_unsuccessful;
  answers_truncated += other.answers_truncated;
  upstream_opened += other.upstream_opened;
  upstream_reused += other.upstream_reused;
  tls_full += other.tls_full;
  tls_resumed += other.tls_resumed;
  sender_tls_full += other.sender_tls_full;
  sender_tls_resumed += other.sender_tls_resumed;
  leafs_minted += other.leafs_minted;
  leafs_reused += other.leafs_reused;
  resolve.add(other.resolve);
  connect.add(other.connect);
  tls.add(other.tls);
  response.add(other.response);
  total.add(other.total);
  upstream_idle += other.upstream_idle;
  dns_cache_entries += other.dns_cache_entries;
  dns_cache_hits += other.dns_cache_hits;
  dns_cache_misses += other.dns_cache_misses;
  buffers_lent += other.buffers_lent;
  buffer_bytes += other.buffer_bytes;
}

std::string to_prometheus(const Metrics& metrics, const ProcessMetrics& process,
                          const Labels& labels) {
  Page page;
  print_outcomes(page, metrics, labels);
  print_connections(page, metrics, labels);
  print_attempts(page, metrics);
  print_bytes(page, metrics);
  print_dns(page, metrics);
  print_tls(page, metrics);
  page.family("egret_phase_seconds", "histogram",
              "How long each phase of an exchange took: resolve, connect, tls, response, total.");
  print_phase(page, "resolve", metrics.resolve);
  print_phase(page, "connect", metrics.connect);
  print_phase(page, "tls", metrics.tls);
  print_phase(page, "response", metrics.response);
  print_phase(page, "total", metrics.total);
  if (process.queue) print_queue(page, *process.queue);
  print_process(page, process);
  return page.take();
}

}  // namespace egret::proxy
