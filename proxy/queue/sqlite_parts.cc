#include "proxy/queue/sqlite_parts.h"

namespace egret::queue {

// States stand as numbers (delivery.h): 0 queued, 1 running, 2 delivered, 3 dead, 4 cancelled.

namespace {

// Null while the window is full or the host switched off; else of the lane's first delivery, `now`
// and the end of a hold at the earliest.
std::string next_due(std::string_view which) {
  return std::string(
             "UPDATE lanes SET next_due = CASE "
             "WHEN running >= min(\"window\", width) THEN NULL "
             "WHEN EXISTS (SELECT 1 FROM endpoints WHERE endpoints.name = lanes.host AND disabled "
             "IS NOT NULL) THEN NULL ELSE ")
      .append(which)
      .append(" END WHERE lane = ?1");
}

constexpr std::string_view kFirstOfLane =
    "CASE WHEN fifo THEN (SELECT max(due, ?2, held_until) FROM deliveries WHERE lane = ?1 AND fifo "
    "= 1 "
    "AND state IN (0, 1) ORDER BY number LIMIT 1) "
    "ELSE (SELECT max(due, ?2, held_until) FROM deliveries WHERE lane = ?1 AND fifo = 0 AND state "
    "= 0 "
    "ORDER BY due, number LIMIT 1) END";

}  // namespace

LaneStatements::LaneStatements(const Database& database)
    : take(database.prepare(
          "INSERT INTO lanes (name, width, fifo, host, kept) VALUES (?1, ?2, ?3, ?4, 1) "
          "ON CONFLICT (name, fifo) DO UPDATE SET width = excluded.width, kept = kept + 1 "
          "RETURNING lane, next_due, running >= min(\"window\", width)")),
      refresh(database.prepare(next_due(kFirstOfLane))),
      // A lane that waits keeps its place.
      join(database.prepare(next_due("min(ifnull(next_due, 9223372036854775807), " +
                                     std::string(kFirstOfLane) + ")"))),
      ready(database.prepare("SELECT lane, fifo, min(\"window\", width) - running FROM lanes "
                             "WHERE next_due <= ?1 ORDER BY next_due LIMIT ?2")),
      lend(database.prepare("UPDATE lanes SET running = running + ?2 WHERE lane = ?1")),
      next(database.prepare("SELECT min(next_due) FROM lanes WHERE next_due IS NOT NULL")),
      settle(database.prepare(
          "UPDATE lanes SET running = running - 1, \"window\" = CASE ?2 WHEN 1 THEN "
          "min(\"window\" + 1, width) WHEN -1 THEN 1 ELSE \"window\" END, "
          "held_until = max(held_until, ?3) WHERE lane = ?1")),
      release(database.prepare("UPDATE lanes SET held_until = 0 WHERE host = ?1")),
      leave(database.prepare("UPDATE lanes SET kept = kept - 1 WHERE lane = ?1")),
      drop(database.prepare("DELETE FROM lanes WHERE lane = ?1 AND kept <= 0")) {}

DeliveryStatements::DeliveryStatements(const Database& database)
    : begin(database.prepare("BEGIN IMMEDIATE")),
      commit(database.prepare("COMMIT")),
      rollback(database.prepare("ROLLBACK")),
      write_totals(database.prepare("UPDATE totals SET queued = ?1, running = ?2, delivered = ?3, "
                                    "dead = ?4, cancelled = ?5, bytes = ?6, disabled = ?7")),
      by_key(database.prepare(
          "SELECT id, digest, state FROM deliveries WHERE sender = ?1 AND idempotency_key = ?2")),
      insert(database.prepare(
          "INSERT INTO deliveries (id, webhook_id, lane, fifo, state, due, accepted, sender, rule, "
          "method, destination, host, size, bytes, idempotency_key, digest, finished, "
          "tries) "
          "VALUES (?1, ?2, ?3, ?4, ?16, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?17, "
          "?18)")),
      insert_content(
          database.prepare("INSERT INTO contents (number, head, body) VALUES (?1, ?2, ?3)")),
      due_of_lane(database.prepare(
          "SELECT number, id, sender, tries, head, body, destination FROM deliveries JOIN contents "
          "USING (number) WHERE lane = ?1 AND fifo = 0 AND state = 0 AND due <= ?2 "
          "ORDER BY due, number LIMIT ?3")),
      // The first of all, due or not: nothing overtakes it.
      head_of_lane(database.prepare(
          "SELECT number, id, sender, tries, head, body, destination FROM (SELECT * FROM "
          "deliveries "
          "WHERE lane = ?1 AND fifo = 1 AND state IN (0, 1) ORDER BY number LIMIT 1) "
          "JOIN contents USING (number) WHERE state = 0 AND due <= ?2 LIMIT ?3")),
      lend(database.prepare("UPDATE deliveries SET state = 1 WHERE number = ?1")),
      settle(database.prepare(
          "UPDATE deliveries SET state = ?2, due = ?3, finished = ?4, tries = tries + 1, "
          "attempts = attempts + 1, bytes = bytes + ?5 WHERE number = ?1 AND state = 1 "
          "RETURNING attempts, host, destination")),
      give_back(database.prepare("UPDATE deliveries SET state = 0 WHERE number = ?1 AND state = 1 "
                                 "RETURNING number")),
      insert_attempt(
          database.prepare("INSERT INTO attempts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, "
                           "?11, ?12, ?13)")) {}

namespace {

constexpr std::string_view kListed =
    "SELECT number, id, webhook_id, sender, rule, method, destination, state, attempts, accepted, "
    "due, finished, size, lane FROM deliveries ";

std::string listed(std::string_view rest) { return std::string(kListed).append(rest); }

}  // namespace

PageStatements::PageStatements(const Database& database)
    : totals(database.prepare(
          "SELECT queued, running, delivered, dead, cancelled, bytes, disabled FROM totals")),
      oldest(database.prepare("SELECT accepted FROM deliveries WHERE state IN (0, 1) "
                              "ORDER BY number LIMIT 1")),
      // A bounded stretch of numbers: a filter that fits nothing does not hold up who waits.
      list(database.prepare(listed("WHERE number < ?1 AND number >= ?2 ORDER BY number DESC"))),
      by_id(database.prepare(listed("WHERE id = ?1"))),
      attempts(database.prepare(
          "SELECT began, resolve_ms, connect_ms, tls_ms, wait_ms, total_ms, status, reason, "
          "detail, address, answer FROM attempts WHERE delivery = ?1 ORDER BY number")),
      content(database.prepare("SELECT head, body FROM contents WHERE number = ?1")),
      requeue(database.prepare("UPDATE deliveries SET state = 0, due = ?2, tries = 0, "
                               "finished = NULL WHERE number = ?1")),
      cancel(database.prepare("UPDATE deliveries SET state = 4, finished = ?2 WHERE number = ?1")),
      finished(database.prepare("SELECT number, lane, bytes FROM deliveries WHERE state = ?1 "
                                "AND finished IS NOT NULL AND finished < ?2 "
                                "ORDER BY finished LIMIT ?3")),
      forget(database.prepare("DELETE FROM deliveries WHERE number = ?1")),
      forget_content(database.prepare("DELETE FROM contents WHERE number = ?1")),
      forget_attempts(database.prepare("DELETE FROM attempts WHERE delivery = ?1")) {}

namespace {

// In this order: few are switched off.
std::string to_bury_of(std::string_view which) {
  return std::string(
             "SELECT number, deliveries.lane FROM endpoints CROSS JOIN lanes "
             "ON lanes.host = endpoints.name "
             "CROSS JOIN deliveries ON deliveries.lane = lanes.lane "
             "WHERE endpoints.disabled IS NOT NULL AND deliveries.")
      .append(which)
      .append(" LIMIT ?1");
}

}  // namespace

// By name: a host, or a URL of one.
EndpointStatements::EndpointStatements(const Database& database)
    : find(database.prepare(
          "SELECT failing_since, last_failed, failures, disabled FROM endpoints WHERE name = ?1")),
      all(database.prepare("SELECT name, host, failing_since, disabled, why FROM endpoints "
                           "ORDER BY disabled IS NULL, name LIMIT ?1")),
      fails(database.prepare(
          "INSERT INTO endpoints (name, host, failing_since, last_failed, failures) "
          "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (name) DO UPDATE SET failing_since = ?3, "
          "last_failed = ?4, failures = ?5")),
      forget(database.prepare("DELETE FROM endpoints WHERE name = ?1 AND disabled IS NULL")),
      forget_old(
          database.prepare("DELETE FROM endpoints WHERE disabled IS NULL AND last_failed < ?1")),
      disable(
          database.prepare("INSERT INTO endpoints (name, host, disabled, why) VALUES (?1, ?2, ?3, "
                           "?4) ON CONFLICT (name) DO UPDATE SET disabled = ?3, why = ?4")),
      enable(database.prepare("DELETE FROM endpoints WHERE host = ?1 RETURNING disabled")),
      lanes(database.prepare("SELECT lane FROM lanes WHERE host = ?1")),
      to_bury(database.prepare(to_bury_of("fifo = 0 AND deliveries.state = 0"))),
      to_bury_in_order(database.prepare(
          to_bury_of("fifo = 1 AND deliveries.state IN (0, 1) AND deliveries.state = 0"))),
      bury(database.prepare("UPDATE deliveries SET state = 3, finished = ?2 WHERE number = ?1")),
      recall(database.prepare("SELECT value FROM notes WHERE name = ?1 AND until > ?2")),
      remember(database.prepare("INSERT INTO notes VALUES (?1, ?2, ?3) ON CONFLICT (name) "
                                "DO UPDATE SET value = ?2, until = ?3")),
      expire(database.prepare("DELETE FROM notes WHERE until <= ?1")) {}

}  // namespace egret::queue
