// Connecting, and transactions.
#include <algorithm>

#include "proxy/queue/postgres_parts.h"
#include "proxy/queue/postgres_schema.h"

namespace egret::queue::pg {
namespace {

constexpr Sql kBegin{"begin", "BEGIN"};
constexpr Sql kCommit{"commit", "COMMIT"};
constexpr Sql kRollback{"rollback", "ROLLBACK"};
// Whoever takes this Egret for dead waits for its transaction, or is waited for.
constexpr Sql kLockOwner{"lock_owner",
                         "SELECT owner FROM egret_owners WHERE owner = $1 FOR UPDATE"};
constexpr Sql kTotals{"totals",
                      "UPDATE egret_owners SET queued = queued + $2, running = running + $3, "
                      "delivered = delivered + $4, dead = dead + $5, cancelled = cancelled + $6, "
                      "bytes = bytes + $7 WHERE owner = $1"};
// What a session is given; a kin that does not know one does without. A backend that hangs lets go
// of its locks; the tables grow from nothing, and plans for small ones would last.
constexpr Sql kSettings[] = {
    {"set_idle", "SET idle_in_transaction_session_timeout = 15000"},
    {"set_lock", "SET lock_timeout = 8000"},
    {"set_seqscan", "SET enable_seqscan = off"},
    {"set_jit", "SET jit = off"},
};

constexpr Duration kFirstWait = std::chrono::milliseconds(100);
constexpr Duration kLongestWait = std::chrono::seconds(5);

TimePoint steady_now() { return SystemClock().now(); }

}  // namespace

void Delta::count(State state, int64_t change) {
  int64_t& total = state == State::delivered   ? delivered
                   : state == State::dead      ? dead
                   : state == State::cancelled ? cancelled
                                               : queued;
  total += change;
}

void Delta::add(const Delta& other) {
  queued += other.queued;
  running += other.running;
  delivered += other.delivered;
  dead += other.dead;
  cancelled += other.cancelled;
  bytes += other.bytes;
}

PostgresStore::PostgresStore(PostgresOptions options) : options_(std::move(options)) {}

PostgresStore::~PostgresStore() {
  listener_.reset();
  if (connected() && owner_ != 0) static_cast<void>(leave());
}

Result<> PostgresStore::connect(bool* hopeless) {
  if (steady_now() < retry_at_) return Unexpected(why_);
  const Login login{options_.uri, options_.password ? options_.password() : Secret()};
  Result<std::unique_ptr<Connection>> opened =
      Connection::open(login, {options_.connect, options_.answer});
  Result<> done;
  if (opened) {
    connection_ = std::move(*opened);
    for (const Sql& each : kSettings) static_cast<void>(connection_->ask(each));
    const std::optional<SchemaFailure> schema = prepare_schema(*connection_);
    if (schema && hopeless != nullptr) *hopeless = schema->hopeless;
    if (schema) done = Unexpected(schema->failure);
    if (done) done = register_owner();
  } else {
    done = Unexpected(opened.error());
  }
  if (!done) {
    connection_.reset();
    why_ = done.error();
    back_off();
    if (!said_ && options_.say) options_.say(why_.detail + " It is tried again and again.");
    said_ = true;
    return done;
  }
  if (said_ && options_.say) options_.say("The queue's store: PostgreSQL is there again.");
  said_ = false;
  wait_ = {};
  return {};
}

void PostgresStore::back_off() {
  wait_ = std::min(std::max(2 * wait_, kFirstWait), kLongestWait);
  const double part = std::uniform_real_distribution<double>(0.5, 1)(dice_);
  retry_at_ = steady_now() + std::chrono::duration_cast<Duration>(wait_ * part);
}

// It is tried again at once, since the server may just have been restarted; not when it was waited
// for in vain, or a crowd would wait so long one by one.
void PostgresStore::lose(const Failure& why) {
  const bool in_vain = connection_ && (!connection_->broken() || connection_->timed_out());
  doubtful_.insert(doubtful_.end(), claims_.begin(), claims_.end());
  claims_.clear();
  connection_.reset();
  in_transaction_ = false;
  why_ = why;
  retry_at_ = {};
  if (in_vain) back_off();
}

Result<> PostgresStore::ready() {
  if (connection_ && connection_->broken()) lose(why_);
  if (connection_) return {};
  return connect();
}

Result<Answer> PostgresStore::ask(const Sql& sql, Values values) {
  if (!connected()) return Unexpected(why_);
  if (!settling_.empty()) {
    const Result<> settled = run_settlements();
    if (!settled) return Unexpected(settled.error());
  }
  Result<Answer> answer = connection_->ask(sql, std::move(values));
  if (!answer && connection_->broken()) why_ = answer.error();
  return answer;
}

Result<> PostgresStore::begin() {
  next_due_.reset();
  forget_gathered();
  Result<> done;
  // A connection that was cut while nothing was under way is made anew, once.
  for (int i = 0; i < 2; ++i) {
    done = ready();
    if (!done) return done;
    done = lock_owner();
    if (done) return done;
    lose(done.error());
  }
  return done;
}

// Begins; an Egret that was taken for dead is another one from now on.
Result<> PostgresStore::lock_owner() {
  for (int i = 0; i < 2; ++i) {
    connection_->add(kBegin);
    const Result<Answer> locked = connection_->ask(kLockOwner, Values(owner_));
    if (locked && locked->rows() == 1) {
      in_transaction_ = true;
      return {};
    }
    if (connection_->broken()) return Unexpected(locked.error());
    static_cast<void>(connection_->ask(kRollback));
    if (!locked) return Unexpected(locked.error());
    const Result<> registered = register_owner();
    if (!registered) return registered;
  }
  return Unexpected(postgres_failure("this Egret is taken for dead again and again"));
}

// What was gathered, in the one order that everybody keeps: deliveries, endpoints, lanes.
Result<> PostgresStore::flush() {
  Result<> done = run_settlements();
  if (done) done = write_endpoints();
  if (!done) return done;
  wakes_ |= lanes_.wakes();
  lanes_.add_to(*connection_);
  return {};
}

void PostgresStore::add_totals() {
  if (delta_ == Delta()) return;
  connection_->add(kTotals, Values(owner_, delta_.queued, delta_.running, delta_.delivered,
                                   delta_.dead, delta_.cancelled, delta_.bytes));
}

Result<> PostgresStore::commit() {
  if (!connected()) return Unexpected(why_);
  Result<> done = flush();
  if (done) {
    add_totals();
    add_news();
    const Result<Answer> kept = connection_->ask(kCommit);
    if (!kept) done = Unexpected(kept.error());
    if (kept && !kept->committed()) done = Unexpected(postgres_failure("it was rolled back"));
  }
  if (!done) {
    if (connection_->broken()) lose(done.error());
    return done;
  }
  in_transaction_ = false;
  since_.add(delta_);
  if (wakes_) quiet_until_.reset();
  forget_gathered();
  return {};
}

void PostgresStore::forget_gathered() {
  settling_.clear();
  judged_.clear();
  lanes_.clear();
  delta_ = {};
  claims_.clear();
  wakes_ = false;
}

void PostgresStore::rollback() {
  if (connection_) {
    connection_->forget();
    if (in_transaction_ && !connection_->broken()) static_cast<void>(connection_->ask(kRollback));
    if (connection_->broken()) lose(why_);
  }
  in_transaction_ = false;
  forget_gathered();
  latest_ = WallTime::max();  // lanes that were put right may not be so any more
  put_right_ = -1;
}

Result<> PostgresStore::within(const std::function<Result<>()>& work) {
  Result<> done = begin();
  if (done) done = work();
  if (done) done = commit();
  if (!done) rollback();
  return done;
}

}  // namespace egret::queue::pg

namespace egret::queue {

Result<std::unique_ptr<Store>> open_postgres_store(PostgresOptions options) {
  auto store = std::make_unique<pg::PostgresStore>(std::move(options));
  bool hopeless = false;
  const Result<> connected = store->connect(&hopeless);
  if (hopeless) return Unexpected(connected.error());
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace egret::queue
