#include "proxy/queue/queue.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace egret::queue {

Queue::Queue(std::unique_ptr<Store> store, Bounds bounds, const Clock& clock)
    : clock_(clock), store_(std::move(store)), bounds_(bounds) {
  look();
}

Queue::~Queue() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  store_.reset();  // it may tell of changes until it has gone
}

void Queue::start() {
  store_->listen([this] {
    {
      const std::lock_guard lock(mutex_);
      look_ = true;
    }
    changed_.notify_one();
  });
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "egret-queue");
    run();
  });
}

void Queue::submit(std::span<Job> jobs) {
  bool enough = false;
  {
    const std::lock_guard lock(mutex_);
    for (Job& job : jobs) jobs_.push_back(std::move(job));
    enough = jobs_.size() >= wanted_;
  }
  if (enough) changed_.notify_one();
}

Queue::Job Queue::job_of(Work work, Done done, Turn turn) {
  Job job;
  job.work = std::move(work);
  job.done = std::move(done);
  job.turn = turn;
  return job;
}

void Queue::submit(Work work, Done done, Turn turn) {
  Job job = job_of(std::move(work), std::move(done), turn);
  submit({&job, 1});
}

void Queue::submit(Work work, Done done, Work last, Done last_done) {
  std::array jobs{job_of(std::move(work), std::move(done), Turn::any),
                  job_of(std::move(last), std::move(last_done), Turn::last)};
  submit(jobs);
}

void Queue::submit(std::shared_ptr<Acceptance> acceptance, Done done) {
  Job job;
  job.acceptance = std::move(acceptance);
  job.done = std::move(done);
  submit({&job, 1});
}

void Queue::Job::tell() {
  if (acceptance && !outcome) acceptance->accepted = Unexpected(outcome.error());
  done(std::move(outcome));
}

void Queue::set_bounds(Bounds bounds) {
  const std::lock_guard lock(mutex_);
  bounds_ = bounds;
}

Bounds Queue::bounds() const {
  const std::lock_guard lock(mutex_);
  return bounds_;
}

Stats Queue::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

Counts Queue::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

uint32_t Queue::owners() const {
  const std::lock_guard lock(mutex_);
  return owners_;
}

uint64_t Queue::add_waker(Waker waker) {
  const std::lock_guard lock(mutex_);
  waker(due_);
  wakers_.emplace(next_waker_, std::move(waker));
  return next_waker_++;
}

void Queue::remove_waker(uint64_t number) {
  const std::lock_guard lock(mutex_);
  wakers_.erase(number);
}

Result<Accepted> Queue::accept(Store& store, const NewDelivery& delivery) {
  Result<Accepted> accepted = store.accept(delivery, bounds());
  if (accepted) count(*accepted);
  return accepted;
}

// What its sender is told is another's key is neither.
void Queue::count(const Accepted& accepted) {
  if (!accepted.differs) ++(accepted.known ? counting_.known : counting_.accepted);
}

Result<> Queue::settle(Store& store, const Settled& settled) {
  if (!settled.disable_why.empty()) ++switched_off_;
  Result<> done = store.settle(settled, clock_.wall());
  if (done && settled.attempt) {
    ++(settled.state == State::delivered ? counting_.delivered
       : settled.state == State::dead    ? counting_.dead
                                         : counting_.again);
  }
  return done;
}

Result<bool> Queue::disable(Store& store, const std::string& host, const std::string& why) {
  ++switched_off_;
  return store.disable(host, why, clock_.wall());
}

bool Queue::turn() {
  tick_if_due();
  std::deque<Job> batch;
  {
    const std::lock_guard lock(mutex_);
    if (jobs_.size() <= kMostInOneCommit) {
      batch.swap(jobs_);
    } else {
      const auto end = jobs_.begin() + kMostInOneCommit;
      std::move(jobs_.begin(), end, std::back_inserter(batch));
      jobs_.erase(jobs_.begin(), end);
    }
  }
  if (!batch.empty()) {
    work_off(std::move(batch));
    return true;
  }
  return sweep_if_due();
}

void Queue::run() {
  while (true) {
    while (turn()) gather();
    std::unique_lock lock(mutex_);
    if (stopping_ && jobs_.empty()) return;
    const Duration rest = std::min(kSweepEvery, store_->beat());
    changed_.wait_for(lock, rest, [this] { return stopping_ || look_ || !jobs_.empty(); });
    const bool look_now = std::exchange(look_, false) && jobs_.empty() && !stopping_;
    lock.unlock();
    if (look_now) look();
  }
}

// Those whom a commit has answered tend to come again at once: the next one is for most of them,
// not for the first. The wait is small beside what a commit costs.
void Queue::gather() {
  const size_t answered = std::exchange(answered_, 0);
  const Duration wait = std::min(kMostGathered, commit_took_ / 4);
  if (answered < 2 || wait <= Duration::zero()) return;
  std::unique_lock lock(mutex_);
  wanted_ = std::min((answered + 1) / 2, kMostInOneCommit);
  changed_.wait_for(lock, wait, [this] { return stopping_ || jobs_.size() >= wanted_; });
  wanted_ = 1;
}

// A store that is not there has said so itself; what is submitted hears of it.
void Queue::tick_if_due() {
  const TimePoint now = clock_.now();
  if (now < tick_at_) return;
  tick_at_ = deadline_after(now, store_->beat());
  if (store_->beat() == Duration::max()) return;
  if (store_->tick(clock_.wall())) look();
}

void Queue::work_off(std::deque<Job> batch) {
  const Counts before = counting_;
  const TimePoint began = clock_.now();
  if (!try_all(batch)) {
    counting_ = before;
    ++counting_.failures;
    for (Job& job : batch) alone(job);
  }
  look();
  for (Job& job : batch) job.tell();
  answered_ = batch.size();
  commit_took_ = clock_.now() - began;
}

// All in one transaction. Errors: the store's; then nothing was done.
Result<> Queue::try_all(std::deque<Job>& batch) {
  Result<> done = store_->begin();
  if (done) done = accept_all(batch);
  if (done) done = work_all(batch, Turn::any);
  if (done) done = work_all(batch, Turn::last);
  if (done) done = store_->commit();
  if (done) {
    ++counting_.commits;
  } else {
    store_->rollback();
  }
  return done;
}

Result<> Queue::work_all(std::deque<Job>& batch, Turn turn) {
  for (Job& job : batch) {
    if (job.acceptance || job.turn != turn) continue;
    job.outcome = job.work(*store_);
    const bool failed = !job.outcome && job.outcome.error().reason == Reason::queue_unavailable;
    if (failed) return job.outcome;
  }
  return {};
}

Result<> Queue::accept_all(std::deque<Job>& batch) {
  std::vector<Job*> jobs;
  std::vector<const NewDelivery*> deliveries;
  for (Job& job : batch) {
    if (!job.acceptance) continue;
    job.outcome = {};
    jobs.push_back(&job);
    deliveries.push_back(&job.acceptance->delivery);
  }
  if (jobs.empty()) return {};
  std::vector<Result<Accepted>> results = store_->accept_all(deliveries, bounds());
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (!results[i] && results[i].error().reason == Reason::queue_unavailable) {
      return Unexpected(results[i].error());
    }
    if (results[i]) count(*results[i]);
    jobs[i]->acceptance->accepted = std::move(results[i]);
  }
  return {};
}

void Queue::alone(Job& job) {
  const Counts before = counting_;
  std::deque<Job> only;
  only.push_back(std::move(job));
  const Result<> done = try_all(only);
  job = std::move(only.front());
  if (done) return;
  counting_ = before;
  ++counting_.failures;
  job.outcome = done;
}

bool Queue::sweep_if_due() {
  const TimePoint now = clock_.now();
  if (stopping() || (!sweep_again_ && now < sweep_at_)) return false;
  Result<bool> more = false;
  std::deque<Job> one;
  Job& job = one.emplace_back();
  job.work = [&, kept = bounds()](Store& store) -> Result<> {
    more = store.sweep(kept, clock_.wall());
    if (!more) return Unexpected(more.error());
    return {};
  };
  job.done = [&](const Result<>& done) {
    if (!done) more = false;  // in a minute, not again and again
  };
  work_off(std::move(one));
  sweep_again_ = more && *more;
  sweep_at_ = deadline_after(now, kSweepEvery);
  return sweep_again_;
}

bool Queue::stopping() const {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

// What others see of the store, and what they are told.
void Queue::look() {
  Result<Stats> stats = store_->stats();
  const Result<std::optional<WallTime>> due = store_->next_due();
  const std::lock_guard lock(mutex_);
  counts_ = counting_;
  counts_.stale = store_->stale();
  owners_ = store_->owners();
  if (stats) stats_ = *stats;
  if (!due) return;
  // A delivery that is due is told again: who was told may have had no room.
  const bool tell = due_ != *due || (*due && **due <= clock_.wall());
  due_ = *due;
  if (!tell) return;
  for (const auto& [number, waker] : wakers_) waker(due_);
}

}  // namespace egret::queue
