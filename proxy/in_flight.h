#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "policy/url.h"

namespace egret::proxy {

// InFlight counts the exchanges and tunnels of each destination (scheme, host, port) over all
// workers, so that one slow endpoint cannot take every connection. Any thread.
//   Sharded by destination: a lock is held for one look-up, and only exchanges with destinations
//   of the same shard can meet at it. An entry exists only while something is in flight.
class InFlight {
 public:
  // A place among a destination's exchanges, given back when it dies.
  class Slot {
   public:
    Slot() = default;
    Slot(Slot&& other) noexcept : table_(std::exchange(other.table_, nullptr)) {
      key_.swap(other.key_);
    }
    Slot& operator=(Slot&& other) noexcept {
      std::swap(table_, other.table_);
      key_.swap(other.key_);
      return *this;
    }
    ~Slot() {
      if (table_ != nullptr) table_->leave(key_);
    }
    [[nodiscard]] bool granted() const { return table_ != nullptr; }

   private:
    friend class InFlight;
    InFlight* table_ = nullptr;
    std::string key_;
  };

  // Not granted when `limit` are in flight already.
  Slot enter(policy::Scheme scheme, const policy::Host& host, uint16_t port, uint32_t limit);
  // Destinations with something in flight.
  [[nodiscard]] size_t destinations() const;

 private:
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<std::string, uint32_t> counts;
  };
  static constexpr size_t kShards = 64;
  Shard& shard_of(const std::string& key) {
    return shards_[std::hash<std::string>{}(key) % kShards];
  }
  void leave(const std::string& key);
  std::array<Shard, kShards> shards_;
};

}  // namespace egret::proxy
