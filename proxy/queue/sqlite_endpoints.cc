// Which hosts fail, which are switched off, and what they have agreed to.
#include "proxy/queue/sqlite_parts.h"

namespace egret::queue {
namespace {

// How many deliveries of a host that was switched off one sweep makes dead.
constexpr int kBuried = 500;

}  // namespace

Result<bool> SqliteStore::is_disabled(const std::string& host) {
  Statement& row = endpoints_.find.bind(host);
  const Result<bool> there = row.step();
  if (!there) return there;
  const bool disabled = *there && !row.is_null(1);
  row.reset();
  return disabled;
}

// A success ends what a failure began; who has failed for too long is switched off.
Result<> SqliteStore::note_attempt(const std::string& host, const Settled& settled, WallTime now) {
  if (settled.well) return endpoints_.forget.bind(host).run();
  const Result<> noted = endpoints_.fails.bind(host, now).run();
  if (!noted) return noted;
  Statement& row = endpoints_.find.bind(host);
  const Result<bool> there = row.step();
  if (!there) return Unexpected(there.error());
  const bool already = !row.is_null(1);
  const Duration failing = row.is_null(0) ? Duration::zero() : now - row.time(0);
  row.reset();
  if (already) return {};
  std::string why = settled.disable_why;
  if (why.empty() && settled.disable_after && failing >= *settled.disable_after) {
    why = "nothing has succeeded for " +
          std::to_string(std::chrono::duration_cast<std::chrono::hours>(failing).count()) + " h";
  }
  if (why.empty()) return {};
  const Result<bool> done = disable(host, why, now);
  if (!done) return Unexpected(done.error());
  return {};
}

Result<std::vector<Endpoint>> SqliteStore::endpoints() {
  std::vector<Endpoint> all;
  Statement& rows = endpoints_.all.bind();
  while (true) {
    const Result<bool> row = rows.step();
    if (!row) return Unexpected(row.error());
    if (!*row) return all;
    Endpoint endpoint{.host = rows.text(0),
                      .failing_since = std::nullopt,
                      .disabled = std::nullopt,
                      .why = rows.text(3)};
    if (!rows.is_null(1)) endpoint.failing_since = rows.time(1);
    if (!rows.is_null(2)) endpoint.disabled = rows.time(2);
    all.push_back(std::move(endpoint));
  }
}

Result<> SqliteStore::refresh_lanes_of(const std::string& host, WallTime now) {
  std::vector<int64_t> lanes;
  Statement& rows = endpoints_.lanes.bind(host);
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

Result<bool> SqliteStore::disable(const std::string& host, const std::string& why, WallTime now) {
  const Result<bool> already = is_disabled(host);
  if (!already) return already;
  if (*already) return false;
  Result<> done = endpoints_.disable.bind(host, now, why).run();
  if (done) done = refresh_lanes_of(host, now);
  if (!done) return Unexpected(done.error());
  return true;
}

Result<bool> SqliteStore::enable(const std::string& host, WallTime now) {
  const Result<bool> disabled = is_disabled(host);
  if (!disabled) return disabled;
  Result<> done = endpoints_.enable.bind(host).run();
  if (done && *disabled) done = refresh_lanes_of(host, now);
  if (!done) return Unexpected(done.error());
  return *disabled;
}

// Makes a bounded number of those dead whose host is switched off. True when there may be more.
Result<bool> SqliteStore::bury(WallTime now) {
  struct Due {
    int64_t number, lane;
  };
  std::vector<Due> all;
  for (Statement* find : {&endpoints_.to_bury, &endpoints_.to_bury_in_order}) {
    Statement& rows = find->bind(kBuried);
    while (true) {
      const Result<bool> row = rows.step();
      if (!row) return row;
      if (!*row) break;
      all.push_back({rows.number(0), rows.number(1)});
    }
  }
  for (const Due& each : all) {
    const Result<> done = endpoints_.bury.bind(each.number, now).run();
    if (!done) return Unexpected(done.error());
    count(State::queued, -1);
    count(State::dead, 1);
  }
  return all.size() >= kBuried;
}

Result<std::optional<std::string>> SqliteStore::recall(const std::string& name, WallTime now) {
  Statement& row = endpoints_.recall.bind(name, now);
  const Result<bool> there = row.step();
  if (!there) return Unexpected(there.error());
  std::optional<std::string> value;
  if (*there) value = row.text(0);
  row.reset();
  return value;
}

Result<> SqliteStore::remember(const std::string& name, const std::string& value, WallTime until) {
  return endpoints_.remember.bind(name, value, until).run();
}

}  // namespace egret::queue
