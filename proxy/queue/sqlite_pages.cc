// What an operator asks of the store, and what time takes from it.
#include <algorithm>

#include "proxy/queue/sqlite_parts.h"

namespace egret::queue {
namespace {

// How many deliveries one page looks at, and one sweep forgets: others wait that long.
constexpr int kLookedAt = 20'000;
constexpr int kForgotten = 200;
// Rows that one look for the oldest passes over: everybody waits for it.
constexpr int kPassedOver = 1000;

// The host of "https://host:port/path"; brackets left out.
std::string_view host_of(std::string_view destination) {
  const size_t start = destination.find("://");
  if (start != std::string_view::npos) destination.remove_prefix(start + 3);
  destination = destination.substr(0, destination.find('/'));
  if (destination.starts_with('[')) return destination.substr(1, destination.find(']') - 1);
  return destination.substr(0, destination.rfind(':'));
}

bool fits(const Listed& listed, const Filter& filter) {
  return (!filter.state || listed.state == *filter.state) &&
         (filter.sender.empty() || listed.sender == filter.sender) &&
         (filter.host.empty() || host_of(listed.destination) == filter.host) &&
         (!filter.since || listed.accepted >= *filter.since);
}

Attempt read_attempt(const Statement& row) {
  return {.began = row.time(0),
          .resolve_ms = row.number(1),
          .connect_ms = row.number(2),
          .tls_ms = row.number(3),
          .wait_ms = row.number(4),
          .total_ms = row.number(5),
          .status = static_cast<int>(row.number(6)),
          .reason = row.text(7),
          .detail = row.text(8),
          .address = row.text(9),
          .answer = row.text(10)};
}

}  // namespace

Listed SqliteStore::read_listed(const Statement& row) const {
  Listed listed{.number = row.number(0),
                .id = row.text(1),
                .webhook_id = row.text(2),
                .sender = row.text(3),
                .rule = row.text(4),
                .method = row.text(5),
                .destination = row.text(6),
                .state = state_of(row.number(0), row.number(7)),
                .attempts = static_cast<uint32_t>(row.number(8)),
                .accepted = row.time(9),
                .due = row.time(10),
                .finished = std::nullopt,
                .size = static_cast<uint64_t>(row.number(12))};
  if (!row.is_null(11)) listed.finished = row.time(11);
  return listed;
}

Result<Page> SqliteStore::list(const Filter& filter) {
  Page page;
  Statement& rows = pages_.list.bind(filter.before);
  for (int looked_at = 1;; ++looked_at) {
    const Result<bool> row = rows.step();
    if (!row) return Unexpected(row.error());
    if (!*row) return page;
    Listed listed = read_listed(rows);
    if (filter.since && listed.accepted < *filter.since) {
      rows.reset();
      return page;  // what is older was accepted earlier
    }
    const int64_t number = listed.number;
    if (fits(listed, filter)) page.deliveries.push_back(std::move(listed));
    // A filter that fits nothing does not hold up who waits.
    if (page.deliveries.size() < filter.limit && looked_at < kLookedAt) continue;
    page.next = number;
    rows.reset();
    return page;
  }
}

Result<std::optional<SqliteStore::Found>> SqliteStore::find(const std::string& id) {
  const std::optional<int64_t> number = number_in(id);
  Statement& row = number ? pages_.by_number.bind(id, *number) : pages_.by_name.bind(id);
  const Result<bool> there = row.step();
  if (!there) return Unexpected(there.error());
  if (!*there) return std::optional<Found>();
  Found found{read_listed(row), row.number(13)};
  row.reset();
  return std::optional(std::move(found));
}

Result<std::optional<Shown>> SqliteStore::show(const std::string& id) {
  Result<std::optional<Found>> found = find(id);
  if (!found) return Unexpected(found.error());
  if (!*found) return std::optional<Shown>();
  Shown shown{.delivery = std::move((*found)->delivery), .attempts = {}};
  Statement& rows = pages_.attempts.bind(shown.delivery.number);
  while (true) {
    const Result<bool> row = rows.step();
    if (!row) return Unexpected(row.error());
    if (!*row) break;
    shown.attempts.push_back(read_attempt(rows));
  }
  return std::optional(std::move(shown));
}

Result<std::optional<Content>> SqliteStore::content(const std::string& id) {
  const Result<std::optional<Found>> found = find(id);
  if (!found) return Unexpected(found.error());
  if (!*found) return std::optional<Content>();
  Statement& row = pages_.content.bind((*found)->delivery.number);
  const Result<bool> there = row.step();
  if (!there) return Unexpected(there.error());
  Content content{row.text(0), row.text(1)};
  row.reset();
  return std::optional(std::move(content));
}

Result<std::optional<State>> SqliteStore::replay(const std::string& id, WallTime now) {
  const Result<std::optional<Found>> found = find(id);
  if (!found) return Unexpected(found.error());
  if (!*found) return std::optional<State>();
  const State before = (*found)->delivery.state;
  if (before == State::queued || before == State::running) return std::optional(before);
  Result<> done = pages_.requeue.bind((*found)->delivery.number, now).run();
  if (!done) return Unexpected(done.error());
  const Result<Lane*> lane = lanes_.find((*found)->lane);
  if (!lane) return Unexpected(lane.error());
  done = queue_up(**lane, now, (*found)->delivery.number);
  if (!done) return Unexpected(done.error());
  count(before, -1);
  count(State::queued, 1);
  return std::optional(before);
}

Result<std::optional<State>> SqliteStore::cancel(const std::string& id, WallTime now) {
  const Result<std::optional<Found>> found = find(id);
  if (!found) return Unexpected(found.error());
  if (!*found) return std::optional<State>();
  const State before = (*found)->delivery.state;
  if (before != State::queued) return std::optional(before);
  Result<> done = pages_.cancel.bind((*found)->delivery.number, now).run();
  if (!done) return Unexpected(done.error());
  const Result<Lane*> lane = lanes_.find((*found)->lane);
  if (!lane) return Unexpected(lane.error());
  done = place_again(**lane);
  if (!done) return Unexpected(done.error());
  count(State::queued, -1);
  count(State::cancelled, 1);
  return std::optional(before);
}

Result<Stats> SqliteStore::stats() {
  Stats stats = totals_;
  stats.running = lanes_.lent();
  if (totals_.queued == 0) return stats;
  // What it passes over has come to its end, and is not passed over again. Where there is much of
  // it the oldest is the one that was known last, until the search has come to the next.
  Statement& rows = pages_.from.bind(oldest_);
  for (int i = 0; i < kPassedOver; ++i) {
    const Result<bool> there = rows.step();
    if (!there) return Unexpected(there.error());
    if (!*there) break;
    oldest_ = rows.number(0);
    if (static_cast<State>(rows.number(2)) != State::queued) continue;
    oldest_accepted_ = rows.time(1);
    break;
  }
  rows.reset();
  stats.oldest = oldest_accepted_;
  return stats;
}

Result<std::vector<Ended>> SqliteStore::find_ended(State state, WallTime before, int most) {
  std::vector<Ended> all;
  Statement& rows = pages_.finished.bind(static_cast<int>(state), before, most);
  while (true) {
    const Result<bool> row = rows.step();
    if (!row) return Unexpected(row.error());
    if (!*row) return all;
    all.push_back({.number = rows.number(0),
                   .lane = rows.number(1),
                   .state = state,
                   .bytes = static_cast<uint64_t>(rows.number(2))});
  }
}

Result<> SqliteStore::forget(const std::vector<Ended>& all) {
  for (const Ended& each : all) {
    Result<> done = pages_.forget.bind(each.number).run();
    if (done) done = pages_.forget_content.bind(each.number).run();
    if (done) done = pages_.forget_attempts.bind(each.number).run();
    if (done) done = lanes_.leave(each.lane);
    if (!done) return done;
    totals_.bytes -= each.bytes;
    count(each.state, -1);
  }
  return {};
}

Result<bool> SqliteStore::sweep(const Bounds& bounds, WallTime now) {
  const Result<bool> expired = expire(bounds, now);
  if (!expired) return expired;
  const Result<bool> ahead = set_back(now);
  if (!ahead) return ahead;
  const Result<bool> buried = bury(now);
  if (!buried) return buried;
  bool more = *expired || *ahead || *buried;
  for (const State state : {State::delivered, State::cancelled, State::dead}) {
    const Duration kept = state == State::dead ? bounds.dead : bounds.delivered;
    if (kept >= now.time_since_epoch()) continue;  // none: for ever
    const Result<std::vector<Ended>> ended = find_ended(state, now - kept, kForgotten);
    if (!ended) return Unexpected(ended.error());
    const Result<> forgotten = forget(*ended);
    if (!forgotten) return Unexpected(forgotten.error());
    more |= ended->size() == kForgotten;
  }
  return more;
}

}  // namespace egret::queue
