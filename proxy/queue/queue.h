#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>

#include "base/clock.h"
#include "proxy/queue/store.h"

namespace egret::queue {

// What the queue has done since it was opened.
struct Counts {
  uint64_t accepted = 0;
  uint64_t known = 0;      // by their Idempotency-Key
  uint64_t delivered = 0;  // attempts, by what became of their deliveries
  uint64_t again = 0;
  uint64_t dead = 0;
  uint64_t commits = 0;
  uint64_t failures = 0;  // of the store
  uint64_t stale = 0;     // settlements that came too late
};

// Queue runs a store on a thread of its own, and makes one commit of what has come while the last
// one was under way (group commit): the busier it is, the more share the price of a sync.
//   Any thread, but for turn().
class Queue {
 public:
  // Done within a transaction. Runs a second time, in a transaction of its own, when another's
  // failure took the first with it. Errors other than queue_unavailable are its own and leave what
  // it has done; the store's own failure undoes all.
  using Work = std::function<Result<>(Store&)>;
  // Told on the queue's thread, when what was done is on stable storage or is not to be.
  using Done = std::function<void(Result<>)>;
  // Told when the next delivery is due; nothing: none is. On the queue's thread, and at first on
  // that of add_waker(); under the queue's lock: it must not call the queue.
  using Waker = std::function<void(std::optional<WallTime>)>;

  static constexpr size_t kMostInOneCommit = 512;
  // Longest wait for others to share a commit; a quarter of what the last one took at most.
  static constexpr Duration kMostGathered = std::chrono::milliseconds(1);
  static constexpr Duration kSweepEvery = std::chrono::minutes(1);

  Queue(std::unique_ptr<Store> store, Bounds bounds, const Clock& clock);
  // Does what was submitted, and closes the store.
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  // When a job's work is done within its transaction (store.h): a claim is the last.
  enum class Turn : uint8_t { any, last };

  // Without this nothing happens but by turn().
  void start();
  void submit(Work work, Done done, Turn turn = Turn::any);
  // Both at once: `last` within the same transaction as a rule, when the others' work is done.
  void submit(Work work, Done done, Work last, Done last_done);
  // A delivery to be accepted, and what came of it: the queue's until its `done` is called. Those
  // that come together are accepted together.
  struct Acceptance {
    NewDelivery delivery;
    Result<Accepted> accepted;
  };
  void submit(std::shared_ptr<Acceptance> acceptance, Done done);

  void set_bounds(Bounds bounds);
  [[nodiscard]] Bounds bounds() const;
  // As of the last commit.
  [[nodiscard]] Stats stats() const;
  [[nodiscard]] Counts counts() const;
  // How many Egrets share the store; as of its last beat.
  [[nodiscard]] uint32_t owners() const;
  [[nodiscard]] WallTime now() const { return clock_.wall(); }

  // Told at once, and whenever it may have changed. Forgotten by the number.
  uint64_t add_waker(Waker waker);
  void remove_waker(uint64_t number);

  // Accepts, and counts it.
  Result<Accepted> accept(Store& store, const NewDelivery& delivery);
  // Settles, and counts it.
  Result<> settle(Store& store, const Settled& settled);
  // Switches a host off, and counts it, as settle() does a URL: what is lent and has not begun may
  // be meant.
  Result<bool> disable(Store& store, const std::string& host, const std::string& why);
  [[nodiscard]] uint64_t switched_off() const { return switched_off_; }
  // A beat of the store that is due; then one commit with everything that has come, or a sweep that
  // is due. False: there is nothing more to do. Only while the thread is not running.
  bool turn();

 private:
  struct Job {
    Work work;
    Done done;
    Result<> outcome;
    Turn turn = Turn::any;
    std::shared_ptr<Acceptance> acceptance;  // instead of work
    void tell();
  };
  static Job job_of(Work work, Done done, Turn turn);
  void submit(std::span<Job> jobs);
  void run();
  void gather();
  void tick_if_due();
  void work_off(std::deque<Job> batch);
  Result<> try_all(std::deque<Job>& batch);
  Result<> accept_all(std::deque<Job>& batch);
  Result<> work_all(std::deque<Job>& batch, Turn turn);
  void alone(Job& job);
  void count(const Accepted& accepted);
  bool sweep_if_due();
  [[nodiscard]] bool stopping() const;
  void look();

  const Clock& clock_;
  std::unique_ptr<Store> store_;
  Counts counting_;           // the queue's thread
  TimePoint sweep_at_{};      // the queue's thread
  bool sweep_again_ = false;  // the queue's thread
  TimePoint tick_at_{};       // the queue's thread
  size_t answered_ = 0;       // by the last commit; the queue's thread
  Duration commit_took_{};    // the queue's thread

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by it:
  std::deque<Job> jobs_;
  size_t wanted_ = 1;  // so many of them are worth waking up for
  Bounds bounds_;
  Stats stats_;
  Counts counts_;
  uint32_t owners_ = 1;
  bool look_ = false;  // another Egret may have made something due
  std::optional<WallTime> due_;
  std::map<uint64_t, Waker> wakers_;
  uint64_t next_waker_ = 1;
  bool stopping_ = false;

  std::atomic<uint64_t> switched_off_ = 0;
  std::thread thread_;
};

}  // namespace egret::queue
