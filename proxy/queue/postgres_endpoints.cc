// Which endpoints fail, which are switched off, and what they have agreed to.
#include "proxy/queue/postgres_parts.h"

namespace egret::queue::pg {
namespace {

// How many deliveries of a host that was switched off one sweep makes dead.
constexpr int kBuried = 500;
// How many endpoints, and notes, one sweep forgets.
constexpr int kExpired = 500;

int64_t in_ms(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

constexpr Sql kFind{"endpoint", "SELECT disabled FROM egret_endpoints WHERE name = $1"};
constexpr Sql kDisabledOfHost{"endpoint_of_host",
                              "SELECT count(disabled) FROM egret_endpoints WHERE host = $1"};
constexpr Sql kAll{"endpoints",
                   "SELECT name, host, failing_since, disabled, why FROM egret_endpoints "
                   "ORDER BY CASE WHEN disabled IS NULL THEN 1 ELSE 0 END, name LIMIT $1"};
constexpr Sql kForget{"endpoint_forget",
                      "DELETE FROM egret_endpoints WHERE name = $1 AND disabled IS NULL"};
// $4: so many failures; after a silence of $5 ms they are the first ones again.
#define EGRET_SILENT \
  "egret_endpoints.failing_since IS NULL OR $3 - egret_endpoints.last_failed > $5"
constexpr Sql kFails{"endpoint_fails",
                     "INSERT INTO egret_endpoints (name, host, failing_since, last_failed, "
                     "failures) VALUES ($1, $2, $3, $3, $4) ON CONFLICT (name) DO UPDATE SET "
                     "failing_since = CASE WHEN " EGRET_SILENT
                     " THEN $3 ELSE egret_endpoints.failing_since END, "
                     "failures = CASE WHEN " EGRET_SILENT
                     " THEN $4 ELSE egret_endpoints.failures + $4 END, last_failed = $3"};
#undef EGRET_SILENT
constexpr Sql kDisable{"endpoint_disable",
                       "INSERT INTO egret_endpoints (name, host, disabled, why) "
                       "VALUES ($1, $2, $3, $4) "
                       "ON CONFLICT (name) DO UPDATE SET disabled = excluded.disabled, "
                       "why = excluded.why WHERE egret_endpoints.disabled IS NULL"};
// $3: how long it may fail, in ms; $4: how often at least it has.
constexpr Sql kTooLong{"endpoint_too_long",
                       "UPDATE egret_endpoints SET disabled = $2, "
                       "why = 'nothing has succeeded for ' || "
                       "floor(($2 - failing_since) / 3600000.0)::bigint::text || ' h' "
                       "WHERE name = $1 AND disabled IS NULL AND failing_since <= $2 - $3 "
                       "AND failures >= $4"};
constexpr Sql kEnable{"endpoint_enable", "DELETE FROM egret_endpoints WHERE host = $1"};
constexpr Sql kLanes{"endpoint_lanes", "SELECT lane FROM egret_lanes WHERE host = $1"};
constexpr Sql kBury{
    "bury",
    "UPDATE egret_deliveries SET state = 3, finished = $1 WHERE number IN ("
    "SELECT d.number FROM egret_endpoints e JOIN egret_lanes l ON l.host = e.name "
    "JOIN egret_deliveries d ON d.lane = l.lane AND d.state = 0 "
    "WHERE e.disabled IS NOT NULL LIMIT $2 FOR UPDATE OF d SKIP LOCKED) RETURNING lane"};
constexpr Sql kForgetOld{"endpoint_forget_old",
                         "DELETE FROM egret_endpoints WHERE name IN (SELECT name FROM "
                         "egret_endpoints WHERE disabled IS NULL AND last_failed < $1 LIMIT $2 "
                         "FOR UPDATE SKIP LOCKED)"};
// Of URLs only: a host is off by the operator's word.
constexpr Sql kForgetOff{"endpoint_forget_off",
                         "DELETE FROM egret_endpoints WHERE name IN (SELECT name FROM "
                         "egret_endpoints WHERE disabled < $1 AND name <> host LIMIT $2 "
                         "FOR UPDATE SKIP LOCKED)"};
constexpr Sql kExpire{"expire",
                      "DELETE FROM egret_notes WHERE name IN (SELECT name FROM egret_notes "
                      "WHERE until <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)"};
constexpr Sql kRecall{"recall", "SELECT value FROM egret_notes WHERE name = $1 AND until > $2"};
constexpr Sql kRemember{"remember",
                        "INSERT INTO egret_notes (name, value, until) VALUES ($1, $2, $3) "
                        "ON CONFLICT (name) DO UPDATE SET value = excluded.value, "
                        "until = excluded.until"};

}  // namespace

// By name, so that two transactions take them in one order. A success ends what a failure began;
// what has failed for too long is switched off. Lanes know of hosts only: a URL is looked at when a
// delivery is claimed.
Result<> PostgresStore::write_endpoints() {
  if (judged_.empty()) return {};
  struct Changed {
    std::string host;
    WallTime at;
    bool release;
  };
  std::vector<Changed> hosts;
  for (const auto& [name, judged] : judged_) {
    if (judged.enable) connection_->add(kEnable, Values(name));
    if (judged.succeeded) connection_->add(kForget, Values(name));
    if (!judged.disable_why.empty()) {
      connection_->add(kDisable, Values(name, judged.host, judged.at, judged.disable_why));
    } else if (judged.failures > 0) {
      connection_->add(kFails,
                       Values(name, judged.host, judged.at, judged.failures, in_ms(kSilence)));
      if (judged.disable_after) {
        connection_->add(kTooLong,
                         Values(name, judged.at, in_ms(*judged.disable_after), kFewestFailures));
      }
    }
    if (name == judged.host) hosts.push_back({name, judged.at, judged.enable});
  }
  judged_.clear();
  for (const Changed& each : hosts) {
    const Result<> done = refresh_lanes_of(each.host, each.at, each.release);
    if (!done) return done;
  }
  return {};
}

Result<> PostgresStore::refresh_lanes_of(const std::string& host, WallTime now, bool release) {
  const Result<Answer> rows = connection_->ask(kLanes, Values(host));
  if (!rows) return Unexpected(rows.error());
  for (int i = 0; i < rows->rows(); ++i) {
    const int64_t lane = rows->number(i, 0);
    release ? lanes_.release(lane, now) : lanes_.refresh(lane, now);
  }
  return {};
}

Result<std::vector<Endpoint>> PostgresStore::endpoints() {
  const Result<Answer> rows = ask(kAll, Values(kMostEndpoints));
  if (!rows) return Unexpected(rows.error());
  std::vector<Endpoint> all;
  for (int i = 0; i < rows->rows(); ++i) {
    const std::string name = rows->text(i, 0);
    Endpoint endpoint{.host = rows->text(i, 1),
                      .url = {},
                      .failing_since = std::nullopt,
                      .disabled = std::nullopt,
                      .why = rows->text(i, 4)};
    if (name != endpoint.host) endpoint.url = name;
    if (!rows->is_null(i, 2)) endpoint.failing_since = rows->time(i, 2);
    if (!rows->is_null(i, 3)) endpoint.disabled = rows->time(i, 3);
    all.push_back(std::move(endpoint));
  }
  return all;
}

Result<bool> PostgresStore::disable(const std::string& host, const std::string& why, WallTime now) {
  const Result<Answer> row = ask(kFind, Values(host));
  if (!row) return Unexpected(row.error());
  if (row->rows() > 0 && !row->is_null(0, 0)) return false;
  Judged& judged = judged_[host];
  judged.host = host;
  judged.at = now;
  judged.disable_why = why;
  return true;
}

Result<bool> PostgresStore::enable(const std::string& host, WallTime now) {
  const Result<Answer> row = ask(kDisabledOfHost, Values(host));
  if (!row) return Unexpected(row.error());
  bool disabling = false;
  for (auto& [name, judged] : judged_) {
    if (judged.host != host) continue;
    disabling |= !judged.disable_why.empty();
    judged.disable_why.clear();
    judged.failures = 0;
  }
  Judged& judged = judged_[host];
  judged.host = host;
  judged.at = now;
  judged.enable = true;
  return disabling || row->number(0, 0) > 0;
}

// Makes a bounded number of those dead whose host is switched off. True when there may be more.
Result<bool> PostgresStore::bury(WallTime now) {
  const Result<Answer> rows = ask(kBury, Values(now, kBuried));
  if (!rows) return Unexpected(rows.error());
  for (int i = 0; i < rows->rows(); ++i) lanes_.refresh(rows->number(i, 0), now);
  delta_.count(State::queued, -rows->rows());
  delta_.count(State::dead, rows->rows());
  return rows->rows() >= kBuried;
}

// Forgets a bounded number of the notes and endpoints whose time is over. A URL that was switched
// off is tried again when what has died of it is forgotten. True when there may be more.
Result<bool> PostgresStore::expire(const Bounds& bounds, WallTime now) {
  const Result<Answer> notes = ask(kExpire, Values(now, kExpired));
  if (!notes) return Unexpected(notes.error());
  const Result<Answer> old = ask(kForgetOld, Values(now - kFailingKept, kExpired));
  if (!old) return Unexpected(old.error());
  int64_t off = 0;
  if (bounds.dead < now.time_since_epoch()) {  // else for ever
    const Result<Answer> urls = ask(kForgetOff, Values(now - bounds.dead, kExpired));
    if (!urls) return Unexpected(urls.error());
    off = urls->written();
  }
  return notes->written() == kExpired || old->written() == kExpired || off == kExpired;
}

Result<std::optional<std::string>> PostgresStore::recall(const std::string& name, WallTime now) {
  const Result<Answer> row = ask(kRecall, Values(name, now));
  if (!row) return Unexpected(row.error());
  if (row->rows() == 0) return std::optional<std::string>();
  return std::optional(row->text(0, 0));
}

Result<> PostgresStore::remember(const std::string& name, const std::string& value,
                                 WallTime until) {
  const Result<Answer> done = ask(kRemember, Values(name, Bytes{value}, until));
  if (!done) return Unexpected(done.error());
  return {};
}

}  // namespace egret::queue::pg
