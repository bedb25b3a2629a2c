#include "proxy/dispatcher.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "proxy/delivery_stream.h"
#include "proxy/exchange.h"
#include "proxy/head_reader.h"
#include "proxy/http/parser.h"
#include "proxy/settlement.h"

namespace egret::proxy {
namespace {

// Deliveries that one claim asks for.
constexpr size_t kAClaim = 256;
constexpr size_t kMostSettled = Dispatcher::kMostAtOnce + kAClaim + LentAhead::kMost;
// A kept head is the sender's, and what Egret has written into it.
constexpr size_t kHeadRoom = 16 * 1024;

// A sender's lanes to the host of "scheme://host:port/path": others' do not wait for them.
std::string crowd_at(const std::string& destination, const std::string& sender) {
  const size_t host = destination.find("://");
  const size_t path = host == std::string::npos ? host : destination.find('/', host + 3);
  return sender + "\n" + destination.substr(0, path);
}

}  // namespace

// When something is due, as the queue has told last.
struct Dispatcher::Wakeup {
  async::Event event;
  std::optional<WallTime> due;
};

Dispatcher::Dispatcher(Services& services, queue::Client& client,
                       std::shared_ptr<ListenerInfo> info, async::TaskSet::OnBug on_bug)
    : services_(services),
      client_(client),
      info_(std::move(info)),
      wakeup_(std::make_shared<Wakeup>()),
      on_bug_(on_bug),
      attempts_(on_bug),
      running_(on_bug) {
  waker_ = client_.queue().add_waker(
      [wakeup = wakeup_, mailbox = client_.mailbox()](std::optional<WallTime> due) {
        mailbox->post([wakeup, due] {
          wakeup->due = due;
          wakeup->event.set();
        });
      });
  outbox_.reserve(kMostSettled);
  running_.spawn(run());
}

Dispatcher::~Dispatcher() {
  client_.queue().remove_waker(waker_);
  client_.leave(std::move(outbox_));
  // What the queue may have taken already it passes over (its fence).
  for (; carried_ && carried_again_ < carried_->size(); ++carried_again_) {
    client_.leave({(*carried_)[carried_again_]});
  }
  for (queue::Settled& each : by_themselves_) client_.leave({std::move(each)});
}

void Dispatcher::drain() {
  draining_ = true;
  wakeup_->event.set();
}

Deadline Dispatcher::next_look() const {
  const TimePoint now = async::Scheduler::current().now();
  const WallTime look =
      std::min(wakeup_->due.value_or(WallTime::max()), again_.value_or(WallTime::max()));
  if (look == WallTime::max()) return kNever;
  const Duration wait = look - services_.clock.wall();
  return deadline_after(now, std::max(wait, Duration::zero()));
}

async::Task<void> Dispatcher::run() {
  while (!draining_ || !lent_.empty() || !at_rest()) {
    std::exception_ptr bug;
    try {
      while (carried_) settle_one_again();
      begin_what_was_lent();
      give_back(draining_ ? ahead_.leave_all()
                          : ahead_.leave_stale(async::Scheduler::current().now()));
      co_await turn_over();
    } catch (...) {
      bug = std::current_exception();
    }
    if (!bug) continue;
    asking_ = false;
    if (on_bug_) on_bug_(bug);
    again_ = services_.clock.wall();
    const Deadline again = deadline_after(async::Scheduler::current().now(), kPause);
    co_await async::sleep_until(again);
  }
}

bool Dispatcher::has_room() const {
  return !draining_ && under_way_ < kMostAtOnce && bytes_left() > 0;
}

uint64_t Dispatcher::bytes_left() const {
  return kMostBytes - std::min(kMostBytes, bytes_ + ahead_.bytes());
}

// What was lent ahead waits until one of its lane has ended.
void Dispatcher::begin_what_was_lent() {
  const TimePoint now = async::Scheduler::current().now();
  const bool none_ahead = draining_ || is_one_switched_off();
  while (!lent_.empty()) {
    const queue::Claimed& next = lent_.back();
    using Lot = LentAhead::Lot;
    const Lot lot = none_ahead && next.ahead ? Lot::give_back : ahead_.sort(lent_.back(), now);
    if (lot == Lot::take_place) take_place(next.lane);
    if (lot == Lot::begin || lot == Lot::take_place) {
      attempts_.spawn(deliver());
      continue;
    }
    if (lot == Lot::give_back) give_back(next);
    lent_.pop_back();
  }
}

// Of one that has ended well and has not been taken to the queue.
void Dispatcher::take_place(int64_t lane) {
  const auto ended = std::ranges::find_if(outbox_, [&](const queue::Settled& each) {
    return each.lane == lane && each.well && each.leaves_place;
  });
  if (ended != outbox_.end()) ended->leaves_place = false;
}

// Since the queue was asked: what was lent ahead may be of its host.
bool Dispatcher::is_one_switched_off() const {
  return client_.queue().switched_off() != switched_off_;
}

// As it was; its lane is not held.
void Dispatcher::give_back(const queue::Claimed& lent) {
  outbox_.push_back({.number = lent.number,
                     .lane = lent.lane,
                     .fence = lent.fence,
                     .hold = WallTime(),
                     .leaves_place = false});
}

void Dispatcher::give_back(const std::list<LentAhead::Kept>& all) {
  for (const LentAhead::Kept& each : all) give_back(each.lent);
}

// Waits until something has come to its end, or is due and there is room for it; then takes the one
// to the queue and brings the other, in one trip.
async::Task<void> Dispatcher::turn_over() {
  if (outbox_.empty()) {
    Deadline look = has_room() ? next_look() : kNever;
    if (ahead_.size() > 0) {
      const TimePoint now = async::Scheduler::current().now();
      look = std::min(look, deadline_after(now, LentAhead::kLongest));
    }
    co_await wakeup_->event.wait(look);
  } else {
    co_await gather();
  }
  wakeup_->event.clear();
  if (is_one_switched_off()) give_back(ahead_.leave_all());
  switched_off_ = client_.queue().switched_off();
  const auto passed = [now = services_.clock.wall()](const std::optional<WallTime>& time) {
    return time && *time <= now;
  };
  const bool due = passed(wakeup_->due) || passed(again_);
  // What is settled makes room in its lane: there may be more of it.
  const bool claim = has_room() && (due || !outbox_.empty());
  if (!claim && outbox_.empty()) co_return;
  queue::Wanted wanted{.ahead = ahead_.ended()};
  if (claim) {
    wanted.most = std::min(kAClaim, kMostAtOnce - under_way_);
    wanted.most_bytes = bytes_left();
    wanted.ahead_bytes = LentAhead::kMostBytes - std::min(LentAhead::kMostBytes, ahead_.bytes());
  }
  const std::shared_ptr<const std::vector<queue::Settled>> taken = empty_outbox();
  // The queue tells the next one with what it gives; one that is not due yet it does not tell
  // again.
  if (claim && passed(wakeup_->due)) wakeup_->due.reset();
  if (claim) again_.reset();
  const TimePoint began = async::Scheduler::current().now();
  asking_ = claim;
  queue::TurnedOver turned = co_await client_.turn_over(taken, std::move(wanted));
  asking_ = false;
  trip_took_ = async::Scheduler::current().now() - began;
  if (turned.settled) carried_.reset();
  if (turned.claimed) {
    lent_ = std::move(*turned.claimed);
    std::ranges::reverse(lent_);
  } else {
    again_ = services_.clock.wall() + kPause;
  }
}

// What is in it is carried from now on. Nothing is lost when there is no memory for it.
std::shared_ptr<const std::vector<queue::Settled>> Dispatcher::empty_outbox() {
  auto taken = std::make_shared<std::vector<queue::Settled>>();
  if (outbox_.empty()) return taken;
  taken->reserve(kMostSettled);
  taken->swap(outbox_);
  carried_again_ = 0;
  carried_ = taken;
  return taken;
}

// What was begun together tends to end together: a trip is for all of it, not for the first.
async::Task<void> Dispatcher::gather() {
  const TimePoint now = async::Scheduler::current().now();
  const Deadline until = deadline_after(now, std::min(kMostGathered, trip_took_ / 4));
  while (outbox_.size() < under_way_ && async::Scheduler::current().now() < until) {
    wakeup_->event.clear();
    co_await wakeup_->event.wait(until);
  }
}

// A place among what is under way, and in its sender's share.
struct Dispatcher::Place {
  Place(Dispatcher& of, std::string name, int64_t in, uint64_t size)
      : dispatcher(of), sender(std::move(name)), lane(in), bytes(size) {
    Share& share = dispatcher.shares_[sender];
    dispatcher.ahead_.begin(lane);
    ++share.attempts;
    share.bytes += bytes;
    ++dispatcher.under_way_;
    dispatcher.bytes_ += bytes;
  }
  ~Place() {
    --dispatcher.under_way_;
    dispatcher.bytes_ -= bytes;
    const auto share = dispatcher.shares_.find(sender);
    share->second.bytes -= bytes;
    if (--share->second.attempts == 0) dispatcher.shares_.erase(share);
    dispatcher.ahead_.end(lane);
    dispatcher.wakeup_->event.set();
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  Dispatcher& dispatcher;
  const std::string sender;
  const int64_t lane;
  const uint64_t bytes;
};

// One sender with many destinations that hang would hold every place. Where senders have no names
// there is nobody to keep one for.
bool Dispatcher::over_share(const std::string& sender, uint64_t bytes) const {
  const auto share = shares_.find(sender);
  if (sender.empty() || share == shares_.end()) return false;
  const bool few = under_way_ >= kMostAtOnce / 4 * 3 || bytes_ + bytes > kMostBytes / 4 * 3;
  return few && (share->second.attempts >= kMostAtOnce / 2 ||
                 share->second.bytes + bytes > kMostBytes / 2);
}

// Its whole lane waits: what is behind it would fare no better.
void Dispatcher::hold(const std::string& crowd, Duration least, queue::Settled& settled) {
  const Duration wait = crowd_.wait(crowd, async::Scheduler::current().now(), least);
  settled.due = services_.clock.wall() + wait;
  settled.hold = settled.due;
}

// What was lent last, and then what was lent ahead of its lane.
async::Task<void> Dispatcher::deliver() {
  std::optional<queue::Claimed> next = std::move(lent_.back());
  lent_.pop_back();
  while (next) {
    queue::Claimed claimed = std::move(*next);
    next.reset();
    const uint32_t tries = claimed.tries;
    const uint64_t bytes = claimed.head.size() + claimed.body.size();
    // Given back, unless more comes of it.
    queue::Settled settled{.number = claimed.number,
                           .lane = claimed.lane,
                           .fence = claimed.fence,
                           .state = queue::State::queued,
                           .due = services_.clock.wall() + kPause,
                           .attempt = std::nullopt};
    std::exception_ptr bug;
    try {
      if (over_share(claimed.sender, bytes)) {
        hold(claimed.sender, kOverShare, settled);
      } else if (!draining_) {
        settled.hold = settled.due;
        const Place place(*this, claimed.sender, claimed.lane, bytes);
        co_await attempt(std::move(claimed), settled);
      }
    } catch (...) {
      bug = std::current_exception();
    }
    if (bug) {
      settle_bug(services_, tries, settled);
      if (on_bug_) on_bug_(bug);
    }
    if (!settled.well || draining_) give_back(ahead_.leave(settled.lane));
    if (is_one_switched_off()) give_back(ahead_.leave_all());
    if (settled.well) next = ahead_.next(settled.lane);
    settled.leaves_place = !next;
    outbox_.push_back(std::move(settled));
    wakeup_->event.set();
  }
}

// What there was no room to try is given back.
async::Task<void> Dispatcher::attempt(queue::Claimed claimed, queue::Settled& settled) {
  std::optional<Buffer> in = services_.buffers.take_if_left(MemoryFor::request);
  if (!in) {
    hold({}, kPause, settled);
    co_return;
  }
  DeliveryStream stream(std::move(claimed.head), std::move(claimed.body));
  const size_t most = services_.policy->largest_head + kHeadRoom;
  const HeadRead read = co_await read_head(stream, *in, HeadOf::request, most, kNever);
  if (read.outcome == HeadRead::Outcome::no_memory) {
    hold({}, kPause, settled);
    co_return;
  }
  KeptRequest kept{.sender = claimed.sender, .delivery = claimed.id};
  http::RequestHead head;
  Result<> parsed;
  if (read.outcome == HeadRead::Outcome::complete) {
    parsed = http::parse_found_request(in->view().substr(0, read.size), head);
  } else {
    parsed = Unexpected(Reason::internal_error, "The kept request's head cannot be read.");
  }
  if (parsed) {
    SenderConnection connection{
        .outer = stream, .listener = info_, .address = std::nullopt, .kept = &kept};
    Exchange exchange(services_, connection, *in, head, read.size);
    co_await exchange.run();
  } else {
    kept.record.wall = services_.clock.wall();
    kept.record.failure = parsed.error();
  }
  judge(claimed, kept, settled);
  if (settled.attempt && kept.answered) settled.attempt->answer = stream.answer();
}

void Dispatcher::judge(const queue::Claimed& claimed, const KeptRequest& kept,
                       queue::Settled& settled) {
  const Record& record = kept.record;
  if (record.failure && !record.sent && policy::is_no_attempt(record.failure->reason)) {
    const Duration least = std::max(kPause, record.retry_after);
    if (record.failure->reason == Reason::in_flight_limit) {
      hold(crowd_at(record.destination, claimed.sender), least, settled);
    } else {
      settled.due = services_.clock.wall() + least;
      settled.hold = settled.due;
    }
    return;
  }
  settled.hold.reset();
  crowd_.served(crowd_at(record.destination, claimed.sender));
  crowd_.served(claimed.sender);
  settle_attempt(services_, kept, claimed.tries, settled);
}

void Dispatcher::settle_one_again() {
  std::list<queue::Settled> one = {(*carried_)[carried_again_]};
  attempts_.spawn(settle_again(one.begin()));
  by_themselves_.splice(by_themselves_.end(), one);
  if (++carried_again_ == carried_->size()) carried_.reset();
}

// One of those that the store has not taken together, by itself, until it has taken it: what came
// of an attempt is not forgotten, and one that cannot be kept holds up no other.
async::Task<void> Dispatcher::settle_again(std::list<queue::Settled>::iterator settled) {
  while (true) {
    const Deadline again = deadline_after(async::Scheduler::current().now(), kPause);
    co_await async::sleep_until(again);
    std::exception_ptr bug;
    try {
      queue::Settled once = *settled;
      const Result<> taken = co_await client_.settle(std::move(once));
      if (taken) {
        by_themselves_.erase(settled);
        co_return;
      }
    } catch (...) {
      bug = std::current_exception();
    }
    if (bug && on_bug_) on_bug_(bug);
  }
}

}  // namespace egret::proxy
