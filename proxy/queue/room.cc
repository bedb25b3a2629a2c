#include "proxy/queue/room.h"

#include <algorithm>

namespace egret::queue {
namespace {

// So many go at a time: the next ones need not look. Of the dead no more go than must.
constexpr size_t kAtOnce = 100;
// Few deliveries are smaller than this with their heads: one that is larger by so much may take the
// place of one more.
constexpr uint64_t kSmall = 256;
constexpr uint64_t kMost = 10'000;  // for one

uint64_t size_of(const std::vector<Ended>& all) {
  uint64_t sum = 0;
  for (const Ended& each : all) sum += each.bytes;
  return sum;
}

}  // namespace

uint64_t dead_of(const Room& room) {
  return static_cast<uint64_t>(
      std::ranges::count(room.goes, State::dead, [](const Ended& each) { return each.state; }));
}

Result<Room> choose_room(const FindEnded& find, uint64_t held, uint64_t bytes, uint64_t most) {
  Room room;
  if (bytes > most) return room;
  const uint64_t wanted = held + bytes - std::min(held + bytes, most);
  size_t left = kAtOnce + std::min(kMost, bytes / kSmall);
  uint64_t freed = 0;
  for (const State state : {State::delivered, State::cancelled, State::dead}) {
    size_t ask = std::min(left, kAtOnce);
    Result<std::vector<Ended>> found = find(state, static_cast<int>(ask));
    if (found && found->size() == ask && ask < left && freed + size_of(*found) < wanted) {
      ask = left;
      found = find(state, static_cast<int>(ask));
    }
    if (!found) return Unexpected(std::move(found.error()));
    for (const Ended& each : *found) {
      const bool whole = state == State::dead || room.goes.size() % kAtOnce == 0;
      if (freed >= wanted && whole) break;
      room.goes.push_back(each);
      freed += each.bytes;
    }
    room.enough = freed >= wanted;
    if (room.enough) return room;
    left -= found->size();
    if (found->size() < ask) continue;
    if (state == State::dead && held <= most) room.goes.clear();
    return room;
  }
  room.goes.clear();
  return room;
}

}  // namespace egret::queue
