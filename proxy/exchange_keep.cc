// What is kept, to be delivered when its sender has gone.
#include <algorithm>

#include "base/text.h"
#include "proxy/async/race.h"
#include "proxy/exchange.h"
#include "proxy/http/forward.h"
#include "proxy/http/parser.h"
#include "proxy/reply.h"
#include "proxy/signing/primitives.h"
#include "proxy/signing/signing.h"

namespace egret::proxy {
namespace {

constexpr size_t kLongestIdempotencyKey = 256;
constexpr Duration kAtOnce = Duration::zero();

TimePoint now() { return async::Scheduler::current().now(); }

double roll(std::mt19937_64& dice) { return std::uniform_real_distribution<double>(0, 1)(dice); }

// Ids that grow stand side by side in a store: one page is written for many.
std::string new_delivery_id(WallTime accepted) {
  const auto since = accepted.time_since_epoch();
  const int64_t us = std::chrono::floor<std::chrono::microseconds>(since).count();
  return queue::delivery_id(us, signing::new_id().substr(4, queue::kUnguessable));
}

// What an Idempotency-Key stands for.
std::string digest_of(std::string_view method, const policy::Url& url, std::string_view content) {
  std::string all(method);
  all.append(" ").append(url.authority().to_string()).append(url.origin_form()).append("\n");
  all.append(content);
  const auto digest = signing::sha256(all);
  return text::base64({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

void copy_field(std::string& lines, const http::Fields& fields, std::string_view name) {
  for (const http::Field& field : fields.all()) {
    if (!text::equals_ignore_case(field.name, name)) continue;
    lines.append(name).append(": ").append(field.value).append("\r\n");
  }
}

// What Egret writes into a head may be too much of it: then no attempt could read it again.
Result<> check_kept(std::string_view head) {
  http::RequestHead parsed;
  Result<> good = http::parse_found_request(head, parsed);
  if (good) return good;
  return Unexpected(Reason::request_headers_too_large,
                    "The request has no room for what is kept beside it: " + good.error().detail);
}

}  // namespace

policy::KeepPlan Exchange::plan() {
  if (services_.queue == nullptr || sender_.kept != nullptr || admission_.connect) return {};
  // Nothing is tried for longer, and what is said to have been applied is what was done.
  std::optional<Duration>& wait = admission_.preferences.wait;
  if (wait) wait = std::min(*wait, asked().timeouts.total);
  return policy::plan_keeping(asked().delivery.mode, admission_.preferences);
}

// Policy and addresses are judged now, and again before each attempt.
async::Task<Result<>> Exchange::keep_at_once() {
  Result<> good = check_idempotency_key();
  if (!good) co_return good;
  const Target target{*admission_.rule, admission_.url.host, admission_.url.port};
  std::optional<Result<policy::PermittedAddresses>> located =
      locate_now(services_, *policy_, target);
  if (!located) located = co_await locate(services_, policy_, target, record_, total_);
  if (!*located && !policy::may_be_kept(located->error().reason)) {
    co_return Unexpected(std::move(located->error()));
  }
  record_.admitted = true;
  if (!content_is_buffered()) {
    Result<> gathered = co_await gather();
    if (!gathered) co_return gathered;
  }
  co_return co_await keep(kAtOnce);
}

// The answer is the destination's when it came in time and is a success, or says that nothing more
// is to come; otherwise the request is kept. Nothing was kept: record_.delivery is empty.
async::Task<Result<>> Exchange::try_then_keep(Result<> reached) {
  Result<> good = check_idempotency_key();
  if (!good) co_return good;
  const bool keyed = head_->fields.find("Idempotency-Key") != nullptr;
  if (keyed) {
    queue::NewDelivery same = new_delivery(kAtOnce);
    same.body.clear();
    Result<std::optional<queue::Accepted>> known = co_await services_.queue->known(std::move(same));
    if (!known) co_return Unexpected(std::move(known.error()));
    if (*known) co_return co_await keep(kAtOnce);
  }
  Admission first = admission_;
  std::optional<Result<>> outcome;
  if (plan_.patience) {
    outcome = co_await persist_for(std::move(reached), *plan_.patience);
  } else {
    outcome = co_await persist(std::move(reached));
  }
  if (outcome && !*outcome && !policy::may_be_kept(outcome->error().reason)) {
    co_return std::move(*outcome);
  }
  if (outcome && *outcome) {
    const int status = answer_.head.status;
    const http::Field* word = answer_.head.fields.find("webhook-delivery");
    const bool unwanted = status == 410 || (word != nullptr && policy::says_unwanted(word->value));
    if (asked().success.contains(status) || unwanted) co_return std::move(*outcome);
  }
  // That the sender's patience was over says nothing of the destination.
  if (outcome) note_health(*outcome ? std::nullopt : std::optional(outcome->error().reason));
  const std::optional<Duration> wait = wait_after_trying(outcome);
  if (!wait) {
    record_.tried.reset();
    record_.tried_detail.clear();
    co_return std::move(*outcome);
  }
  leave_answer();
  admission_ = std::move(first);
  slot_ = Destinations::Slot();
  sensitive_.clear();
  co_return co_await keep(*wait);
}

// When the queue's first attempt is due; nothing: that was the only one, and its outcome stands.
// What was tried is the schedule's first attempt; what could not be made yet is none.
std::optional<Duration> Exchange::wait_after_trying(const std::optional<Result<>>& outcome) {
  policy::Delivered tried;
  if (!outcome) {
    record_.tried_detail = "Tried first: no answer within what the sender waits.";
  } else if (!*outcome) {
    record_.tried = outcome->error().reason;
    record_.tried_detail = "Tried first: " + outcome->error().detail;
    tried.retry_after = record_.retry_after;
    if (!record_.sent && policy::is_no_attempt(*record_.tried)) return record_.retry_after;
  } else {
    tried.status = answer_.head.status;
    record_.tried_detail = "Tried first: it answered " + std::to_string(tried.status) + ".";
    if (const http::Field* later = answer_.head.fields.find("Retry-After")) {
      tried.retry_after = policy::parse_retry_after(later->value, services_.clock.wall());
    }
  }
  record_.tries = 1;
  const double dice = roll(services_.dice);
  const policy::Next next = policy::after_attempt(asked().delivery, tried, 0, dice);
  if (next.what == policy::Next::What::again) return next.wait;
  // Cut off, there is no outcome that could be its answer.
  if (outcome) return std::nullopt;
  return kAtOnce;
}

// Nothing: the patience was over first.
async::Task<std::optional<Result<>>> Exchange::persist_for(Result<> reached, Duration patience) {
  const Deadline until = deadline_after(now(), patience);
  async::Task<Result<>> tries = persist(std::move(reached));
  std::optional<Result<>> in_time = co_await async::race(std::move(tries), until);
  // Cut off: of that answer nothing is to be used.
  if (!in_time) answer_ = Answer();
  co_return in_time;
}

// Errors: those of Store::accept; idempotency_key_reused; sender_disconnected, when nobody is left
// to hear that it was kept.
async::Task<Result<>> Exchange::keep(Duration wait) {
  queue::NewDelivery delivery = new_delivery(wait);
  Result<> sendable = check_kept(delivery.head);
  if (!sendable) co_return sendable;
  Result<queue::Accepted> accepted = co_await services_.queue->accept(std::move(delivery));
  if (!accepted) co_return Unexpected(std::move(accepted.error()));
  if (accepted->differs) {
    co_return Unexpected(Reason::idempotency_key_reused,
                         "The Idempotency-Key stands for delivery " + accepted->id +
                             ", which has another method, URL or body.");
  }
  record_.delivery = accepted->id;
  co_return co_await say_accepted(accepted->state);
}

// As the request is in `in_` or gathered, whole. Of what Egret reads of the head, what an attempt
// needs goes along.
queue::NewDelivery Exchange::new_delivery(Duration wait) {
  choose_webhook_id();
  policy::Url url = admission_.url;
  if (admission_.http_port) {
    // What the rule made https is judged again as it was asked for.
    url.scheme = policy::Scheme::http;
    url.port = *admission_.http_port;
  }
  const policy::Order order = asked().delivery.order;
  const http::Field* order_key =
      order == policy::Order::key ? head_->fields.find("Egret-Order-Key") : nullptr;
  queue::NewDelivery delivery;
  delivery.id = new_delivery_id(services_.clock.wall());
  delivery.webhook_id = record_.webhook_id;
  delivery.sender = record_.sender;
  delivery.rule = record_.rule;
  delivery.method = method_;
  delivery.destination = url.for_log();
  delivery.host = url.host.text;
  delivery.lane = delivery.sender + "\n" + std::string(policy::to_string(admission_.url.scheme)) +
                  "://" + admission_.url.authority().to_string();
  if (order_key != nullptr) delivery.lane.append("\n").append(order_key->value);
  delivery.fifo = order == policy::Order::host || order_key != nullptr;
  delivery.width = delivery.fifo ? 1
                                 : Destinations::most_queued_of(delivery.sender,
                                                                asked().limits.in_flight_per_host);
  if (const http::Field* key = head_->fields.find("Idempotency-Key")) {
    delivery.idempotency_key = key->value;
    delivery.digest = digest_of(method_, url, content());
  }
  static const std::vector<std::string> kRemoved = {"prefer", "webhook-id"};
  std::string lines = "webhook-id: " + record_.webhook_id + "\r\n";
  copy_field(lines, head_->fields, "Egret-Key");
  copy_field(lines, head_->fields, "Egret-Sensitive");
  delivery.body = content();
  http::append_kept(delivery.head, *head_, url, delivery.body.size(),
                    {.remove = kRemoved, .add = lines});
  delivery.accepted = services_.clock.wall();
  delivery.due = delivery.accepted + wait;
  delivery.tries = record_.tries;
  return delivery;
}

async::Task<Result<>> Exchange::say_accepted(queue::State state) {
  // The request is done with: what is left in `in_` is the next one.
  record_.bytes_up = content().size();
  if (head_in_front_) {
    in_.consume(head_size_ + (gathered_ ? 0 : framing_.length));
    head_in_front_ = false;
  }
  upload_done_ = true;
  if (services_.draining) keep_alive_ = false;
  std::string reply = accepted(record_, queue::to_string(state), policy_->settings->admin.address,
                               admission_.preferences,
                               {.sender_minor = minor_version_,
                                .keep_alive = keep_alive_,
                                .head_request = method_ == "HEAD"});
  record_.status = 202;
  record_.successful = state != queue::State::dead && state != queue::State::cancelled;
  iovec piece{reply.data(), reply.size()};
  const std::span<iovec> pieces(&piece, 1);
  const Deadline until = deadline_after(now(), policy_->judge.defaults().timeouts.idle);
  const net::Io put = co_await sender_.stream().write_all(pieces, until);
  replied_ = true;
  if (put.ok()) co_return Result<>();
  co_return Unexpected(Reason::sender_disconnected, "hung up before it heard that it was kept");
}

// One id for everything that is sent of this request: the sender's when it is well-formed.
void Exchange::choose_webhook_id() {
  if (!record_.webhook_id.empty()) return;
  const http::Field* own = head_->fields.find("webhook-id");
  const bool taken = own != nullptr && head_->fields.count("webhook-id") == 1 &&
                     signing::is_well_formed_id(own->value);
  record_.webhook_id = taken ? std::string(own->value) : signing::new_id();
}

Result<> Exchange::check_idempotency_key() const {
  const http::Field* key = head_->fields.find("Idempotency-Key");
  if (key == nullptr) return {};
  if (head_->fields.count("Idempotency-Key") > 1) {
    return Unexpected(Reason::header_invalid, "Idempotency-Key is there more than once.");
  }
  if (key->value.size() > 0 && key->value.size() <= kLongestIdempotencyKey) return {};
  return Unexpected(Reason::header_invalid, "Idempotency-Key is empty or over " +
                                                std::to_string(kLongestIdempotencyKey) + " bytes.");
}

// What the queue wants to know of an answer's head.
void Exchange::note_answer() {
  if (const http::Field* later = answer_.head.fields.find("Retry-After")) {
    sender_.kept->retry_after = policy::parse_retry_after(later->value, services_.clock.wall());
  }
  const http::Field* word = answer_.head.fields.find("webhook-delivery");
  sender_.kept->unwanted = word != nullptr && policy::says_unwanted(word->value);
  sender_.kept->disable = word != nullptr && policy::says_disable(word->value);
}

}  // namespace egret::proxy
