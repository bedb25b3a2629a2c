#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "proxy/queue/delivery.h"

namespace egret::queue {

// How much is kept, and how long. A reload may change it.
struct Bounds {
  uint64_t max_deliveries = 1'000'000;          // queued and running
  uint64_t max_size = uint64_t{10} << 30;       // bytes of all that is kept
  Duration delivered = std::chrono::hours(72);  // a delivered or cancelled one, after its end
  Duration dead = std::chrono::hours(24 * 30);  // a dead one
  bool operator==(const Bounds&) const = default;
};

// Store keeps deliveries on stable storage: the one door to whatever does the keeping. One thread,
// the queue's.
//   What is done between begin() and commit() is kept when commit() has returned well, all of it,
//   through a crash and a loss of power; none of it otherwise.
//   Errors of all: queue_unavailable, with what the storage says. After one, rollback().
class Store {
 public:
  virtual ~Store() = default;
  virtual Result<> begin() = 0;
  virtual Result<> commit() = 0;
  virtual void rollback() = 0;

  // Errors beside: queue_full, when the bounds say so. What is known by its Idempotency-Key is
  // never too much.
  virtual Result<Accepted> accept(const NewDelivery& delivery, const Bounds& bounds) = 0;
  // What is there under the delivery's Idempotency-Key, if anything.
  virtual Result<std::optional<Accepted>> known(const NewDelivery& delivery) = 0;
  // At most `most` that are due, lane by lane, the lane that waits longest first, a few of each:
  // the cost does not grow with what is queued. They are lent until settle().
  // No more than the one that passes `most_bytes` of content.
  virtual Result<std::vector<Claimed>> claim(size_t most, uint64_t most_bytes, WallTime now) = 0;
  // When claim() may find something again, as things are; nothing: not before something changes.
  virtual Result<std::optional<WallTime>> next_due() = 0;
  virtual Result<> settle(const Settled& settled, WallTime now) = 0;

  virtual Result<Page> list(const Filter& filter) = 0;
  // Nothing: there is none of that id.
  virtual Result<std::optional<Shown>> show(const std::string& id) = 0;
  virtual Result<std::optional<Content>> content(const std::string& id) = 0;
  // Queues again what is delivered, dead or cancelled, from the beginning of its schedule. The
  // state that it had before; nothing: there is none. One that is queued or running stays as it is.
  virtual Result<std::optional<State>> replay(const std::string& id, WallTime now) = 0;
  // A queued one. The state that it had before: of any other, nothing changes.
  virtual Result<std::optional<State>> cancel(const std::string& id, WallTime now) = 0;
  // Those that fail or are switched off, by name.
  virtual Result<std::vector<Endpoint>> endpoints() = 0;
  // False: it was so already. Switching on forgets that it has failed.
  virtual Result<bool> disable(const std::string& host, const std::string& why, WallTime now) = 0;
  virtual Result<bool> enable(const std::string& host, WallTime now) = 0;
  // Small texts that are kept until a time: what endpoints have agreed to.
  virtual Result<std::optional<std::string>> recall(const std::string& name, WallTime now) = 0;
  virtual Result<> remember(const std::string& name, const std::string& value, WallTime until) = 0;
  virtual Result<Stats> stats() = 0;
  // Forgets a bounded number of those whose time is over, and makes those dead whose host is
  // switched off. True when there may be more.
  virtual Result<bool> sweep(const Bounds& bounds, WallTime now) = 0;
};

// An SQLite database at `path`, made when there is none; another process that has it open is an
// error, and so is a database of a later version of Egret or one that is none of Egret's.
//   Deliveries that were running when the last owner ended are queued again, due at `now`.
//   Only its owner may read the file: it holds what senders sent.
Result<std::unique_ptr<Store>> open_sqlite_store(const std::string& path, WallTime now);

// Whether open_sqlite_store() would do, as far as can be told without making or changing anything:
// another Egret may have it open.
Result<> check_sqlite_store(const std::string& path);

}  // namespace egret::queue
