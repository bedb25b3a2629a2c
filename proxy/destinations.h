#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "policy/breaker.h"
#include "policy/rules.h"

namespace egret::proxy {

// Destinations is what the workers together know of each scheme, host and port now: how much is in
// flight, whether its breaker is open, how fast it may be called. An entry lives while there is
// something to know. Any thread; sharded, because every request enters and leaves.
class Destinations {
  struct Entry {
    uint32_t in_flight = 0;
    policy::BreakerState breaker;
    policy::RateState rate;
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
    // What the breaker will be told; the last word counts.
    void note(policy::Health health, TimePoint now) {
      health_ = health;
      now_ = now;
    }

   private:
    friend class Destinations;
    void swap(Slot& other) noexcept {
      std::swap(table_, other.table_);
      key_.swap(other.key_);
      std::swap(breaker_, other.breaker_);
      std::swap(health_, other.health_);
      std::swap(now_, other.now_);
    }
    Destinations* table_ = nullptr;
    std::string key_;
    policy::Breaker breaker_;
    policy::Health health_ = policy::Health::unknown;
    TimePoint now_{};
  };

  // Why a request may not be made now, and after how long it may be worth trying.
  struct Refused {
    Failure failure;
    Duration retry_after{};
  };
  // Into `slot`; or why not: in_flight_limit, breaker_open, rate_limited.
  std::optional<Refused> enter(const policy::Url& url, const policy::Rule& rule, TimePoint now,
                               Slot& slot);

  // Those of which there is something to know.
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
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<std::string, Entry> entries;
    size_t sweep_at = kSweepFrom;
    uint64_t opened = 0;
  };
  Shard& shard_of(const std::string& key) {
    return shards_[std::hash<std::string>{}(key) % kShards];
  }
  static void sweep(Shard& shard, TimePoint now);
  void leave(Slot& slot);
  std::array<Shard, kShards> shards_;
};

}  // namespace egret::proxy
