#include "proxy/queue/sqlite_parts.h"

namespace egret::queue {

// States stand as numbers (delivery.h): 0 queued, 2 delivered, 3 dead, 4 cancelled.

namespace {

std::string due_of(std::string_view which) {
  return std::string(
             "SELECT number, id, sender, tries, attempts, due, host, destination, head, body "
             "FROM deliveries JOIN contents USING (number) WHERE lane = ?1 AND ")
      .append(which);
}

}  // namespace

DeliveryStatements::DeliveryStatements(const Database& database)
    : begin(database.prepare("BEGIN IMMEDIATE")),
      commit(database.prepare("COMMIT")),
      rollback(database.prepare("ROLLBACK")),
      write_totals(database.prepare("UPDATE totals SET queued = ?1, delivered = ?2, dead = ?3, "
                                    "cancelled = ?4, bytes = ?5, disabled = ?6, oldest = ?7")),
      by_key(database.prepare("SELECT id, digest, state, number FROM deliveries WHERE sender = ?1 "
                              "AND idempotency_key = ?2")),
      insert(database.prepare(
          "INSERT INTO deliveries (number, id, named, webhook_id, lane, fifo, state, due, "
          "accepted, "
          "sender, rule, method, destination, host, size, bytes, idempotency_key, digest, "
          "finished, tries) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "
          "?15, ?16, ?17, ?18, ?19, ?20)")),
      insert_content(
          database.prepare("INSERT INTO contents (number, head, body) VALUES (?1, ?2, ?3)")),
      due_of_lane(database.prepare(due_of("fifo = 0 AND state = 0 AND (due, number) > (?2, ?3) "
                                          "ORDER BY due, number"))),
      // The first of all, due or not: nothing overtakes it.
      head_of_lane(database.prepare(due_of("fifo = 1 AND state = 0 ORDER BY number"))),
      settle(database.prepare(
          "UPDATE deliveries SET state = ?2, due = ?3, finished = ?4, tries = tries + 1, "
          "attempts = attempts + 1, bytes = bytes + ?5 WHERE number = ?1")),
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
          "SELECT queued, delivered, dead, cancelled, bytes, disabled, oldest FROM totals")),
      from(database.prepare("SELECT number, accepted, state FROM deliveries WHERE number >= ?1 "
                            "ORDER BY number")),
      list(database.prepare(listed("WHERE number < ?1 ORDER BY number DESC"))),
      newest(database.prepare("SELECT max(number) FROM deliveries")),
      by_number(database.prepare(listed("WHERE number = ?2 AND id = ?1"))),
      by_name(database.prepare(listed("WHERE id = ?1 AND named = 1"))),
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
      any(database.prepare("SELECT EXISTS (SELECT 1 FROM endpoints)")),
      all(database.prepare("SELECT name, host, failing_since, disabled, why FROM endpoints "
                           "ORDER BY disabled IS NULL, name LIMIT ?1")),
      fails(database.prepare(
          "INSERT INTO endpoints (name, host, failing_since, last_failed, failures) "
          "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (name) DO UPDATE SET failing_since = ?3, "
          "last_failed = ?4, failures = ?5")),
      forget(database.prepare("DELETE FROM endpoints WHERE name = ?1 AND disabled IS NULL")),
      forget_old(database.prepare("DELETE FROM endpoints WHERE name IN (SELECT name FROM endpoints "
                                  "WHERE disabled IS NULL AND last_failed < ?1 LIMIT ?2) "
                                  "RETURNING 1")),
      // Of URLs only: a host is off by the operator's word.
      forget_off(database.prepare("DELETE FROM endpoints WHERE name IN (SELECT name FROM endpoints "
                                  "WHERE disabled < ?1 AND name <> host LIMIT ?2) RETURNING 1")),
      disable(
          database.prepare("INSERT INTO endpoints (name, host, disabled, why) VALUES (?1, ?2, ?3, "
                           "?4) ON CONFLICT (name) DO UPDATE SET disabled = ?3, why = ?4")),
      enable(database.prepare("DELETE FROM endpoints WHERE host = ?1 RETURNING disabled")),
      to_bury(database.prepare(to_bury_of("fifo = 0 AND deliveries.state = 0"))),
      to_bury_in_order(database.prepare(to_bury_of("fifo = 1 AND deliveries.state = 0"))),
      bury(database.prepare("UPDATE deliveries SET state = 3, finished = ?2 WHERE number = ?1")),
      recall(database.prepare("SELECT value FROM notes WHERE name = ?1 AND until > ?2")),
      remember(database.prepare("INSERT INTO notes VALUES (?1, ?2, ?3) ON CONFLICT (name) "
                                "DO UPDATE SET value = ?2, until = ?3")),
      expire(database.prepare("DELETE FROM notes WHERE name IN (SELECT name FROM notes "
                              "WHERE until <= ?1 LIMIT ?2) RETURNING 1")) {}

}  // namespace egret::queue
