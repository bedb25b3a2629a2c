#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/async/task_set.h"
#include "proxy/crowd.h"
#include "proxy/lent_ahead.h"
#include "proxy/queue/client.h"
#include "proxy/sender_connection.h"
#include "proxy/services.h"

namespace egret::proxy {

// Dispatcher delivers what the queue holds: it borrows what is due, makes one attempt at each by
// the same exchange that serves a waiting sender, and tells the queue what came of it. One a
// worker.
//   Owner: the worker, whose services it uses. One thread.
//   Cancel: destroying it; what has come to its end is settled all the same, what was under way is
//   sent again when the queue is opened next.
class Dispatcher {
 public:
  // Attempts under way at once, and the bytes of content that they hold.
  static constexpr size_t kMostAtOnce = 512;
  static constexpr uint64_t kMostBytes = uint64_t{32} << 20;
  // A store that fails, or an Egret without room, is asked again after this.
  static constexpr Duration kPause = std::chrono::seconds(1);
  // Longest wait for others to be settled together; a quarter of what the last trip to the queue
  // took at most.
  static constexpr Duration kMostGathered = std::chrono::milliseconds(1);
  // Once less than a quarter of the places, or of the bytes, is free, a sender that has half of
  // them gets no more: its lane waits for this at least.
  static constexpr Duration kOverShare = std::chrono::seconds(5);

  // `info`: what its exchanges are counted and logged under. `on_bug`: is told of an exception;
  // what it ended counts as an attempt that has failed, and the dispatcher goes on.
  Dispatcher(Services& services, queue::Client& client, std::shared_ptr<ListenerInfo> info,
             async::TaskSet::OnBug on_bug);
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  // Borrows nothing more; attempts under way go on.
  void drain();
  [[nodiscard]] bool at_rest() const {
    return attempts_.size() == 0 && ahead_.size() == 0 && outbox_.empty() && carried_ == nullptr &&
           !asking_;
  }

 private:
  struct Wakeup;
  // Of one sender, under way.
  struct Share {
    size_t attempts = 0;
    uint64_t bytes = 0;
  };
  struct Place;
  async::Task<void> run();
  async::Task<void> turn_over();
  std::shared_ptr<const std::vector<queue::Settled>> empty_outbox();
  async::Task<void> gather();
  [[nodiscard]] bool has_room() const;
  [[nodiscard]] uint64_t bytes_left() const;
  void begin_what_was_lent();
  [[nodiscard]] bool is_one_switched_off() const;
  void give_back(const queue::Claimed& lent);
  void give_back(const std::list<LentAhead::Kept>& all);
  void take_place(int64_t lane);
  async::Task<void> deliver();
  async::Task<void> attempt(queue::Claimed claimed, queue::Settled& settled);
  void hold(const std::string& crowd, Duration least, queue::Settled& settled);
  [[nodiscard]] bool over_share(const std::string& sender, uint64_t bytes) const;
  void judge(const queue::Claimed& claimed, const KeptRequest& kept, queue::Settled& settled);
  void settle_one_again();
  async::Task<void> settle_again(std::list<queue::Settled>::iterator settled);
  [[nodiscard]] Deadline next_look() const;

  Services& services_;
  queue::Client& client_;
  const std::shared_ptr<ListenerInfo> info_;
  std::shared_ptr<Wakeup> wakeup_;  // shared with what the queue posts
  uint64_t waker_ = 0;
  size_t under_way_ = 0;
  uint64_t bytes_ = 0;  // of content under way
  std::map<std::string, Share, std::less<>> shares_;
  Crowd crowd_;                       // by destination, and by sender
  std::vector<queue::Claimed> lent_;  // not looked at yet; the next one last
  LentAhead ahead_;
  uint64_t switched_off_ = 0;  // as the queue counted it when it was asked last
  // Of what has come to its end; it never grows beyond what was reserved.
  std::vector<queue::Settled> outbox_;
  // Deliveries are asked for: some may be on their way.
  bool asking_ = false;
  // What was taken to the queue last, nothing if nothing was; there again when the queue did not
  // take it.
  std::shared_ptr<const std::vector<queue::Settled>> carried_;
  size_t carried_again_ = 0;  // so many of them go by themselves
  std::list<queue::Settled> by_themselves_;
  Duration trip_took_{};
  std::optional<WallTime> again_;  // the queue is asked then, whatever it has told
  bool draining_ = false;
  const async::TaskSet::OnBug on_bug_;
  async::TaskSet attempts_;
  async::TaskSet running_;  // cancelled first
};

}  // namespace egret::proxy
