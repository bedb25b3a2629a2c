#pragma once

#include <map>
#include <optional>
#include <string>

#include "proxy/queue/delivery.h"
#include "proxy/queue/postgres_connection.h"

namespace egret::queue::pg {

// The number of the lane of a name: 63 bits of its SHA-256, so that every Egret knows it without
// asking, and no sender can choose another's.
int64_t lane_number(const std::string& name, bool fifo);

// LaneChanges gathers what a transaction is to do to lanes, so that it is done at its end, lane by
// lane in the order of their numbers: two transactions that want the same lanes never wait for each
// other both.
class LaneChanges {
 public:
  // One more delivery. `waits`: it is queued.
  void join(const NewDelivery& delivery, int64_t lane, bool waits);
  // One that was there is queued again.
  void rejoin(int64_t lane, WallTime now) { touch(lane, now).joins = true; }
  // It stands behind those that wait; `back` of its deliveries are not under way any more.
  void refresh(int64_t lane, WallTime now, int64_t back = 0);
  // Nothing of it is claimed before then; or from now on again.
  void hold(int64_t lane, WallTime until);
  void release(int64_t lane, WallTime now);
  // An attempt went well, or did not.
  void judge(int64_t lane, bool well);
  // One delivery is forgotten.
  void leave(int64_t lane) { --changes_[lane].kept; }

  [[nodiscard]] bool empty() const { return changes_.empty(); }
  // Something may be due sooner than others know.
  [[nodiscard]] bool wakes() const;
  // Adds the statements that do it all, and forgets it.
  void add_to(Connection& connection);
  void clear() { changes_.clear(); }

 private:
  struct Made {
    std::string name, host;
    uint32_t width;
    bool fifo;
  };
  struct Change {
    std::optional<Made> made;
    int64_t kept = 0;
    int64_t running = 0;
    bool closes = false;  // its window, before it widens
    int64_t widens = 0;
    bool joins = false;
    bool refreshes = false;
    int64_t held_until = 0;  // ms; -1: it is free
    WallTime at = {};
  };
  Change& touch(int64_t lane, WallTime now);
  std::map<int64_t, Change> changes_;
};

// What a claim does to a lane that it has locked.
void add_lent(Connection& connection, int64_t lane, int64_t count, WallTime now);

}  // namespace egret::queue::pg
