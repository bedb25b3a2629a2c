#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "policy/breaker.h"
#include "policy/rules.h"

namespace egret::proxy {

// Destinations is what the workers together know of each scheme, host and port now: how much is in
// flight, whether its breaker is open, how fast it may be called. A breaker is a rule's own, since
// what fails under one may be well under another; a rate belongs to all rules that have the same.
// An entry lives while there is something to know. Any thread; sharded, because every request
// enters and leaves.
class Destinations {
  // Vectors: a destination has few of each, most have none.
  struct Entry {
    uint32_t in_flight = 0;
    std::vector<std::pair<std::string, uint32_t>> queued;  // of them the queue's, by sender
    std::vector<std::pair<std::string, policy::BreakerState>> breakers;  // by rule
    std::vector<std::pair<policy::Rate, policy::RateState>> rates;
    policy::BreakerState* breaker(const policy::Rule& rule);
    [[nodiscard]] bool has_open() const;
    [[nodiscard]] bool at_rest(TimePoint now) const;
  };

 public:
  // A place among a destination's exchanges, given back when it dies.
  class Slot {
   public:
    Slot() = default;
    Slot(Slot&& other) noexcept { swap(other); }
    Slot& operator=(Slot&& other) noexcept {
      swap(other);
      return *this;
    }
    ~Slot() {
      if (table_ != nullptr) table_->leave(*this);
    }
    [[nodiscard]] bool granted() const { return table_ != nullptr; }
    // The breaker is open, and would let this one see: look() before it is sent.
    [[nodiscard]] bool looks_later() const { return later_; }
    // What the breaker will be told; the last word counts.
    void note(policy::Health health, TimePoint now) {
      health_ = health;
      now_ = now;
    }
    // The same, and who looked need not have ended: others may come now.
    void tell(policy::Health health, TimePoint now) {
      note(health, now);
      if (look_ != 0) table_->tell(*this);
    }

   private:
    friend class Destinations;
    void swap(Slot& other) noexcept {
      std::swap(table_, other.table_);
      key_.swap(other.key_);
      std::swap(rule_, other.rule_);
      std::swap(sender_, other.sender_);
      std::swap(queued_, other.queued_);
      std::swap(later_, other.later_);
      std::swap(look_, other.look_);
      std::swap(health_, other.health_);
      std::swap(now_, other.now_);
    }
    Destinations* table_ = nullptr;
    std::string key_;
    const policy::Rule* rule_ = nullptr;
    std::string_view sender_;
    bool queued_ = false;
    bool later_ = false;
    uint32_t look_ = 0;
    policy::Health health_ = policy::Health::unknown;
    TimePoint now_{};
  };

  // Why a request may not be made now, and after how long it may be worth trying.
  struct Refused {
    Failure failure;
    Duration retry_after{};
  };
  struct Asks {
    const policy::Url& url;
    const policy::Rule& rule;  // outlives the slot
    std::string_view sender;   // this too
    bool ready = true;         // it can be sent at once: no content is waited for
    bool queued = false;       // it is the queue's, for which nobody waits
  };
  // Into `slot`; or why not: in_flight_limit, breaker_open, rate_limited.
  std::optional<Refused> enter(const Asks& asks, TimePoint now, Slot& slot);
  // For a slot that looks later: it does now. Or why not: breaker_open.
  std::optional<Refused> look(Slot& slot, TimePoint now);

  // How many of limits.in_flight_per_host the queue takes at most, so that senders that wait always
  // have the others: half, and one at least. And for one sender: half of that, where senders have
  // names.
  static uint32_t most_queued(uint32_t in_flight_per_host);
  static uint32_t most_queued_of(std::string_view sender, uint32_t in_flight_per_host);

  // Those of which there is something to know, or was a minute ago.
  [[nodiscard]] size_t size() const;
  [[nodiscard]] size_t in_flight() const;  // destinations with something in flight

  struct Open {
    std::string scheme;
    std::string host;
    uint16_t port = 0;
  };
  // Whose breaker is open.
  [[nodiscard]] std::vector<Open> open_breakers() const;
  // Closes those of a host; how many there were.
  size_t close_breakers(std::string_view host);
  [[nodiscard]] uint64_t breakers_opened() const;

 private:
  static constexpr size_t kShards = 64;
  static constexpr size_t kSweepFrom = 256;  // entries of a shard
  static constexpr Duration kSweepEach = std::chrono::minutes(1);
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<std::string, Entry> entries;
    size_t sweep_at = kSweepFrom;
    TimePoint sweep_after = TimePoint::min();
    uint64_t opened = 0;
  };
  Shard& shard_of(const std::string& key) {
    return shards_[std::hash<std::string>{}(key) % kShards];
  }
  static void sweep(Shard& shard, TimePoint now);
  static void end_breaker(Shard& shard, Entry& entry, Slot& slot);
  void leave(Slot& slot);
  void tell(Slot& slot);
  std::array<Shard, kShards> shards_;
};

}  // namespace egret::proxy
