#include "proxy/tunnel_gate.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "proxy/async/wait.h"
#include "proxy/tls/client_hello.h"

namespace egret::proxy {
namespace {

using Outcome = tls::ClientHelloReader::Outcome;

// RFC 8446 6: a record of the type alert, fatal (2), unrecognized_name (112).
constexpr std::string_view kUnrecognizedName("\x15\x03\x03\x00\x02\x02\x70", 7);

// Between two looks for memory, when there is none for a hello.
constexpr Duration kMemoryPause = std::chrono::milliseconds(10);

TimePoint now() { return async::Scheduler::current().now(); }

bool names(const policy::Host& host, const std::string& name) {
  if (name == host.text) return true;
  // Not allowed in SNI, but sent; an IPv6 address has many spellings.
  return host.literal && policy::Address::parse(name) == host.literal;
}

Result<> check(const tls::ClientHello& hello, const policy::Host& host) {
  if (!hello.server_name) {
    if (host.literal) return {};
    return Unexpected(Reason::tunnel_sni_mismatch,
                      "the ClientHello names no host, the CONNECT " + host.text);
  }
  if (names(host, *hello.server_name)) return {};
  const std::string_view outer =
      hello.encrypted ? "the encrypted ClientHello's outer name is " : "the ClientHello names ";
  return Unexpected(
      Reason::tunnel_sni_mismatch,
      std::string(outer) + text::printable(*hello.server_name) + ", the CONNECT " + host.text);
}

Unexpected no_hello(std::string_view why) {
  return Unexpected(Reason::tunnel_not_tls, "no ClientHello: " + std::string(why));
}

Unexpected too_late(std::string_view what) {
  return Unexpected(Reason::tunnel_idle, std::string(what) + " within timeouts.tls");
}

}  // namespace

async::Task<Result<>> TunnelGate::pass(Buffer& early, Deadline deadline) {
  tls::ClientHelloReader reader;
  while (true) {
    const Outcome outcome = reader.look(early.view());
    if (outcome == Outcome::hello) break;
    if (outcome == Outcome::not_tls) co_return no_hello(reader.fault());
    Result<> came = co_await read_more(early, deadline);
    if (!came) co_return came;
  }
  Result<> checked = check(reader.hello(), host_);
  if (!checked) co_await send_alert(deadline);
  co_return checked;
}

async::Task<Result<>> TunnelGate::read_more(Buffer& early, Deadline deadline) {
  if (early.empty()) early = Buffer();
  while (true) {
    const bool came = co_await sender_.readable(deadline);
    if (!came) co_return too_late("no whole ClientHello");
    if (!make_room(early)) {
      if (now() >= deadline) co_return too_late("no memory for a ClientHello");
      const Deadline again = std::min(deadline, deadline_after(now(), kMemoryPause));
      co_await async::sleep_until(again);
      continue;
    }
    const net::Io got = sender_.read_now(early.space());
    if (got.status == net::Io::Status::blocked) continue;
    if (got.status == net::Io::Status::closed) co_return no_hello("the sender has ended");
    if (!got.ok()) co_return Unexpected(Reason::tunnel_reset, std::strerror(got.error));
    early.commit(got.bytes);
    co_return Result<>();
  }
}

// What is full and still no hello is shorter than the longest.
bool TunnelGate::make_room(Buffer& early) {
  if (early.capacity() == 0) {
    std::optional<Buffer> free = buffers_.take_if_left(MemoryFor::tunnel);
    if (!free) return false;
    early = std::move(*free);
  }
  if (!early.full()) return true;
  return early.grow(std::min(2 * early.capacity(), tls::kMostClientHello), MemoryFor::tunnel);
}

// Whether it is taken does not matter: the tunnel ends either way.
async::Task<void> TunnelGate::send_alert(Deadline deadline) {
  iovec piece{const_cast<char*>(kUnrecognizedName.data()), kUnrecognizedName.size()};
  const std::span<iovec> pieces(&piece, 1);
  co_await sender_.write_all(pieces, deadline);
}

}  // namespace egret::proxy
