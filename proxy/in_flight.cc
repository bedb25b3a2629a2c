#include "proxy/in_flight.h"

namespace egret::proxy {

InFlight::Slot InFlight::enter(policy::Scheme scheme, const policy::Host& host, uint16_t port,
                               uint32_t limit) {
  Slot slot;
  slot.key_.reserve(host.text.size() + 8);
  slot.key_ += scheme == policy::Scheme::http ? 'h' : 's';
  slot.key_ += static_cast<char>(port >> 8);
  slot.key_ += static_cast<char>(port & 0xFF);
  slot.key_ += host.text;
  Shard& shard = shard_of(slot.key_);
  const std::lock_guard lock(shard.mutex);
  if (limit == 0) return {};
  uint32_t& count = shard.counts[slot.key_];
  if (count >= limit) return {};
  ++count;
  slot.table_ = this;
  return slot;
}

void InFlight::leave(const std::string& key) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const auto entry = shard.counts.find(key);
  if (--entry->second == 0) shard.counts.erase(entry);
}

size_t InFlight::destinations() const {
  size_t total = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    total += shard.counts.size();
  }
  return total;
}

}  // namespace egret::proxy
