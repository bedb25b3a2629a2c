#include "proxy/preface.h"

#include <algorithm>

#include "proxy/net/proxy_protocol.h"
#include "proxy/refused_head.h"

namespace egret::proxy {
namespace {

const ReadyListener* settings_of(const Policy& policy, const ListenerInfo& listener) {
  return policy.ways.listener(listener.name);
}

bool same_clients(const config::Listener& a, const config::Listener& b) {
  if (!a.tls || !b.tls) return a.tls.has_value() == b.tls.has_value();
  return a.tls->client_ca == b.tls->client_ca && a.tls->crl == b.tls->crl &&
         a.tls->client_certificate_required == b.tls->client_certificate_required;
}

}  // namespace

bool Preface::needed(const Services& services) const {
  const ReadyListener* ready = settings_of(*services.policy, *listener);
  return ready != nullptr && (ready->tls || ready->settings.proxy_protocol);
}

async::Task<bool> Preface::read(Services& services) {
  const std::shared_ptr<const Policy> policy = services.policy;
  const ReadyListener* ready = settings_of(*policy, *listener);
  if (ready == nullptr) co_return false;  // the listener went while the connection waited
  const Deadline deadline =
      deadline_after(async::Scheduler::current().now(), policy->judge.defaults().timeouts.tls);
  const config::Listener* settings = &ready->settings;
  Result<> begun;
  if (ready->settings.proxy_protocol) begun = co_await read_address(settings, deadline);
  if (begun && ready->tls) begun = co_await shake_hands(services, *ready->tls, deadline);
  if (begun && ready->tls) verified_under = policy;
  if (begun) co_return true;
  // A port scan or a health check that connects and goes is nothing to write down.
  if (begun.error().reason == Reason::sender_disconnected) co_return false;
  const RefusedHead refused(services, *listener, std::move(begun.error()));
  co_return false;
}

async::Task<Result<>> Preface::read_address(const config::Listener* settings, Deadline deadline) {
  const bool listed =
      address && std::ranges::any_of(settings->proxy_protocol_from, [&](const auto& network) {
        return network.contains(*address);
      });
  if (!listed) {
    co_return Unexpected(Reason::proxy_protocol_invalid,
                         "The connection comes from " +
                             (address ? address->to_string() : std::string("no network")) +
                             ", which is not in proxy_protocol_from.");
  }
  Result<std::optional<policy::Endpoint>> header =
      co_await net::read_proxy_header(*stream, deadline);
  if (!header) co_return Unexpected(std::move(header.error()));
  if (*header) address = (**header).address;
  co_return Result<>();
}

async::Task<Result<>> Preface::shake_hands(Services& services, tls::Server& server,
                                           Deadline deadline) {
  std::unique_ptr<tls::TlsStream> secured = server.accept(std::move(stream));
  std::string peer = address ? address->to_string() : "the sender";
  Result<> done = co_await secured->handshake(std::move(peer), deadline);
  if (!done && !secured->anything_came()) done = Unexpected(Reason::sender_disconnected, "");
  if (done && !server.satisfied(*secured)) {
    done = Unexpected(Reason::sender_tls_failed, "No client certificate was presented.");
  }
  if (done) {
    ++(secured->resumed() ? services.metrics.sender_tls_resumed : services.metrics.sender_tls_full);
    certificate_names = tls::client_names(*secured);
  }
  stream = std::move(secured);
  co_return done;
}

bool Preface::still_trusted(const Services& services) {
  if (!verified_under || verified_under == services.policy) return true;
  const ReadyListener* then = settings_of(*verified_under, *listener);
  const ReadyListener* now = settings_of(*services.policy, *listener);
  if (now == nullptr) return true;  // the listener went: open connections go on
  if (then == nullptr || !same_clients(then->settings, now->settings)) return false;
  verified_under = services.policy;
  return true;
}

}  // namespace egret::proxy
