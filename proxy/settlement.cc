#include "proxy/settlement.h"

#include <chrono>
#include <random>
#include <utility>

namespace egret::proxy {
namespace {

int64_t milliseconds(Duration duration) {
  return std::chrono::round<std::chrono::milliseconds>(duration).count();
}

// What an attempt says against the host itself. What Egret, its keys or its name servers did says
// nothing, nor does what another host did to which the first one sent on.
void blame(const policy::Disable& rule, const policy::Delivered& delivered, bool says_disable,
           queue::Settled& settled) {
  if (delivered.successful) return;
  settled.blame =
      !delivered.failure || policy::health_of(delivered.failure, 0) == policy::Health::failing;
  if (settled.blame && rule.after != Duration::max()) settled.disable_after = rule.after;
  if (says_disable) settled.disable_why = "it says webhook-delivery: disable";
  if (delivered.status == 410 && rule.on_410) settled.disable_why = "it answers 410 Gone";
}

}  // namespace

void settle_attempt(Services& services, const KeptRequest& kept, uint32_t tries,
                    queue::Settled& settled) {
  const Record& record = kept.record;
  const policy::Rule& rule = kept.rule != nullptr ? *kept.rule : services.policy->judge.defaults();
  policy::Delivered delivered{.status = record.failure ? 0 : record.status,
                              .successful = record.successful,
                              .unwanted = kept.unwanted,
                              .retry_after = kept.retry_after};
  if (record.failure) delivered.failure = record.failure->reason;
  if (!delivered.retry_after) delivered.retry_after = record.retry_after;
  const double dice = std::uniform_real_distribution<double>(0, 1)(services.dice);
  const policy::Next next = policy::after_attempt(rule.delivery, delivered, tries, dice);
  using What = policy::Next::What;
  settled.state = next.what == What::delivered ? queue::State::delivered
                  : next.what == What::dead    ? queue::State::dead
                                               : queue::State::queued;
  settled.due = services.clock.wall() + next.wait;
  settled.well = next.what == What::delivered;
  if (record.redirects == 0) blame(rule.disable, delivered, kept.disable, settled);
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

void settle_bug(const Services& services, uint32_t tries, queue::Settled& settled) {
  const policy::Delivery& schedule = services.policy->judge.defaults().delivery;
  const policy::Next next =
      policy::after_attempt(schedule, {.failure = Reason::internal_error}, tries, 0.5);
  const bool again = next.what == policy::Next::What::again;
  settled.state = again ? queue::State::queued : queue::State::dead;
  settled.due = services.clock.wall() + next.wait;
  settled.hold.reset();
  settled.well = false;
  settled.blame = false;
  settled.disable_why.clear();
  settled.disable_after.reset();
  settled.attempt.emplace();
  settled.attempt->began = services.clock.wall();
  settled.attempt->reason = name(Reason::internal_error);
}

}  // namespace egret::proxy
