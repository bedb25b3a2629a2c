// What the dispatcher needs of the store: lending and settling.
#include <algorithm>

#include "proxy/queue/postgres_parts.h"

namespace egret::queue::pg {
namespace {

// Others may hold what is due: it is not asked for again at once.
constexpr Duration kQuiet = std::chrono::milliseconds(50);
// How many lanes are put right at once when the clock was set back.
constexpr int kSetBack = 1000;

// A lane that another claim or settlement has locked is that one's now.
constexpr Sql kReady{"ready",
                     "SELECT lane, fifo, LEAST(\"window\", width) - running FROM egret_lanes "
                     "WHERE next_due <= $1 ORDER BY next_due, made LIMIT $2 "
                     "FOR UPDATE SKIP LOCKED"};
// Its URL is switched off.
#define EGRET_OFF                                                     \
  "CASE WHEN EXISTS (SELECT 1 FROM egret_endpoints e WHERE e.name = " \
  "d.destination AND e.disabled IS NOT NULL) THEN 1 ELSE 0 END"
constexpr Sql kDueOfLane{"due_of_lane", "SELECT number, bytes, " EGRET_OFF
                                        " FROM egret_deliveries d "
                                        "WHERE lane = $1 AND state = 0 AND due <= $2 "
                                        "ORDER BY due, number LIMIT $3"};
// The first of all, due or not: nothing overtakes it.
constexpr Sql kHeadOfLane{
    "head_of_lane",
    "SELECT number, bytes, " EGRET_OFF
    " FROM (SELECT number, bytes, state, due, destination "
    "FROM egret_deliveries "
    "WHERE lane = $1 AND fifo = 1 AND state IN (0, 1) ORDER BY number LIMIT 1) AS d "
    "WHERE state = 0 AND due <= $2 LIMIT $3"};
#undef EGRET_OFF
constexpr Sql kAhead{"lanes_ahead",
                     "SELECT lane FROM egret_lanes WHERE next_due > $1 AND next_due <= $2 "
                     "AND lane > $3 ORDER BY lane LIMIT $4"};
constexpr Sql kUnwanted{"unwanted",
                        "UPDATE egret_deliveries SET state = 3, finished = $2 "
                        "WHERE number IN (SELECT number FROM egret_deliveries "
                        "WHERE number = ANY($1) AND state = 0 FOR UPDATE SKIP LOCKED) "
                        "RETURNING number"};
// One that an operator cancels at this moment is left to that; who waits for a lane while it holds
// a delivery is never waited for here.
constexpr Sql kLend{"lend",
                    "UPDATE egret_deliveries SET state = 1, owner = $2, fence = $3 "
                    "WHERE number IN (SELECT number FROM egret_deliveries "
                    "WHERE number = ANY($1) AND state = 0 FOR UPDATE SKIP LOCKED)"};
constexpr Sql kLent{"lent",
                    "SELECT d.number, d.lane, d.id, d.sender, d.tries, c.head, c.body "
                    "FROM egret_deliveries d JOIN egret_contents c ON c.number = d.number "
                    "WHERE d.number = ANY($1) AND d.state = 1 AND d.owner = $2 AND d.fence = $3"};

constexpr Sql kGiveBack{"give_back",
                        "UPDATE egret_deliveries SET state = 0, owner = NULL, fence = NULL "
                        "WHERE number = $1 AND state = 1 AND owner = $2 AND fence = $3 "
                        "RETURNING lane, host, destination"};
constexpr Sql kSettle{
    "settle",
    "WITH settled AS (UPDATE egret_deliveries SET state = $4, due = $5, finished = $6, "
    "tries = tries + 1, attempts = attempts + 1, bytes = bytes + $18, owner = NULL, fence = NULL "
    "WHERE number = $1 AND state = 1 AND owner = $2 AND fence = $3 "
    "RETURNING number, attempts, lane, host, destination), "
    "noted AS (INSERT INTO egret_attempts (delivery, number, began, resolve_ms, connect_ms, "
    "tls_ms, wait_ms, total_ms, status, reason, detail, address, answer) "
    "SELECT number, attempts, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17 FROM settled) "
    "SELECT lane, host, destination FROM settled"};

size_t bytes_of(const Attempt& attempt) { return attempt.detail.size() + attempt.answer.size(); }

}  // namespace

Result<std::vector<PostgresStore::Ready>> PostgresStore::lock_ready(size_t most, WallTime now) {
  const Result<Answer> rows = ask(kReady, Values(now, most));
  if (!rows) return Unexpected(rows.error());
  std::vector<Ready> lanes;
  for (int i = 0; i < rows->rows(); ++i) {
    lanes.push_back({.lane = rows->number(i, 0),
                     .fifo = rows->number(i, 1) != 0,
                     .room = rows->number(i, 2),
                     .numbers = {}});
  }
  return lanes;
}

// Which of the lanes' deliveries are to be lent; what goes to a URL that is switched off becomes
// dead instead. Lanes that there was no room for stay as they are.
Result<> PostgresStore::choose(std::vector<Ready>& lanes, size_t most, uint64_t most_bytes,
                               WallTime now) {
  for (const Ready& each : lanes) {
    const size_t some = std::min(most, of_one_lane(most, lanes.size()));
    // A lane may have become narrower than what of it is lent.
    const int64_t room = std::clamp<int64_t>(each.room, 0, static_cast<int64_t>(some));
    const int64_t take = each.fifo ? 1 : room;
    connection_->add(each.fifo ? kHeadOfLane : kDueOfLane, Values(each.lane, now, take));
  }
  const Result<std::vector<Answer>> answers = connection_->run();
  if (!answers) return Unexpected(answers.error());
  std::vector<int64_t> unwanted;
  size_t looked_at = 0;
  for (; looked_at < lanes.size() && most > 0 && most_bytes > 0; ++looked_at) {
    const Answer& due = (*answers)[looked_at];
    for (int row = 0; row < due.rows() && most > 0 && most_bytes > 0; ++row) {
      if (due.number(row, 2) != 0) {
        unwanted.push_back(due.number(row, 0));
        continue;
      }
      lanes[looked_at].numbers.push_back(due.number(row, 0));
      --most;
      most_bytes -= std::min(most_bytes, static_cast<uint64_t>(due.number(row, 1)));
    }
  }
  lanes.resize(looked_at);
  return unwanted.empty() ? Result<>() : bury(unwanted, now);
}

Result<> PostgresStore::bury(const std::vector<int64_t>& numbers, WallTime now) {
  const Result<Answer> dead = connection_->ask(kUnwanted, Values(numbers, now));
  if (!dead) return Unexpected(dead.error());
  delta_.count(State::queued, -dead->rows());
  delta_.count(State::dead, dead->rows());
  return {};
}

Result<std::vector<Claimed>> PostgresStore::lend(const std::vector<Ready>& lanes, WallTime now) {
  std::vector<int64_t> numbers;
  for (const Ready& each : lanes) {
    numbers.insert(numbers.end(), each.numbers.begin(), each.numbers.end());
  }
  claims_.push_back(++fence_);
  connection_->add(kLend, Values(numbers, owner_, fence_));
  const Result<Answer> rows = connection_->ask(kLent, Values(numbers, owner_, fence_));
  if (!rows) return Unexpected(rows.error());
  std::map<int64_t, int> row_of;
  for (int i = 0; i < rows->rows(); ++i) row_of[rows->number(i, 0)] = i;
  std::vector<Claimed> all;
  for (const Ready& each : lanes) {
    int64_t count = 0;
    for (const int64_t number : each.numbers) {
      const auto found = row_of.find(number);
      if (found == row_of.end()) continue;
      const int row = found->second;
      all.push_back({.number = number,
                     .lane = each.lane,
                     .fence = fence_,
                     .id = rows->text(row, 2),
                     .sender = rows->text(row, 3),
                     .tries = static_cast<uint32_t>(rows->number(row, 4)),
                     .head = rows->text(row, 5),
                     .body = rows->text(row, 6)});
      ++count;
    }
    add_lent(*connection_, each.lane, count, now);
    delta_.running += count;
  }
  return all;
}

// Nothing is lent ahead: the window is the fleet's.
Result<std::vector<Claimed>> PostgresStore::claim(const Wanted& wanted, WallTime now) {
  std::vector<Claimed> all;
  if (wanted.most == 0 || wanted.most_bytes == 0) return all;
  if (!connected()) return Unexpected(why_);
  latest_ = std::max(latest_, now);
  Result<> done = flush();
  if (!done) return Unexpected(done.error());
  Result<std::vector<Ready>> lanes = lock_ready(wanted.most, now);
  if (!lanes) return Unexpected(lanes.error());
  if (!lanes->empty()) {
    done = choose(*lanes, wanted.most, wanted.most_bytes, now);
    if (!done) return Unexpected(done.error());
    Result<std::vector<Claimed>> lent = lend(*lanes, now);
    if (!lent) return lent;
    all = std::move(*lent);
  }
  if (all.empty()) quiet_until_ = now + kQuiet;
  return all;
}

// After this Egret's clock was ahead and is right again, lanes would not be looked at until it is
// as late again as it was then. True when there may be more of them.
Result<bool> PostgresStore::set_back(WallTime now) {
  if (latest_ <= now) return false;
  const Result<Answer> rows = ask(kAhead, Values(now, latest_, put_right_, kSetBack));
  if (!rows) return Unexpected(rows.error());
  for (int i = 0; i < rows->rows(); ++i) {
    put_right_ = rows->number(i, 0);
    lanes_.refresh(put_right_, now);
  }
  if (rows->rows() == kSetBack) return true;
  latest_ = now;
  put_right_ = -1;
  return false;
}

// It is done at the end, with the others.
Result<> PostgresStore::settle(const Settled& settled, WallTime now) {
  settling_.push_back({settled, now});
  return {};
}

Result<> PostgresStore::run_settlements() {
  if (settling_.empty()) return {};
  for (const auto& [settled, now] : settling_) {
    const int state = static_cast<int>(settled.state);
    std::optional<WallTime> finished;
    if (settled.state != State::queued) finished = now;
    if (!settled.attempt) {
      connection_->add(kGiveBack, Values(settled.number, owner_, settled.fence));
      continue;
    }
    const Attempt& attempt = *settled.attempt;
    connection_->add(
        kSettle,
        Values(settled.number, owner_, settled.fence, state, settled.due, finished, attempt.began,
               attempt.resolve_ms, attempt.connect_ms, attempt.tls_ms, attempt.wait_ms,
               attempt.total_ms, attempt.status, attempt.reason, Bytes{attempt.detail},
               attempt.address, Bytes{attempt.answer}, bytes_of(attempt)));
  }
  const std::vector<Settling> all = std::move(settling_);
  settling_.clear();
  const Result<std::vector<Answer>> answers = connection_->run();
  if (!answers) {
    if (connection_->broken()) why_ = answers.error();
    return Unexpected(answers.error());
  }
  const size_t first = answers->size() - all.size();
  for (size_t i = 0; i < all.size(); ++i) {
    const Answer& row = (*answers)[first + i];
    if (row.rows() == 0) {
      ++stale_;
      continue;
    }
    Settling each = all[i];
    each.settled.lane = row.number(0, 0);
    apply(each, row.text(0, 1), row.text(0, 2));
  }
  return {};
}

void PostgresStore::apply(const Settling& each, const std::string& host, const std::string& url) {
  const Settled& settled = each.settled;
  lanes_.refresh(settled.lane, each.now, 1);
  --delta_.running;
  if (settled.hold) lanes_.hold(settled.lane, *settled.hold);
  if (!settled.attempt) {
    if (!settled.hold) lanes_.hold(settled.lane, settled.due);
    return;
  }
  delta_.bytes += static_cast<int64_t>(bytes_of(*settled.attempt));
  if (settled.state != State::queued) {
    delta_.count(State::queued, -1);
    delta_.count(settled.state, 1);
  }
  // A lane that works takes more at once; one that does not, one at a time.
  lanes_.judge(settled.lane, settled.well);
  if (!settled.well && !settled.blame && settled.disable_why.empty()) return;
  Judged& judged = judged_[url];
  judged.host = host;
  judged.at = each.now;
  judged.succeeded |= settled.well;
  judged.failures = settled.well ? 0 : judged.failures + 1;
  if (settled.well) return;
  if (!settled.disable_why.empty()) judged.disable_why = settled.disable_why;
  judged.disable_after = settled.disable_after;
}

}  // namespace egret::queue::pg
