// What senders need of the store.
#include <algorithm>
#include <iterator>

#include "proxy/queue/postgres_parts.h"

namespace egret::queue::pg {
namespace {

constexpr Sql kInsert{
    "insert",
    "WITH stored AS (INSERT INTO egret_deliveries (id, webhook_id, lane, fifo, state, due, "
    "accepted, finished, sender, rule, method, destination, host, size, bytes, idempotency_key, "
    "digest, tries) "
    "SELECT $1, $2, $3, $4, CASE WHEN off THEN 3 ELSE 0 END, $5, $6, CASE WHEN off THEN $6 END, "
    "$7, $8, $9, $10, $11, $12, $13, $14, $15, $18 FROM (SELECT EXISTS (SELECT 1 FROM "
    "egret_endpoints "
    "WHERE name IN ($11, $10) AND disabled IS NOT NULL) AS off) AS endpoint "
    "ON CONFLICT DO NOTHING RETURNING number, state), "
    "content AS (INSERT INTO egret_contents (number, head, body) "
    "SELECT number, $16, $17 FROM stored) SELECT state FROM stored"};
constexpr Sql kByKey{"by_key",
                     "SELECT id, digest, state FROM egret_deliveries "
                     "WHERE sender = $1 AND idempotency_key = $2"};
constexpr Sql kById{"by_id", "SELECT id, digest, state FROM egret_deliveries WHERE id = $1"};

// Bytes of content, each of which is copied twice on its way.
constexpr size_t kMostAtOnce = size_t{4} << 20;

Unexpected full(int64_t held, const char* what) {
  return Unexpected(Reason::queue_full, "The queue holds " + std::to_string(held) + what);
}

}  // namespace

int64_t PostgresStore::queued() const {
  return static_cast<int64_t>(seen_.queued) + since_.queued + delta_.queued;
}

int64_t PostgresStore::bytes() const {
  return static_cast<int64_t>(seen_.bytes) + since_.bytes + delta_.bytes;
}

Result<std::optional<Accepted>> PostgresStore::known(const NewDelivery& delivery) {
  if (delivery.idempotency_key.empty()) return std::optional<Accepted>();
  const Result<Answer> row = ask(kByKey, Values(delivery.sender, Bytes{delivery.idempotency_key}));
  if (!row) return Unexpected(row.error());
  if (row->rows() == 0) return std::optional<Accepted>();
  return std::optional(Accepted{.id = row->text(0, 0),
                                .known = true,
                                .differs = row->text(0, 1) != delivery.digest,
                                .state = static_cast<State>(row->number(0, 2))});
}

// What is kept only to be looked at goes before anything is refused.
Result<> PostgresStore::make_room(uint64_t wanted, uint64_t most) {
  const FindEnded find = [this](State state, int at_most) {
    return find_ended(state, WallTime::max(), at_most);
  };
  const auto held = static_cast<uint64_t>(std::max<int64_t>(0, bytes()));
  const Result<Room> room = choose_room(find, held, wanted, most);
  if (!room) return Unexpected(room.error());
  const Result<> forgotten = forget(room->goes);
  if (!forgotten) return forgotten;
  evicted_ += dead_of(*room);
  if (room->enough) return {};
  return full(bytes(), " bytes (queue.max_size).");
}

// Those that come first have the room. What is known needs none, and so nothing goes for it.
Result<> PostgresStore::find_room(std::vector<Arriving>& all, const Bounds& bounds) {
  const auto most_deliveries = static_cast<int64_t>(bounds.max_deliveries);
  const auto most_bytes = static_cast<int64_t>(bounds.max_size);
  for (Arriving& each : all) {
    const uint64_t size = each.delivery->head.size() + each.delivery->body.size();
    const bool too_many = queued() >= most_deliveries;
    if (too_many || bytes() + static_cast<int64_t>(size) > most_bytes) {
      Result<std::optional<Accepted>> there = known(*each.delivery);
      if (!there) return Unexpected(std::move(there.error()));
      if (*there) {
        each.result = std::move(**there);
        continue;
      }
      Result<> room = too_many ? full(queued(), " deliveries (queue.max_deliveries).")
                               : make_room(size, bounds.max_size);
      if (!room && room.error().reason == Reason::queue_unavailable) return room;
      if (!room) {
        each.result = Unexpected(std::move(room.error()));
        continue;
      }
    }
    each.inserts = true;
    ++delta_.queued;
    delta_.bytes += static_cast<int64_t>(size);
  }
  // They are counted when they are there; what was forgotten for them stays so.
  for (const Arriving& each : all) {
    if (!each.inserts) continue;
    --delta_.queued;
    delta_.bytes -= static_cast<int64_t>(each.delivery->head.size() + each.delivery->body.size());
  }
  return {};
}

// Sent together, but for what would take too much memory at once.
Result<> PostgresStore::insert(std::vector<Arriving>& all) {
  std::vector<Answer> answers;
  size_t bytes = 0;
  const auto run = [&]() -> Result<> {
    Result<std::vector<Answer>> some = connection_->run();
    if (!some) return Unexpected(std::move(some.error()));
    std::move(some->begin(), some->end(), std::back_inserter(answers));
    bytes = 0;
    return {};
  };
  for (const Arriving& each : all) {
    if (!each.inserts) continue;
    const NewDelivery& made = *each.delivery;
    if (bytes > kMostAtOnce) {
      const Result<> done = run();
      if (!done) return done;
    }
    bytes += made.head.size() + made.body.size();
    std::optional<Bytes> key;
    if (!made.idempotency_key.empty()) key = Bytes{made.idempotency_key};
    connection_->add(kInsert,
                     Values(made.id, made.webhook_id, each.lane, made.fifo ? 1 : 0, made.due,
                            made.accepted, made.sender, made.rule, made.method, made.destination,
                            made.host, made.body.size(), made.head.size() + made.body.size(), key,
                            Bytes{made.digest}, Bytes{made.head}, Bytes{made.body}, made.tries));
  }
  const Result<> done = run();
  if (!done) return done;
  auto answer = answers.begin();
  for (Arriving& each : all) {
    if (!each.inserts) continue;
    const Answer& stored = *answer++;
    each.inserts = stored.rows() == 1;
    if (!each.inserts) continue;
    const NewDelivery& made = *each.delivery;
    const auto state = static_cast<State>(stored.number(0, 0));
    each.result = Accepted{.id = made.id, .state = state};
    lanes_.join(made, each.lane, state == State::queued);
    delta_.count(state, 1);
    delta_.bytes += static_cast<int64_t>(made.head.size() + made.body.size());
  }
  return {};
}

// Why some were not inserted: by their key, or because they are there since a commit whose answer
// was lost.
Result<> PostgresStore::find_known(std::vector<Arriving>& all) {
  std::vector<Arriving*> conflicts;
  for (Arriving& each : all) {
    if (each.inserts || each.result || each.result.error().reason != Reason::internal_error) {
      continue;
    }
    conflicts.push_back(&each);
    const NewDelivery& made = *each.delivery;
    connection_->add(kById, Values(made.id));
    connection_->add(kByKey, Values(made.sender, Bytes{made.idempotency_key}));
  }
  const Result<std::vector<Answer>> answers = connection_->run();
  if (!answers) return Unexpected(answers.error());
  for (size_t i = 0; i < conflicts.size(); ++i) {
    const Answer& own = (*answers)[2 * i];
    const Answer& other = (*answers)[2 * i + 1];
    const NewDelivery& made = *conflicts[i]->delivery;
    if (own.rows() > 0) {
      const auto state = static_cast<State>(own.number(0, 2));
      conflicts[i]->result = Accepted{.id = made.id, .state = state};
    } else if (other.rows() > 0) {
      conflicts[i]->result = Accepted{.id = other.text(0, 0),
                                      .known = true,
                                      .differs = other.text(0, 1) != made.digest,
                                      .state = static_cast<State>(other.number(0, 2))};
    } else {
      return Unexpected(postgres_failure("what stood in a delivery's way has gone"));
    }
  }
  return {};
}

std::vector<Result<Accepted>> PostgresStore::accept_all(std::span<const NewDelivery* const> all,
                                                        const Bounds& bounds) {
  std::vector<Arriving> arriving;
  for (const NewDelivery* each : all) {
    arriving.push_back({.delivery = each,
                        .lane = lane_number(each->lane, each->fifo),
                        .result = Unexpected(Reason::internal_error)});
  }
  Result<> done = connected() ? Result<>() : Result<>(Unexpected(why_));
  if (done) done = find_room(arriving, bounds);
  if (done) done = insert(arriving);
  if (done) done = find_known(arriving);
  if (!done && connected() == false) why_ = done.error();
  std::vector<Result<Accepted>> results;
  for (Arriving& each : arriving) {
    if (done) {
      results.push_back(std::move(each.result));
    } else {
      results.emplace_back(Unexpected(done.error()));
    }
  }
  return results;
}

Result<Accepted> PostgresStore::accept(const NewDelivery& delivery, const Bounds& bounds) {
  const NewDelivery* const only = &delivery;
  return std::move(accept_all(std::span(&only, 1), bounds).front());
}

}  // namespace egret::queue::pg
