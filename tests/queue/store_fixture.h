#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "proxy/queue/store.h"
#include "tests/queue/postgres_server.h"
#include "tests/queue/temp_folder.h"
#include "tests/support/manual_clock.h"

namespace egret::queue {

// A look at a closed store with SQLite alone.
class Tables {
 public:
  explicit Tables(const std::string& path) {
    EXPECT_EQ(sqlite3_open(path.c_str(), &handle_), SQLITE_OK);
  }
  ~Tables() { sqlite3_close(handle_); }
  Tables(const Tables&) = delete;
  Tables& operator=(const Tables&) = delete;

  // A string a row, its columns joined by commas.
  Rows rows(const std::string& sql) {
    const auto add = [](void* to, int columns, char** values, char** /*names*/) {
      std::string row;
      for (int i = 0; i < columns; ++i) {
        row.append(i == 0 ? "" : ",").append(values[i] == nullptr ? "null" : values[i]);
      }
      static_cast<Rows*>(to)->push_back(std::move(row));
      return 0;
    };
    Rows all;
    EXPECT_EQ(sqlite3_exec(handle_, sql.c_str(), add, &all, nullptr), SQLITE_OK)
        << sql << ": " << sqlite3_errmsg(handle_);
    return all;
  }

 private:
  sqlite3* handle_ = nullptr;
};

inline Rows rows(const std::string& path, const std::string& sql) { return Tables(path).rows(sql); }

// That a closed store's tables agree with each other.
inline void expect_sound(const std::string& path) {
  Tables tables(path);
  EXPECT_EQ(tables.rows("PRAGMA integrity_check"), Rows{"ok"});
  EXPECT_EQ(
      tables.rows("SELECT queued, delivered, dead, cancelled, bytes FROM totals"),
      tables.rows(
          "SELECT ifnull(sum(state = 0), 0), ifnull(sum(state = 2), 0), ifnull(sum(state = 3), 0), "
          "ifnull(sum(state = 4), 0), ifnull(sum(bytes), 0) FROM deliveries"));
  EXPECT_EQ(tables.rows("SELECT disabled FROM totals"),
            tables.rows("SELECT count(*) FROM endpoints WHERE disabled IS NOT NULL"));
  const char* none[] = {
      "SELECT number FROM deliveries WHERE number NOT IN (SELECT number FROM contents)",
      "SELECT number FROM contents WHERE number NOT IN (SELECT number FROM deliveries)",
      "SELECT delivery FROM attempts WHERE delivery NOT IN (SELECT number FROM deliveries)",
      "SELECT id FROM deliveries d WHERE attempts != "
      "(SELECT count(*) FROM attempts a WHERE a.delivery = d.number)",
      "SELECT id FROM deliveries JOIN contents USING (number) "
      "WHERE bytes != length(CAST(head AS BLOB)) + length(body) + "
      "(SELECT ifnull(sum(length(CAST(detail AS BLOB)) + length(answer)), 0) FROM attempts a "
      "WHERE a.delivery = deliveries.number) OR size != length(body)",
      "SELECT id FROM deliveries WHERE (finished IS NULL) != (state = 0)",
      "SELECT name FROM lanes l WHERE kept != "
      "(SELECT count(*) FROM deliveries d WHERE d.lane = l.lane)",
      "SELECT name FROM lanes l WHERE running > "
      "(SELECT count(*) FROM deliveries d WHERE d.lane = l.lane AND state = 0)",
      // Something to claim, and nobody would look.
      "SELECT name FROM lanes l WHERE next_due IS NULL AND running < min(\"window\", width) "
      "AND running < (SELECT count(*) FROM deliveries d WHERE d.lane = l.lane AND state = 0)",
      "SELECT id FROM deliveries WHERE state = 0 AND number < (SELECT oldest FROM totals)",
      // Nobody's.
      "SELECT id FROM deliveries WHERE lane NOT IN (SELECT lane FROM lanes)",
  };
  for (const char* sql : none) EXPECT_EQ(tables.rows(sql), Rows{}) << sql;
}

// The same of a PostgreSQL store that all have closed.
inline void expect_sound(const PostgresServer& server, const std::string& schema) {
  EXPECT_EQ(
      server.rows(schema,
                  "SELECT sum(queued), sum(running), sum(delivered), sum(dead), sum(cancelled), "
                  "sum(bytes) FROM egret_owners"),
      server.rows(schema,
                  "SELECT count(*) FILTER (WHERE state IN (0, 1)), count(*) FILTER (WHERE state = "
                  "1), count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 3), "
                  "count(*) FILTER (WHERE state = 4), coalesce(sum(bytes), 0) "
                  "FROM egret_deliveries"));
  const char* none[] = {
      "SELECT number FROM egret_deliveries WHERE number NOT IN (SELECT number FROM egret_contents)",
      "SELECT number FROM egret_contents WHERE number NOT IN (SELECT number FROM egret_deliveries)",
      "SELECT delivery FROM egret_attempts WHERE delivery NOT IN "
      "(SELECT number FROM egret_deliveries)",
      "SELECT id FROM egret_deliveries d WHERE attempts != "
      "(SELECT count(*) FROM egret_attempts a WHERE a.delivery = d.number)",
      "SELECT id FROM egret_deliveries JOIN egret_contents USING (number) "
      "WHERE bytes != length(head) + length(body) + (SELECT coalesce(sum(length(detail) + "
      "length(answer)), 0) FROM egret_attempts a WHERE a.delivery = egret_deliveries.number) "
      "OR size != length(body)",
      "SELECT id FROM egret_deliveries WHERE (finished IS NULL) != (state IN (0, 1))",
      "SELECT id FROM egret_deliveries WHERE (owner IS NULL) != (state != 1)",
      "SELECT lane FROM egret_lanes l WHERE kept != "
      "(SELECT count(*) FROM egret_deliveries d WHERE d.lane = l.lane)",
      "SELECT lane FROM egret_lanes l WHERE running != "
      "(SELECT count(*) FROM egret_deliveries d WHERE d.lane = l.lane AND state = 1)",
      "SELECT lane FROM egret_lanes l WHERE next_due IS NULL AND running < least(\"window\", "
      "width) "
      "AND EXISTS (SELECT 1 FROM egret_deliveries d WHERE d.lane = l.lane AND state = 0) "
      "AND NOT EXISTS (SELECT 1 FROM egret_endpoints e WHERE e.name = l.host AND "
      "e.disabled IS NOT NULL)",
      "SELECT id FROM egret_deliveries WHERE lane NOT IN (SELECT lane FROM egret_lanes)",
  };
  for (const char* sql : none) EXPECT_EQ(server.rows(schema, sql), Rows{}) << sql;
}

inline NewDelivery new_delivery(std::string id, WallTime now, std::string lane = "lane") {
  NewDelivery made;
  made.webhook_id = "msg_" + id;
  made.sender = "shop";
  made.rule = "hooks";
  made.method = "POST";
  made.destination = "https://hooks.example:443/in";
  made.host = "hooks.example";
  made.lane = std::move(lane);
  made.width = 4;
  made.head = "POST https://hooks.example/in HTTP/1.1\r\n\r\n";
  made.body = "content of " + id;
  made.accepted = now;
  made.due = now;
  made.id = std::move(id);
  return made;
}

enum class Kind : uint8_t { sqlite, postgres };

// One store's place: a file, or a schema of the program's server.
class Place {
 public:
  explicit Place(Kind kind) : kind_(kind) {
    if (kind_ == Kind::postgres) schema_ = PostgresServer::shared().new_schema();
  }
  [[nodiscard]] std::unique_ptr<Store> open(WallTime now) const {
    Result<std::unique_ptr<Store>> opened =
        kind_ == Kind::sqlite ? open_sqlite_store(path_, now)
                              : open_postgres_store({.uri = PostgresServer::shared().uri(schema_),
                                                     .stats = Duration::zero()});
    if (!opened) throw std::runtime_error(opened.error().detail);
    return std::move(*opened);
  }
  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const TempFolder& folder() const { return folder_; }
  // Of a closed store; `table` without the prefix of PostgreSQL's.
  [[nodiscard]] Rows count(const std::string& table) const {
    if (kind_ == Kind::sqlite) return rows(path_, "SELECT count(*) FROM " + table);
    return PostgresServer::shared().rows(schema_, "SELECT count(*) FROM egret_" + table);
  }
  void expect_sound() const {
    if (kind_ == Kind::sqlite) {
      queue::expect_sound(path_);
    } else {
      queue::expect_sound(PostgresServer::shared(), schema_);
    }
  }

 private:
  Kind kind_;
  TempFolder folder_;
  std::string path_ = folder_.file("queue.db");
  std::string schema_;
};

// The tests of a suite run over both stores.
#define EGRET_BOTH_STORES(suite)                                          \
  INSTANTIATE_TEST_SUITE_P(Sqlite, suite, testing::Values(Kind::sqlite)); \
  INSTANTIATE_TEST_SUITE_P(Postgres, suite, testing::Values(Kind::postgres))

// A store and the time. Each call is a transaction.
class StoreTest : public testing::TestWithParam<Kind> {
 protected:
  StoreTest() : StoreTest(GetParam()) {}
  explicit StoreTest(Kind kind) : place_(kind) { open(); }

  void open() { store_ = place_.open(now()); }
  void reopen() {
    store_.reset();
    open();
  }
  [[nodiscard]] WallTime now() const { return clock_.wall(); }

  template <typename Work>
  auto within(Work work) {
    EXPECT_TRUE(store_->begin());
    auto done = work();
    EXPECT_TRUE(done || done.error().reason == Reason::queue_full) << done.error().detail;
    EXPECT_TRUE(store_->commit());
    return done;
  }
  Result<Accepted> accept(const NewDelivery& made) {
    return within([&] { return store_->accept(made, bounds_); });
  }
  void keep(const std::string& id, const std::string& lane = "lane") {
    EXPECT_TRUE(accept(new_delivery(id, now(), lane)));
  }
  std::vector<Claimed> claim(size_t most = 100, uint64_t most_bytes = 1U << 30) {
    return claim(Wanted{.most = most, .most_bytes = most_bytes});
  }
  std::vector<Claimed> claim(const Wanted& wanted) {
    return std::move(*within([&] { return store_->claim(wanted, now()); }));
  }
  std::vector<std::string> claim_ids(size_t most = 100, uint64_t most_bytes = 1U << 30) {
    std::vector<std::string> ids;
    for (Claimed& each : claim(most, most_bytes)) ids.push_back(std::move(each.id));
    return ids;
  }
  // After an attempt that went well, or not.
  void settle(const Claimed& claimed, State state, WallTime due = {}) {
    settle({.number = claimed.number,
            .lane = claimed.lane,
            .fence = claimed.fence,
            .state = state,
            .due = due,
            .attempt = Attempt{.began = now(), .status = state == State::delivered ? 204 : 500},
            .well = state == State::delivered,
            .blame = state != State::delivered});
  }
  void settle(const Settled& settled) {
    EXPECT_TRUE(within([&] { return store_->settle(settled, now()); }));
  }
  // Accepted and brought to an end.
  void finish(const std::string& id, State state) {
    keep(id);
    if (state == State::cancelled) {
      EXPECT_EQ(within([&] { return store_->cancel(id, now()); }).value(), State::queued);
      return;
    }
    for (const Claimed& each : claim(1)) {
      EXPECT_EQ(each.id, id);
      settle(each, state);
    }
  }
  Shown show(const std::string& id) {
    Result<std::optional<Shown>> shown = store_->show(id);
    EXPECT_TRUE(shown && *shown) << id;
    return shown && *shown ? std::move(**shown) : Shown();
  }
  bool is_there(const std::string& id) { return store_->show(id)->has_value(); }

  void close_soundly() {
    store_.reset();
    place_.expect_sound();
  }

  Place place_;
  test::ManualClock clock_;
  Bounds bounds_;
  std::unique_ptr<Store> store_;
};

}  // namespace egret::queue
