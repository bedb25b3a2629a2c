// What an operator asks of the store, and what time takes from it.
#include <algorithm>

#include "proxy/queue/postgres_parts.h"

namespace egret::queue::pg {
namespace {

// How many deliveries one page looks at, and one sweep forgets: others wait that long.
constexpr int64_t kLookedAt = 20'000;
constexpr int kForgotten = 200;

#define EGRET_LISTED                                                                    \
  "SELECT number, id, webhook_id, sender, rule, method, destination, state, attempts, " \
  "accepted, due, finished, size, lane FROM egret_deliveries "
constexpr Sql kNewest{"newest", "SELECT COALESCE(max(number), 0) FROM egret_deliveries"};
// A bounded stretch of numbers. Of the destination "https://host:port/path" the host; brackets left
// out.
constexpr Sql kList{
    "list", EGRET_LISTED
    "WHERE number < $1 AND number >= $2 AND ($3 < 0 OR state = $3) AND ($4 = '' OR sender = $4) "
    "AND ($5 = '' OR (strpos(destination, '://') > 0 AND strpos(destination, '://') IN "
    "(strpos(destination, '://' || $5 || ':'), strpos(destination, '://[' || $5 || ']')))) "
    "AND accepted >= $6 ORDER BY number DESC LIMIT $7"};
constexpr Sql kFind{"find", EGRET_LISTED "WHERE id = $1"};
constexpr Sql kFindLocked{"find_locked", EGRET_LISTED "WHERE id = $1 FOR UPDATE"};
#undef EGRET_LISTED
constexpr Sql kAttempts{"attempts",
                        "SELECT began, resolve_ms, connect_ms, tls_ms, wait_ms, total_ms, status, "
                        "reason, detail, address, answer FROM egret_attempts "
                        "WHERE delivery = $1 ORDER BY number"};
constexpr Sql kContent{"content", "SELECT head, body FROM egret_contents WHERE number = $1"};
constexpr Sql kRequeue{"requeue",
                       "UPDATE egret_deliveries SET state = 0, due = $2, tries = 0, "
                       "finished = NULL WHERE number = $1"};
constexpr Sql kCancel{"cancel",
                      "UPDATE egret_deliveries SET state = 4, finished = $2 WHERE number = $1"};
constexpr Sql kFinished{"finished",
                        "SELECT number, lane, bytes FROM egret_deliveries WHERE state = $1 "
                        "AND finished IS NOT NULL AND finished < $2 ORDER BY finished LIMIT $3 "
                        "FOR UPDATE SKIP LOCKED"};
constexpr Sql kForget{"forget", "DELETE FROM egret_deliveries WHERE number = ANY($1)"};
constexpr Sql kForgetContents{"forget_contents",
                              "DELETE FROM egret_contents WHERE number = ANY($1)"};
constexpr Sql kForgetAttempts{"forget_attempts",
                              "DELETE FROM egret_attempts WHERE delivery = ANY($1)"};

Listed read_listed(const Answer& rows, int row) {
  Listed listed{.number = rows.number(row, 0),
                .id = rows.text(row, 1),
                .webhook_id = rows.text(row, 2),
                .sender = rows.text(row, 3),
                .rule = rows.text(row, 4),
                .method = rows.text(row, 5),
                .destination = rows.text(row, 6),
                .state = static_cast<State>(rows.number(row, 7)),
                .attempts = static_cast<uint32_t>(rows.number(row, 8)),
                .accepted = rows.time(row, 9),
                .due = rows.time(row, 10),
                .finished = std::nullopt,
                .size = static_cast<uint64_t>(rows.number(row, 12))};
  if (!rows.is_null(row, 11)) listed.finished = rows.time(row, 11);
  return listed;
}

Attempt read_attempt(const Answer& rows, int row) {
  return {.began = rows.time(row, 0),
          .resolve_ms = rows.number(row, 1),
          .connect_ms = rows.number(row, 2),
          .tls_ms = rows.number(row, 3),
          .wait_ms = rows.number(row, 4),
          .total_ms = rows.number(row, 5),
          .status = static_cast<int>(rows.number(row, 6)),
          .reason = rows.text(row, 7),
          .detail = rows.text(row, 8),
          .address = rows.text(row, 9),
          .answer = rows.text(row, 10)};
}

}  // namespace

Result<Page> PostgresStore::list(const Filter& filter) {
  const Result<Answer> newest = ask(kNewest);
  if (!newest) return Unexpected(newest.error());
  const int64_t before = std::min(filter.before, newest->number(0, 0) + 1);
  const int64_t from = std::max<int64_t>(0, before - kLookedAt);
  const int state = filter.state ? static_cast<int>(*filter.state) : -1;
  const Result<Answer> rows =
      ask(kList, Values(before, from, state, filter.sender, filter.host,
                        filter.since.value_or(WallTime::min()), filter.limit));
  if (!rows) return Unexpected(rows.error());
  Page page;
  for (int i = 0; i < rows->rows(); ++i) page.deliveries.push_back(read_listed(*rows, i));
  if (page.deliveries.size() >= filter.limit && !page.deliveries.empty()) {
    page.next = page.deliveries.back().number;
  } else if (from > 0) {
    page.next = from;
  }
  return page;
}

Result<std::optional<PostgresStore::Found>> PostgresStore::find(const std::string& id, bool lock) {
  const Result<Answer> row = ask(lock ? kFindLocked : kFind, Values(id));
  if (!row) return Unexpected(row.error());
  if (row->rows() == 0) return std::optional<Found>();
  return std::optional(Found{read_listed(*row, 0), row->number(0, 13)});
}

Result<std::optional<Shown>> PostgresStore::show(const std::string& id) {
  Result<std::optional<Found>> found = find(id, false);
  if (!found) return Unexpected(found.error());
  if (!*found) return std::optional<Shown>();
  Shown shown{.delivery = std::move((*found)->delivery), .attempts = {}};
  const Result<Answer> rows = ask(kAttempts, Values(shown.delivery.number));
  if (!rows) return Unexpected(rows.error());
  for (int i = 0; i < rows->rows(); ++i) shown.attempts.push_back(read_attempt(*rows, i));
  return std::optional(std::move(shown));
}

Result<std::optional<Content>> PostgresStore::content(const std::string& id) {
  const Result<std::optional<Found>> found = find(id, false);
  if (!found) return Unexpected(found.error());
  if (!*found) return std::optional<Content>();
  const Result<Answer> row = ask(kContent, Values((*found)->delivery.number));
  if (!row) return Unexpected(row.error());
  if (row->rows() == 0) return std::optional<Content>();  // forgotten at this moment
  return std::optional(Content{row->text(0, 0), row->text(0, 1)});
}

Result<std::optional<State>> PostgresStore::replay(const std::string& id, WallTime now) {
  const Result<std::optional<Found>> found = find(id, true);
  if (!found) return Unexpected(found.error());
  if (!*found) return std::optional<State>();
  const State before = (*found)->delivery.state;
  if (before == State::queued || before == State::running) return std::optional(before);
  const Result<Answer> done = ask(kRequeue, Values((*found)->delivery.number, now));
  if (!done) return Unexpected(done.error());
  lanes_.rejoin((*found)->lane, now);
  delta_.count(before, -1);
  delta_.count(State::queued, 1);
  return std::optional(before);
}

Result<std::optional<State>> PostgresStore::cancel(const std::string& id, WallTime now) {
  const Result<std::optional<Found>> found = find(id, true);
  if (!found) return Unexpected(found.error());
  if (!*found) return std::optional<State>();
  const State before = (*found)->delivery.state;
  if (before != State::queued) return std::optional(before);
  const Result<Answer> done = ask(kCancel, Values((*found)->delivery.number, now));
  if (!done) return Unexpected(done.error());
  lanes_.refresh((*found)->lane, now);
  delta_.count(State::queued, -1);
  delta_.count(State::cancelled, 1);
  return std::optional(before);
}

Result<std::vector<Ended>> PostgresStore::find_ended(State state, WallTime before, int most) {
  const Result<Answer> rows = ask(kFinished, Values(static_cast<int>(state), before, most));
  if (!rows) return Unexpected(rows.error());
  std::vector<Ended> all;
  for (int i = 0; i < rows->rows(); ++i) {
    all.push_back({.number = rows->number(i, 0),
                   .lane = rows->number(i, 1),
                   .state = state,
                   .bytes = static_cast<uint64_t>(rows->number(i, 2))});
  }
  return all;
}

Result<> PostgresStore::forget(const std::vector<Ended>& all) {
  if (all.empty()) return {};
  std::vector<int64_t> numbers;
  for (const Ended& each : all) {
    numbers.push_back(each.number);
    lanes_.leave(each.lane);
    delta_.bytes -= static_cast<int64_t>(each.bytes);
    delta_.count(each.state, -1);
  }
  connection_->add(kForgetContents, Values(numbers));
  connection_->add(kForgetAttempts, Values(numbers));
  const Result<Answer> done = connection_->ask(kForget, Values(numbers));
  if (!done) return Unexpected(done.error());
  return {};
}

Result<bool> PostgresStore::sweep(const Bounds& bounds, WallTime now) {
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

}  // namespace egret::queue::pg
