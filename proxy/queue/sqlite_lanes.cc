#include "proxy/queue/sqlite_lanes.h"

#include <algorithm>
#include <utility>

namespace egret::queue {
namespace {

// More of them than this are not kept in memory from one transaction to the next.
constexpr size_t kMostKept = 10'000;

constexpr std::string_view kLane =
    "SELECT lane, name, host, fifo, width, \"window\", kept, held_until, served, next_due FROM "
    "lanes "
    "WHERE ";

std::string lane_where(std::string_view which) { return std::string(kLane).append(which); }

// A rule's order may change: lanes of one name are two.
std::string key_of(const std::string& name, bool fifo) { return (fifo ? "=" : "~") + name; }

Lane read_lane(const Statement& row) {
  Lane lane{.number = row.number(0),
            .name = row.text(1),
            .host = row.text(2),
            .fifo = row.number(3) != 0,
            .width = static_cast<uint32_t>(row.number(4)),
            .window = static_cast<uint32_t>(row.number(5)),
            .running = 0,
            .kept = row.number(6),
            .held_until = row.time(7),
            .served = row.time(8),
            .next_due = std::nullopt,
            .stored_due = std::nullopt,
            .first = std::nullopt};
  if (row.is_null(9)) return lane;
  lane.next_due = row.time(9);
  lane.stored_due = lane.next_due;
  return lane;
}

}  // namespace

void Lane::add(WallTime due, int64_t of) {
  if (fifo) {
    first_known = false;  // it may stand before, or behind
    return;
  }
  const int64_t at = Statement::to_ms(due);
  if (std::pair(at, of) <= std::pair(seen_due, seen_number)) {
    seen_due = at;
    seen_number = of - 1;
  }
  if (!first_known) return;
  const WallTime stored = Statement::from_ms(at);
  first = first ? std::min(*first, stored) : stored;
}

Lanes::Lanes(const Database& database)
    : database_(database),
      find_(database.prepare(lane_where("lane = ?1"))),
      by_name_(database.prepare(lane_where("name = ?1 AND fifo = ?2"))),
      insert_(
          database.prepare("INSERT INTO lanes (name, width, fifo, host) VALUES (?1, ?2, ?3, ?4)")),
      update_(database.prepare("UPDATE lanes SET width = ?2, \"window\" = ?3, running = ?4, "
                               "kept = ?5, held_until = ?6, served = ?7 WHERE lane = ?1")),
      move_(database.prepare("UPDATE lanes SET width = ?2, \"window\" = ?3, running = ?4, "
                             "kept = ?5, held_until = ?6, served = ?7, next_due = ?8 "
                             "WHERE lane = ?1")),
      ready_(database.prepare(
          "SELECT lane FROM lanes WHERE next_due <= ?1 ORDER BY next_due LIMIT ?2")),
      next_(database.prepare("SELECT min(next_due) FROM lanes WHERE next_due IS NOT NULL")),
      of_host_(database.prepare("SELECT lane FROM lanes WHERE host = ?1")),
      ahead_(
          database.prepare("SELECT lane FROM lanes WHERE served > ?1 OR held_until > ?2 LIMIT ?3")),
      interrupted_(database.prepare("SELECT lane FROM lanes WHERE running > 0")),
      drop_(database.prepare("DELETE FROM lanes WHERE lane = ?1")),
      first_(database.prepare("SELECT number, due FROM deliveries WHERE lane = ?1 AND fifo = 0 "
                              "AND state = 0 AND (due, number) > (?2, ?3) ORDER BY due, number")),
      // The first of all, due or not: nothing overtakes it.
      first_in_order_(database.prepare("SELECT number, due FROM deliveries WHERE lane = ?1 "
                                       "AND fifo = 1 AND state = 0 ORDER BY number")) {}

void Lanes::begin() {
  if (lanes_.size() <= kMostKept) return;
  names_.clear();
  std::erase_if(lanes_, [](const auto& each) { return each.second.running == 0; });
  for (const auto& [number, lane] : lanes_) names_.emplace(key_of(lane.name, lane.fifo), number);
}

void Lanes::committed() {
  for (const Undo& each : undo_) {
    if (const auto lane = lanes_.find(each.number); lane != lanes_.end()) {
      lane->second.undoable = false;
    }
  }
  undo_.clear();
  undo_loans_.clear();
}

void Lanes::rollback() {
  for (; !undo_.empty(); undo_.pop_back()) {
    forget(undo_.back().number);
    if (undo_.back().before) keep(std::move(*undo_.back().before));
  }
  for (; !undo_loans_.empty(); undo_loans_.pop_back()) {
    UndoLoan& last = undo_loans_.back();
    lent_.erase(last.number);
    if (last.before) lent_.emplace(last.number, std::move(*last.before));
  }
}

Lane& Lanes::keep(Lane lane) {
  names_.insert_or_assign(key_of(lane.name, lane.fifo), lane.number);
  const int64_t number = lane.number;
  return lanes_.insert_or_assign(number, std::move(lane)).first->second;
}

void Lanes::forget(int64_t number) {
  const auto lane = lanes_.find(number);
  if (lane == lanes_.end()) return;
  names_.erase(key_of(lane->second.name, lane->second.fifo));
  lanes_.erase(lane);
}

void Lanes::change(Lane& lane) {
  if (!lane.undoable) {
    undo_.push_back({lane.number, lane});
    lane.undoable = true;
  }
  lane.changed = true;
}

Result<> Lanes::store() {
  for (const Undo& each : undo_) {
    const auto found = lanes_.find(each.number);
    if (found == lanes_.end() || !found->second.changed) continue;
    Lane& lane = found->second;
    Result<> stored;
    if (lane.next_due == lane.stored_due) {
      stored = update_
                   .bind(lane.number, lane.width, lane.window, lane.running, lane.kept,
                         lane.held_until, lane.served)
                   .run();
    } else {
      stored = move_
                   .bind(lane.number, lane.width, lane.window, lane.running, lane.kept,
                         lane.held_until, lane.served, lane.next_due)
                   .run();
    }
    if (!stored) return stored;
    lane.stored_due = lane.next_due;
    lane.changed = false;
  }
  return {};
}

Result<Lane*> Lanes::take(const NewDelivery& delivery) {
  const auto known = names_.find(key_of(delivery.lane, delivery.fifo));
  Lane* lane = known == names_.end() ? nullptr : &lanes_.find(known->second)->second;
  if (lane == nullptr) {
    Statement& row = by_name_.bind(delivery.lane, delivery.fifo ? 1 : 0);
    const Result<bool> there = row.step();
    if (!there) return Unexpected(there.error());
    if (*there) lane = &keep(read_lane(row));
    row.reset();
  }
  const uint32_t width = delivery.fifo ? 1U : delivery.width;
  if (lane == nullptr) {
    const Result<> made =
        insert_.bind(delivery.lane, width, delivery.fifo ? 1 : 0, delivery.host).run();
    if (!made) return Unexpected(made.error());
    Lane fresh{.number = database_.last_row(),
               .name = delivery.lane,
               .host = delivery.host,
               .fifo = delivery.fifo,
               .width = width,
               .next_due = std::nullopt,
               .stored_due = std::nullopt,
               .first_known = true,
               .first = std::nullopt,
               .undoable = true};
    undo_.push_back({fresh.number, std::nullopt});
    lane = &keep(std::move(fresh));
  }
  change(*lane);
  lane->width = width;
  ++lane->kept;
  return lane;
}

Result<Lane*> Lanes::find(int64_t number) {
  if (Lane* known = in_memory(number)) return known;
  Statement& row = find_.bind(number);
  const Result<bool> there = row.step();
  if (!there) return Unexpected(there.error());
  if (!*there) return Unexpected(Reason::queue_unavailable, "The queue's store: a lane is lost.");
  Lane& lane = keep(read_lane(row));
  row.reset();
  return &lane;
}

Lane* Lanes::in_memory(int64_t number) {
  const auto known = lanes_.find(number);
  return known == lanes_.end() ? nullptr : &known->second;
}

Result<std::vector<Lane*>> Lanes::all(Statement& numbers) {
  std::vector<Lane*> found;
  while (true) {
    const Result<bool> row = numbers.step();
    if (!row) return Unexpected(row.error());
    if (!*row) return found;
    const Result<Lane*> lane = find(numbers.number(0));
    if (!lane) return Unexpected(lane.error());
    found.push_back(*lane);
  }
}

Result<std::vector<Lane*>> Lanes::of_host(const std::string& host) {
  return all(of_host_.bind(host));
}

Result<std::vector<Lane*>> Lanes::ready(WallTime now, size_t most) {
  const Result<> stored = store();
  if (!stored) return Unexpected(stored.error());
  return all(ready_.bind(now, most));
}

Result<std::vector<Lane*>> Lanes::ahead(WallTime now, WallTime longest, size_t most) {
  const Result<> stored = store();
  if (!stored) return Unexpected(stored.error());
  return all(ahead_.bind(now, longest, most));
}

Result<std::vector<Lane*>> Lanes::interrupted() { return all(interrupted_.bind()); }

Result<std::optional<WallTime>> Lanes::next_due() {
  const Result<> stored = store();
  if (!stored) return Unexpected(stored.error());
  Statement& next = next_.bind();
  const Result<bool> row = next.step();
  if (!row) return Unexpected(row.error());
  std::optional<WallTime> due;
  if (*row && !next.is_null(0)) due = next.time(0);
  next.reset();
  return due;
}

Result<> Lanes::look(Lane& lane) {
  if (lane.first_known) return {};
  Statement& rows = lane.fifo ? first_in_order_.bind(lane.number)
                              : first_.bind(lane.number, lane.seen_due, lane.seen_number);
  while (true) {
    const Result<bool> row = rows.step();
    if (!row) return Unexpected(row.error());
    lane.first.reset();
    if (!*row) break;
    lane.first = rows.time(1);
    if (!is_lent(rows.number(0))) break;
  }
  rows.reset();
  lane.first_known = true;
  return {};
}

Result<> Lanes::leave(int64_t number) {
  const Result<Lane*> lane = find(number);
  if (!lane) return Unexpected(lane.error());
  change(**lane);
  if (--(*lane)->kept > 0) return {};
  forget(number);
  return drop_.bind(number).run();
}

int64_t Lanes::lend(int64_t number, Lent lent) {
  lent.fence = ++fence_;
  undo_loans_.push_back({number, std::nullopt});
  lent_.insert_or_assign(number, std::move(lent));
  return fence_;
}

std::optional<Lent> Lanes::take_back(int64_t number, int64_t fence) {
  const auto found = lent_.find(number);
  if (found == lent_.end() || found->second.fence != fence) return std::nullopt;
  Lent lent = std::move(found->second);
  undo_loans_.push_back({number, lent});
  lent_.erase(found);
  return lent;
}

}  // namespace egret::queue
