#include "proxy/exchange.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "proxy/async/race.h"
#include "proxy/http/forward.h"
#include "proxy/reply.h"

namespace egret::proxy {
namespace {

// Bytes that an ordinary head needs when it is written anew: one allocation instead of six.
constexpr size_t kUsualHead = 1000;
constexpr size_t kUsualExtra = 120;

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

// RFC 9110 9.2.2, or the sender said so: sending it twice does no harm.
bool is_repeatable(const http::RequestHead& head) {
  static constexpr std::string_view kIdempotent[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"};
  return std::ranges::find(kIdempotent, head.method) != std::end(kIdempotent) ||
         head.fields.find("Idempotency-Key") != nullptr;
}

async::Task<Unit> gone(net::Stream& stream) {
  co_await stream.until_closed();
  co_return Unit();
}

async::Task<Unit> comes(net::Stream& stream, Deadline deadline) {
  co_await stream.readable(deadline);
  co_return Unit();
}

async::Task<Unit> ends(async::Event& event, Deadline deadline) {
  co_await event.wait(deadline);
  co_return Unit();
}

}  // namespace

Exchange::Exchange(Services& services, SenderConnection& sender, Buffer& in,
                   const http::RequestHead& head, size_t head_size)
    : services_(services),
      sender_(sender),
      in_(in),
      policy_(services.policy),
      head_(head),
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
  Result<Admission> admitted =
      admit(*policy_, head_, head_size_,
            {.address = sender_.address,
             .listener = sender_.listener->name,
             .proxy_authorization = std::nullopt,
             .certificate_names = sender_.certificate_names},
            sender_.inside ? &*sender_.inside : nullptr, services_.pseudonym, record_);
  method_ = record_.method;
  if (!admitted) {
    record_.failure = std::move(admitted.error());
    co_return co_await answer_failure();
  }
  admission_ = std::move(*admitted);
  total_ = deadline_after(record_.began, admission_.rule->timeouts.total);
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
  const policy::Url& url = admission_.url;
  const uint32_t most = admission_.rule->limits.in_flight_per_host;
  slot_ = services_.in_flight.enter(url.scheme, url.host, url.port, most);
  if (!slot_.granted()) {
    co_return Unexpected(Reason::in_flight_limit,
                         std::to_string(most) + " requests to " + url.host.text +
                             " are under way (limits.in_flight_per_host).");
  }
  const Target target{*admission_.rule, url.host, url.port};
  std::optional<Result<policy::PermittedAddresses>> located =
      locate_now(services_, *policy_, target);
  if (!located) located = co_await locate(services_, policy_, target, record_, total_);
  if (!*located) co_return Unexpected(std::move(located->error()));
  record_.admitted = true;
  const bool tls = url.scheme == policy::Scheme::https;
  route_.emplace(
      Route::make(*policy_, *admission_.rule, url, tls, record_.sender, std::move(**located)));
  if (admission_.connect) {
    const bool opaque = admission_.rule->connect == policy::ConnectMode::tunnel;
    if (opaque) co_return co_await tunnel();
    co_return co_await intercept();
  }
  out_head_.reserve(kUsualHead);
  http::append_request(out_head_, head_, url, framing_, services_.pseudonym);
  in_.consume(head_size_);
  co_return co_await attempt();
}

async::Task<Result<>> Exchange::attempt() {
  ++record_.attempts;
  std::optional<Upstream> idle = take_idle(services_, *route_, record_);
  while (true) {
    if (idle) {
      upstream_ = std::move(*idle);
    } else {
      Result<Upstream> opened = co_await open(services_, policy_, *route_, record_, total_);
      if (!opened) co_return Unexpected(std::move(opened.error()));
      upstream_ = std::move(*opened);
    }
    // Once streamed, content is gone: what is in the buffer then may be the next request.
    const bool whole = content_is_buffered();
    // Before anything else may write to the sender: an answer that comes early waits for it.
    if (!whole && expect_continue_ && in_.empty()) {
      Result<> said = co_await say_continue();
      if (!said) co_return said;
      // Who speaks meanwhile on a kept connection does not answer this request: it was not sent
      // yet.
      idle.reset();
      if (upstream_.reused && !upstream_.connection.stream->quiet()) continue;
    }
    Result<> answered;
    if (whole) {
      answered = co_await send_whole();
    } else {
      answered = co_await send_streaming();
    }
    if (answered) co_return co_await relay();
    const bool lost = answered.error().reason == Reason::connection_terminated;
    if (!lost || !whole || !may_send_again()) co_return answered;
    // A kept connection that its server closed as we wrote: not a failure of the destination.
    answer_ = Answer();
    idle.reset();
  }
}

// Head and content are in memory: one write, and the content stays until the answer has begun.
async::Task<Result<>> Exchange::send_whole() {
  const TimePoint began = async::Scheduler::current().now();
  const std::string_view content = in_.view().substr(0, framing_.length);
  iovec pieces[2] = {{out_head_.data(), out_head_.size()},
                     {const_cast<char*>(content.data()), content.size()}};
  const std::span<iovec> all(pieces, content.empty() ? 1 : 2);
  const Deadline until = pace().next();
  const net::Io put = co_await upstream_.connection.stream->write_all(all, until);
  record_.send += async::Scheduler::current().now() - began;
  if (put.status == net::Io::Status::timed_out) {
    co_return Unexpected(pace().reason(Reason::write_timeout), "the request was not taken");
  }
  // A destination that closes as we write may have answered first: look before giving up.
  upstream_gone_ = !put.ok();
  record_.bytes_up = framing_.length;
  Result<> answered = co_await wait_for_answer(admission_.rule->timeouts.response);
  if (!answered) co_return answered;
  in_.consume(framing_.length);
  upload_done_ = true;
  co_return answered;
}

// The content comes and goes while an answer may already be on its way.
async::Task<Result<>> Exchange::send_streaming() {
  const TimePoint began = async::Scheduler::current().now();
  background_.spawn(upload());
  net::Stream& upstream = *upstream_.connection.stream;
  async::Task<Unit> upload_end = ends(upload_ended_, total_);
  async::Task<Unit> answer_start = comes(upstream, total_);
  co_await async::race(std::move(upload_end), std::move(answer_start));
  record_.send += async::Scheduler::current().now() - began;
  if (upload_failure_ && !upstream_gone_) co_return Unexpected(*upload_failure_);
  Result<> answered = co_await wait_for_answer(admission_.rule->timeouts.response);
  // RFC 9112 9.5: an answer that says no, or closes, needs no more content.
  if (answered && (answer_.head.status >= 400 || !answer_.head.keep_alive)) {
    background_.cancel_all();
  }
  if (!answered && upload_failure_) co_return Unexpected(*upload_failure_);
  co_return answered;
}

async::Task<Result<>> Exchange::wait_for_answer(Duration patience) {
  const TimePoint began = async::Scheduler::current().now();
  AnswerWait wait{.upstream = *upstream_.connection.stream,
                  .sender = minor_version_ == 0 ? nullptr : &sender_.stream(),
                  .method = method_,
                  .head_limit = admission_.rule->limits.headers,
                  .patience = patience,
                  .total = total_};
  async::Task<Result<>> answered = await_answer(services_, wait, answer_);
  async::Task<Unit> sender_gone = gone(sender_.stream());
  async::Raced<Result<>, Unit> first =
      co_await async::race(std::move(answered), std::move(sender_gone));
  record_.wait += async::Scheduler::current().now() - began;
  answer_began_ |= wait.anything;
  if (first.first) co_return std::move(*first.first);
  co_return Unexpected(Reason::sender_disconnected, "hung up before the answer came");
}

async::Task<void> Exchange::upload() {
  Source source{.stream = sender_.stream(),
                .buffer = in_,
                .decoder = http::BodyDecoder(framing_),
                .reasons = kSenderReasons,
                .limit = admission_.rule->limits.request_body,
                .count = record_.bytes_up};
  Sink sink{.stream = *upstream_.connection.stream,
            .chunked = framing_.kind == http::Framing::Kind::chunked,
            .timed_out = Reason::write_timeout,
            .failed = Reason::connection_terminated,
            .head = out_head_};
  const Pace limits = pace();
  const Result<> sent = co_await pour(source, sink, limits);
  upload_done_ = sent.has_value();
  if (!sent) {
    upload_failure_ = sent.error();
    upstream_gone_ = sink.broken && sent.error().reason == Reason::connection_terminated;
  }
  upload_ended_.set();
}

// Egret answers the expectation itself, after policy, DNS and the connection have said yes.
async::Task<Result<>> Exchange::say_continue() {
  iovec piece{const_cast<char*>(kContinue.data()), kContinue.size()};
  const std::span<iovec> pieces(&piece, 1);
  const Deadline until = pace().next();
  const net::Io put = co_await sender_.stream().write_all(pieces, until);
  if (!put.ok()) co_return Unexpected(Reason::sender_disconnected, "hung up before its content");
  expect_continue_ = false;
  co_return Result<>();
}

async::Task<Result<>> Exchange::relay() {
  using Kind = http::Framing::Kind;
  const TimePoint began = async::Scheduler::current().now();
  const http::Framing framing = answer_.head.framing;
  const uint64_t limit = admission_.rule->limits.response_body;
  if (framing.kind == Kind::length && framing.length > limit) {
    co_return Unexpected(Reason::response_body_too_large,
                         std::to_string(framing.length) + " bytes are over limits.response_body (" +
                             std::to_string(limit) + " bytes).");
  }
  const bool delimited = framing.kind == Kind::none || framing.kind == Kind::length;
  if (!delimited && minor_version_ == 0) keep_alive_ = false;
  if (services_.draining || (!upload_done_ && background_.size() == 0)) keep_alive_ = false;
  Sink sink{.stream = sender_.stream(),
            .chunked = !delimited && minor_version_ == 1,
            .timed_out = Reason::sender_idle,
            .failed = Reason::sender_disconnected,
            .head = {}};
  sink.head.reserve(kUsualHead);
  std::string extra;
  extra.reserve(kUsualExtra);
  append_relayed_fields(extra, answer_.head.status, record_.attempts);
  if (keep_alive_ && minor_version_ == 0) extra += "Connection: keep-alive\r\n";
  const http::Framing relayed{.kind = delimited ? framing.kind : Kind::chunked,
                              .length = framing.length};
  http::append_response(sink.head, answer_.head, relayed, minor_version_, keep_alive_,
                        services_.pseudonym, extra);
  record_.status = answer_.head.status;
  answer_.buffer.consume(answer_.head_size);

  Source source{.stream = *upstream_.connection.stream,
                .buffer = answer_.buffer,
                .decoder = http::BodyDecoder(framing),
                .reasons = kDestinationReasons,
                .limit = limit,
                .count = record_.bytes_down};
  const Pace limits = pace();
  Result<> poured = co_await pour(source, sink, limits);
  replied_ = sink.started;
  if (poured && background_.size() > 0) co_await upload_ended_.wait(total_);
  record_.relay += async::Scheduler::current().now() - began;
  if (poured) keep_upstream();
  co_return poured;
}

// Only after an answer that ended cleanly, with nothing behind it, to a request that went whole.
void Exchange::keep_upstream() {
  const bool clean = upload_done_ && !upstream_gone_ && answer_.buffer.empty() &&
                     answer_.head.keep_alive &&
                     answer_.head.framing.kind != http::Framing::Kind::until_close;
  // One that was made under other settings has nobody to wait for.
  if (!clean || policy_ != services_.policy) return;
  services_.pool.put(std::move(upstream_.connection), admission_.rule->timeouts.idle, route_->lane);
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
  const bool whole = head_size_ + framing_.length <= in_.size() || content_is_sent();
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
  in_.consume(head_size_ + framing_.length);
  co_return finish(After::keep);
}

bool Exchange::content_is_buffered() const {
  using Kind = http::Framing::Kind;
  return framing_.kind == Kind::none ||
         (framing_.kind == Kind::length && framing_.length <= in_.size());
}

bool Exchange::may_send_again() const { return upstream_.reused && repeatable_ && !answer_began_; }

bool Exchange::content_is_sent() const { return upload_done_; }

Pace Exchange::pace() const {
  const policy::Rule& rule = *admission_.rule;
  return {.idle = rule.timeouts.idle, .total = total_, .min_rate = rule.limits.min_rate};
}

After Exchange::finish(After after) {
  proxy::finish(record_, async::Scheduler::current().now(), policy_->settings->log.format,
                services_.access_log, services_.metrics);
  record_.began = TimePoint::max();  // done
  return after;
}

}  // namespace egret::proxy
