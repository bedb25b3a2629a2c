// Redirects and retries: the same webhook, sent on or sent again.
#include <algorithm>

#include "base/text.h"
#include "policy/retry.h"
#include "proxy/async/race.h"
#include "proxy/exchange.h"
#include "proxy/http/framing.h"

namespace egret::proxy {
namespace {

TimePoint now() { return async::Scheduler::current().now(); }

async::Task<Unit> gone(net::Stream& stream) {
  co_await stream.until_closed();
  co_return Unit();
}

async::Task<Unit> sleep_for(Duration wait) {
  const Deadline until = deadline_after(now(), wait);
  co_await async::sleep_until(until);
  co_return Unit();
}

// What does not cross to another origin: credentials (Fetch 4.4 and curl leave these out too), and
// what the sender names in Egret-Sensitive.
std::vector<std::string> sensitive_names(const http::Fields& fields) {
  std::vector<std::string> names = {"authorization", "cookie"};
  for (const http::Field& field : fields.all()) {
    if (!text::equals_ignore_case(field.name, "Egret-Sensitive")) continue;
    http::for_each_element(
        field.value, [&names](std::string_view name) { names.push_back(text::to_lower(name)); });
  }
  return names;
}

}  // namespace

// Attempts until one succeeds, or the rule has no more of them; the last outcome is left.
// `reached`: whether the first one has a route, or why not.
async::Task<Result<>> Exchange::persist(Result<> reached) {
  Result<> outcome = std::move(reached);
  while (true) {
    ++record_.attempts;
    answer_began_ = false;
    if (outcome) outcome = co_await attempt();
    const std::optional<Duration> wait = wait_before_another(outcome);
    if (!wait) co_return outcome;
    avoid_ = record_.address;
    record_.address.reset();
    leave_answer();
    Result<> waited = co_await back_off(*wait);
    if (!waited) co_return waited;
    route_.reset();  // the name is asked for and judged again
    outcome = Result<>();
    ++services_.metrics.retries;
  }
}

// One attempt, with the redirects that the rule follows, up to the head of the last answer.
async::Task<Result<>> Exchange::attempt() {
  while (true) {
    if (!route_) {
      std::optional<Result<>> there = reach_now();
      if (!there) there = co_await reach();
      if (*there && admission_.rule->consent.asks()) there = co_await agree();
      if (!*there) co_return Unexpected(on_the_way(std::move(there->error())));
    }
    Result<> answered = co_await ask();
    if (!answered) co_return Unexpected(on_the_way(std::move(answered.error())));
    Result<bool> moved = follow();
    if (!moved) co_return Unexpected(on_the_way(std::move(moved.error())));
    if (!*moved) co_return Result<>();
  }
}

// A failure, and where redirects had led by then.
Failure Exchange::on_the_way(Failure failure) const {
  if (record_.redirects > 0) {
    failure.detail =
        "After a redirect to " + admission_.url.for_log() + ": " + std::move(failure.detail);
  }
  return failure;
}

// True when the answer is a redirect that is followed: the request is on its way there.
Result<bool> Exchange::follow() {
  const policy::Redirects& redirects = asked().redirects;
  if (redirects.follow == policy::Follow::never || answer_.head.status / 100 != 3) return false;
  std::vector<std::string_view> locations;
  for (const http::Field& field : answer_.head.fields.all()) {
    if (text::equals_ignore_case(field.name, "Location")) locations.push_back(field.value);
  }
  Result<std::optional<policy::Hop>> hop =
      trail_.follow(redirects, {answer_.head.status, locations, method_, admission_.url});
  if (!hop) return Unexpected(std::move(hop.error()));
  if (!*hop) return false;
  ++record_.redirects;
  note_health(std::nullopt);
  leave_answer();  // while its route and its rule are still those of the connection
  Result<> gone_on = go_on_to(std::move(**hop));
  if (!gone_on) return Unexpected(std::move(gone_on.error()));
  ++services_.metrics.redirects_followed;
  return true;
}

// Another verdict: nothing of the first one holds for the next URL.
Result<> Exchange::go_on_to(policy::Hop hop) {
  const policy::Ask ask{.sender = record_.sender,
                        .method = method_,
                        .connect = false,
                        .scheme = hop.url.scheme,
                        .host = &hop.url.host,
                        .port = hop.url.port,
                        .path = hop.url.path};
  policy::Verdict verdict = policy_->judge.judge(ask);
  if (verdict.refusal) {
    admission_.url = std::move(hop.url);
    return Unexpected(std::move(*verdict.refusal));
  }
  if (verdict.reported && !record_.reported) record_.reported = std::move(verdict.reported);
  if (content().size() > verdict.rule->limits.request_body) {
    return Unexpected(Reason::request_body_too_large,
                      "The request's content is over limits.request_body (" +
                          std::to_string(verdict.rule->limits.request_body) + " bytes) of rule " +
                          verdict.rule->name + ".");
  }
  if (!hop.same_origin && sensitive_.empty()) sensitive_ = sensitive_names(head_->fields);
  hop.url.scheme = verdict.scheme;
  hop.url.port = verdict.port;
  admission_.url = std::move(hop.url);
  admission_.rule = verdict.rule;
  slot_ = Destinations::Slot();
  record_.address.reset();
  route_.reset();
  avoid_.reset();
  return {};
}

// An answer that the sender does not get. Its connection is kept when all of it has come.
void Exchange::leave_answer() {
  using Kind = http::Framing::Kind;
  const http::Framing& framing = answer_.head.framing;
  const bool delimited = framing.kind == Kind::none || framing.kind == Kind::length;
  // To the byte: what is behind it would be taken for the next answer.
  const bool whole = answer_.head.status != 0 && delimited &&
                     answer_.head_size + framing.length == answer_.buffer.size();
  if (whole) {
    answer_.buffer.consume(answer_.buffer.size());
    upload_done_ = true;
    keep_upstream();
  }
  upstream_ = Upstream();
  upstream_gone_ = false;
  answer_ = Answer();
}

// How long to wait before the next attempt; nothing when `outcome` is the last one.
std::optional<Duration> Exchange::wait_before_another(const Result<>& outcome) {
  // A sender that is answered now can send it to another Egret.
  if (services_.draining || most_attempts() <= static_cast<uint32_t>(record_.attempts)) {
    return std::nullopt;
  }
  policy::Attempted attempted;
  if (!outcome) {
    attempted.failure = outcome.error().reason;
  } else {
    attempted.status = answer_.head.status;
    if (asked().success.contains(attempted.status)) return std::nullopt;
    if (const http::Field* later = answer_.head.fields.find("Retry-After")) {
      attempted.retry_after = policy::parse_retry_after(later->value, services_.clock.wall());
    }
  }
  const Duration left = total_ == kNever ? Duration::max() : total_ - now();
  const double dice = std::uniform_real_distribution<double>(0, 1)(services_.dice);
  return policy::wait_before_retry(asked().retry, attempted,
                                   static_cast<uint32_t>(record_.attempts), left, dice);
}

// Errors: sender_disconnected, when nobody waits for the outcome any more.
async::Task<Result<>> Exchange::back_off(Duration wait) {
  const TimePoint began = now();
  async::Task<Unit> slept = sleep_for(wait);
  async::Task<Unit> sender_gone = gone(sender_.stream());
  async::Raced<Unit, Unit> first = co_await async::race(std::move(slept), std::move(sender_gone));
  record_.backoff += now() - began;
  if (first.first) co_return Result<>();
  co_return Unexpected(Reason::sender_disconnected, "hung up between two attempts");
}

}  // namespace egret::proxy
