#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
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

// How many deliveries of one lane a claim of `most` takes when so many lanes are ready: where
// others wait, theirs come before its next ones.
constexpr size_t of_one_lane(size_t most, size_t ready) {
  return std::max<size_t>(8, ready == 0 ? 0 : most / ready);
}

// Store keeps deliveries on stable storage: the one door to whatever does the keeping. One thread,
// the queue's.
//   What is done between begin() and commit() is kept when commit() has returned well, all of it,
//   through a crash and a loss of power; none of it otherwise.
//   Errors of all: queue_unavailable, with what the storage says. After one, rollback().
//   Within a transaction claim() comes last: nothing but another claim() follows it.
class Store {
 public:
  virtual ~Store() = default;
  virtual Result<> begin() = 0;
  virtual Result<> commit() = 0;
  virtual void rollback() = 0;

  // Errors beside: queue_full, when the bounds say so. What is known by its Idempotency-Key is
  // never too much; what is kept only to be looked at makes room, the dead last.
  virtual Result<Accepted> accept(const NewDelivery& delivery, const Bounds& bounds) = 0;
  // The same for many, at the price of few; an answer each. Errors of the storage: all have it.
  virtual std::vector<Result<Accepted>> accept_all(std::span<const NewDelivery* const> all,
                                                   const Bounds& bounds);
  // What is there under the delivery's Idempotency-Key, if anything.
  virtual Result<std::optional<Accepted>> known(const NewDelivery& delivery) = 0;
  // Those that are due, lane by lane, the lane that waits longest first, a few of each: the cost
  // does not grow with what is queued. They are lent until settle(). A store may lend nothing
  // ahead, and does not while other lanes wait.
  virtual Result<std::vector<Claimed>> claim(const Wanted& wanted, WallTime now) = 0;
  // When claim() may find something again, as things are; nothing: not before something changes.
  virtual Result<std::optional<WallTime>> next_due() = 0;
  // What is not lent (any more) to this store stays as it is.
  virtual Result<> settle(const Settled& settled, WallTime now) = 0;

  // For a store that several Egrets share; of another's they do nothing.
  //   `changed` is told, on any thread, when another may have made something due.
  virtual void listen(std::function<void()> changed);
  // tick() is wanted this often, outside of a transaction: it says that this Egret lives, and takes
  // over what those have borrowed that do not.
  [[nodiscard]] virtual Duration beat() const { return Duration::max(); }
  virtual Result<> tick(WallTime now);
  // How many share it, as of the last tick(); this one too.
  [[nodiscard]] virtual uint32_t owners() const { return 1; }
  // How many settlements came too late: another has taken the delivery over.
  [[nodiscard]] virtual uint64_t stale() const { return 0; }

  virtual Result<Page> list(const Filter& filter) = 0;
  // Nothing: there is none of that id.
  virtual Result<std::optional<Shown>> show(const std::string& id) = 0;
  virtual Result<std::optional<Content>> content(const std::string& id) = 0;
  // Queues again what is delivered, dead or cancelled, from the beginning of its schedule. The
  // state that it had before; nothing: there is none. One that is queued or running stays as it is.
  virtual Result<std::optional<State>> replay(const std::string& id, WallTime now) = 0;
  // A queued one. The state that it had before: of any other, nothing changes.
  virtual Result<std::optional<State>> cancel(const std::string& id, WallTime now) = 0;
  // Those that fail or are switched off, by name; switched-off ones first, kMostEndpoints at most.
  static constexpr int64_t kMostEndpoints = 1000;
  virtual Result<std::vector<Endpoint>> endpoints() = 0;
  // A host. False: it was so already. Switching on does so for its URLs too, and forgets that they
  // have failed.
  virtual Result<bool> disable(const std::string& host, const std::string& why, WallTime now) = 0;
  virtual Result<bool> enable(const std::string& host, WallTime now) = 0;
  // Small texts that are kept until a time: what endpoints have agreed to.
  virtual Result<std::optional<std::string>> recall(const std::string& name, WallTime now) = 0;
  virtual Result<> remember(const std::string& name, const std::string& value, WallTime until) = 0;
  virtual Result<Stats> stats() = 0;
  // Forgets a bounded number of those whose time is over, and makes those dead whose host is
  // switched off (those of a URL become so when they are due). True when there may be more.
  virtual Result<bool> sweep(const Bounds& bounds, WallTime now) = 0;
};

// An SQLite database at `path`, made when there is none; another process that has it open is an
// error, and so is a database of a later version of Egret or one that is none of Egret's.
//   Deliveries that were running when the last owner ended are queued again, as they were; their
//   lanes stand behind those that wait, as if served at `now`.
//   Only its owner may read the file: it holds what senders sent.
Result<std::unique_ptr<Store>> open_sqlite_store(const std::string& path, WallTime now);

// Whether open_sqlite_store() would do, as far as can be told without making or changing anything:
// another Egret may have it open.
Result<> check_sqlite_store(const std::string& path);

// A PostgreSQL database that several Egrets may share.
struct PostgresOptions {
  std::string uri;  // as libpq takes it, without a password
  // Asked at each connect; empty: libpq's own ways, as a passfile. Any thread.
  std::function<Secret()> password = {};
  // Told once that there is no connection, and once that there is one again. Any thread.
  std::function<void(const std::string&)> say = {};
  // An Egret that has not been heard of for so long is taken for dead: what it has borrowed is
  // delivered by others, and it cannot settle it any more.
  Duration lease = std::chrono::seconds(10);
  Duration beat = std::chrono::seconds(2);
  Duration connect = std::chrono::seconds(5);  // to one host
  Duration answer = std::chrono::seconds(10);
  Duration stats = std::chrono::seconds(1);  // how old stats() may be
};

// The tables are made when there are none. A database that cannot be reached is no error: all calls
// fail until it can. One of a later version of Egret, or with such tables of somebody else's, is.
//   A delivery that is lent when the store is closed is queued again.
Result<std::unique_ptr<Store>> open_postgres_store(PostgresOptions options);

// Whether open_postgres_store() would do. Errors: a URI that is none, and a database that it would
// refuse. Otherwise empty, or a sentence: why nothing could be kept at this moment, as when the
// database cannot be reached, does not let the role in or is read-only. Nothing is made or changed.
Result<std::string> check_postgres_store(const std::string& uri, const Secret& password);

// What libpq opens once Egret is confined.
struct PostgresPlaces {
  std::vector<std::string> named;  // files that it names: others may take their places
  std::vector<std::string> usual;  // of the user and of the machine; few are there
  bool unix_socket = false;
};
// Errors: queue_unavailable, when the URI is none.
Result<PostgresPlaces> postgres_places(const std::string& uri);

}  // namespace egret::queue
