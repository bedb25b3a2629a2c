#pragma once

#include "proxy/queue/room.h"
#include "proxy/queue/sqlite_database.h"
#include "proxy/queue/sqlite_lanes.h"
#include "proxy/queue/store.h"

namespace egret::queue {

// The statements of SqliteStore, prepared once: by what they are about.
struct DeliveryStatements {
  explicit DeliveryStatements(const Database& database);
  Statement begin, commit, rollback, write_totals;
  Statement by_key, insert, insert_content, due_of_lane, head_of_lane, settle, insert_attempt;
};
struct PageStatements {
  explicit PageStatements(const Database& database);
  Statement totals, from, list, newest, by_number, by_name, attempts, content, requeue, cancel;
  Statement finished, forget, forget_content, forget_attempts;
};

struct EndpointStatements {
  explicit EndpointStatements(const Database& database);
  Statement find, any, all, fails, forget, forget_old, forget_off, disable, enable, to_bury,
      to_bury_in_order, bury;
  Statement recall, remember, expire;
};

class SqliteStore final : public Store {
 public:
  explicit SqliteStore(Database database);
  Result<> recover(WallTime now);

  Result<> begin() override;
  Result<> commit() override;
  void rollback() override;
  Result<std::vector<Claimed>> claim(const Wanted& wanted, WallTime now) override;
  Result<std::optional<WallTime>> next_due() override;
  Result<> settle(const Settled& settled, WallTime now) override;

  // sqlite_accept.cc
  Result<Accepted> accept(const NewDelivery& delivery, const Bounds& bounds) override;
  Result<std::optional<Accepted>> known(const NewDelivery& delivery) override;

  // sqlite_pages.cc
  Result<Page> list(const Filter& filter) override;
  Result<std::optional<Shown>> show(const std::string& id) override;
  Result<std::optional<Content>> content(const std::string& id) override;
  Result<std::optional<State>> replay(const std::string& id, WallTime now) override;
  Result<std::optional<State>> cancel(const std::string& id, WallTime now) override;
  Result<Stats> stats() override;
  Result<bool> sweep(const Bounds& bounds, WallTime now) override;

  // sqlite_endpoints.cc
  Result<std::vector<Endpoint>> endpoints() override;
  Result<bool> disable(const std::string& host, const std::string& why, WallTime now) override;
  Result<bool> enable(const std::string& host, WallTime now) override;
  Result<std::optional<std::string>> recall(const std::string& name, WallTime now) override;
  Result<> remember(const std::string& name, const std::string& value, WallTime until) override;

 private:
  // The host, or the URL.
  Result<bool> is_disabled(const std::string& name);
  Result<> switch_off(const std::string& name, const std::string& host, const std::string& why,
                      WallTime now);
  Result<> note_attempt(const std::string& url, const std::string& host, const Settled& settled,
                        WallTime now);
  Result<> look_again(const std::string& host, std::optional<WallTime> release);
  Result<> look_for_endpoints();
  Result<bool> bury(WallTime now);
  Result<bool> expire(const Bounds& bounds, WallTime now);
  Result<> finish_attempt(const Lent& lent, const Settled& settled, WallTime now);
  Result<> read_totals();
  Result<> read_newest();
  void count(State state, int64_t change);
  Result<> make_room(uint64_t bytes, uint64_t most);
  Result<> place_interrupted(WallTime now);
  Result<bool> set_back(WallTime now);
  Result<> place(Lane& lane);
  Result<> place_again(Lane& lane);
  Result<> queue_up(Lane& lane, WallTime due, int64_t number);
  Result<> take_due(Lane& lane, size_t most, std::vector<Claimed>& all, uint64_t& bytes,
                    WallTime now);
  Result<> lend_ahead(const Wanted& wanted, uint64_t bytes, std::vector<Claimed>& all,
                      WallTime now);
  [[nodiscard]] State state_of(int64_t number, int64_t stored) const;
  [[nodiscard]] Listed read_listed(const Statement& row) const;
  Result<> bury_one(int64_t number, WallTime now);
  Result<std::vector<Ended>> find_ended(State state, WallTime before, int most);
  Result<> forget(const std::vector<Ended>& all);
  struct Found {
    Listed delivery;
    int64_t lane = 0;
  };
  Result<std::optional<Found>> find(const std::string& id);

  Database database_;  // outlives its statements
  Lanes lanes_;
  DeliveryStatements deliveries_;
  PageStatements pages_;
  EndpointStatements endpoints_;
  Stats totals_;        // as the transaction has them
  int64_t newest_ = 0;  // nothing has a greater number
  int64_t oldest_ = 0;  // nothing with a smaller number is queued
  std::optional<WallTime> oldest_accepted_;
  bool totals_changed_ = false;
  bool totals_lost_ = false;     // they could not be read after a rollback
  bool endpoints_known_ = true;  // false: there are none
  WallTime latest_ = {};         // no lane was served after that
};

}  // namespace egret::queue
