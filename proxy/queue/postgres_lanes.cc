#include "proxy/queue/postgres_lanes.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

namespace egret::queue::pg {
namespace {

#define EGRET_WINDOW                                                        \
  "\"window\" = CASE WHEN $4::bigint = 0 AND $5::bigint = 0 "               \
  "THEN egret_lanes.\"window\" "                                            \
  "ELSE GREATEST(1, LEAST(egret_lanes.width, $5::bigint + CASE $4::bigint " \
  "WHEN 1 THEN 1 ELSE egret_lanes.\"window\" END)) END, "                   \
  "held_until = CASE WHEN $6::bigint < 0 THEN 0 "                           \
  "ELSE GREATEST(egret_lanes.held_until, $6::bigint) END"

constexpr Sql kMake{"lane_make",
                    "INSERT INTO egret_lanes (lane, running, kept, name, host, width, fifo) "
                    "VALUES ($1, $2, $3, $7, $8, $9, $10) ON CONFLICT (lane) DO UPDATE SET "
                    "width = excluded.width, running = egret_lanes.running + excluded.running, "
                    "kept = egret_lanes.kept + excluded.kept, " EGRET_WINDOW};
constexpr Sql kChange{"lane_change",
                      "UPDATE egret_lanes SET running = running + $2, kept = kept + $3, "  //
                      EGRET_WINDOW " WHERE lane = $1"};
#undef EGRET_WINDOW

// Null while the window is full or the host switched off; else of the lane's first delivery, $2 and
// the end of a hold at the earliest. By a statement of its own, after the one that has locked the
// lane: it sees what those before have done.
#define EGRET_NEXT(first)                                                         \
  "UPDATE egret_lanes SET next_due = CASE "                                       \
  "WHEN running >= LEAST(\"window\", width) THEN NULL "                           \
  "WHEN EXISTS (SELECT 1 FROM egret_endpoints e WHERE e.name = egret_lanes.host " \
  "AND e.disabled IS NOT NULL) THEN NULL ELSE " first " END WHERE lane = $1"
#define EGRET_FIRST                                                                    \
  "CASE WHEN fifo = 1 THEN (SELECT GREATEST(d.due, $2, held_until) "                   \
  "FROM egret_deliveries d "                                                           \
  "WHERE d.lane = $1 AND d.fifo = 1 AND d.state IN (0, 1) ORDER BY d.number LIMIT 1) " \
  "ELSE (SELECT GREATEST(d.due, $2, held_until) FROM egret_deliveries d "              \
  "WHERE d.lane = $1 AND d.state = 0 ORDER BY d.due, d.number LIMIT 1) END"
constexpr Sql kRefresh{"lane_refresh", EGRET_NEXT(EGRET_FIRST)};
// A lane that waits keeps its place (LEAST passes over NULL).
constexpr Sql kJoin{"lane_join", EGRET_NEXT("LEAST(next_due, " EGRET_FIRST ")")};
#undef EGRET_FIRST
#undef EGRET_NEXT

constexpr Sql kDrop{"lane_drop", "DELETE FROM egret_lanes WHERE lane = $1 AND kept <= 0"};
constexpr Sql kLend{"lane_lend", "UPDATE egret_lanes SET running = running + $2 WHERE lane = $1"};

}  // namespace

int64_t lane_number(const std::string& name, bool fifo) {
  const std::string whole = (fifo ? "1" : "0") + name;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(whole.data(), whole.size(), digest.data(), &size, EVP_sha256(), nullptr);
  uint64_t number = 0;
  for (size_t i = 0; i < 8; ++i) number = number << 8 | digest[i];
  return static_cast<int64_t>(number >> 1);
}

LaneChanges::Change& LaneChanges::touch(int64_t lane, WallTime now) {
  Change& change = changes_[lane];
  change.at = std::max(change.at, now);
  return change;
}

void LaneChanges::join(const NewDelivery& delivery, int64_t lane, bool waits) {
  Change& change = touch(lane, delivery.accepted);
  change.made =
      Made{delivery.lane, delivery.host, delivery.fifo ? 1U : delivery.width, delivery.fifo};
  ++change.kept;
  change.joins |= waits;
}

void LaneChanges::refresh(int64_t lane, WallTime now, int64_t back) {
  Change& change = touch(lane, now);
  change.running -= back;
  change.refreshes = true;
}

void LaneChanges::hold(int64_t lane, WallTime until) {
  Change& change = changes_[lane];
  change.held_until = std::max(change.held_until, to_ms(until));
}

void LaneChanges::release(int64_t lane, WallTime now) {
  Change& change = touch(lane, now);
  change.refreshes = true;
  change.held_until = -1;
}

void LaneChanges::judge(int64_t lane, bool well) {
  Change& change = changes_[lane];
  if (well) {
    ++change.widens;
  } else {
    change.closes = true;
    change.widens = 0;
  }
}

bool LaneChanges::wakes() const {
  return std::any_of(changes_.begin(), changes_.end(),
                     [](const auto& each) { return each.second.joins || each.second.refreshes; });
}

void LaneChanges::add_to(Connection& connection) {
  for (const auto& [lane, change] : changes_) {
    const int closes = change.closes ? 1 : 0;
    if (change.made) {
      const Made& made = *change.made;
      connection.add(
          kMake, Values(lane, change.running, change.kept, closes, change.widens, change.held_until,
                        Bytes{made.name}, made.host, made.width, made.fifo ? 1 : 0));
    } else {
      connection.add(kChange, Values(lane, change.running, change.kept, closes, change.widens,
                                     change.held_until));
    }
  }
  for (const auto& [lane, change] : changes_) {
    if (change.refreshes) {
      connection.add(kRefresh, Values(lane, change.at));
    } else if (change.joins) {
      connection.add(kJoin, Values(lane, change.at));
    }
    if (change.kept < 0) connection.add(kDrop, Values(lane));
  }
  changes_.clear();
}

void add_lent(Connection& connection, int64_t lane, int64_t count, WallTime now) {
  connection.add(kLend, Values(lane, count));
  connection.add(kRefresh, Values(lane, now));
}

}  // namespace egret::queue::pg
