#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/reason.h"
#include "proxy/consent.h"
#include "proxy/queue/queue.h"

namespace egret::proxy {

// Labels gives each listener, sender and rule name a small number that never changes while the
// process lives, so that counters survive a reload. Any thread; asked only when settings change
// and when metrics are printed.
class Labels {
 public:
  using Id = uint16_t;
  // The same number for the same name. Past 65,534 names everything is "other": labels are bounded.
  Id intern(std::string_view name);
  [[nodiscard]] std::string name(Id id) const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> names_;
  std::unordered_map<std::string, Id> ids_;
};

// A histogram of seconds with fixed bounds.
class Histogram {
 public:
  static constexpr std::array<double, 12> kBounds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                     0.5,   1,    2.5,   5,    10,  20};
  void observe(Duration duration);
  void add(const Histogram& other);
  [[nodiscard]] const std::array<uint64_t, kBounds.size() + 1>& counts() const { return counts_; }
  [[nodiscard]] double sum_seconds() const { return static_cast<double>(sum_.count()) / 1e9; }

 private:
  std::array<uint64_t, kBounds.size() + 1> counts_{};
  Duration sum_{};
};

// What one worker has counted. Plain numbers, touched by its thread only; the admin listener asks
// each worker for a copy and adds them up, so that counting costs no atomic operation.
struct Metrics {
  struct Outcome {
    Labels::Id listener = 0;
    Labels::Id sender = 0;
    Labels::Id rule = 0;
    std::optional<Reason> reason;  // nothing: the destination's answer was relayed
    uint8_t code_class = 0;        // 2 for 2xx; 0: no status was sent
  };
  void count(const Outcome& outcome) { ++exchanges[pack(outcome)]; }
  static uint64_t pack(const Outcome& outcome);
  static Outcome unpack(uint64_t packed);

  std::unordered_map<uint64_t, uint64_t> exchanges;  // packed Outcome → how many
  std::unordered_map<uint64_t, uint64_t> reported;   // let pass in report mode
  std::unordered_map<Labels::Id, int64_t> connections_open;
  std::unordered_map<Labels::Id, uint64_t> connections_total;
  std::unordered_map<Labels::Id, uint64_t> accept_failures;
  int64_t exchanges_open = 0;
  int64_t tunnels_open = 0;
  uint64_t request_bytes = 0;   // content from senders
  uint64_t response_bytes = 0;  // content to senders
  uint64_t tunnel_bytes_up = 0;
  uint64_t tunnel_bytes_down = 0;
  uint64_t attempts = 0;  // at destinations, tunnels too
  uint64_t retries = 0;   // of them, after one that failed
  uint64_t redirects_followed = 0;
  uint64_t requests_signed = 0;       // requests that left with a signature, each attempt
  uint64_t answers_unsuccessful = 0;  // relayed, with a status that is not in `success`
  uint64_t answers_truncated = 0;
  uint64_t upstream_opened = 0;
  uint64_t upstream_reused = 0;
  uint64_t tls_full = 0;         // handshakes with destinations
  uint64_t tls_resumed = 0;      //
  uint64_t sender_tls_full = 0;  // handshakes with senders
  uint64_t sender_tls_resumed = 0;
  Histogram resolve, connect, tls, response, total;

  // Read off the worker's parts when a copy is made.
  uint64_t upstream_idle = 0;
  uint64_t dns_cache_entries = 0;
  uint64_t dns_cache_hits = 0;
  uint64_t dns_cache_misses = 0;
  uint64_t leafs_minted = 0;  // certificates for intercepted tunnels
  uint64_t leafs_reused = 0;
  uint64_t buffers_lent = 0;
  uint64_t buffer_bytes = 0;

  void add(const Metrics& other);
};

// What the process as a whole knows beside the workers' counts.
struct ProcessMetrics {
  uint64_t reloads_applied = 0;
  uint64_t reloads_refused = 0;
  uint64_t log_lines_dropped = 0;
  uint64_t buffer_memory = 0;           // the limit, bytes
  uint64_t buffer_memory_reserved = 0;  // set aside by workers, bytes
  bool draining = false;
  uint32_t workers = 0;
  uint64_t breakers_open = 0;
  uint64_t breakers_opened = 0;
  Consents::Counts consents = {};
  struct QueueState {
    queue::Stats stats;
    queue::Counts counts;
    uint32_t owners = 1;
    WallTime now;
  };
  std::optional<QueueState> queue = {};  // nothing: there is none
};

// Prometheus text exposition format 0.0.4. Every name is in docs/metrics.md.
std::string to_prometheus(const Metrics& metrics, const ProcessMetrics& process,
                          const Labels& labels);

}  // namespace egret::proxy
