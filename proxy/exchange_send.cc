// One request at one destination, up to the head of its answer.
#include <algorithm>
#include <cstring>

#include "proxy/async/race.h"
#include "proxy/exchange.h"
#include "proxy/http/forward.h"
#include "proxy/http/parser.h"

namespace egret::proxy {
namespace {

// Bytes that an ordinary head needs when it is written anew: one allocation instead of six.
constexpr size_t kUsualHead = 1000;

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

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

// The content, whole, before anything is sent: it is to be signed, or sent more than once. With a
// length and there already it stays where it is, behind the head.
async::Task<Result<>> Exchange::gather() {
  const TimePoint began = async::Scheduler::current().now();
  kept_head_ = std::make_unique<KeptHead>();
  kept_head_->bytes = in_.view().substr(0, head_size_);
  Result<> parsed = http::parse_found_request(kept_head_->bytes, kept_head_->head);
  if (!parsed) co_return parsed;
  head_ = &kept_head_->head;
  in_.consume(head_size_);
  head_in_front_ = false;
  if (expect_continue_ && in_.empty()) {
    Result<> said = co_await say_continue();
    if (!said) co_return said;
  }
  std::optional<Buffer> room = services_.buffers.take_if_left(MemoryFor::request);
  if (!room) co_return Unexpected(Reason::memory_limit, "The content needs more of buffer_memory.");
  whole_ = std::move(*room);
  Source source{.stream = sender_.stream(),
                .buffer = in_,
                .decoder = http::BodyDecoder(framing_),
                .reasons = kSenderReasons,
                .limit = asked().limits.request_body,
                .count = record_.bytes_up};
  const Pace limits = pace();
  Result<> collected = co_await collect(source, whole_, limits);
  record_.receive = async::Scheduler::current().now() - began;
  if (!collected) co_return collected;
  gathered_ = true;
  upload_done_ = true;
  framing_ = {.kind = http::Framing::Kind::length, .length = whole_.size()};
  co_return Result<>();
}

async::Task<Result<>> Exchange::ask() {
  Result<> written = write_head();
  if (!written) co_return written;
  ++services_.metrics.attempts;
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
    record_.sent = true;
    Result<> answered;
    if (whole) {
      answered = co_await send_whole();
    } else {
      answered = co_await send_streaming();
    }
    if (answered) co_return answered;
    const bool lost = answered.error().reason == Reason::connection_terminated;
    if (!lost || !whole || !may_send_again()) co_return answered;
    // A kept connection that its server closed as we wrote: not a failure of the destination.
    answer_ = Answer();
    upstream_gone_ = false;
    idle.reset();
  }
}

// The head as it leaves, signed when the rule says so. Of what streams, `in_` lets go of the head.
Result<> Exchange::write_head() {
  const Outgoing& outgoing = policy_->outgoing(*admission_.rule);
  out_head_.clear();
  out_head_.reserve(kUsualHead);
  const bool by_id =
      plan_.when != policy::KeepPlan::When::never && outgoing.signer(admission_.key) == nullptr;
  const bool prefers = admission_.preferences.any();
  if (outgoing.plain() && sensitive_.empty() && !prefers && !by_id) {
    http::append_request(out_head_, *head_, admission_.url, framing_, services_.pseudonym);
  } else {
    http::Changes changes{.remove = outgoing.removed(), .add = outgoing.set_lines()};
    std::vector<std::string> removed;
    if (!sensitive_.empty() || prefers || by_id) {
      removed = outgoing.removed();
      removed.insert(removed.end(), sensitive_.begin(), sensitive_.end());
      if (prefers) removed.emplace_back("prefer");
      if (by_id) removed.emplace_back("webhook-id");
      changes.remove = removed;
    }
    std::string with_id;
    if (by_id) {
      // What may come a second time, out of the queue, is known by its id.
      choose_webhook_id();
      with_id.append(changes.add).append("webhook-id: ").append(record_.webhook_id).append("\r\n");
      changes.add = with_id;
    }
    if (signing::Signer* signer = outgoing.signer(admission_.key)) {
      std::string& lines = outgoing.scratch();
      lines = changes.add;
      const Result<> signature = sign(changes, *signer, lines);
      if (!signature) return signature;
      changes.add = lines;
      ++services_.metrics.requests_signed;
    }
    http::append_request(out_head_, *head_, admission_.url, framing_, services_.pseudonym,
                         &changes);
  }
  // Content that streams passes through `in_`. Other stays, with its head, until the answer is
  // there.
  if (!content_is_buffered()) {
    in_.consume(head_size_);
    head_in_front_ = false;
  }
  return {};
}

// Appends to `lines` what signing adds to a request that otherwise leaves with `changes`.
Result<> Exchange::sign(const http::Changes& changes, signing::Signer& signer, std::string& lines) {
  choose_webhook_id();
  std::vector<http::Field> fields;
  if (signer.covers_fields()) fields = http::forwarded(*head_, changes);
  return signer.append(lines, {.method = method_,
                               .url = admission_.url,
                               .fields = fields,
                               .content = content(),
                               .id = record_.webhook_id,
                               .now = services_.clock.wall()});
}

// Head and content are in memory: one write, and the content stays until the answer has begun.
async::Task<Result<>> Exchange::send_whole() {
  const TimePoint began = async::Scheduler::current().now();
  const std::string_view bytes = content();
  iovec pieces[2] = {{out_head_.data(), out_head_.size()},
                     {const_cast<char*>(bytes.data()), bytes.size()}};
  const std::span<iovec> all(pieces, bytes.empty() ? 1 : 2);
  const Deadline until = pace().next();
  const net::Io put = co_await upstream_.connection.stream->write_all(all, until);
  record_.send += async::Scheduler::current().now() - began;
  if (put.status == net::Io::Status::timed_out) {
    co_return Unexpected(pace().reason(Reason::write_timeout), "the request was not taken");
  }
  // A destination that closes as we write may have answered first: look before giving up.
  upstream_gone_ = !put.ok();
  record_.bytes_up = framing_.length;
  co_return co_await wait_for_answer(admission_.rule->timeouts.response);
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
  AnswerWait wait{
      .upstream = *upstream_.connection.stream,
      // What the sender has seen of one answer could not be followed by another.
      .sender = minor_version_ == 0 || sender_.kept != nullptr || may_be_answered_otherwise()
                    ? nullptr
                    : &sender_.stream(),
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

bool Exchange::content_is_buffered() const {
  using Kind = http::Framing::Kind;
  const size_t before = head_in_front_ ? head_size_ : 0;
  return gathered_ || framing_.kind == Kind::none ||
         (framing_.kind == Kind::length && before + framing_.length <= in_.size());
}

// Whole, when content_is_buffered().
std::string_view Exchange::content() const {
  if (gathered_) return whole_.view();
  return in_.view().substr(head_in_front_ ? head_size_ : 0, framing_.length);
}

bool Exchange::may_send_again() const { return upstream_.reused && repeatable_ && !answer_began_; }

}  // namespace egret::proxy
