#include "proxy/session.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "proxy/head_reader.h"
#include "proxy/http/parser.h"
#include "proxy/preface.h"
#include "proxy/refused_head.h"
#include "proxy/reply.h"

namespace egret::proxy {
namespace {

// How long, and how much, of a sender's remaining bytes is read after an answer that ends the
// connection, so that the answer is not lost to a reset (RFC 9112 9.6).
// A sender that writes its whole content before it reads sees why it was refused.
constexpr Duration kLingerGap = std::chrono::seconds(2);
constexpr Duration kLinger = std::chrono::seconds(10);
constexpr size_t kLingerBytes = size_t{8} << 20;

// Where bytes go that nobody will look at: one place a thread, not one in each frame.
std::span<char> discarded() {
  static thread_local std::array<char, 4096> bytes;
  return bytes;
}

// Idle for so long, a connection's TLS buffers are given back.
constexpr Duration kRestAfter = std::chrono::seconds(1);

TimePoint now() { return async::Scheduler::current().now(); }

Failure head_failure(const HeadRead& read, size_t limit) {
  using Outcome = HeadRead::Outcome;
  switch (read.outcome) {
    case Outcome::timed_out:
      return {Reason::request_timeout, "The request's head did not arrive in time."};
    case Outcome::cut_short:
      return {Reason::request_malformed, "The connection ended within the request's head."};
    case Outcome::too_large:
      return {Reason::request_headers_too_large,
              "The request's head is over limits.headers (" + std::to_string(limit) + " bytes)."};
    case Outcome::no_memory:
      return {Reason::memory_limit, "A head of this length needs more of buffer_memory."};
    case Outcome::malformed:
      return read.failure;
    default:
      return {Reason::sender_disconnected, std::strerror(read.error)};
  }
}

// Answered and recorded here, since there is no exchange.
async::Task<void> refuse_head(Services& services, SenderConnection& sender, Failure failure) {
  const Reason reason = failure.reason;
  RefusedHead refused(services, *sender.listener, std::move(failure));
  if (status(reason) == 0) co_return;
  const config::LogDetail detail = refused.policy().settings->log.detail;
  std::string reply = refusal(*refused.record.failure, refused.record, {.detail = detail});
  iovec piece{reply.data(), reply.size()};
  const std::span<iovec> pieces(&piece, 1);
  const Deadline until = deadline_after(now(), refused.policy().judge.defaults().timeouts.idle);
  const net::Io put = co_await sender.stream().write_all(pieces, until);
  if (put.ok()) refused.record.status = status(reason);
}

async::Task<void> linger(SenderConnection& sender, Buffer& in) {
  sender.stream().shutdown_write();
  const Deadline until = deadline_after(now(), kLinger);
  in = Buffer();
  size_t total = 0;
  while (total < kLingerBytes) {
    const std::span<char> space = discarded();
    const Deadline next = std::min(until, deadline_after(now(), kLingerGap));
    const net::Io io = co_await sender.stream().read_some(space, next);
    if (!io.ok()) break;
    total += io.bytes;
  }
}

// One request from what is there or comes; what becomes of the connection then.
async::Task<After> serve_one(Services& services, SenderConnection& sender, Buffer& in) {
  const std::shared_ptr<const Policy> policy = services.policy;
  const Deadline deadline = deadline_after(now(), policy->judge.defaults().timeouts.idle);
  const size_t limit = policy->largest_head;
  std::optional<HeadRead> at_hand = head_at_hand(in, HeadOf::request, limit);
  if (!at_hand) {
    net::Stream& stream = sender.stream();
    at_hand = co_await read_head(stream, in, HeadOf::request, limit, deadline);
  }
  const HeadRead& read = *at_hand;
  // An empty line behind the last request is not the beginning of one.
  const bool waited = read.outcome == HeadRead::Outcome::timed_out && in.empty();
  if (waited || read.outcome == HeadRead::Outcome::nothing) co_return After::close;
  if (read.outcome != HeadRead::Outcome::complete) {
    Failure failure = head_failure(read, limit);
    co_await refuse_head(services, sender, std::move(failure));
    co_return read.outcome == HeadRead::Outcome::failed ? After::close : After::linger;
  }
  http::RequestHead head;
  Result<> parsed = http::parse_found_request(in.view().substr(0, read.size), head);
  if (!parsed) {
    Failure failure = std::move(parsed.error());
    co_await refuse_head(services, sender, std::move(failure));
    co_return After::linger;
  }
  Exchange exchange(services, sender, in, head, read.size);
  co_return co_await exchange.run();
}

// A request comes and no memory is left to read it into.
async::Task<bool> refuse_unread(Services& services, SenderConnection& sender) {
  const net::Io first = sender.stream().read_now(discarded());
  if (first.status == net::Io::Status::blocked) co_return true;
  if (!first.ok()) co_return false;
  Failure failure{Reason::memory_limit,
                  "The requests under way hold all of buffer_memory that there is for new ones."};
  co_await refuse_head(services, sender, std::move(failure));
  Buffer none;
  co_await linger(sender, none);
  co_return false;
}

// Some senders look at the certificate only when the handshake is done, and then just go.
void note_unused(Services& services, const SenderConnection& sender) {
  Failure failure{Reason::interception_refused,
                  "The sender left the intercepted tunnel to " +
                      sender.inside->authority.to_string() +
                      " without a request: perhaps it does not trust Egret's CA (egret ca show)."};
  const RefusedHead refused(services, *sender.listener, std::move(failure));
}

Duration patience(const Services& services) {
  return services.policy->judge.defaults().timeouts.idle;
}

// Serves requests while bytes of them are there. True when the connection may stay open.
async::Task<bool> serve_burst(Services& services, SenderConnection& sender) {
  std::optional<Buffer> taken = services.buffers.take_if_left(MemoryFor::request);
  if (!taken) {
    const bool nothing_came = co_await refuse_unread(services, sender);
    co_return nothing_came;
  }
  Buffer in = std::move(*taken);
  const net::Io first = sender.stream().read_now(in.space());
  if (first.status == net::Io::Status::blocked) co_return true;
  if (!first.ok()) {
    if (sender.inner && !sender.inner_used) note_unused(services, sender);
    co_return false;
  }
  sender.inner_used = sender.inner != nullptr;
  in.commit(first.bytes);
  After after = After::keep;
  while (after == After::keep && !in.empty()) {
    after = co_await serve_one(services, sender, in);
  }
  if (after == After::linger) co_await linger(sender, in);
  co_return after == After::keep;
}

}  // namespace

std::optional<ConnectionSlot> ConnectionSlot::take(std::shared_ptr<ListenerInfo> listener) {
  const uint32_t before = listener->open.fetch_add(1, std::memory_order_relaxed);
  ConnectionSlot slot;
  slot.listener_ = std::move(listener);
  if (before >= slot.listener_->max_connections.load(std::memory_order_relaxed)) {
    return std::nullopt;  // `slot` gives the place back
  }
  return slot;
}

ConnectionSlot ConnectionSlot::take_of_another(std::shared_ptr<ListenerInfo> listener) {
  listener->open.fetch_add(1, std::memory_order_relaxed);
  ConnectionSlot slot;
  slot.listener_ = std::move(listener);
  return slot;
}

Sessions::Member::Member(Sessions& sessions, net::Stream& stream, Labels::Id listener)
    : sessions_(sessions),
      stream_(&stream),
      listener_(listener),
      idle_(sessions.idle_[listener]),
      next_(sessions.first_) {
  if (next_ != nullptr) next_->prev_ = this;
  sessions.first_ = this;
  ++sessions.size_;
  ++sessions.metrics_.connections_open[listener];
  ++sessions.metrics_.connections_total[listener];
}

Sessions::Member::~Member() {
  busy();
  (prev_ != nullptr ? prev_->next_ : sessions_.first_) = next_;
  if (next_ != nullptr) next_->prev_ = prev_;
  --sessions_.size_;
  --sessions_.metrics_.connections_open[listener_];
}

void Sessions::Member::idle(net::Stream& stream) {
  stream_ = &stream;
  idle_since_ = now();
  is_idle_ = true;
  idle_before_ = idle_.last;
  (idle_.last != nullptr ? idle_.last->idle_after_ : idle_.first) = this;
  idle_.last = this;
}

void Sessions::Member::busy() {
  if (!std::exchange(is_idle_, false)) return;
  (idle_before_ != nullptr ? idle_before_->idle_after_ : idle_.first) = idle_after_;
  (idle_after_ != nullptr ? idle_after_->idle_before_ : idle_.last) = idle_before_;
  idle_before_ = idle_after_ = nullptr;
}

std::optional<ConnectionSlot> Sessions::place_for_one_more(std::shared_ptr<ListenerInfo> listener) {
  std::optional<ConnectionSlot> free = ConnectionSlot::take(listener);
  if (free) return free;
  // Those that end may still be there for a turn.
  const uint64_t most = listener->max_connections.load(std::memory_order_relaxed) + kMostEnding;
  const bool room = listener->open.load(std::memory_order_relaxed) < most;
  if (!room || end_longest_idle(listener->label, 1) == 0) return std::nullopt;
  return ConnectionSlot::take_of_another(std::move(listener));
}

size_t Sessions::end_longest_idle(Labels::Id listener, size_t most) {
  size_t ended = 0;
  for (; ended < most; ++ended) {
    Member* longest = idle_[listener].first;
    // A request may be on its way on one that was used a moment ago.
    if (longest == nullptr || now() - longest->idle_since_ < kLeastIdle) break;
    longest->busy();  // chosen once only
    longest->ended_ = true;
    longest->stream_->nudge();
  }
  return ended;
}

void Sessions::wake_idle() {
  for (Member* member = first_; member != nullptr; member = member->next_) {
    member->stream_->nudge();
  }
}

async::Task<void> serve(Services& services, Sessions& sessions, ConnectionSlot slot,
                        std::unique_ptr<net::Stream> stream,
                        std::shared_ptr<const ListenerInfo> listener,
                        std::optional<policy::Address> address) {
  const ConnectionSlot held = std::move(slot);
  Sessions::Member member(sessions, *stream, listener->label);
  Preface preface{std::move(stream), std::move(listener), address};
  bool begun = !preface.needed(services);
  if (!begun) {
    member.idle(*preface.stream);
    const policy::Timeouts& timeouts = services.policy->judge.defaults().timeouts;
    const Deadline until = deadline_after(now(), std::min(timeouts.idle, timeouts.tls));
    const bool came = co_await preface.stream->readable(until);
    member.busy();
    if (!came || services.draining || member.ended()) co_return;
    begun = co_await preface.read(services);
  }
  if (!begun) co_return;
  SenderConnection sender{*preface.stream, preface.listener, preface.address,
                          std::move(preface.certificate_names)};
  while (!services.draining && preface.still_trusted(services)) {
    Deadline until = deadline_after(now(), patience(services));
    if (sender.inside) until = std::min(until, sender.inside->until);
    if (now() >= until) break;
    const Deadline soon = std::min(until, deadline_after(now(), kRestAfter));
    member.idle(sender.stream());
    bool came = co_await sender.stream().readable(soon);
    if (!came && !services.draining && !member.ended()) {
      sender.stream().rest();
      came = co_await sender.stream().readable(until);
    }
    member.busy();
    if (!came) break;
    const bool stay = co_await serve_burst(services, sender);
    if (!stay || member.ended()) break;
  }
}

async::Task<void> turn_away(Services& services, std::unique_ptr<net::Stream> stream,
                            std::shared_ptr<const ListenerInfo> listener) {
  // Words before a TLS handshake would be taken for a broken one.
  const ReadyListener* ready = services.policy->ways.listener(listener->name);
  if (ready != nullptr && ready->tls) co_return;
  SenderConnection sender{*stream, std::move(listener), std::nullopt};
  Failure failure{Reason::connection_limit,
                  "The listener has max_connections open connections already."};
  co_await refuse_head(services, sender, std::move(failure));
  Buffer none;
  co_await linger(sender, none);
}

}  // namespace egret::proxy
