#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "policy/consent.h"

namespace egret::proxy {

// Consents is what the workers together know of which destinations agree to many requests, under
// their names (policy::consent_name), and which callbacks are expected. Any thread; sharded,
// because every request under a rule with `consent` asks. Bounded: past kMost those that were asked
// for longest ago are forgotten, but never one that is being asked.
class Consents {
 public:
  static constexpr size_t kShards = 64;
  static constexpr size_t kMost = 64 * 1024;      // destinations
  static constexpr size_t kMostCallbacks = 4096;  // expected; past that the oldest is forgotten
  static constexpr Duration kCallbackTime = std::chrono::hours(24);

  struct Entered {
    policy::ConsentState::Verdict verdict;
    std::string why;  // of missing: what asking it last has brought, or empty
  };
  // Whether a request may be made now. After a turn, ended() must be called.
  Entered enter(const std::string& name, const policy::Consent& rule,
                policy::ConsentState::Able able, TimePoint now, WallTime wall);
  void granted(const std::string& name, const policy::Grant& grant, TimePoint now);
  // `why`: of denied.
  void ended(const std::string& name, policy::ConsentState::End end, std::string why,
             TimePoint now);

  // A new token by which the destination may agree within kCallbackTime: 260 random bits.
  std::string expect_callback(const std::string& name, Duration valid, TimePoint now);
  struct Redeemed {
    std::string name;
    policy::Grant grant;
  };
  // Takes a token once. The destination agrees from now on, to `per_minute`. Nothing: there is no
  // such token, or it was used, or its time is over. Takes the same time for every token.
  std::optional<Redeemed> redeem(std::string_view token, uint64_t per_minute, TimePoint now,
                                 WallTime wall);

  // Handshakes by what came of them, and callbacks that were taken.
  struct Counts {
    uint64_t granted = 0;
    uint64_t refused = 0;
    uint64_t failed = 0;
    uint64_t callbacks = 0;
  };
  [[nodiscard]] Counts counts() const;
  void count(policy::Asked::What what);
  [[nodiscard]] size_t size() const;

 private:
  struct Entry {
    policy::ConsentState state;
    TimePoint used{};
    std::string why;
  };
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<std::string, Entry> entries;
  };
  struct Callback {
    std::array<unsigned char, 32> digest;  // of the token, by SHA-256
    std::string name;
    Duration valid{};
    TimePoint until;
  };
  Shard& shard_of(const std::string& name) {
    return shards_[std::hash<std::string>{}(name) % kShards];
  }
  static Entry& entry_of(Shard& shard, const std::string& name, TimePoint now);
  static void make_room(Shard& shard);

  std::array<Shard, kShards> shards_;
  std::mutex callbacks_mutex_;
  std::deque<Callback> callbacks_;  // the oldest first
  std::atomic<uint64_t> granted_ = 0;
  std::atomic<uint64_t> refused_ = 0;
  std::atomic<uint64_t> failed_ = 0;
  std::atomic<uint64_t> taken_ = 0;
};

}  // namespace egret::proxy
