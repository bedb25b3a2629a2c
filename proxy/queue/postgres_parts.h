#pragma once

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "proxy/queue/postgres_lanes.h"
#include "proxy/queue/postgres_listener.h"
#include "proxy/queue/room.h"
#include "proxy/queue/store.h"

namespace egret::queue::pg {

// What a transaction changes in the totals, or a number of them has changed.
struct Delta {
  int64_t queued = 0, running = 0, delivered = 0, dead = 0, cancelled = 0, bytes = 0;
  void count(State state, int64_t change);
  void add(const Delta& other);
  bool operator==(const Delta&) const = default;
};

// The store of a fleet (docs/design/0011-postgres.md). What a transaction does to endpoints, lanes
// and totals is gathered and written at its end, always in the same order.
class PostgresStore final : public Store {
 public:
  explicit PostgresStore(PostgresOptions options);
  ~PostgresStore() override;
  // Connects, unless it was tried a moment ago. `hopeless`: the database must not be used.
  Result<> connect(bool* hopeless = nullptr);

  Result<> begin() override;
  Result<> commit() override;
  void rollback() override;

  // postgres_accept.cc
  Result<Accepted> accept(const NewDelivery& delivery, const Bounds& bounds) override;
  std::vector<Result<Accepted>> accept_all(std::span<const NewDelivery* const> all,
                                           const Bounds& bounds) override;
  Result<std::optional<Accepted>> known(const NewDelivery& delivery) override;

  // postgres_claims.cc
  Result<std::vector<Claimed>> claim(const Wanted& wanted, WallTime now) override;
  Result<> settle(const Settled& settled, WallTime now) override;

  // postgres_owners.cc
  void listen(std::function<void()> changed) override;
  [[nodiscard]] Duration beat() const override { return options_.beat; }
  Result<> tick(WallTime now) override;
  [[nodiscard]] uint32_t owners() const override { return owners_; }
  [[nodiscard]] uint64_t stale() const override { return stale_; }
  Result<std::optional<WallTime>> next_due() override;
  Result<Stats> stats() override;

  // postgres_pages.cc
  Result<Page> list(const Filter& filter) override;
  Result<std::optional<Shown>> show(const std::string& id) override;
  Result<std::optional<Content>> content(const std::string& id) override;
  Result<std::optional<State>> replay(const std::string& id, WallTime now) override;
  Result<std::optional<State>> cancel(const std::string& id, WallTime now) override;
  Result<bool> sweep(const Bounds& bounds, WallTime now) override;

  // postgres_endpoints.cc
  Result<std::vector<Endpoint>> endpoints() override;
  Result<bool> disable(const std::string& host, const std::string& why, WallTime now) override;
  Result<bool> enable(const std::string& host, WallTime now) override;
  Result<std::optional<std::string>> recall(const std::string& name, WallTime now) override;
  Result<> remember(const std::string& name, const std::string& value, WallTime until) override;

 private:
  // A settlement that waits for the others of its transaction.
  struct Settling {
    Settled settled;
    WallTime now;
  };
  // What attempts have told of a URL, or the operator says of a host.
  struct Judged {
    std::string host;
    bool succeeded = false;
    int64_t failures = 0;  // since it has succeeded last
    bool enable = false;   // by the operator
    WallTime at;
    std::string disable_why;
    std::optional<Duration> disable_after;
  };
  // A lane that has something due, locked.
  struct Ready {
    int64_t lane = 0;
    bool fifo = false;
    int64_t room = 0;
    std::vector<int64_t> numbers;
  };

  // Asks, outside of a transaction or within one, after what its settlements have changed.
  Result<Answer> ask(const Sql& sql, Values values = Values());
  Result<> ready();
  Result<> lock_owner();
  Result<> register_owner();
  Result<> look();
  void lose(const Failure& why);
  void back_off();
  void forget_gathered();
  [[nodiscard]] bool connected() const { return connection_ && !connection_->broken(); }
  // Adds what was gathered, ready to be run.
  Result<> flush();
  Result<> run_settlements();
  void apply(const Settling& each, const std::string& host, const std::string& url);
  Result<> write_endpoints();
  Result<> refresh_lanes_of(const std::string& host, WallTime now, bool release);
  void add_totals();
  void add_news();
  // One delivery on its way in.
  struct Arriving {
    const NewDelivery* delivery;
    int64_t lane = 0;
    bool inserts = false;  // there is room
    Result<Accepted> result;
  };
  Result<> find_room(std::vector<Arriving>& all, const Bounds& bounds);
  Result<> insert(std::vector<Arriving>& all);
  Result<> find_known(std::vector<Arriving>& all);
  Result<> make_room(uint64_t bytes, uint64_t most);
  Result<std::vector<Ready>> lock_ready(size_t most, WallTime now);
  Result<> choose(std::vector<Ready>& lanes, size_t most, uint64_t most_bytes, WallTime now);
  Result<std::vector<Claimed>> lend(const std::vector<Ready>& lanes, WallTime now);
  // In a transaction of its own.
  Result<> within(const std::function<Result<>()>& work);
  Result<> give_back(const Sql& sql, Values values);
  Result<> take_over(int64_t owner);
  Result<> leave();
  Result<bool> set_back(WallTime now);
  Result<bool> bury(WallTime now);
  Result<bool> expire(const Bounds& bounds, WallTime now);
  Result<> bury(const std::vector<int64_t>& numbers, WallTime now);
  Result<std::vector<Ended>> find_ended(State state, WallTime before, int most);
  Result<> forget(const std::vector<Ended>& all);
  struct Found {
    Listed delivery;
    int64_t lane = 0;
  };
  Result<std::optional<Found>> find(const std::string& id, bool lock);
  // Of all Egrets, as this one knows it.
  [[nodiscard]] int64_t queued() const;
  [[nodiscard]] int64_t bytes() const;

  PostgresOptions options_;
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<Listener> listener_;
  int64_t owner_ = 0;  // 0: none yet
  int64_t fence_ = 0;  // of the last claim
  bool in_transaction_ = false;
  // Gathered by the transaction:
  std::vector<Settling> settling_;
  std::map<std::string, Judged> judged_;
  LaneChanges lanes_;
  Delta delta_;
  std::vector<int64_t> claims_;  // fences
  bool wakes_ = false;
  // Fences of claims of which nobody knows whether they were kept.
  std::vector<int64_t> doubtful_;

  // Reconnecting.
  TimePoint retry_at_{};
  Duration wait_{};
  Failure why_;        // there is no connection
  bool said_ = false;  // that there is none
  std::minstd_rand dice_{std::random_device{}()};

  // As seen last.
  Stats seen_;
  uint64_t evicted_ = 0;
  Delta since_;
  TimePoint seen_at_{};
  bool seen_ever_ = false;
  uint32_t owners_ = 1;
  uint64_t stale_ = 0;
  WallTime latest_ = {};  // of this one's claims; while lanes are put right, up to `put_right_`
  int64_t put_right_ = -1;
  std::optional<std::optional<WallTime>> next_due_;  // not yet told
  std::optional<WallTime> quiet_until_;              // a claim has found nothing
  TimePoint news_at_{};                              // when news may be sent again
  bool news_wait_ = false;
};

}  // namespace egret::queue::pg
