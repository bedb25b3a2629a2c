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

Destinations::Refused full(std::string why) {
  return {{Reason::in_flight_limit, std::move(why)}, std::chrono::seconds(1)};
}

Destinations::Refused closed_for(std::string_view host, const policy::Rule& rule, Duration wait) {
  return {{Reason::breaker_open, std::string(host) + " has failed " +
                                     std::to_string(rule.breaker.failures) +
                                     " times in a row (breaker of rule " + rule.name +
                                     "); it is tried again in " + seconds_text(wait) + "."},
          wait};
}

}  // namespace

uint32_t Destinations::most_queued(uint32_t in_flight_per_host) {
  return in_flight_per_host - in_flight_per_host / 2;
}

uint32_t Destinations::most_queued_of(std::string_view sender, uint32_t in_flight_per_host) {
  const uint32_t most = most_queued(in_flight_per_host);
  return sender.empty() ? most : most - most / 2;
}

policy::BreakerState* Destinations::Entry::breaker(const policy::Rule& rule) {
  for (auto& [name, state] : breakers) {
    if (name == rule.name) return &state;
  }
  return nullptr;
}

bool Destinations::Entry::has_open() const {
  return std::ranges::any_of(breakers, [](const auto& each) { return each.second.is_open(); });
}

bool Destinations::Entry::at_rest(TimePoint now) const {
  const auto rests = [now](const auto& each) { return each.second.at_rest(now); };
  return in_flight == 0 && std::ranges::all_of(breakers, rests) &&
         std::ranges::all_of(rates, rests);
}

std::optional<Destinations::Refused> Destinations::enter(const Asks& asks, TimePoint now,
                                                         Slot& slot) {
  const policy::Rule& rule = asks.rule;
  const uint32_t most = rule.limits.in_flight_per_host;
  Slot taken;
  taken.key_ = key_of(asks.url);
  Shard& shard = shard_of(taken.key_);
  const std::lock_guard lock(shard.mutex);
  if (shard.entries.size() >= shard.sweep_at || now >= shard.sweep_after) sweep(shard, now);
  Entry& entry = shard.entries[taken.key_];
  // An entry that was made for a refusal stays until the next sweep.
  if (entry.in_flight >= most) {
    return full(std::to_string(most) + " requests to " + asks.url.host.text +
                " are under way (limits.in_flight_per_host).");
  }
  uint32_t* mine = nullptr;
  if (asks.queued) {
    uint32_t all = 0;
    for (auto& [name, count] : entry.queued) {
      all += count;
      if (name == asks.sender) mine = &count;
    }
    if (mine == nullptr) mine = &entry.queued.emplace_back(asks.sender, 0).second;
    if (all >= most_queued(most) || *mine >= most_queued_of(asks.sender, most)) {
      return full("The queue's part of limits.in_flight_per_host (" + std::to_string(most) +
                  ") is under way to " + asks.url.host.text + ".");
    }
  }
  policy::BreakerState::Pass pass;
  policy::BreakerState* breaker = entry.breaker(rule);
  if (breaker != nullptr) pass = breaker->enter(rule.breaker, now, asks.ready);
  if (pass.closed > Duration::zero()) return closed_for(asks.url.host.text, rule, pass.closed);
  if (rule.rate.every > Duration::zero()) {
    auto rate = std::ranges::find(
        entry.rates, rule.rate, [](const auto& each) -> const auto& { return each.first; });
    if (rate == entry.rates.end()) {
      rate = entry.rates.emplace(entry.rates.end(), rule.rate, policy::RateState());
    }
    const Duration wait = rate->second.take(rule.rate, now);
    if (wait > Duration::zero()) {
      // The breaker's one look was not used.
      if (pass.look != 0) {
        breaker->ended(rule.breaker, policy::Health::unknown, now, pass.look);
      }
      return Refused{
          {Reason::rate_limited, "Requests to " + asks.url.host.text +
                                     " are over rate.per_host; the next may be made in " +
                                     seconds_text(wait) + "."},
          wait};
    }
  }
  ++entry.in_flight;
  if (mine != nullptr) ++*mine;
  taken.table_ = this;
  taken.rule_ = &rule;
  taken.sender_ = asks.sender;
  taken.queued_ = asks.queued;
  taken.later_ = pass.later;
  taken.look_ = pass.look;
  taken.now_ = now;
  slot = std::move(taken);
  return std::nullopt;
}

std::optional<Destinations::Refused> Destinations::look(Slot& slot, TimePoint now) {
  slot.later_ = false;
  Shard& shard = shard_of(slot.key_);
  const std::lock_guard lock(shard.mutex);
  policy::BreakerState* breaker = shard.entries.find(slot.key_)->second.breaker(*slot.rule_);
  if (breaker == nullptr) return std::nullopt;
  const policy::BreakerState::Pass pass = breaker->enter(slot.rule_->breaker, now, true);
  slot.look_ = pass.look;
  if (pass.closed == Duration::zero()) return std::nullopt;
  return closed_for(std::string_view(slot.key_).substr(kBeforeHost), *slot.rule_, pass.closed);
}

void Destinations::end_breaker(Shard& shard, Entry& entry, Slot& slot) {
  const policy::Rule& rule = *slot.rule_;
  policy::BreakerState* breaker = entry.breaker(rule);
  if (breaker == nullptr) {
    if (slot.health_ != policy::Health::failing || rule.breaker.failures == 0) return;
    breaker = &entry.breakers.emplace_back(rule.name, policy::BreakerState()).second;
  }
  const bool before = entry.has_open();
  breaker->ended(rule.breaker, slot.health_, slot.now_, slot.look_);
  if (entry.has_open() && !before) ++shard.opened;
}

void Destinations::leave(Slot& slot) {
  Shard& shard = shard_of(slot.key_);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.entries.find(slot.key_);
  Entry& entry = found->second;
  --entry.in_flight;
  if (slot.queued_) {
    std::erase_if(entry.queued,
                  [&slot](auto& each) { return each.first == slot.sender_ && --each.second == 0; });
  }
  end_breaker(shard, entry, slot);
  if (entry.at_rest(slot.now_)) shard.entries.erase(found);
}

void Destinations::tell(Slot& slot) {
  Shard& shard = shard_of(slot.key_);
  const std::lock_guard lock(shard.mutex);
  end_breaker(shard, shard.entries.find(slot.key_)->second, slot);
  slot.look_ = 0;
  slot.health_ = policy::Health::unknown;
}

void Destinations::sweep(Shard& shard, TimePoint now) {
  std::erase_if(shard.entries, [now](const auto& each) { return each.second.at_rest(now); });
  // Rules come and go; what is of no use is not kept beside what is.
  for (auto& [key, entry] : shard.entries) {
    std::erase_if(entry.queued, [](const auto& of) { return of.second == 0; });
    std::erase_if(entry.rates, [now](const auto& of) { return of.second.at_rest(now); });
    if (entry.in_flight > 0) continue;  // whoever looks will come back
    std::erase_if(entry.breakers, [now](const auto& of) { return of.second.at_rest(now); });
  }
  shard.sweep_at = std::max(kSweepFrom, 2 * shard.entries.size());
  shard.sweep_after = deadline_after(now, kSweepEach);
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
      if (!entry.has_open()) continue;
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
      if (!entry.has_open() || key.substr(kBeforeHost) != host) continue;
      for (auto& each : entry.breakers) each.second.close();
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
