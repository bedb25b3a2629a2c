#include "proxy/consent.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "proxy/signing/primitives.h"
#include "proxy/signing/signing.h"

namespace egret::proxy {
namespace {

constexpr size_t kMostOfAShard = Consents::kMost / Consents::kShards;

}  // namespace

Consents::Entered Consents::enter(const std::string& name, const policy::Consent& rule,
                                  policy::ConsentState::Able able, TimePoint now, WallTime wall) {
  Shard& shard = shard_of(name);
  const std::lock_guard lock(shard.mutex);
  if (shard.entries.size() >= kMostOfAShard && !shard.entries.contains(name)) {
    std::erase_if(shard.entries,
                  [now, wall](const auto& each) { return each.second.state.at_rest(now, wall); });
  }
  Entry& entry = entry_of(shard, name, now);
  Entered entered{entry.state.enter(rule, able, now, wall), {}};
  if (entered.verdict.step == policy::ConsentState::Verdict::Step::missing) {
    entered.why = entry.why;
  }
  return entered;
}

void Consents::granted(const std::string& name, const policy::Grant& grant, TimePoint now) {
  Shard& shard = shard_of(name);
  const std::lock_guard lock(shard.mutex);
  Entry& entry = entry_of(shard, name, now);
  entry.state.granted(grant);
  entry.why.clear();
}

void Consents::ended(const std::string& name, policy::ConsentState::End end, std::string why,
                     TimePoint now) {
  Shard& shard = shard_of(name);
  const std::lock_guard lock(shard.mutex);
  Entry& entry = entry_of(shard, name, now);
  entry.state.ended(end, now);
  if (end == policy::ConsentState::End::denied) entry.why = std::move(why);
}

Consents::Entry& Consents::entry_of(Shard& shard, const std::string& name, TimePoint now) {
  auto found = shard.entries.find(name);
  if (found == shard.entries.end()) {
    if (shard.entries.size() >= kMostOfAShard) make_room(shard);
    found = shard.entries.try_emplace(name).first;
  }
  found->second.used = now;
  return found->second;
}

// A quarter of them goes at once: finding the oldest has its price.
void Consents::make_room(Shard& shard) {
  std::vector<TimePoint> used;
  used.reserve(shard.entries.size());
  for (const auto& [name, entry] : shard.entries) used.push_back(entry.used);
  const auto quarter = used.begin() + static_cast<ptrdiff_t>(used.size() / 4);
  std::ranges::nth_element(used, quarter);
  const TimePoint border = *quarter;
  size_t left = used.size() / 4 + 1;
  left -= std::erase_if(shard.entries, [border](const auto& each) {
    return !each.second.state.busy() && each.second.used < border;
  });
  // Many may be as old as each other.
  std::erase_if(shard.entries, [&left, border](const auto& each) {
    const bool goes = left > 0 && !each.second.state.busy() && each.second.used == border;
    if (goes) --left;
    return goes;
  });
}

std::string Consents::expect_callback(const std::string& name, Duration valid, TimePoint now) {
  constexpr size_t kPrefix = 4;  // "msg_"
  std::string token = signing::new_id().substr(kPrefix) + signing::new_id().substr(kPrefix);
  const std::lock_guard lock(callbacks_mutex_);
  const auto over = [&] {
    return callbacks_.size() >= kMostCallbacks || callbacks_.front().until <= now;
  };
  while (!callbacks_.empty() && over()) callbacks_.pop_front();
  callbacks_.push_back({signing::sha256(token), name, valid, deadline_after(now, kCallbackTime)});
  return token;
}

std::optional<Consents::Redeemed> Consents::redeem(std::string_view token, uint64_t per_minute,
                                                   TimePoint now, WallTime wall) {
  const auto digest = signing::sha256(token);
  std::optional<Callback> taken;
  {
    const std::lock_guard lock(callbacks_mutex_);
    auto found = callbacks_.end();
    for (auto each = callbacks_.begin(); each != callbacks_.end(); ++each) {
      if (signing::equal(signing::view(each->digest), signing::view(digest))) found = each;
    }
    if (found == callbacks_.end() || found->until <= now) return std::nullopt;
    taken = std::move(*found);
    callbacks_.erase(found);
  }
  const policy::Grant grant{wall + taken->valid, per_minute};
  granted(taken->name, grant, now);
  taken_.fetch_add(1, std::memory_order_relaxed);
  return Redeemed{std::move(taken->name), grant};
}

void Consents::count(policy::Asked::What what) {
  using What = policy::Asked::What;
  std::atomic<uint64_t>& counter = what == What::granted   ? granted_
                                   : what == What::refused ? refused_
                                                           : failed_;
  counter.fetch_add(1, std::memory_order_relaxed);
}

Consents::Counts Consents::counts() const {
  return {.granted = granted_.load(std::memory_order_relaxed),
          .refused = refused_.load(std::memory_order_relaxed),
          .failed = failed_.load(std::memory_order_relaxed),
          .callbacks = taken_.load(std::memory_order_relaxed)};
}

size_t Consents::size() const {
  size_t total = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    total += shard.entries.size();
  }
  return total;
}

}  // namespace egret::proxy
