#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "proxy/queue/sqlite_database.h"
#include "proxy/queue/store.h"

namespace egret::queue {

// What of a delivery its settlement needs, while it is lent.
struct Lent {
  int64_t lane = 0;
  int64_t fence = 0;  // of this loan
  WallTime due;
  int64_t attempts = 0;  // before this one
  std::string host;
  std::string destination;
};

// A lane as the transaction has it.
struct Lane {
  int64_t number = 0;
  std::string name;
  std::string host;
  bool fifo = false;
  uint32_t width = 1;
  uint32_t window = 1;
  uint32_t running = 0;  // lent
  int64_t kept = 0;
  WallTime held_until = {};
  WallTime served = {};              // a lane that was served stands behind those that wait
  std::optional<WallTime> next_due;  // when claim() may find something; nothing: not as things are

  // The rest is not stored.
  std::optional<WallTime> stored_due;  // next_due, as the table has it
  bool first_known = false;
  std::optional<WallTime> first;  // when the first that is not lent is due
  // By when they are due, and their number: what stands up to here is lent or over.
  int64_t seen_due = INT64_MIN;
  int64_t seen_number = INT64_MIN;
  bool changed = false;  // since it was stored
  bool undoable = false;
  uint32_t ahead = 0;  // of those that are lent, without a place

  [[nodiscard]] uint32_t holds() const { return std::min(window, width); }
  [[nodiscard]] uint32_t places() const { return running - ahead; }  // that are taken
  [[nodiscard]] bool is_full() const { return places() >= holds(); }
  // What is lent ahead takes the place of what has ended. No place is handed on while there are
  // more of them than the window holds: it has closed, or has become narrower.
  [[nodiscard]] bool lends_ahead() const { return !fifo && window >= width && places() <= holds(); }
  // One more is queued, or again.
  void add(WallTime due, int64_t number);
};

// Lanes keeps the lanes and what is lent of them. Lanes are read when they are asked for and
// written once a transaction, however many of their deliveries it is about. What is lent is known
// here alone: the file has one owner, and what that had lent when it ended is queued as it was.
//   A Lane is there until the next begin(). Errors: the database's.
class Lanes {
 public:
  explicit Lanes(const Database& database);

  void begin();
  void committed();
  void rollback();
  // Writes what has changed.
  Result<> store();

  // The delivery's; made when there is none.
  Result<Lane*> take(const NewDelivery& delivery);
  Result<Lane*> find(int64_t number);
  // Nothing: it is not in memory.
  [[nodiscard]] Lane* in_memory(int64_t number);
  Result<std::vector<Lane*>> of_host(const std::string& host);
  // Of which something may be claimed, the one that waits longest first.
  Result<std::vector<Lane*>> ready(WallTime now, size_t most);
  // Those that were served after `now`, or are held until after `longest`; `most` at most.
  Result<std::vector<Lane*>> ahead(WallTime now, WallTime longest, size_t most);
  // Those of which something was lent when the last owner ended.
  Result<std::vector<Lane*>> interrupted();
  Result<std::optional<WallTime>> next_due();
  // To be called before a lane is changed.
  void change(Lane& lane);
  // Reads what is first in it, when that is not known.
  Result<> look(Lane& lane);
  // One is kept less; a lane of which none is kept is dropped.
  Result<> leave(int64_t number);

  // The loan's fence.
  int64_t lend(int64_t number, Lent lent);
  // Nothing: that loan is over.
  std::optional<Lent> take_back(int64_t number, int64_t fence);
  [[nodiscard]] bool is_lent(int64_t number) const { return lent_.contains(number); }
  [[nodiscard]] size_t lent() const { return lent_.size(); }

 private:
  struct Undo {
    int64_t number;
    std::optional<Lane> before;  // nothing: it was made
  };
  struct UndoLoan {
    int64_t number;
    std::optional<Lent> before;  // nothing: it was lent
  };
  Lane& keep(Lane lane);
  void forget(int64_t number);
  Result<std::vector<Lane*>> all(Statement& numbers);

  const Database& database_;
  Statement find_, by_name_, insert_, update_, move_, ready_, next_, of_host_, ahead_, interrupted_,
      drop_, first_, first_in_order_;
  std::unordered_map<int64_t, Lane> lanes_;
  std::unordered_map<std::string, int64_t> names_;
  std::unordered_map<int64_t, Lent> lent_;
  int64_t fence_ = 0;  // of the last loan
  std::vector<Undo> undo_;
  std::vector<UndoLoan> undo_loans_;
};

}  // namespace egret::queue
