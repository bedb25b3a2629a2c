#include "proxy/exchange.h"

#include <algorithm>

#include "proxy/reply.h"

namespace egret::proxy {
namespace {

// RFC 9110 9.2.2, or the sender said so: sending it twice does no harm.
bool is_repeatable(const http::RequestHead& head) {
  static constexpr std::string_view kIdempotent[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"};
  return std::ranges::find(kIdempotent, head.method) != std::end(kIdempotent) ||
         head.fields.find("Idempotency-Key") != nullptr;
}

}  // namespace

Exchange::Exchange(Services& services, SenderConnection& sender, Buffer& in,
                   const http::RequestHead& head, size_t head_size)
    : services_(services),
      sender_(sender),
      in_(in),
      policy_(services.policy),
      head_(&head),
      head_size_(head_size),
      framing_(head.framing),
      minor_version_(head.minor_version),
      keep_alive_(head.keep_alive),
      expect_continue_(head.expect_continue),
      repeatable_(is_repeatable(head)) {
  record_.id = services.next_request_id++;
  record_.wall = services.clock.wall();
  record_.began = async::Scheduler::current().now();
  record_.listener = sender.listener->name;
  record_.listener_label = sender.listener->label;
  if (sender.kept != nullptr) record_.delivery = sender.kept->delivery;
  record_.rule_label = policy_->nobody;
  total_ = deadline_after(record_.began, policy_->judge.defaults().timeouts.total);
  ++services.metrics.exchanges_open;
}

Exchange::~Exchange() {
  --services_.metrics.exchanges_open;
  if (record_.began == TimePoint::max()) return;
  // Cancelled: Egret stopped, or the connection's owner did. What is out by now is not whole.
  if (record_.status != 0) sender_.stream().abort_on_close();
  if (record_.tunnel && upstream_.connection.stream) upstream_.connection.stream->abort_on_close();
  record_.failure = Failure{Reason::stopped, "cancelled"};
  finish(After::close);
}

async::Task<After> Exchange::run() {
  Result<Admission> admitted = admit(*policy_, *head_, head_size_,
                                     {.address = sender_.address,
                                      .listener = sender_.listener->name,
                                      .proxy_authorization = std::nullopt,
                                      .certificate_names = sender_.certificate_names},
                                     sender_.inside ? &*sender_.inside : nullptr,
                                     sender_.kept != nullptr ? &sender_.kept->sender : nullptr,
                                     services_.pseudonym, record_);
  method_ = record_.method;
  if (!admitted) {
    record_.failure = std::move(admitted.error());
    co_return co_await answer_failure();
  }
  admission_ = std::move(*admitted);
  asked_ = admission_.rule;
  plan_ = plan();
  total_ = deadline_after(record_.began, asked().timeouts.total);
  Result<> carried = co_await carry();
  if (carried) {
    const bool keep = keep_alive_ && !services_.draining && content_is_sent();
    // A tunnel is over, or its inner requests come next.
    if (record_.tunnel) co_return finish(sender_.inner ? After::keep : After::close);
    co_return finish(keep ? After::keep : After::linger);
  }
  record_.failure = std::move(carried.error());
  co_return co_await answer_failure();
}

async::Task<Result<>> Exchange::carry() {
  if (services_.draining) {
    co_return Unexpected(Reason::draining, "Egret is shutting down; send the request again.");
  }
  if (plan_.when == policy::KeepPlan::When::at_once) co_return co_await keep_at_once();
  std::optional<Result<>> there = reach_now();
  if (!there) there = co_await reach();
  if (*there && admission_.rule->consent.asks()) there = co_await agree();
  const bool keeps = plan_.when == policy::KeepPlan::When::after_trying;
  const bool again = (may_go_again() || keeps) && !admission_.connect;
  const bool may_pass =
      !*there && again &&
      ((most_attempts() > 1 && policy::is_connect_failure(there->error().reason)) ||
       (keeps && policy::may_be_kept(there->error().reason)));
  if (!*there && !may_pass) co_return std::move(*there);
  if (admission_.connect) {
    const bool opaque = asked().connect == policy::ConnectMode::tunnel;
    if (opaque) co_return co_await tunnel();
    co_return co_await intercept();
  }
  Result<> answered;
  const bool whole = again || !asked().sign.empty() || slot_.looks_later();
  if (whole && !content_is_buffered()) answered = co_await gather();
  if (!answered) co_return answered;
  if (*there && slot_.looks_later()) there = take_place();
  if (!*there && !keeps && !may_pass) co_return std::move(*there);
  if (keeps) {
    Result<> reached = std::move(*there);
    answered = co_await try_then_keep(std::move(reached));
    if (answered && !record_.delivery.empty()) co_return answered;
  } else if (again) {
    Result<> reached = std::move(*there);
    answered = co_await persist(std::move(reached));
  } else {
    ++record_.attempts;
    answered = co_await ask();
  }
  if (!answered) co_return answered;
  co_return co_await relay();
}

bool Exchange::may_go_again() const {
  return most_attempts() > 1 || asked().redirects.follow != policy::Follow::never;
}

uint32_t Exchange::most_attempts() const {
  return sender_.kept != nullptr ? 1 : asked().retry.attempts;
}

// As far as it goes without waiting; nothing when the name must be asked for.
std::optional<Result<>> Exchange::reach_now() {
  const policy::Url& url = admission_.url;
  if (!slot_.granted()) {
    Result<> placed = take_place();
    if (!placed) return placed;
  }
  std::optional<Result<policy::PermittedAddresses>> located =
      locate_now(services_, *policy_, {*admission_.rule, url.host, url.port, asked_});
  if (!located) return std::nullopt;
  if (!*located) return Result<>(Unexpected(std::move(located->error())));
  return set_out(std::move(**located));
}

// Among the destination's exchanges; once more, when it is the one that sees whether an open
// breaker may be closed, and its content has come.
Result<> Exchange::take_place() {
  const TimePoint now = async::Scheduler::current().now();
  // A CONNECT that is intercepted reaches nothing by itself.
  const bool dials = !admission_.connect || admission_.rule->connect == policy::ConnectMode::tunnel;
  const Destinations::Asks asks{.url = admission_.url,
                                .rule = *admission_.rule,
                                .sender = record_.sender,
                                .ready = dials && content_is_buffered(),
                                .queued = sender_.kept != nullptr};
  std::optional<Destinations::Refused> refused =
      slot_.looks_later() ? services_.destinations.look(slot_, now)
                          : services_.destinations.enter(asks, now, slot_);
  if (!refused) return {};
  record_.retry_after = refused->retry_after;
  return Unexpected(std::move(refused->failure));
}

async::Task<Result<>> Exchange::reach() {
  const Target target{*admission_.rule, admission_.url.host, admission_.url.port, asked_};
  Result<policy::PermittedAddresses> located =
      co_await locate(services_, policy_, target, record_, total_);
  if (!located) co_return Unexpected(std::move(located.error()));
  co_return set_out(std::move(*located));
}

// Another attempt begins with another address than the one that failed.
Result<> Exchange::set_out(policy::PermittedAddresses addresses) {
  const auto failed = std::ranges::find_if(addresses, [&](const policy::PermittedAddress& each) {
    return avoid_ && each.endpoint() == *avoid_;
  });
  if (failed != addresses.end()) {
    std::rotate(addresses.begin(), failed + 1, addresses.end());
  } else if (record_.attempts > 1) {
    const auto shift = static_cast<size_t>(record_.attempts - 1) % addresses.size();
    std::rotate(addresses.begin(), addresses.begin() + static_cast<ptrdiff_t>(shift),
                addresses.end());
  }
  record_.admitted = true;
  const bool tls = admission_.url.scheme == policy::Scheme::https;
  route_.emplace(Route::make(*policy_, *admission_.rule, admission_.url, tls, record_.sender,
                             std::move(addresses)));
  return {};
}

async::Task<After> Exchange::answer_failure() {
  const Failure& failure = *record_.failure;
  if (replied_) {
    // An alert says why: no reset may overtake it.
    if (failure.reason == Reason::tunnel_sni_mismatch) co_return finish(After::linger);
    // Part of an answer is out: a reset says that it is not whole.
    sender_.stream().abort_on_close();
    co_return finish(After::close);
  }
  // Closing at once would take the TLS alert with it. The CONNECT was answered with 200.
  const bool alerted =
      failure.reason == Reason::sender_tls_failed || failure.reason == Reason::interception_refused;
  if (alerted) co_return finish(After::linger);
  record_.status = 0;
  if (status(failure.reason) == 0) co_return finish(After::close);
  // The connection goes on only if the sender owes nothing more of this request.
  // Of what was gathered nothing is left in `in_`, nor is the head.
  const bool in_front = head_in_front_ && head_size_ + framing_.length <= in_.size();
  const bool whole = in_front || content_is_sent();
  // What follows a refused CONNECT may be a tunnel's first bytes: never the next request.
  const bool keep = keep_alive_ && !services_.draining && !record_.attempts && whole &&
                    !record_.tunnel && framing_.kind != http::Framing::Kind::chunked;
  std::string reply = refusal(failure, record_,
                              {.sender_minor = minor_version_,
                               .keep_alive = keep,
                               .head_request = method_ == "HEAD",
                               .detail = policy_->settings->log.detail});
  record_.status = status(failure.reason);
  iovec piece{reply.data(), reply.size()};
  const std::span<iovec> pieces(&piece, 1);
  const Deadline until =
      deadline_after(async::Scheduler::current().now(), policy_->judge.defaults().timeouts.idle);
  const net::Io put = co_await sender_.stream().write_all(pieces, until);
  if (!put.ok()) co_return finish(After::close);
  if (!keep) co_return finish(After::linger);
  if (head_in_front_) in_.consume(head_size_ + framing_.length);
  co_return finish(After::keep);
}

// What the exchange says of where its request is now.
void Exchange::note_health(std::optional<Reason> failure) {
  const int status = answer_.head.status;
  if (!failure && status == 0 && !record_.tunnel) return;
  slot_.note(policy::health_of(failure, status), async::Scheduler::current().now());
}

bool Exchange::content_is_sent() const { return upload_done_; }

Pace Exchange::pace() const {
  const policy::Rule& rule = *admission_.rule;
  return {.idle = rule.timeouts.idle, .total = total_, .min_rate = rule.limits.min_rate};
}

After Exchange::finish(After after) {
  note_health(record_.failure ? std::optional(record_.failure->reason) : std::nullopt);
  proxy::finish(record_, async::Scheduler::current().now(), policy_->settings->log.format,
                services_.access_log, services_.metrics);
  if (sender_.kept != nullptr) {
    sender_.kept->policy = policy_;
    sender_.kept->rule = asked_;
    sender_.kept->record = record_;
    sender_.kept->answered = replied_;
  }
  record_.began = TimePoint::max();  // done
  return after;
}

}  // namespace egret::proxy
