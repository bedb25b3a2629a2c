#include "proxy/dispatcher.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "proxy/delivery_stream.h"
#include "proxy/exchange.h"
#include "proxy/head_reader.h"
#include "proxy/http/parser.h"

namespace egret::proxy {
namespace {

// Deliveries that one claim asks for.
constexpr size_t kAClaim = 64;
// A kept head is the sender's, and what Egret has written into it.
constexpr size_t kHeadRoom = 16 * 1024;

int64_t milliseconds(Duration duration) {
  return std::chrono::round<std::chrono::milliseconds>(duration).count();
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
      attempts_(on_bug),
      running_(on_bug) {
  waker_ = client_.queue().add_waker(
      [wakeup = wakeup_, mailbox = client_.mailbox()](std::optional<WallTime> due) {
        mailbox->post([wakeup, due] {
          wakeup->due = due;
          wakeup->event.set();
        });
      });
  running_.spawn(run());
}

Dispatcher::~Dispatcher() { client_.queue().remove_waker(waker_); }

void Dispatcher::drain() {
  draining_ = true;
  wakeup_->event.set();
}

Deadline Dispatcher::next_look() const {
  const TimePoint now = async::Scheduler::current().now();
  if (!wakeup_->due) return kNever;
  const Duration wait = *wakeup_->due - services_.clock.wall();
  return deadline_after(now, std::max(wait, Duration::zero()));
}

async::Task<void> Dispatcher::run() {
  while (!draining_) {
    const bool room = under_way_ < kMostAtOnce && bytes_ < kMostBytes;
    const Deadline look = room ? next_look() : kNever;
    co_await wakeup_->event.wait(look);
    wakeup_->event.clear();
    const bool due = wakeup_->due && *wakeup_->due <= services_.clock.wall();
    if (draining_ || !due || under_way_ >= kMostAtOnce || bytes_ >= kMostBytes) continue;
    wakeup_->due.reset();  // the queue tells the next one with what it gives
    const size_t most = std::min(kAClaim, kMostAtOnce - under_way_);
    const uint64_t most_bytes = kMostBytes - bytes_;
    Result<std::vector<queue::Claimed>> claimed = co_await client_.claim(most, most_bytes);
    if (!claimed) {
      wakeup_->due = services_.clock.wall() + kPause;
      continue;
    }
    for (queue::Claimed& each : *claimed) attempts_.spawn(deliver(std::move(each)));
  }
}

async::Task<void> Dispatcher::deliver(queue::Claimed claimed) {
  struct Held {
    Held(Dispatcher& of, uint64_t size) : dispatcher(of), bytes(size) {
      ++dispatcher.under_way_;
      dispatcher.bytes_ += bytes;
    }
    ~Held() {
      --dispatcher.under_way_;
      dispatcher.bytes_ -= bytes;
      dispatcher.wakeup_->event.set();
    }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    Dispatcher& dispatcher;
    uint64_t bytes;
  };
  const Held held(*this, claimed.head.size() + claimed.body.size());
  queue::Settled settled{.number = claimed.number,
                         .lane = claimed.lane,
                         .fence = claimed.fence,
                         .state = queue::State::queued,
                         .due = services_.clock.wall() + kPause,
                         .attempt = std::nullopt};
  if (!draining_) co_await attempt(std::move(claimed), settled);
  co_await settle(std::move(settled));
}

// `settled` as it is: there was no room to try, and it is given back.
async::Task<void> Dispatcher::attempt(queue::Claimed claimed, queue::Settled& settled) {
  std::optional<Buffer> in = services_.buffers.take_if_left(MemoryFor::request);
  if (!in) co_return;
  DeliveryStream stream(std::move(claimed.head), std::move(claimed.body));
  const size_t most = services_.policy->largest_head + kHeadRoom;
  const HeadRead read = co_await read_head(stream, *in, HeadOf::request, most, kNever);
  if (read.outcome == HeadRead::Outcome::no_memory) co_return;
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
  if (settled.attempt) settled.attempt->answer = stream.answer();
}

void Dispatcher::judge(const queue::Claimed& claimed, const KeptRequest& kept,
                       queue::Settled& settled) {
  const Record& record = kept.record;
  if (record.failure && policy::is_no_attempt(record.failure->reason)) {
    settled.due = services_.clock.wall() + std::max(kPause, record.retry_after);
    return;
  }
  const policy::Rule& rule = kept.rule != nullptr ? *kept.rule : services_.policy->judge.defaults();
  policy::Delivered delivered{.status = record.failure ? 0 : record.status,
                              .successful = record.successful,
                              .unwanted = kept.unwanted,
                              .retry_after = kept.retry_after};
  if (record.failure) delivered.failure = record.failure->reason;
  const double dice = std::uniform_real_distribution<double>(0, 1)(services_.dice);
  const policy::Next next = policy::after_attempt(rule.delivery, delivered, claimed.tries, dice);
  using What = policy::Next::What;
  settled.state = next.what == What::delivered ? queue::State::delivered
                  : next.what == What::dead    ? queue::State::dead
                                               : queue::State::queued;
  settled.due = services_.clock.wall() + next.wait;
  if (rule.disable.after != Duration::max()) settled.disable_after = rule.disable.after;
  if (!delivered.successful && kept.disable)
    settled.disable_why = "it says webhook-delivery: disable";
  if (delivered.status == 410 && rule.disable.on_410) settled.disable_why = "it answers 410 Gone";
  settled.well = next.what == What::delivered;
  queue::Attempt attempt{.began = record.wall,
                         .resolve_ms = milliseconds(record.resolve),
                         .connect_ms = milliseconds(record.connect),
                         .tls_ms = milliseconds(record.tls),
                         .wait_ms = milliseconds(record.wait),
                         .total_ms = milliseconds(record.total),
                         .status = delivered.status};
  if (record.failure) {
    attempt.reason = name(record.failure->reason);
    attempt.detail = record.failure->detail;
  }
  if (record.address) attempt.address = record.address->to_string();
  settled.attempt = std::move(attempt);
}

// Until the store has taken it: what came of an attempt is not forgotten.
async::Task<void> Dispatcher::settle(queue::Settled settled) {
  while (true) {
    queue::Settled once = settled;
    const Result<> taken = co_await client_.settle(std::move(once));
    if (taken) co_return;
    const Deadline again = deadline_after(async::Scheduler::current().now(), kPause);
    co_await async::sleep_until(again);
  }
}

}  // namespace egret::proxy
