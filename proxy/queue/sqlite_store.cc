// What senders and the dispatcher need of the store; what an operator asks is in sqlite_pages.cc.
#include <algorithm>
#include <stdexcept>

#include "proxy/queue/sqlite_parts.h"
#include "proxy/queue/sqlite_schema.h"

namespace egret::queue {
namespace {

// How many deliveries of one lane one claim takes: others come before its next ones.
constexpr int64_t kOfOneLane = 8;

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
  const Result<> prepared = prepare_schema(*database);
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
  return check_schema(*database);
}

// The last owner has ended while these were running: nobody knows what came of them, so they are
// sent again.
Result<> SqliteStore::recover(WallTime now) {
  Result<> done = database_.execute("BEGIN IMMEDIATE");
  if (done) done = read_totals();
  if (!done) return done;
  const std::string at = std::to_string(Statement::to_ms(now));
  done = database_.execute(
      "CREATE TEMP TABLE interrupted AS SELECT DISTINCT lane FROM deliveries WHERE state = 1;"
      "UPDATE deliveries SET state = 0, due = " +
      at +
      " WHERE state = 1;"
      "UPDATE lanes SET running = 0 WHERE lane IN (SELECT lane FROM interrupted);");
  if (done) done = refresh_interrupted(now);
  if (done) done = database_.execute("DROP TABLE interrupted");
  if (done) {
    totals_.running = 0;
    totals_changed_ = true;
    done = commit();
  }
  if (!done) rollback();
  return done;
}

Result<> SqliteStore::refresh_interrupted(WallTime now) {
  std::vector<int64_t> lanes;
  Statement rows = database_.prepare("SELECT lane FROM interrupted");
  while (true) {
    const Result<bool> row = rows.step();
    if (!row) return Unexpected(row.error());
    if (!*row) break;
    lanes.push_back(rows.number(0));
  }
  for (const int64_t lane : lanes) {
    const Result<> done = refresh(lane, now);
    if (!done) return done;
  }
  return {};
}

Result<> SqliteStore::read_totals() {
  Statement& read = pages_.totals.bind();
  const Result<bool> row = read.step();
  if (!row) return Unexpected(row.error());
  totals_ = {.queued = static_cast<uint64_t>(read.number(0)),
             .running = static_cast<uint64_t>(read.number(1)),
             .delivered = static_cast<uint64_t>(read.number(2)),
             .dead = static_cast<uint64_t>(read.number(3)),
             .cancelled = static_cast<uint64_t>(read.number(4)),
             .disabled = static_cast<uint64_t>(read.number(6)),
             .evicted = totals_.evicted,
             .bytes = static_cast<uint64_t>(read.number(5)),
             .oldest = std::nullopt};
  read.reset();
  totals_changed_ = false;
  return {};
}

Result<> SqliteStore::begin() {
  Result<> done = deliveries_.begin.bind().run();
  if (done && totals_lost_) {
    done = read_totals();
    totals_lost_ = !done;
  }
  return done;
}

Result<> SqliteStore::commit() {
  if (totals_changed_) {
    const Result<> written =
        deliveries_.write_totals
            .bind(totals_.queued, totals_.running, totals_.delivered, totals_.dead,
                  totals_.cancelled, totals_.bytes, totals_.disabled)
            .run();
    if (!written) return written;
    totals_changed_ = false;
  }
  return deliveries_.commit.bind().run();
}

// SQLite may have rolled back by itself.
void SqliteStore::rollback() {
  if (database_.in_transaction()) static_cast<void>(deliveries_.rollback.bind().run());
  totals_lost_ = !read_totals();
}

void SqliteStore::count(State state, int64_t change) {
  uint64_t& total = state == State::delivered   ? totals_.delivered
                    : state == State::dead      ? totals_.dead
                    : state == State::cancelled ? totals_.cancelled
                                                : totals_.queued;
  total += static_cast<uint64_t>(change);
  totals_changed_ = true;
}

Result<std::optional<Accepted>> SqliteStore::known(const NewDelivery& delivery) {
  if (delivery.idempotency_key.empty()) return std::optional<Accepted>();
  Statement& find = deliveries_.by_key.bind(delivery.sender, delivery.idempotency_key);
  const Result<bool> row = find.step();
  if (!row) return Unexpected(row.error());
  if (!*row) return std::optional<Accepted>();
  Accepted accepted{.id = find.text(0),
                    .known = true,
                    .differs = find.text(1) != delivery.digest,
                    .state = static_cast<State>(find.number(2))};
  find.reset();
  return std::optional(std::move(accepted));
}

Result<Accepted> SqliteStore::accept(const NewDelivery& delivery, const Bounds& bounds) {
  Result<std::optional<Accepted>> before = known(delivery);
  if (!before) return Unexpected(std::move(before.error()));
  if (*before) return std::move(**before);
  const uint64_t bytes = delivery.head.size() + delivery.body.size();
  if (totals_.queued >= bounds.max_deliveries) {
    return Unexpected(Reason::queue_full, "The queue holds " + std::to_string(totals_.queued) +
                                              " deliveries (queue.max_deliveries).");
  }
  if (totals_.bytes + bytes > bounds.max_size) {
    const Result<> room = make_room(bytes, bounds.max_size);
    if (!room) return Unexpected(room.error());
  }
  Result<bool> off = totals_.disabled > 0 ? is_disabled(delivery.host) : false;
  if (off && !*off && totals_.disabled > 0) off = is_disabled(delivery.destination);
  if (!off) return Unexpected(off.error());
  const State state = *off ? State::dead : State::queued;
  std::optional<WallTime> finished;
  if (*off) finished = delivery.accepted;
  Statement& lane = lanes_.take.bind(delivery.lane, delivery.fifo ? 1U : delivery.width,
                                     delivery.fifo ? 1 : 0, delivery.host);
  const Result<bool> row = lane.step();
  if (!row) return Unexpected(row.error());
  const int64_t number = lane.number(0);
  // One that waits already keeps its place; one whose window is full is looked at when it is not.
  const bool waits = !lane.is_null(1) && lane.time(1) <= delivery.due;
  const bool is_full = lane.number(2) != 0;
  lane.reset();
  std::optional<std::string_view> key;
  if (!delivery.idempotency_key.empty()) key = delivery.idempotency_key;
  Result<> stored =
      deliveries_.insert
          .bind(delivery.id, delivery.webhook_id, number, delivery.fifo ? 1 : 0, delivery.due,
                delivery.accepted, delivery.sender, delivery.rule, delivery.method,
                delivery.destination, delivery.host, delivery.body.size(), bytes, key,
                delivery.digest, number_of(state), finished, delivery.tries)
          .run();
  if (stored) {
    stored =
        deliveries_.insert_content.bind(database_.last_row(), delivery.head, Blob{delivery.body})
            .run();
  }
  if (stored && !waits && !is_full) stored = join(number, delivery.accepted);
  if (!stored) return Unexpected(stored.error());
  count(state, 1);
  totals_.bytes += bytes;
  return Accepted{.id = delivery.id, .state = state};
}

// What is kept only to be looked at goes before anything is refused.
Result<> SqliteStore::make_room(uint64_t bytes, uint64_t most) {
  constexpr int kAtMost = 100;
  for (const State state : {State::delivered, State::cancelled, State::dead}) {
    const Result<int> forgotten = forget(state, WallTime::max(), kAtMost);
    if (!forgotten) return Unexpected(forgotten.error());
    if (state == State::dead) totals_.evicted += static_cast<uint64_t>(*forgotten);
    if (totals_.bytes + bytes <= most) return {};
  }
  return Unexpected(Reason::queue_full, "The queue holds " + std::to_string(totals_.bytes) +
                                            " bytes (queue.max_size).");
}

// When the lane's next delivery may be claimed: `now` at the earliest, so that a lane that was
// served stands behind those that wait.
Result<> SqliteStore::refresh(int64_t lane, WallTime now) {
  return lanes_.refresh.bind(lane, now).run();
}

// The same when one more waits: a lane that waits already keeps its place, however often it is
// given more.
Result<> SqliteStore::join(int64_t lane, WallTime now) { return lanes_.join.bind(lane, now).run(); }

// Lends what `due` finds; how many. What goes to a URL that is switched off becomes dead instead.
Result<int64_t> SqliteStore::take_due(Statement& due, int64_t lane, std::vector<Claimed>& all,
                                      uint64_t& bytes, WallTime now) {
  int64_t taken = 0;
  std::vector<int64_t> unwanted;
  while (bytes > 0) {
    const Result<bool> row = due.step();
    if (!row) return Unexpected(row.error());
    if (!*row) break;
    const Result<bool> off = totals_.disabled > 0 ? is_disabled(due.text(6)) : false;
    if (!off) return Unexpected(off.error());
    if (*off) {
      unwanted.push_back(due.number(0));
      continue;
    }
    all.push_back({.number = due.number(0),
                   .lane = lane,
                   .id = due.text(1),
                   .sender = due.text(2),
                   .tries = static_cast<uint32_t>(due.number(3)),
                   .head = due.text(4),
                   .body = due.text(5)});
    bytes -= std::min<uint64_t>(bytes, all.back().head.size() + all.back().body.size());
    ++taken;
  }
  due.reset();
  for (size_t i = all.size() - static_cast<size_t>(taken); i < all.size(); ++i) {
    const Result<> lent = deliveries_.lend.bind(all[i].number).run();
    if (!lent) return Unexpected(lent.error());
  }
  for (const int64_t number : unwanted) {
    const Result<> buried = bury_one(number, now);
    if (!buried) return Unexpected(buried.error());
  }
  return taken;
}

Result<std::vector<Claimed>> SqliteStore::claim(size_t most, uint64_t most_bytes, WallTime now) {
  struct Ready {
    int64_t lane;
    bool fifo;
    int64_t room;
  };
  std::vector<Ready> lanes;
  Statement& ready = lanes_.ready.bind(now, most);
  while (true) {
    const Result<bool> row = ready.step();
    if (!row) return Unexpected(row.error());
    if (!*row) break;
    lanes.push_back({ready.number(0), ready.number(1) != 0, ready.number(2)});
  }
  std::vector<Claimed> all;
  for (const Ready& each : lanes) {
    if (all.size() >= most || most_bytes == 0) break;
    const int64_t left = static_cast<int64_t>(most - all.size());
    const int64_t take = each.fifo ? 1 : std::min({each.room, left, kOfOneLane});
    Statement& due = each.fifo ? deliveries_.head_of_lane : deliveries_.due_of_lane;
    const Result<int64_t> taken =
        take_due(due.bind(each.lane, now, take), each.lane, all, most_bytes, now);
    if (!taken) return Unexpected(taken.error());
    Result<> counted = lanes_.lend.bind(each.lane, *taken).run();
    if (counted) counted = refresh(each.lane, now);
    if (!counted) return Unexpected(counted.error());
    totals_.running += static_cast<uint64_t>(*taken);
    totals_changed_ = true;
  }
  return all;
}

Result<std::optional<WallTime>> SqliteStore::next_due() {
  Statement& next = lanes_.next.bind();
  const Result<bool> row = next.step();
  if (!row) return Unexpected(row.error());
  std::optional<WallTime> due;
  if (*row && !next.is_null(0)) due = next.time(0);
  next.reset();
  return due;
}

Result<> SqliteStore::settle(const Settled& settled, WallTime now) {
  const Result<bool> lent = settled.attempt ? finish_attempt(settled, now) : give_back(settled);
  if (!lent) return Unexpected(lent.error());
  if (!*lent) return {};  // it is not lent (any more): settled already
  // A lane that works takes more at once; one that does not, one at a time.
  const int widen = !settled.attempt ? 0 : settled.well ? 1 : -1;
  const WallTime until = settled.hold ? *settled.hold : settled.attempt ? WallTime() : settled.due;
  Result<> done = lanes_.settle.bind(settled.lane, widen, until).run();
  if (done) done = refresh(settled.lane, now);
  if (!done) return done;
  --totals_.running;
  totals_changed_ = true;
  return {};
}

// False: it is not lent (any more).
Result<bool> SqliteStore::give_back(const Settled& settled) {
  Statement& move = deliveries_.give_back.bind(settled.number);
  Result<bool> row = move.step();
  move.reset();
  return row;
}

// False: it is not lent (any more).
Result<bool> SqliteStore::finish_attempt(const Settled& settled, WallTime now) {
  const Attempt& attempt = *settled.attempt;
  const bool over = settled.state != State::queued;
  std::optional<WallTime> finished;
  if (over) finished = now;
  const size_t bytes = attempt.detail.size() + attempt.answer.size();
  Statement& move = deliveries_.settle.bind(settled.number, number_of(settled.state), settled.due,
                                            finished, bytes);
  const Result<bool> row = move.step();
  if (!row || !*row) return row;
  const int64_t attempts = move.number(0);
  const std::string host = move.text(1);
  const std::string url = move.text(2);
  move.reset();
  Result<> noted =
      deliveries_.insert_attempt
          .bind(settled.number, attempts, attempt.began, attempt.resolve_ms, attempt.connect_ms,
                attempt.tls_ms, attempt.wait_ms, attempt.total_ms, attempt.status, attempt.reason,
                attempt.detail, attempt.address, Blob{attempt.answer})
          .run();
  if (noted) noted = note_attempt(url, host, settled, now);
  if (!noted) return Unexpected(noted.error());
  totals_.bytes += bytes;
  if (over) {
    count(State::queued, -1);
    count(settled.state, 1);
  }
  return true;
}

}  // namespace egret::queue
