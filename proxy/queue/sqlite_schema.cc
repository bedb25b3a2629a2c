#include "proxy/queue/sqlite_schema.h"

#include <array>
#include <string>

namespace egret::queue {
namespace {

// "Egrt": whose database it is (PRAGMA application_id).
constexpr int64_t kApplication = 0x45677274;

// Each brings a database from one version (PRAGMA user_version) to the next. What has been released
// is never changed: a change is another one.
//
// deliveries is kept slim, so that looking through it is cheap; the content stands beside it. What
// is lent is queued here: its owner knows (sqlite_lanes.h). A lane's next_due is when its next
// delivery may be claimed, null while it has none or its window is full: the one index that the
// dispatcher asks, whatever is queued. Its running is not 0 while some of it may be lent. In
// totals, no delivery with a number below oldest is queued: an index to find the oldest by would be
// one page more in each commit.
constexpr std::array kMigrations = std::to_array<const char*>({R"sql(
CREATE TABLE lanes (
  lane INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  host TEXT NOT NULL,
  width INTEGER NOT NULL,
  fifo INTEGER NOT NULL,
  "window" INTEGER NOT NULL DEFAULT 1,
  running INTEGER NOT NULL DEFAULT 0,
  kept INTEGER NOT NULL DEFAULT 0,
  held_until INTEGER NOT NULL DEFAULT 0,
  served INTEGER NOT NULL DEFAULT 0,
  next_due INTEGER,
  UNIQUE (name, fifo)
);
CREATE INDEX lanes_host ON lanes (host);
CREATE INDEX lanes_ready ON lanes (next_due) WHERE next_due IS NOT NULL;
CREATE TABLE deliveries (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  named INTEGER NOT NULL,
  webhook_id TEXT NOT NULL,
  lane INTEGER NOT NULL,
  fifo INTEGER NOT NULL,
  state INTEGER NOT NULL,
  due INTEGER NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  accepted INTEGER NOT NULL,
  finished INTEGER,
  sender TEXT NOT NULL,
  rule TEXT NOT NULL,
  method TEXT NOT NULL,
  destination TEXT NOT NULL,
  host TEXT NOT NULL,
  size INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  idempotency_key TEXT,
  digest TEXT
);
CREATE UNIQUE INDEX deliveries_key ON deliveries (sender, idempotency_key)
  WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX deliveries_named ON deliveries (id) WHERE named = 1;
CREATE INDEX deliveries_due ON deliveries (lane, due, number) WHERE state = 0 AND fifo = 0;
CREATE INDEX deliveries_order ON deliveries (lane, number) WHERE state = 0 AND fifo = 1;
CREATE INDEX deliveries_finished ON deliveries (state, finished) WHERE finished IS NOT NULL;
CREATE TABLE contents (
  number INTEGER PRIMARY KEY,
  head TEXT NOT NULL,
  body BLOB NOT NULL
);
CREATE TABLE attempts (
  delivery INTEGER NOT NULL,
  number INTEGER NOT NULL,
  began INTEGER NOT NULL,
  resolve_ms INTEGER NOT NULL,
  connect_ms INTEGER NOT NULL,
  tls_ms INTEGER NOT NULL,
  wait_ms INTEGER NOT NULL,
  total_ms INTEGER NOT NULL,
  status INTEGER NOT NULL,
  reason TEXT NOT NULL,
  detail TEXT NOT NULL,
  address TEXT NOT NULL,
  answer BLOB NOT NULL,
  PRIMARY KEY (delivery, number)
) WITHOUT ROWID;
CREATE TABLE endpoints (
  name TEXT PRIMARY KEY,
  host TEXT NOT NULL,
  failing_since INTEGER,
  last_failed INTEGER,
  failures INTEGER NOT NULL DEFAULT 0,
  disabled INTEGER,
  why TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX endpoints_host ON endpoints (host);
CREATE INDEX endpoints_disabled ON endpoints (disabled, name) WHERE disabled IS NOT NULL;
CREATE INDEX endpoints_failing ON endpoints (last_failed) WHERE disabled IS NULL;
CREATE TABLE notes (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  until INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX notes_until ON notes (until);
CREATE TABLE totals (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  queued INTEGER NOT NULL,
  delivered INTEGER NOT NULL,
  dead INTEGER NOT NULL,
  cancelled INTEGER NOT NULL,
  disabled INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  oldest INTEGER NOT NULL
);
INSERT INTO totals VALUES (1, 0, 0, 0, 0, 0, 0, 0);
)sql"});

Unexpected refuse(const std::string& what) {
  return Unexpected(Reason::queue_unavailable, "The queue's store: " + what + ".");
}

// Which version the database has; 0: it is a new one.
Result<size_t> version_of(Database& database) {
  const Result<std::optional<int64_t>> application = database.query("PRAGMA application_id");
  if (!application) return Unexpected(application.error());
  const Result<std::optional<int64_t>> found = database.query("PRAGMA user_version");
  if (!found) return Unexpected(found.error());
  bool fresh = **application == 0 && **found == 0;
  if (fresh) {
    const Result<std::optional<int64_t>> tables =
        database.query("SELECT count(*) FROM sqlite_schema");
    if (!tables) return Unexpected(tables.error());
    fresh = **tables == 0;
  }
  if (!fresh && **application != kApplication) return refuse("the database is not one of Egret's");
  const auto version = static_cast<size_t>(**found);
  if (version > kMigrations.size()) return refuse("it was made by a later version of Egret");
  return version;
}

Result<> migrate(Database& database, size_t version) {
  for (size_t next = version; next < kMigrations.size(); ++next) {
    const Result<> made =
        database.execute("BEGIN IMMEDIATE;" + std::string(kMigrations[next]) +
                         "PRAGMA application_id = " + std::to_string(kApplication) +
                         ";PRAGMA user_version = " + std::to_string(next + 1) + ";COMMIT;");
    if (made) continue;
    if (database.in_transaction()) static_cast<void>(database.execute("ROLLBACK"));
    return made;
  }
  return {};
}

}  // namespace

Result<> prepare_schema(Database& database, const std::string& path) {
  // The lock before the log: then the log's index is memory, and no second process gets in. The
  // size of pages is that of a new database's only: a commit of many deliveries writes fewer, and
  // the log is short, so that nobody waits long while it is put back into the database.
  const Result<> locked =
      database.execute("PRAGMA page_size = 8192; PRAGMA locking_mode = EXCLUSIVE;");
  if (!locked) return locked;
  // What is not Egret's is left as it is.
  const Result<size_t> version = version_of(database);
  if (!version) return Unexpected(version.error());
  const Result<> mode = Database::look_at_mode(path);
  if (!mode) return mode;
  const Result<> set = database.execute(
      "PRAGMA journal_mode = WAL;"
      "PRAGMA synchronous = FULL;"
      "PRAGMA temp_store = MEMORY;"
      "PRAGMA cache_size = -32768;"
      "PRAGMA journal_size_limit = 67108864;"
      "PRAGMA wal_autocheckpoint = 500;"
      "BEGIN IMMEDIATE; COMMIT;");
  if (!set) return set;
  return migrate(database, *version);
}

Result<> check_schema(Database& database) {
  if (!database.is_open()) return {};
  const Result<size_t> version = version_of(database);
  if (!version) return Unexpected(version.error());
  return {};
}

}  // namespace egret::queue
