// What CONNECT becomes: an opaque tunnel, or one whose requests are exchanges of their own.
#include <algorithm>

#include "proxy/exchange.h"
#include "proxy/tls/words.h"
#include "proxy/tunnel.h"

namespace egret::proxy {
namespace {

constexpr std::string_view kEstablished = "HTTP/1.1 200 Connection Established\r\n\r\n";

// Keeps the gauge and the record true however a tunnel ends, by cancellation too.
class TunnelCount {
 public:
  TunnelCount(Metrics& metrics, Record& record, const Tunnel& tunnel)
      : metrics_(metrics), record_(record), tunnel_(tunnel) {
    ++metrics_.tunnels_open;
  }
  ~TunnelCount() {
    --metrics_.tunnels_open;
    record_.status = tunnel_.opened() ? 200 : 0;
    record_.bytes_up = tunnel_.bytes_up();
    record_.bytes_down = tunnel_.bytes_down();
  }
  TunnelCount(const TunnelCount&) = delete;
  TunnelCount& operator=(const TunnelCount&) = delete;

 private:
  Metrics& metrics_;
  Record& record_;
  const Tunnel& tunnel_;
};

}  // namespace

async::Task<Result<>> Exchange::tunnel() {
  ++record_.attempts;
  ++services_.metrics.attempts;
  Result<Upstream> opened = co_await open(services_, policy_, *route_, record_, total_);
  if (!opened) co_return Unexpected(std::move(opened.error()));
  upstream_ = std::move(*opened);
  in_.consume(head_size_);
  const TimePoint began = async::Scheduler::current().now();
  slot_.tell(policy::Health::well, began);  // it may be there for long
  Tunnel tunnel(services_, sender_.stream(), *upstream_.connection.stream, *admission_.rule,
                admission_.url.host);
  const TunnelCount counted(services_.metrics, record_, tunnel);
  Result<> carried = co_await tunnel.run(in_);
  replied_ = tunnel.opened();
  // As the sender's: what came of a tunnel that failed must not be taken for whole.
  if (!carried) upstream_.connection.stream->abort_on_close();
  record_.relay += async::Scheduler::current().now() - began;
  co_return carried;
}

// Policy, addresses and a certificate come before the 200: what they refuse is answered readably.
async::Task<Result<>> Exchange::intercept() {
  const ReadyInterception* ready = policy_->ways.interception();
  if (ready == nullptr) co_return Unexpected(Reason::interception_failed, "No CA is configured.");
  const policy::Url& url = admission_.url;
  Result<tls::Leaf> leaf = ready->authority->leaf(url.host, record_.wall);
  if (!leaf) co_return Unexpected(std::move(leaf.error()));
  const bool sni_required = admission_.rule->tunnel_sni == policy::TunnelSni::match;
  in_.consume(head_size_);
  iovec piece{const_cast<char*>(kEstablished.data()), kEstablished.size()};
  const std::span<iovec> pieces(&piece, 1);
  const Deadline until = pace().next();
  const net::Io put = co_await sender_.outer.write_all(pieces, until);
  if (!put.ok()) co_return Unexpected(Reason::sender_disconnected, "before the tunnel was open");
  record_.status = 200;
  sender_.inner = ready->server->accept_as(sender_.outer, url.host, *leaf, sni_required);
  sender_.inner->preload(in_.view());
  in_.consume(in_.size());
  Result<> unwrapped = co_await unwrap();
  if (!unwrapped) {
    // The alert that says why is on its way; nothing more is to be said in this connection.
    sender_.inner.reset();
    co_return unwrapped;
  }
  const policy::Sender* sender = policy_->settings->senders.named(record_.sender);
  const TimePoint now = async::Scheduler::current().now();
  sender_.inside.emplace(
      Inside{url.authority(), std::nullopt, deadline_after(now, admission_.rule->timeouts.tunnel)});
  if (sender != nullptr) sender_.inside->sender = *sender;
  co_return unwrapped;
}

async::Task<Result<>> Exchange::unwrap() {
  const TimePoint now = async::Scheduler::current().now();
  const Deadline deadline = std::min(deadline_after(now, admission_.rule->timeouts.tls), total_);
  std::string peer = "the sender";
  Result<> done = co_await sender_.inner->handshake(std::move(peer), deadline);
  if (done) {
    Metrics& metrics = services_.metrics;
    ++(sender_.inner->resumed() ? metrics.sender_tls_resumed : metrics.sender_tls_full);
    co_return done;
  }
  const std::optional<int> alert = sender_.inner->findings().alert;
  if (!alert || !tls::means_distrust(*alert)) co_return done;
  co_return Unexpected(Reason::interception_refused,
                       done.error().detail + " It does not trust Egret's CA: see `egret ca show`.");
}

}  // namespace egret::proxy
