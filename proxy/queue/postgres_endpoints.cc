// Which hosts fail, which are switched off, and what they have agreed to.
#include "proxy/queue/postgres_parts.h"

namespace egret::queue::pg {
namespace {

// How many deliveries of a host that was switched off one sweep makes dead.
constexpr int kBuried = 500;

constexpr Sql kFind{"endpoint", "SELECT disabled FROM egret_endpoints WHERE host = $1"};
constexpr Sql kAll{"endpoints",
                   "SELECT host, failing_since, disabled, why FROM egret_endpoints ORDER BY host"};
constexpr Sql kForget{"endpoint_forget",
                      "DELETE FROM egret_endpoints WHERE host = $1 AND disabled IS NULL"};
constexpr Sql kFails{"endpoint_fails",
                     "INSERT INTO egret_endpoints (host, failing_since) VALUES ($1, $2) "
                     "ON CONFLICT (host) DO NOTHING"};
constexpr Sql kDisable{"endpoint_disable",
                       "INSERT INTO egret_endpoints (host, disabled, why) VALUES ($1, $2, $3) "
                       "ON CONFLICT (host) DO UPDATE SET disabled = excluded.disabled, "
                       "why = excluded.why WHERE egret_endpoints.disabled IS NULL"};
// $3: how long it may fail, in ms.
constexpr Sql kTooLong{"endpoint_too_long",
                       "UPDATE egret_endpoints SET disabled = $2, "
                       "why = 'nothing has succeeded for ' || "
                       "floor(($2 - failing_since) / 3600000.0)::bigint::text || ' h' "
                       "WHERE host = $1 AND disabled IS NULL AND failing_since <= $2 - $3"};
constexpr Sql kEnable{"endpoint_enable", "DELETE FROM egret_endpoints WHERE host = $1"};
constexpr Sql kLanes{"endpoint_lanes", "SELECT lane FROM egret_lanes WHERE host = $1"};
constexpr Sql kBury{
    "bury",
    "UPDATE egret_deliveries SET state = 3, finished = $1 WHERE number IN ("
    "SELECT d.number FROM egret_endpoints e JOIN egret_lanes l ON l.host = e.host "
    "JOIN egret_deliveries d ON d.lane = l.lane AND d.state = 0 "
    "WHERE e.disabled IS NOT NULL LIMIT $2 FOR UPDATE OF d SKIP LOCKED) RETURNING lane"};
constexpr Sql kRecall{"recall", "SELECT value FROM egret_notes WHERE name = $1 AND until > $2"};
constexpr Sql kRemember{"remember",
                        "INSERT INTO egret_notes (name, value, until) VALUES ($1, $2, $3) "
                        "ON CONFLICT (name) DO UPDATE SET value = excluded.value, "
                        "until = excluded.until"};

}  // namespace

// By name, so that two transactions take them in one order. A success ends what a failure began;
// who has failed for too long is switched off.
Result<> PostgresStore::write_endpoints() {
  if (judged_.empty()) return {};
  struct Switched {
    size_t answer;
    std::string host;
    WallTime at;
  };
  std::vector<Switched> switched;
  size_t count = 0;
  const auto add = [&](const Sql& sql, Values values) {
    connection_->add(sql, std::move(values));
    return count++;
  };
  for (const auto& [host, judged] : judged_) {
    if (judged.enable) switched.push_back({add(kEnable, Values(host)), host, judged.at});
    if (judged.succeeded) add(kForget, Values(host));
    if (judged.fails) add(kFails, Values(host, judged.at));
    if (!judged.disable_why.empty()) {
      const size_t answer = add(kDisable, Values(host, judged.at, judged.disable_why));
      switched.push_back({answer, host, judged.at});
    } else if (judged.fails && judged.disable_after) {
      const auto after =
          std::chrono::duration_cast<std::chrono::milliseconds>(*judged.disable_after);
      const size_t answer = add(kTooLong, Values(host, judged.at, int64_t{after.count()}));
      switched.push_back({answer, host, judged.at});
    }
  }
  judged_.clear();
  if (switched.empty()) return {};  // nobody waits for what these answer
  const Result<std::vector<Answer>> answers = connection_->run();
  if (!answers) return Unexpected(answers.error());
  const size_t first = answers->size() - count;
  for (const Switched& each : switched) {
    if ((*answers)[first + each.answer].written() == 0) continue;
    const Result<> done = refresh_lanes_of(each.host, each.at);
    if (!done) return done;
  }
  return {};
}

Result<> PostgresStore::refresh_lanes_of(const std::string& host, WallTime now) {
  const Result<Answer> rows = connection_->ask(kLanes, Values(host));
  if (!rows) return Unexpected(rows.error());
  for (int i = 0; i < rows->rows(); ++i) lanes_.refresh(rows->number(i, 0), now);
  return {};
}

Result<std::vector<Endpoint>> PostgresStore::endpoints() {
  const Result<Answer> rows = ask(kAll);
  if (!rows) return Unexpected(rows.error());
  std::vector<Endpoint> all;
  for (int i = 0; i < rows->rows(); ++i) {
    Endpoint endpoint{.host = rows->text(i, 0),
                      .failing_since = std::nullopt,
                      .disabled = std::nullopt,
                      .why = rows->text(i, 3)};
    if (!rows->is_null(i, 1)) endpoint.failing_since = rows->time(i, 1);
    if (!rows->is_null(i, 2)) endpoint.disabled = rows->time(i, 2);
    all.push_back(std::move(endpoint));
  }
  return all;
}

Result<bool> PostgresStore::disable(const std::string& host, const std::string& why, WallTime now) {
  const Result<Answer> row = ask(kFind, Values(host));
  if (!row) return Unexpected(row.error());
  if (row->rows() > 0 && !row->is_null(0, 0)) return false;
  Judged& judged = judged_[host];
  judged.at = now;
  judged.disable_why = why;
  return true;
}

Result<bool> PostgresStore::enable(const std::string& host, WallTime now) {
  const Result<Answer> row = ask(kFind, Values(host));
  if (!row) return Unexpected(row.error());
  const auto meant = judged_.find(host);
  const bool disabling = meant != judged_.end() && !meant->second.disable_why.empty();
  if (row->rows() == 0 && !disabling) return false;
  Judged& judged = judged_[host];
  judged.at = now;
  judged.enable = true;
  judged.disable_why.clear();
  return disabling || !row->is_null(0, 0);
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
