// The destination's answer on its way to the sender.
#include <algorithm>

#include "proxy/exchange.h"
#include "proxy/http/forward.h"
#include "proxy/reply.h"

namespace egret::proxy {
namespace {

// Bytes that an ordinary head needs when it is written anew: one allocation instead of six.
constexpr size_t kUsualHead = 1000;
constexpr size_t kUsualExtra = 120;

}  // namespace

async::Task<Result<>> Exchange::relay() {
  using Kind = http::Framing::Kind;
  // The request is done with: what is left in `in_` is the next one.
  if (head_in_front_) {
    in_.consume(head_size_ + (gathered_ ? 0 : framing_.length));
    head_in_front_ = false;
    upload_done_ = true;
  }
  if (sender_.kept != nullptr) note_answer();
  const TimePoint began = async::Scheduler::current().now();
  slot_.tell(policy::health_of(std::nullopt, answer_.head.status), began);
  const http::Framing framing = answer_.head.framing;
  const uint64_t limit = admission_.rule->limits.response_body;
  const bool cut = framing.kind == Kind::length && framing.length > limit;
  const bool truncate = admission_.rule->limits.oversize == policy::Oversize::truncate;
  if (cut && !truncate) {
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
  append_relayed_fields(extra, answer_.head.status, record_.attempts, cut);
  if (keep_alive_ && minor_version_ == 0) extra += "Connection: keep-alive\r\n";
  const http::Framing relayed{.kind = delimited ? framing.kind : Kind::chunked,
                              .length = std::min(framing.length, limit)};
  http::append_response(sink.head, answer_.head, relayed, minor_version_, keep_alive_,
                        services_.pseudonym, extra);
  record_.status = answer_.head.status;
  answer_.buffer.consume(answer_.head_size);

  Source source{.stream = *upstream_.connection.stream,
                .buffer = answer_.buffer,
                .decoder = http::BodyDecoder(framing),
                .reasons = kDestinationReasons,
                .limit = limit,
                .count = record_.bytes_down,
                .truncate = truncate};
  const Pace limits = pace();
  Result<> poured = co_await pour(source, sink, limits);
  replied_ = sink.started;
  record_.truncated = source.truncated;
  if (source.truncated) ++services_.metrics.answers_truncated;
  if (poured && background_.size() > 0) co_await upload_ended_.wait(total_);
  record_.relay += async::Scheduler::current().now() - began;
  record_.successful = poured && asked().success.contains(record_.status);
  if (poured && !record_.successful) ++services_.metrics.answers_unsuccessful;
  if (poured) keep_upstream();
  co_return poured;
}

// Only after an answer that ended cleanly, with nothing behind it, to a request that went whole.
void Exchange::keep_upstream() {
  const bool clean = upload_done_ && !upstream_gone_ && !record_.truncated &&
                     answer_.buffer.empty() && answer_.head.keep_alive &&
                     answer_.head.framing.kind != http::Framing::Kind::until_close;
  // One that was made under other settings has nobody to wait for.
  if (!clean || policy_ != services_.policy) return;
  services_.pool.put(std::move(upstream_.connection), admission_.rule->timeouts.idle, route_->lane);
}

}  // namespace egret::proxy
