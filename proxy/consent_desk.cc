#include "proxy/consent_desk.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "base/text.h"
#include "proxy/async/race.h"
#include "proxy/http/forward.h"
#include "proxy/signing/signing.h"

namespace egret::proxy {
namespace {

using policy::Asked;
using policy::ConsentScheme;
using policy::ConsentState;

TimePoint now() { return async::Scheduler::current().now(); }

std::string seconds_text(Duration wait) {
  return fmt::format("{} s", std::chrono::ceil<std::chrono::seconds>(wait).count());
}

std::vector<std::string_view> values_of(const http::Fields& fields, std::string_view name) {
  std::vector<std::string_view> values;
  for (const http::Field& field : fields.all()) {
    if (text::equals_ignore_case(field.name, name)) values.push_back(field.value);
  }
  return values;
}

ConsentDesk::Refused refused(const policy::Url& url, const Consents::Entered& entered) {
  const ConsentState::Verdict& verdict = entered.verdict;
  const std::string host = url.host.to_authority();
  if (verdict.step == ConsentState::Verdict::Step::over_grant) {
    return {{Reason::rate_limited,
             fmt::format("{} has agreed to fewer requests (consent); the next may be made in {}.",
                         host, seconds_text(verdict.wait))},
            verdict.wait};
  }
  std::string why = fmt::format("{} has not agreed to so many requests (consent.above)", host);
  if (!entered.why.empty()) why.append(": asked, it ").append(entered.why);
  why += verdict.ask_again == Duration::zero()
             ? "; it is being asked"
             : fmt::format("; it may be asked again in {}", seconds_text(verdict.ask_again));
  why += fmt::format(". The next request may be made in {}.", seconds_text(verdict.wait));
  return {{Reason::consent_missing, std::move(why)}, verdict.wait};
}

}  // namespace

// One look into the store, or one handshake, or both.
struct ConsentDesk::Turn {
  Turn(Consents& in, std::string of, Request request)
      : table(in), name(std::move(of)), asked(std::move(request)), began(now()) {}
  // Cancelled: the destination may have been asked.
  ~Turn() {
    if (!over) table.ended(name, ConsentState::End::denied, "was not heard to the end", began);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  Consents& table;
  std::string name;
  Request asked;
  TimePoint began;
  ConsentState::Able wanted;
  std::optional<policy::PermittedAddresses> addresses;  // that the handshake may go to
  async::Event ended;
  bool over = false;
};

ConsentDesk::ConsentDesk(Services& services, Consents& table, async::TaskSet::OnBug on_bug)
    : services_(services), table_(table), turns_(std::move(on_bug)) {}

ConsentState::Able ConsentDesk::able(const Request& request) const {
  const bool room = turns_.size() < kMostTurns;
  return {.look = room && services_.queue != nullptr, .ask = room && request.addresses != nullptr};
}

async::Task<std::optional<ConsentDesk::Refused>> ConsentDesk::admit(Request request) {
  using Step = ConsentState::Verdict::Step;
  const policy::Consent& consent = request.rule->consent;
  std::string name = policy::consent_name(consent, request.url);
  Consents::Entered entered =
      table_.enter(name, consent, able(request), now(), services_.clock.wall());
  if (entered.verdict.step == Step::pass) co_return std::nullopt;
  const policy::Url url = request.url;
  if (entered.verdict.step != Step::turn) co_return refused(url, entered);
  const std::shared_ptr<const Policy> policy = request.policy;  // holds `consent`
  const Deadline total = request.total;
  auto turn = std::make_shared<Turn>(table_, name, std::move(request));
  turn->wanted = entered.verdict.turn;
  if (turn->asked.addresses != nullptr) turn->addresses = *turn->asked.addresses;
  turn->asked.addresses = nullptr;
  turns_.spawn(take_turn(turn));
  co_await turn->ended.wait(total);
  entered = table_.enter(name, consent, {}, now(), services_.clock.wall());
  if (entered.verdict.step == Step::pass) co_return std::nullopt;
  co_return refused(url, entered);
}

async::Task<void> ConsentDesk::take_turn(std::shared_ptr<Turn> turn) {
  using End = ConsentState::End;
  End end = End::not_asked;
  std::string why;
  std::optional<policy::Grant> grant;
  if (turn->wanted.look) grant = co_await look(turn);
  if (grant) {
    end = End::granted;
  } else if (turn->wanted.ask) {
    Asked asked = co_await ask(turn);
    table_.count(asked.what);
    why = std::move(asked.why);
    end = End::denied;
    if (asked.what == Asked::What::granted) {
      grant = {services_.clock.wall() + turn->asked.rule->consent.valid, asked.per_minute};
      end = End::granted;
    }
    if (grant && services_.queue != nullptr) {
      // Used from now on whether or not it can be kept; what is not kept is asked for again.
      table_.granted(turn->name, *grant, now());
      std::string name = turn->name;
      std::string value = policy::to_text(*grant);
      const WallTime until = grant->until;
      [[maybe_unused]] const Result<> kept =
          co_await services_.queue->remember(std::move(name), std::move(value), until);
    }
  }
  if (grant) table_.granted(turn->name, *grant, now());
  turn->over = true;
  table_.ended(turn->name, end, std::move(why), now());
  turn->ended.set();
}

// What an earlier Egret, or another that shares the store, has been told. A store that fails knows
// nothing.
async::Task<std::optional<policy::Grant>> ConsentDesk::look(std::shared_ptr<Turn> turn) {
  std::string name = turn->name;
  const Deadline until = deadline_after(turn->began, kLongest);
  async::Task<Result<std::optional<std::string>>> recalled =
      services_.queue->recall(std::move(name));
  std::optional<Result<std::optional<std::string>>> found =
      co_await async::race(std::move(recalled), until);
  if (!found || !*found || !**found) co_return std::nullopt;
  std::optional<policy::Grant> grant = policy::parse_grant(***found);
  if (!grant) co_return std::nullopt;
  // `valid` may have become shorter.
  const WallTime latest = services_.clock.wall() + turn->asked.rule->consent.valid;
  grant->until = std::min(grant->until, latest);
  if (grant->until <= services_.clock.wall()) co_return std::nullopt;
  co_return grant;
}

async::Task<Asked> ConsentDesk::ask(std::shared_ptr<Turn> turn) {
  const Deadline until = deadline_after(now(), kLongest);
  async::Task<Result<Asked>> conversation = converse(turn);
  std::optional<Result<Asked>> came = co_await async::race(std::move(conversation), until);
  Asked failed;
  if (!came) {
    failed.why = "did not answer within " + seconds_text(kLongest);
    co_return failed;
  }
  if (*came) co_return std::move(**came);
  failed.why = fmt::format("could not be heard ({})", egret::name(came->error().reason));
  co_return failed;
}

// A connection of its own, to what was judged for the request that asks, by the rule's way. A
// redirect is no yes. Nothing of the sender goes along but the URL.
async::Task<Result<Asked>> ConsentDesk::converse(std::shared_ptr<Turn> turn) {
  const policy::Rule& rule = *turn->asked.rule;
  const policy::Url& url = turn->asked.url;
  const std::shared_ptr<const Policy> policy = turn->asked.policy;
  const Deadline until = deadline_after(now(), kLongest);
  const bool tls = url.scheme == policy::Scheme::https;
  Route route = Route::make(*policy, rule, url, tls, {}, *turn->addresses);
  Record record;
  Result<Upstream> opened = co_await open(services_, policy, route, record, until);
  if (!opened) co_return Unexpected(std::move(opened.error()));
  net::Stream& stream = *opened->connection.stream;
  const std::string token = signing::new_id().substr(4) + signing::new_id().substr(4);
  std::string head = head_of(*turn, token);
  iovec piece{head.data(), head.size()};
  const std::span<iovec> pieces(&piece, 1);
  const Pace pace{.idle = rule.timeouts.idle, .total = until, .min_rate = rule.limits.min_rate};
  const Deadline taken = pace.next();
  const net::Io put = co_await stream.write_all(pieces, taken);
  if (put.status == net::Io::Status::timed_out) {
    co_return Unexpected(Reason::write_timeout, "the handshake was not taken");
  }
  const bool webhook = rule.consent.scheme == ConsentScheme::cloudevents;
  AnswerWait wait{.upstream = stream,
                  .method = webhook ? "OPTIONS" : "GET",
                  .head_limit = rule.limits.headers,
                  .patience = rule.timeouts.response,
                  .total = until};
  Answer answer;
  Result<> answered = co_await await_answer(services_, wait, answer);
  if (!answered) co_return Unexpected(std::move(answered.error()));
  const int status = answer.head.status;
  if (webhook) {
    const auto origins = values_of(answer.head.fields, "WebHook-Allowed-Origin");
    const auto rates = values_of(answer.head.fields, "WebHook-Allowed-Rate");
    co_return policy::read_webhook_answer(status, origins, rates, rule.consent.origin);
  }
  if (status < 200 || status > 299) co_return policy::read_challenge_answer(status, {}, token);
  const http::Framing framing = answer.head.framing;
  answer.buffer.consume(answer.head_size);
  uint64_t count = 0;
  Source source{.stream = stream,
                .buffer = answer.buffer,
                .decoder = http::BodyDecoder(framing),
                .reasons = kDestinationReasons,
                .limit = kMostContent,
                .count = count};
  Buffer content = services_.buffers.take();
  Result<> collected = co_await collect(source, content, pace);
  if (!collected && collected.error().reason == Reason::response_body_too_large) {
    co_return policy::read_challenge_answer(status, {}, token);
  }
  if (!collected) co_return Unexpected(std::move(collected.error()));
  co_return policy::read_challenge_answer(status, content.view(), token);
}

// The request that asks; `token` is the challenge.
std::string ConsentDesk::head_of(const Turn& turn, std::string_view token) {
  const policy::Rule& rule = *turn.asked.rule;
  const policy::Consent& consent = rule.consent;
  const policy::Url& url = turn.asked.url;
  http::RequestHead head;
  std::string lines;
  std::string out;
  if (consent.scheme == ConsentScheme::challenge) {
    head.method = "GET";
    lines = "Accept: */*\r\nConnection: close\r\n";
    const http::Changes changes{.remove = {}, .add = lines};
    const policy::Url asked = policy::challenge_url(url, token, consent.valid);
    http::append_request(out, head, asked, {}, services_.pseudonym, &changes);
    return out;
  }
  head.method = "OPTIONS";
  lines = fmt::format("WebHook-Request-Origin: {}\r\n", consent.origin);
  if (const uint64_t rate = policy::rate_to_ask_for(rule.rate); rate > 0) {
    lines += fmt::format("WebHook-Request-Rate: {}\r\n", rate);
  }
  if (!consent.callback.empty()) {
    lines += fmt::format("WebHook-Request-Callback: {}{}\r\n", consent.callback,
                         table_.expect_callback(turn.name, consent.valid, now()));
  }
  lines += "Connection: close\r\n";
  const http::Changes changes{.remove = {}, .add = lines};
  http::append_request(out, head, url, {}, services_.pseudonym, &changes);
  return out;
}

}  // namespace egret::proxy
