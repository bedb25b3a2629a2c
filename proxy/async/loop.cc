#include "proxy/async/loop.h"

#include <event2/event.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

namespace egret::async {
namespace {

// Libevent's epoll waits in milliseconds; a longer wait than this is cut and taken up again.
constexpr Duration kLongestWait = std::chrono::hours(1);

event_base* make_base() {
  event_config* config = event_config_new();
  // One thread a loop: no locks. Our own clock: no cached time.
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
  event_config_set_flag(config, EVENT_BASE_FLAG_NO_CACHE_TIME);
  event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE);
  event_base* base = event_base_new_with_config(config);
  event_config_free(config);
  if (base == nullptr) throw std::runtime_error("no epoll with edge triggering");
  return base;
}

void on_fd(evutil_socket_t, short what, void* argument) {
  static_cast<FdHandler*>(argument)->on_edges({.readable = (what & EV_READ) != 0,
                                               .writable = (what & EV_WRITE) != 0,
                                               .peer_closed = (what & EV_CLOSED) != 0});
}

void on_timer(evutil_socket_t, short, void* argument) {
  *static_cast<Deadline*>(argument) = kNever;  // no longer armed
}

}  // namespace

FdWatch::~FdWatch() {
  if (event_ != nullptr) event_free(event_);
}

// Wakes the loop from other threads.
class Loop::Wakeup final : public FdHandler {
 public:
  Wakeup() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (fd_ < 0) throw std::runtime_error("no eventfd");
  }
  ~Wakeup() {
    watch_ = FdWatch();
    close(fd_);
  }
  void attach(Loop& loop) { watch_ = loop.watch_level(fd_, {.read = true}, *this); }
  void wake() const {
    const uint64_t one = 1;
    // Fails only when the counter is full, and then the loop is awake anyway.
    [[maybe_unused]] const auto written = write(fd_, &one, sizeof one);
  }
  void on_edges(Edges) override {
    uint64_t count = 0;
    [[maybe_unused]] const auto got = read(fd_, &count, sizeof count);
    woken_ = true;
  }
  // Whether somebody called wake() since the last time; keeps the mutex off the ordinary turn.
  bool was_woken() { return std::exchange(woken_, false); }

 private:
  bool woken_ = false;
  int fd_;
  FdWatch watch_;
};

Loop::Loop(const Clock& clock)
    : scheduler_(clock), base_(make_base()), wakeup_(std::make_unique<Wakeup>()) {
  timer_ = evtimer_new(base_, &on_timer, &timer_at_);
  wakeup_->attach(*this);
}

Loop::~Loop() {
  wakeup_.reset();
  event_free(timer_);
  event_base_free(base_);
}

FdWatch Loop::watch(int fd, FdHandler& handler) {
  event* watched =
      event_new(base_, fd, EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST, &on_fd, &handler);
  if (watched == nullptr || event_add(watched, nullptr) != 0) {
    if (watched != nullptr) event_free(watched);
    throw std::runtime_error("cannot watch a descriptor");
  }
  return FdWatch(watched);
}

FdWatch Loop::watch_level(int fd, Interest interest, FdHandler& handler) {
  const int what = (interest.read ? EV_READ : 0) | (interest.write ? EV_WRITE : 0);
  event* watched = event_new(base_, fd, static_cast<short>(what | EV_PERSIST), &on_fd, &handler);
  if (watched == nullptr || event_add(watched, nullptr) != 0) {
    if (watched != nullptr) event_free(watched);
    throw std::runtime_error("cannot watch a descriptor");
  }
  return FdWatch(watched);
}

void Loop::run() {
  stopped_ = false;
  while (!stopped_) turn(true);
}

void Loop::turn(bool wait) {
  arm_timer();
  const bool may_wait = wait && scheduler_.ready().empty();
  event_base_loop(base_, EVLOOP_ONCE | (may_wait ? 0 : EVLOOP_NONBLOCK));
  run_posted();
  scheduler_.begin_turn();
  scheduler_.run();
}

// The timer is moved only towards the present: a wake-up that turns out early costs less than a
// re-arming each turn.
void Loop::arm_timer() {
  const Deadline next = scheduler_.timers().next();
  if (next >= timer_at_) return;
  const Duration wait = std::clamp(next - scheduler_.clock().now(), Duration::zero(), kLongestWait);
  // Rounded up: libevent cuts to milliseconds, and an early wake-up would spin.
  const auto microseconds = std::chrono::ceil<std::chrono::milliseconds>(wait).count() * 1000;
  const timeval after{.tv_sec = microseconds / 1'000'000, .tv_usec = microseconds % 1'000'000};
  event_add(timer_, &after);
  timer_at_ = next;
}

void Loop::run_posted() {
  if (!wakeup_->was_woken()) return;
  std::vector<std::function<void()>> work;
  {
    const std::lock_guard lock(mutex_);
    work.swap(posted_);
  }
  for (auto& each : work) each();
}

void Loop::post_from_anywhere(std::function<void()> work) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(work));
  }
  if (first) wakeup_->wake();  // the others are taken with it
}

void Loop::stop() {
  post_from_anywhere([this] { stopped_ = true; });
}

}  // namespace egret::async
