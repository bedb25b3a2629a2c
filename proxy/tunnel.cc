#include "proxy/tunnel.h"

#include <algorithm>
#include <cstring>

#include "proxy/tunnel_gate.h"

namespace egret::proxy {
namespace {

constexpr std::string_view kEstablished = "HTTP/1.1 200 Connection Established\r\n\r\n";

// Between two looks for memory, when there is none for a tunnel's next bytes.
constexpr Duration kMemoryPause = std::chrono::milliseconds(10);

TimePoint now() { return async::Scheduler::current().now(); }

Unexpected reset(const net::Stream& stream, const net::Io& io) {
  if (const Failure* trouble = stream.trouble()) {
    return Unexpected(Reason::tunnel_reset, trouble->detail);
  }
  return Unexpected(Reason::tunnel_reset, std::strerror(io.error));
}

}  // namespace

Tunnel::Tunnel(Services& services, net::Stream& sender, net::Stream& destination,
               const policy::Rule& rule, const policy::Host& host)
    : services_(services),
      rule_(rule),
      host_(host),
      idle_(std::max(rule.timeouts.idle, rule.timeouts.response)),
      end_(deadline_after(now(), rule.timeouts.tunnel)),
      last_moved_(now()),
      up_{sender, destination},
      down_{destination, sender} {}

async::Task<Result<>> Tunnel::run(Buffer& early) {
  Result<> ready = co_await open();
  if (ready && rule_.tunnel_sni == policy::TunnelSni::match) ready = co_await pass_gate(early);
  if (ready && !early.empty()) ready = co_await move_on(up_, early);
  if (!ready) co_return ready;
  // No buffer is kept for a tunnel that waits.
  early = Buffer();
  ways_.spawn(carry_to_end(up_));
  ways_.spawn(carry_to_end(down_));
  while (!failure_ && !(up_.ended && down_.ended)) {
    changed_.clear();
    co_await changed_.wait(kNever);
  }
  if (failure_) co_return Unexpected(*failure_);
  co_return Result<>();
}

async::Task<void> Tunnel::carry_to_end(Way& way) {
  const Result<> carried = co_await carry(way);
  way.ended = carried.has_value();
  if (!carried && !failure_) failure_ = carried.error();
  changed_.set();
}

async::Task<Result<>> Tunnel::open() {
  iovec piece{const_cast<char*>(kEstablished.data()), kEstablished.size()};
  const std::span<iovec> pieces(&piece, 1);
  const Deadline until = std::min(deadline_after(now(), idle_), end_);
  const net::Io put = co_await up_.from.write_all(pieces, until);
  opened_ = put.ok();
  if (!opened_) co_return Unexpected(Reason::sender_disconnected, "before the tunnel was open");
  co_return Result<>();
}

async::Task<Result<>> Tunnel::pass_gate(Buffer& early) {
  TunnelGate gate(services_.buffers, up_.from, host_);
  const Deadline until = std::min(deadline_after(now(), rule_.timeouts.tls), end_);
  Result<> passed = co_await gate.pass(early, until);
  if (!passed && now() >= end_) co_return Unexpected(time_is_up());
  co_return passed;
}

async::Task<Result<>> Tunnel::carry(Way& way) {
  while (true) {
    const bool more = co_await readable(way.from);
    if (!more) co_return Unexpected(time_is_up());
    std::optional<Buffer> free = services_.buffers.take_if_left(MemoryFor::tunnel);
    if (!free) {
      // What is not read makes its sender wait: TCP's own flow control.
      if (now() >= std::min(deadline_after(last_moved_, idle_), end_)) {
        co_return Unexpected(time_is_up());
      }
      const Deadline again = deadline_after(now(), kMemoryPause);
      co_await async::sleep_until(again);
      continue;
    }
    Buffer buffer = std::move(*free);
    const net::Io got = way.from.read_now(buffer.space());
    if (got.status == net::Io::Status::blocked) continue;
    if (got.status == net::Io::Status::closed) break;
    if (!got.ok()) co_return reset(way.from, got);
    buffer.commit(got.bytes);
    Result<> moved = co_await move_on(way, buffer);
    if (!moved) co_return moved;
  }
  way.to.shutdown_write();
  co_return Result<>();
}

async::Task<Result<>> Tunnel::move_on(Way& way, Buffer& buffer) {
  last_moved_ = now();
  iovec piece{const_cast<char*>(buffer.view().data()), buffer.size()};
  const std::span<iovec> pieces(&piece, 1);
  const Deadline until = std::min(deadline_after(now(), idle_), end_);
  const net::Io put = co_await way.to.write_all(pieces, until);
  way.bytes += put.bytes;
  if (put.status == net::Io::Status::timed_out) co_return Unexpected(time_is_up());
  if (!put.ok()) co_return reset(way.to, put);
  last_moved_ = now();
  buffer.consume(buffer.size());
  co_return Result<>();
}

async::Task<bool> Tunnel::readable(net::Stream& from) {
  while (true) {
    const Deadline until = std::min(deadline_after(last_moved_, idle_), end_);
    const bool came = co_await from.readable(until);
    if (came) co_return true;
    // The other way may have moved meanwhile, and then the idle limit has too.
    if (now() >= std::min(deadline_after(last_moved_, idle_), end_)) co_return false;
  }
}

Failure Tunnel::time_is_up() const {
  if (now() >= end_) return {Reason::tunnel_expired, "timeouts.tunnel has passed"};
  return {Reason::tunnel_idle, "nothing moved for the tunnel's idle limit"};
}

}  // namespace egret::proxy
