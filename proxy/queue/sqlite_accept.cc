// What senders need of the store.
#include <algorithm>
#include <utility>

#include "proxy/queue/sqlite_parts.h"

namespace egret::queue {

Result<> SqliteStore::read_newest() {
  Statement& read = pages_.newest.bind();
  const Result<bool> row = read.step();
  if (!row) return Unexpected(row.error());
  newest_ = read.is_null(0) ? 0 : read.number(0);
  read.reset();
  return {};
}

Result<std::optional<Accepted>> SqliteStore::known(const NewDelivery& delivery) {
  if (delivery.idempotency_key.empty()) return std::optional<Accepted>();
  Statement& find = deliveries_.by_key.bind(delivery.sender, delivery.idempotency_key);
  const Result<bool> row = find.step();
  if (!row) return Unexpected(row.error());
  if (!*row) return std::optional<Accepted>();
  Accepted accepted{.id = find.text(0),
                    .known = true,
                    .differs = find.text(1) != delivery.digest,
                    .state = state_of(find.number(3), find.number(2))};
  find.reset();
  return std::optional(std::move(accepted));
}

Result<Accepted> SqliteStore::accept(const NewDelivery& delivery, const Bounds& bounds) {
  Result<std::optional<Accepted>> before = known(delivery);
  if (!before) return Unexpected(std::move(before.error()));
  if (*before) return std::move(**before);
  const uint64_t bytes = delivery.head.size() + delivery.body.size();
  if (totals_.queued >= bounds.max_deliveries) {
    return Unexpected(Reason::queue_full, "The queue holds " + std::to_string(totals_.queued) +
                                              " deliveries (queue.max_deliveries).");
  }
  if (totals_.bytes + bytes > bounds.max_size) {
    const Result<> room = make_room(bytes, bounds.max_size);
    if (!room) return Unexpected(room.error());
  }
  Result<bool> off = totals_.disabled > 0 ? is_disabled(delivery.host) : false;
  if (off && !*off && totals_.disabled > 0) off = is_disabled(delivery.destination);
  if (!off) return Unexpected(off.error());
  const State state = *off ? State::dead : State::queued;
  std::optional<WallTime> finished;
  if (*off) finished = delivery.accepted;
  const Result<Lane*> lane = lanes_.take(delivery);
  if (!lane) return Unexpected(lane.error());
  std::optional<std::string_view> key;
  if (!delivery.idempotency_key.empty()) key = delivery.idempotency_key;
  // Numbers grow, whatever the clock does: nothing that is in order overtakes.
  const std::optional<int64_t> proposed = number_in(delivery.id);
  const int64_t number = std::max(newest_ + 1, proposed.value_or(0));
  newest_ = number;
  std::string id = delivery.id;
  if (proposed) id = delivery_id(number, id.substr(id.size() - kUnguessable));
  Result<> stored = deliveries_.insert
                        .bind(number, id, proposed ? 0 : 1, delivery.webhook_id, (*lane)->number,
                              delivery.fifo ? 1 : 0, static_cast<int>(state), delivery.due,
                              delivery.accepted, delivery.sender, delivery.rule, delivery.method,
                              delivery.destination, delivery.host, delivery.body.size(), bytes, key,
                              delivery.digest, finished, delivery.tries)
                        .run();
  if (stored) {
    stored = deliveries_.insert_content.bind(number, delivery.head, Blob{delivery.body}).run();
  }
  if (stored && state == State::queued) stored = queue_up(**lane, delivery.due, number);
  if (stored && state != State::queued) stored = place(**lane);  // it may have become narrower
  if (!stored) return Unexpected(stored.error());
  count(state, 1);
  totals_.bytes += bytes;
  return Accepted{.id = std::move(id), .state = state};
}

// What is kept only to be looked at goes before anything is refused.
Result<> SqliteStore::make_room(uint64_t bytes, uint64_t most) {
  const FindEnded find = [this](State state, int at_most) {
    return find_ended(state, WallTime::max(), at_most);
  };
  const Result<Room> room = choose_room(find, totals_.bytes, bytes, most);
  if (!room) return Unexpected(room.error());
  const Result<> forgotten = forget(room->goes);
  if (!forgotten) return forgotten;
  totals_.evicted += dead_of(*room);
  if (room->enough) return {};
  return Unexpected(Reason::queue_full, "The queue holds " + std::to_string(totals_.bytes) +
                                            " bytes (queue.max_size).");
}

}  // namespace egret::queue
