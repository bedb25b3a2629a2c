// Who lives, who is dead, and what all of them together hold.
#include <algorithm>

#include "proxy/queue/postgres_parts.h"

namespace egret::queue::pg {
namespace {

// The database's clock, in ms: the Egrets' own may differ.
#define EGRET_NOW "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

constexpr Sql kRegister{
    "register", "INSERT INTO egret_owners (until) VALUES (" EGRET_NOW " + $1) RETURNING owner"};
constexpr Sql kBeat{"beat", "UPDATE egret_owners SET until = " EGRET_NOW " + $2 WHERE owner = $1"};
constexpr Sql kDead{"dead", "SELECT owner FROM egret_owners WHERE until < " EGRET_NOW
                            " AND owner <> $1 ORDER BY owner LIMIT 100"};
constexpr Sql kLockDead{"lock_dead",
                        "SELECT queued, running, delivered, dead, cancelled, bytes "
                        "FROM egret_owners WHERE owner = $1 AND until < " EGRET_NOW
                        " FOR UPDATE SKIP LOCKED"};
constexpr Sql kRemove{"remove", "DELETE FROM egret_owners WHERE owner = $1"};
constexpr Sql kLeave{"leave", "UPDATE egret_owners SET until = 0 WHERE owner = $1"};
constexpr Sql kAllOf{"all_of",
                     "UPDATE egret_deliveries SET state = 0, owner = NULL, fence = NULL "
                     "WHERE owner = $1 AND state = 1 RETURNING lane"};
constexpr Sql kDoubtful{"doubtful",
                        "UPDATE egret_deliveries SET state = 0, owner = NULL, fence = NULL "
                        "WHERE owner = $1 AND state = 1 AND fence = ANY($2) RETURNING lane"};
constexpr Sql kLook{
    "look",
    "SELECT COALESCE(sum(queued), 0)::bigint, COALESCE(sum(running), 0)::bigint, "
    "COALESCE(sum(delivered), 0)::bigint, COALESCE(sum(dead), 0)::bigint, "
    "COALESCE(sum(cancelled), 0)::bigint, COALESCE(sum(bytes), 0)::bigint, "
    "COALESCE(sum(CASE WHEN until >= " EGRET_NOW
    " THEN 1 ELSE 0 END), 0)::bigint, "
    "(SELECT count(*) FROM egret_endpoints WHERE disabled IS NOT NULL), "
    "(SELECT accepted FROM egret_deliveries WHERE state IN (0, 1) ORDER BY number LIMIT 1), "
    "(SELECT min(next_due) FROM egret_lanes WHERE next_due IS NOT NULL) FROM egret_owners"};
constexpr Sql kNext{"next", "SELECT min(next_due) FROM egret_lanes WHERE next_due IS NOT NULL"};
constexpr Sql kNews{"news", "SELECT pg_notify('egret_due', $1)"};
#undef EGRET_NOW

// Whoever commits with news waits for others that do: so often, whatever the load.
constexpr Duration kNewsEvery = std::chrono::milliseconds(50);

TimePoint steady_now() { return SystemClock().now(); }

int64_t ms(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

uint64_t at_least_none(int64_t count) { return count < 0 ? 0 : static_cast<uint64_t>(count); }

}  // namespace

// As the one it was, or as a new one when it has been taken for dead.
Result<> PostgresStore::register_owner() {
  if (owner_ != 0) {
    const Result<Answer> still = connection_->ask(kBeat, Values(owner_, ms(options_.lease)));
    if (!still) return Unexpected(still.error());
    if (still->written() == 1) return {};
  }
  const Result<Answer> made = connection_->ask(kRegister, Values(ms(options_.lease)));
  if (!made) return Unexpected(made.error());
  owner_ = made->number(0, 0);
  doubtful_.clear();  // the former one's
  if (listener_) listener_->set_own(owner_);
  return {};
}

void PostgresStore::listen(std::function<void()> changed) {
  listener_ = std::make_unique<Listener>(
      [uri = options_.uri, password = options_.password] {
        return Login{uri, password ? password() : Secret()};
      },
      Patience{options_.connect, options_.answer}, std::move(changed));
  listener_->set_own(owner_);
}

// To nobody, when there is nobody else or nobody can hear it; then others look by themselves.
void PostgresStore::add_news() {
  if (!wakes_ && !news_wait_) return;
  if (owners_ < 2 || !listener_ || !listener_->can_listen()) return;
  const TimePoint now = steady_now();
  news_wait_ = now < news_at_;
  if (news_wait_) return;
  news_at_ = deadline_after(now, kNewsEvery);
  connection_->add(kNews, Values(std::to_string(owner_)));
}

Result<> PostgresStore::tick(WallTime /*now*/) {
  Result<> done = ready();
  if (!done) return done;
  connection_->add(kBeat, Values(owner_, ms(options_.lease)));
  add_news();
  const Result<Answer> dead = connection_->ask(kDead, Values(owner_));
  if (!dead) {
    if (connection_->broken()) lose(dead.error());
    return Unexpected(dead.error());
  }
  if (!doubtful_.empty()) {
    // begin() has waited for whatever the server still did for the connection that was lost.
    done = within([this] { return give_back(kDoubtful, Values(owner_, doubtful_)); });
    if (!done) return done;
    doubtful_.clear();
  }
  for (int i = 0; i < dead->rows(); ++i) {
    const int64_t owner = dead->number(i, 0);
    done = within([&] { return take_over(owner); });
    if (!done) return done;
  }
  return look();
}

// Queues again what `sql` takes back, as it was before it was lent.
Result<> PostgresStore::give_back(const Sql& sql, Values values) {
  const Result<Answer> rows = connection_->ask(sql, std::move(values));
  if (!rows) return Unexpected(rows.error());
  for (int i = 0; i < rows->rows(); ++i) lanes_.refresh(rows->number(i, 0), WallTime(), 1);
  delta_.running -= rows->rows();
  return {};
}

// What the dead one has lent, and what it has counted. One Egret does it, whoever is first.
Result<> PostgresStore::take_over(int64_t owner) {
  const Result<Answer> row = connection_->ask(kLockDead, Values(owner));
  if (!row) return Unexpected(row.error());
  if (row->rows() == 0) return {};
  const Result<> given = give_back(kAllOf, Values(owner));
  if (!given) return given;
  delta_.add({.queued = row->number(0, 0),
              .running = row->number(0, 1),
              .delivered = row->number(0, 2),
              .dead = row->number(0, 3),
              .cancelled = row->number(0, 4),
              .bytes = row->number(0, 5)});
  const Result<Answer> removed = connection_->ask(kRemove, Values(owner));
  if (!removed) return Unexpected(removed.error());
  return {};
}

// The row stays, since it counts; it is taken over by whoever comes.
Result<> PostgresStore::leave() {
  return within([this]() -> Result<> {
    const Result<> given = give_back(kAllOf, Values(owner_));
    if (!given) return given;
    connection_->add(kLeave, Values(owner_));
    return {};
  });
}

Result<> PostgresStore::look() {
  const Result<Answer> row = ask(kLook);
  if (!row) return Unexpected(row.error());
  seen_ = {.queued = at_least_none(row->number(0, 0)),
           .running = at_least_none(row->number(0, 1)),
           .delivered = at_least_none(row->number(0, 2)),
           .dead = at_least_none(row->number(0, 3)),
           .cancelled = at_least_none(row->number(0, 4)),
           .disabled = at_least_none(row->number(0, 7)),
           .evicted = 0,
           .bytes = at_least_none(row->number(0, 5)),
           .oldest = std::nullopt};
  if (!row->is_null(0, 8)) seen_.oldest = row->time(0, 8);
  owners_ = static_cast<uint32_t>(std::max<int64_t>(1, row->number(0, 6)));
  next_due_.emplace();
  if (!row->is_null(0, 9)) next_due_->emplace(row->time(0, 9));
  since_ = {};
  seen_at_ = steady_now();
  seen_ever_ = true;
  return {};
}

Result<std::optional<WallTime>> PostgresStore::next_due() {
  std::optional<WallTime> due;
  if (next_due_) {
    due = *next_due_;
    next_due_.reset();
  } else {
    const Result<Answer> row = ask(kNext);
    if (!row) return Unexpected(row.error());
    if (!row->is_null(0, 0)) due = row->time(0, 0);
  }
  if (due && quiet_until_) due = std::max(*due, *quiet_until_);
  return due;
}

Result<Stats> PostgresStore::stats() {
  if (!seen_ever_ || steady_now() - seen_at_ >= options_.stats) {
    const Result<> looked = look();
    if (!looked) return Unexpected(looked.error());
  }
  Stats stats = seen_;
  stats.evicted = evicted_;
  const auto add = [](uint64_t& total, int64_t change) {
    total = at_least_none(static_cast<int64_t>(total) + change);
  };
  add(stats.queued, since_.queued);
  add(stats.running, since_.running);
  add(stats.delivered, since_.delivered);
  add(stats.dead, since_.dead);
  add(stats.cancelled, since_.cancelled);
  add(stats.bytes, since_.bytes);
  return stats;
}

}  // namespace egret::queue::pg
