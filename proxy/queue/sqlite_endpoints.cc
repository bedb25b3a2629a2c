// Which endpoints fail, which are switched off, and what they have agreed to.
#include "proxy/queue/sqlite_parts.h"

namespace egret::queue {
namespace {

// How many deliveries of a host that was switched off one sweep makes dead.
constexpr int kBuried = 500;
// How many endpoints, and notes, one sweep forgets.
constexpr int kExpired = 500;

Result<int> count_rows(Statement& rows) {
  for (int count = 0;; ++count) {
    const Result<bool> row = rows.step();
    if (!row) return Unexpected(row.error());
    if (!*row) return count;
  }
}

}  // namespace

Result<bool> SqliteStore::is_disabled(const std::string& name) {
  Statement& row = endpoints_.find.bind(name);
  const Result<bool> there = row.step();
  if (!there) return there;
  const bool disabled = *there && !row.is_null(3);
  row.reset();
  return disabled;
}

// A success ends what a failure began; who has failed for too long is switched off.
Result<> SqliteStore::note_attempt(const std::string& url, const std::string& host,
                                   const Settled& settled, WallTime now) {
  if (settled.well) return endpoints_known_ ? endpoints_.forget.bind(url).run() : Result<>();
  if (!settled.disable_why.empty()) return switch_off(url, host, settled.disable_why, now);
  if (!settled.blame) return {};
  Statement& row = endpoints_.find.bind(url);
  const Result<bool> there = row.step();
  if (!there) return Unexpected(there.error());
  WallTime since = now;
  int64_t failures = 1;
  // After a silence a failure is the first one again: what came before says nothing of the time
  // between.
  if (*there && !row.is_null(0) && now - row.time(1) <= kSilence) {
    since = row.time(0);
    failures += row.number(2);
  }
  row.reset();
  endpoints_known_ = true;
  const Result<> noted = endpoints_.fails.bind(url, host, since, now, failures).run();
  if (!noted) return noted;
  if (!settled.disable_after || now - since < *settled.disable_after) return {};
  if (failures < kFewestFailures) return {};
  const auto hours = std::chrono::duration_cast<std::chrono::hours>(now - since).count();
  return switch_off(url, host, "nothing has succeeded for " + std::to_string(hours) + " h", now);
}

Result<> SqliteStore::switch_off(const std::string& name, const std::string& host,
                                 const std::string& why, WallTime now) {
  const Result<bool> already = is_disabled(name);
  if (!already) return Unexpected(already.error());
  if (*already) return {};
  endpoints_known_ = true;
  const Result<> done = endpoints_.disable.bind(name, host, now, why).run();
  if (!done) return done;
  ++totals_.disabled;
  totals_changed_ = true;
  return {};
}

Result<std::vector<Endpoint>> SqliteStore::endpoints() {
  std::vector<Endpoint> all;
  Statement& rows = endpoints_.all.bind(kMostEndpoints);
  while (true) {
    const Result<bool> row = rows.step();
    if (!row) return Unexpected(row.error());
    if (!*row) return all;
    const std::string name = rows.text(0);
    Endpoint endpoint{.host = rows.text(1),
                      .url = {},
                      .failing_since = std::nullopt,
                      .disabled = std::nullopt,
                      .why = rows.text(4)};
    if (name != endpoint.host) endpoint.url = name;
    if (!rows.is_null(2)) endpoint.failing_since = rows.time(2);
    if (!rows.is_null(3)) endpoint.disabled = rows.time(3);
    all.push_back(std::move(endpoint));
  }
}

// The host's lanes, when it has been switched off or on.
Result<> SqliteStore::look_again(const std::string& host, std::optional<WallTime> release) {
  const Result<std::vector<Lane*>> lanes = lanes_.of_host(host);
  if (!lanes) return Unexpected(lanes.error());
  for (Lane* lane : *lanes) {
    lanes_.change(*lane);
    if (release) {
      lane->held_until = {};
      lane->served = std::min(lane->served, *release);
    }
    const Result<> done = place_again(*lane);
    if (!done) return done;
  }
  return {};
}

Result<> SqliteStore::look_for_endpoints() {
  Statement& row = endpoints_.any.bind();
  const Result<bool> there = row.step();
  if (!there) return Unexpected(there.error());
  endpoints_known_ = row.number(0) != 0;
  row.reset();
  return {};
}

Result<bool> SqliteStore::disable(const std::string& host, const std::string& why, WallTime now) {
  const Result<bool> already = is_disabled(host);
  if (!already) return already;
  if (*already) return false;
  Result<> done = switch_off(host, host, why, now);
  if (done) done = look_again(host, std::nullopt);
  if (!done) return Unexpected(done.error());
  return true;
}

Result<bool> SqliteStore::enable(const std::string& host, WallTime now) {
  uint64_t disabled = 0;
  Statement& rows = endpoints_.enable.bind(host);
  while (true) {
    const Result<bool> row = rows.step();
    if (!row) return row;
    if (!*row) break;
    if (!rows.is_null(0)) ++disabled;
  }
  totals_.disabled -= disabled;
  totals_changed_ = true;
  const Result<> done = look_again(host, now);
  if (!done) return Unexpected(done.error());
  return disabled > 0;
}

Result<> SqliteStore::bury_one(int64_t number, WallTime now) {
  const Result<> done = endpoints_.bury.bind(number, now).run();
  if (!done) return done;
  count(State::queued, -1);
  count(State::dead, 1);
  return {};
}

// Makes a bounded number of those dead whose host is switched off. True when there may be more.
Result<bool> SqliteStore::bury(WallTime now) {
  struct Due {
    int64_t number, lane;
  };
  std::vector<Due> all;
  for (Statement* find : {&endpoints_.to_bury, &endpoints_.to_bury_in_order}) {
    Statement& rows = find->bind(kBuried + lanes_.lent());
    while (true) {
      const Result<bool> row = rows.step();
      if (!row) return row;
      if (!*row) break;
      // What is lent is under way, and is settled as it goes.
      if (!lanes_.is_lent(rows.number(0))) all.push_back({rows.number(0), rows.number(1)});
    }
  }
  for (const Due& each : all) {
    const Result<> done = bury_one(each.number, now);
    if (!done) return Unexpected(done.error());
    const Result<Lane*> lane = lanes_.find(each.lane);
    if (!lane) return Unexpected(lane.error());
    lanes_.change(**lane);
    (*lane)->first_known = false;
  }
  return all.size() >= kBuried;
}

// Forgets a bounded number of the notes and endpoints whose time is over. A URL that was switched
// off is tried again when what has died of it is forgotten. True when there may be more.
Result<bool> SqliteStore::expire(const Bounds& bounds, WallTime now) {
  const Result<int> notes = count_rows(endpoints_.expire.bind(now, kExpired));
  if (!notes) return Unexpected(notes.error());
  const Result<int> old = count_rows(endpoints_.forget_old.bind(now - kFailingKept, kExpired));
  if (!old) return Unexpected(old.error());
  Result<int> off = 0;
  if (bounds.dead < now.time_since_epoch()) {  // else for ever
    off = count_rows(endpoints_.forget_off.bind(now - bounds.dead, kExpired));
  }
  if (!off) return Unexpected(off.error());
  totals_.disabled -= static_cast<uint64_t>(*off);
  totals_changed_ |= *off > 0;
  const Result<> looked = look_for_endpoints();
  if (!looked) return Unexpected(looked.error());
  return *notes == kExpired || *old == kExpired || *off == kExpired;
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
