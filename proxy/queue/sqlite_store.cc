// What the dispatcher needs of the store. What senders need is in sqlite_accept.cc, what an
// operator asks in sqlite_pages.cc.
#include <algorithm>
#include <stdexcept>

#include "proxy/queue/sqlite_parts.h"
#include "proxy/queue/sqlite_schema.h"

namespace egret::queue {
namespace {

// How many lanes are put right at once when the clock was set back.
constexpr size_t kSetBack = 1000;
// Retry-After and the like are taken for no longer than this.
constexpr Duration kLongestHold = std::chrono::hours(24);

int number_of(State state) { return static_cast<int>(state); }

}  // namespace

SqliteStore::SqliteStore(Database database)
    : database_(std::move(database)),
      lanes_(database_),
      deliveries_(database_),
      pages_(database_),
      endpoints_(database_) {}

Result<std::unique_ptr<Store>> open_sqlite_store(const std::string& path, WallTime now) {
  Result<Database> database = Database::open(path, Database::Open::make);
  if (!database) return Unexpected(std::move(database.error()));
  const Result<> prepared = prepare_schema(*database, path);
  if (!prepared) return Unexpected(prepared.error());
  std::unique_ptr<SqliteStore> store;
  try {
    store = std::make_unique<SqliteStore>(std::move(*database));
  } catch (const std::runtime_error& error) {
    // A table is not as it should be, or could not be read.
    return Unexpected(Reason::queue_unavailable,
                      "The queue's store: " + std::string(error.what()) + ".");
  }
  const Result<> recovered = store->recover(now);
  if (!recovered) return Unexpected(recovered.error());
  return std::unique_ptr<Store>(std::move(store));
}

Result<> check_sqlite_store(const std::string& path) {
  Result<Database> database = Database::open(path, Database::Open::look);
  if (!database) return Unexpected(std::move(database.error()));
  const Result<> checked = check_schema(*database);
  return checked ? Database::look_at_mode(path) : checked;
}

// The last owner has ended while some of these lanes' deliveries were running: nobody knows what
// came of them, so they are sent again. Those lanes stand behind the others: what ends Egret each
// time it is sent holds nobody up.
Result<> SqliteStore::recover(WallTime now) {
  Result<> done = begin();
  if (done) done = read_totals();
  if (done) done = read_newest();
  if (done) done = look_for_endpoints();
  if (done) done = place_interrupted(now);
  latest_ = WallTime::max();  // nobody knows
  if (done) {
    const Result<bool> more = set_back(now);
    if (!more) done = Unexpected(more.error());
  }
  if (done) done = commit();
  if (!done) rollback();
  return done;
}

Result<> SqliteStore::place_interrupted(WallTime now) {
  const Result<std::vector<Lane*>> interrupted = lanes_.interrupted();
  if (!interrupted) return Unexpected(interrupted.error());
  for (Lane* lane : *interrupted) {
    lane->served = now;
    const Result<> placed = place_again(*lane);
    if (!placed) return placed;
  }
  return {};
}

// After the clock was ahead and is right again, lanes would not be looked at until it is as late
// again as it was then. True when there may be more of them.
Result<bool> SqliteStore::set_back(WallTime now) {
  if (latest_ <= now) return false;
  const WallTime longest = now + kLongestHold;
  const Result<std::vector<Lane*>> ahead = lanes_.ahead(now, longest, kSetBack);
  if (!ahead) return Unexpected(ahead.error());
  for (Lane* lane : *ahead) {
    lanes_.change(*lane);
    lane->served = std::min(lane->served, now);
    lane->held_until = std::min(lane->held_until, longest);
    const Result<> placed = place_again(*lane);
    if (!placed) return Unexpected(placed.error());
  }
  if (ahead->size() == kSetBack) return true;
  latest_ = now;
  return false;
}

Result<> SqliteStore::read_totals() {
  Statement& read = pages_.totals.bind();
  const Result<bool> row = read.step();
  if (!row) return Unexpected(row.error());
  totals_ = {.queued = static_cast<uint64_t>(read.number(0)),
             .delivered = static_cast<uint64_t>(read.number(1)),
             .dead = static_cast<uint64_t>(read.number(2)),
             .cancelled = static_cast<uint64_t>(read.number(3)),
             .disabled = static_cast<uint64_t>(read.number(5)),
             .evicted = totals_.evicted,
             .bytes = static_cast<uint64_t>(read.number(4)),
             .oldest = std::nullopt};
  oldest_ = read.number(6);
  read.reset();
  totals_changed_ = false;
  return {};
}

Result<> SqliteStore::begin() {
  lanes_.begin();
  Result<> done = deliveries_.begin.bind().run();
  if (done && totals_lost_) {
    done = read_totals();
    totals_lost_ = !done;
  }
  return done;
}

Result<> SqliteStore::commit() {
  Result<> done = lanes_.store();
  if (done && totals_changed_) {
    done = deliveries_.write_totals
               .bind(totals_.queued, totals_.delivered, totals_.dead, totals_.cancelled,
                     totals_.bytes, totals_.disabled, oldest_)
               .run();
  }
  if (done) done = deliveries_.commit.bind().run();
  if (!done) return done;
  totals_changed_ = false;
  lanes_.committed();
  return {};
}

// SQLite may have rolled back by itself.
void SqliteStore::rollback() {
  if (database_.in_transaction()) static_cast<void>(deliveries_.rollback.bind().run());
  lanes_.rollback();
  totals_lost_ = !read_totals();
  endpoints_known_ = true;
  latest_ = WallTime::max();  // lanes that were put right may not be so any more
}

// What is lent is queued in the tables.
State SqliteStore::state_of(int64_t number, int64_t stored) const {
  const auto state = static_cast<State>(stored);
  return state == State::queued && lanes_.is_lent(number) ? State::running : state;
}

void SqliteStore::count(State state, int64_t change) {
  uint64_t& total = state == State::delivered   ? totals_.delivered
                    : state == State::dead      ? totals_.dead
                    : state == State::cancelled ? totals_.cancelled
                                                : totals_.queued;
  total += static_cast<uint64_t>(change);
  totals_changed_ = true;
}

// When the lane's next delivery may be claimed.
Result<> SqliteStore::place(Lane& lane) {
  lanes_.change(lane);
  lane.next_due.reset();
  if (lane.is_full()) return {};
  const Result<> looked = lanes_.look(lane);
  if (!looked || !lane.first) return looked;
  const Result<bool> off = totals_.disabled > 0 ? is_disabled(lane.host) : false;
  if (!off) return Unexpected(off.error());
  if (!*off) lane.next_due = std::max({*lane.first, lane.held_until, lane.served});
  return {};
}

// The same when what was its first may be gone.
Result<> SqliteStore::place_again(Lane& lane) {
  lanes_.change(lane);
  lane.first_known = false;
  return place(lane);
}

// One more of the lane, or one again.
Result<> SqliteStore::queue_up(Lane& lane, WallTime due, int64_t number) {
  lanes_.change(lane);
  lane.add(due, number);
  oldest_ = std::min(oldest_, number);
  return place(lane);
}

// Lends what is due. What goes to a URL that is switched off becomes dead instead.
Result<> SqliteStore::take_due(Lane& lane, size_t most, std::vector<Claimed>& all, uint64_t& bytes,
                               WallTime now) {
  lanes_.change(lane);
  std::vector<int64_t> unwanted;
  Statement& rows =
      lane.fifo ? deliveries_.head_of_lane.bind(lane.number)
                : deliveries_.due_of_lane.bind(lane.number, lane.seen_due, lane.seen_number);
  size_t taken = 0;
  lane.first_known = true;
  while (true) {
    const Result<bool> row = rows.step();
    if (!row) return Unexpected(row.error());
    lane.first.reset();
    if (!*row) break;
    const int64_t number = rows.number(0);
    if (lanes_.is_lent(number)) continue;
    const WallTime due = rows.time(5);
    lane.first = due;
    if (due > now || bytes == 0 || taken + unwanted.size() == most) break;
    const std::string url = rows.text(7);
    const Result<bool> off = totals_.disabled > 0 ? is_disabled(url) : false;
    if (!off) return Unexpected(off.error());
    if (*off) {
      unwanted.push_back(number);
      continue;
    }
    const int64_t fence = lanes_.lend(number, {.lane = lane.number,
                                               .due = due,
                                               .attempts = rows.number(4),
                                               .host = rows.text(6),
                                               .destination = url});
    all.push_back({.number = number,
                   .lane = lane.number,
                   .fence = fence,
                   .id = rows.text(1),
                   .sender = rows.text(2),
                   .tries = static_cast<uint32_t>(rows.number(3)),
                   .head = rows.text(8),
                   .body = rows.text(9),
                   .ahead = lane.places() + taken >= lane.holds()});
    bytes -= std::min<uint64_t>(bytes, all.back().head.size() + all.back().body.size());
    lane.seen_due = Statement::to_ms(due);
    lane.seen_number = number;
    ++taken;
  }
  rows.reset();
  if (lane.fifo) lane.first_known = false;
  const size_t places = lane.is_full() ? 0 : lane.holds() - lane.places();
  lane.running += static_cast<uint32_t>(taken);
  lane.ahead += static_cast<uint32_t>(taken - std::min(taken, places));
  lane.served = now;
  for (const int64_t number : unwanted) {
    const Result<> buried = bury_one(number, now);
    if (!buried) return buried;
  }
  return place(lane);
}

Result<std::vector<Claimed>> SqliteStore::claim(const Wanted& wanted, WallTime now) {
  const Result<std::vector<Lane*>> ready = lanes_.ready(now, wanted.most);
  if (!ready) return Unexpected(ready.error());
  latest_ = std::max(latest_, now);
  std::vector<Claimed> all;
  uint64_t bytes = wanted.most_bytes;
  bool others_wait = false;
  for (Lane* lane : *ready) {
    if (all.size() >= wanted.most || bytes == 0) return all;
    const size_t room = lane->holds() - lane->places();
    const size_t take =
        std::min({room, wanted.most - all.size(), of_one_lane(wanted.most, ready->size())});
    others_wait |= take < room;
    const Result<> taken = take_due(*lane, take, all, bytes, now);
    if (!taken) return Unexpected(taken.error());
  }
  if (others_wait) return all;
  const Result<> ahead = lend_ahead(wanted, std::min(bytes, wanted.ahead_bytes), all, now);
  if (!ahead) return Unexpected(ahead.error());
  return all;
}

Result<> SqliteStore::lend_ahead(const Wanted& wanted, uint64_t bytes, std::vector<Claimed>& all,
                                 WallTime now) {
  for (const Wanted::Ahead& each : wanted.ahead) {
    Lane* lane = lanes_.in_memory(each.lane);
    if (lane == nullptr || !lane->lends_ahead() || lane->held_until > now) continue;
    const size_t most = std::min(each.most, wanted.most - std::min(wanted.most, all.size()));
    if (most == 0 || bytes == 0) break;
    const Result<bool> off = totals_.disabled > 0 ? is_disabled(lane->host) : false;
    if (!off) return Unexpected(off.error());
    if (*off) continue;
    const Result<> taken = take_due(*lane, most, all, bytes, now);
    if (!taken) return taken;
  }
  return {};
}

Result<std::optional<WallTime>> SqliteStore::next_due() { return lanes_.next_due(); }

Result<> SqliteStore::settle(const Settled& settled, WallTime now) {
  const std::optional<Lent> lent = lanes_.take_back(settled.number, settled.fence);
  if (!lent) return {};  // settled already; it may have been lent again since
  const Result<Lane*> found = lanes_.find(lent->lane);
  if (!found) return Unexpected(found.error());
  Lane& lane = **found;
  lanes_.change(lane);
  --lane.running;
  if (!settled.leaves_place && lane.ahead > 0) --lane.ahead;
  lane.served = std::min(lane.served, now);  // the clock may have been ahead
  WallTime hold = settled.hold.value_or(WallTime());
  if (settled.attempt) {
    const Result<> done = finish_attempt(*lent, settled, now);
    if (!done) return done;
    // A lane that works takes more at once; one that does not, one at a time.
    lane.window = settled.well ? std::min(lane.window + 1, lane.width) : 1;
  } else if (!settled.hold) {
    hold = settled.due;
  }
  lane.held_until = std::max(lane.held_until, Statement::from_ms(Statement::to_ms(hold)));
  if (!settled.attempt) return queue_up(lane, lent->due, settled.number);
  if (settled.state == State::queued) return queue_up(lane, settled.due, settled.number);
  return lane.fifo ? place_again(lane) : place(lane);
}

Result<> SqliteStore::finish_attempt(const Lent& lent, const Settled& settled, WallTime now) {
  const Attempt& attempt = *settled.attempt;
  const bool over = settled.state != State::queued;
  std::optional<WallTime> finished;
  if (over) finished = now;
  const size_t bytes = attempt.detail.size() + attempt.answer.size();
  Result<> done = deliveries_.settle
                      .bind(settled.number, number_of(settled.state), settled.due, finished, bytes)
                      .run();
  if (done) {
    done = deliveries_.insert_attempt
               .bind(settled.number, lent.attempts + 1, attempt.began, attempt.resolve_ms,
                     attempt.connect_ms, attempt.tls_ms, attempt.wait_ms, attempt.total_ms,
                     attempt.status, attempt.reason, attempt.detail, attempt.address,
                     Blob{attempt.answer})
               .run();
  }
  if (done) done = note_attempt(lent.destination, lent.host, settled, now);
  if (!done) return done;
  totals_.bytes += bytes;
  totals_changed_ = true;
  if (over) {
    count(State::queued, -1);
    count(settled.state, 1);
  }
  return {};
}

}  // namespace egret::queue
