#include "proxy/destinations.h"

#include <algorithm>

namespace egret::proxy {
namespace {

// One byte of scheme, two of port, the host.
constexpr size_t kBeforeHost = 3;

std::string key_of(const policy::Url& url) {
  std::string key;
  key.reserve(url.host.text.size() + kBeforeHost + 5);
  key += url.scheme == policy::Scheme::http ? 'h' : 's';
  key += static_cast<char>(url.port >> 8);
  key += static_cast<char>(url.port & 0xFF);
  key += url.host.text;
  return key;
}

std::string seconds_text(Duration wait) {
  return std::to_string(std::chrono::ceil<std::chrono::seconds>(wait).count()) + " s";
}

}  // namespace

std::optional<Destinations::Refused> Destinations::enter(const policy::Url& url,
                                                         const policy::Rule& rule, TimePoint now,
                                                         Slot& slot) {
  const uint32_t most = rule.limits.in_flight_per_host;
  Slot taken;
  taken.key_ = key_of(url);
  Shard& shard = shard_of(taken.key_);
  const std::lock_guard lock(shard.mutex);
  if (shard.entries.size() >= shard.sweep_at) sweep(shard, now);
  Entry& entry = shard.entries[taken.key_];
  // An entry that was made for a refusal stays until the next sweep.
  if (entry.in_flight >= most) {
    return Refused{
        {Reason::in_flight_limit, std::to_string(most) + " requests to " + url.host.text +
                                      " are under way (limits.in_flight_per_host)."},
        std::chrono::seconds(1)};
  }
  const Duration closed = entry.breaker.enter(rule.breaker, now);
  if (closed > Duration::zero()) {
    return Refused{
        {Reason::breaker_open,
         url.host.text + " has failed " + std::to_string(rule.breaker.failures) +
             " times in a row (breaker); it is tried again in " + seconds_text(closed) + "."},
        closed};
  }
  const Duration wait = entry.rate.take(rule.rate, now);
  if (wait > Duration::zero()) {
    // The breaker's one look was not used.
    entry.breaker.ended(rule.breaker, policy::Health::unknown, now);
    return Refused{{Reason::rate_limited, "Requests to " + url.host.text +
                                              " are over rate.per_host; the next may be made in " +
                                              seconds_text(wait) + "."},
                   wait};
  }
  ++entry.in_flight;
  taken.table_ = this;
  taken.breaker_ = rule.breaker;
  taken.now_ = now;
  slot = std::move(taken);
  return std::nullopt;
}

void Destinations::leave(Slot& slot) {
  Shard& shard = shard_of(slot.key_);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.entries.find(slot.key_);
  Entry& entry = found->second;
  --entry.in_flight;
  const bool before = entry.breaker.is_open();
  entry.breaker.ended(slot.breaker_, slot.health_, slot.now_);
  if (entry.breaker.is_open() && !before) ++shard.opened;
  const bool nothing =
      entry.in_flight == 0 && entry.breaker.at_rest(slot.now_) && entry.rate.at_rest(slot.now_);
  if (nothing) shard.entries.erase(found);
}

void Destinations::sweep(Shard& shard, TimePoint now) {
  std::erase_if(shard.entries, [now](const auto& each) {
    const Entry& entry = each.second;
    return entry.in_flight == 0 && entry.breaker.at_rest(now) && entry.rate.at_rest(now);
  });
  shard.sweep_at = std::max(kSweepFrom, 2 * shard.entries.size());
}

size_t Destinations::size() const {
  size_t total = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    total += shard.entries.size();
  }
  return total;
}

size_t Destinations::in_flight() const {
  size_t total = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    total += static_cast<size_t>(std::ranges::count_if(
        shard.entries, [](const auto& each) { return each.second.in_flight > 0; }));
  }
  return total;
}

std::vector<Destinations::Open> Destinations::open_breakers() const {
  std::vector<Open> open;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const auto& [key, entry] : shard.entries) {
      if (!entry.breaker.is_open()) continue;
      const auto high = static_cast<uint8_t>(key[1]);
      const auto low = static_cast<uint8_t>(key[2]);
      open.push_back({key[0] == 'h' ? "http" : "https", key.substr(kBeforeHost),
                      static_cast<uint16_t>(high << 8 | low)});
    }
  }
  return open;
}

size_t Destinations::close_breakers(std::string_view host) {
  size_t closed = 0;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (auto& [key, entry] : shard.entries) {
      if (!entry.breaker.is_open() || key.substr(kBeforeHost) != host) continue;
      entry.breaker.close();
      ++closed;
    }
  }
  return closed;
}

uint64_t Destinations::breakers_opened() const {
  uint64_t total = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    total += shard.opened;
  }
  return total;
}

}  // namespace egret::proxy
