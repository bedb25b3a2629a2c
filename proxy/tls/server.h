#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "policy/rules.h"
#include "policy/url.h"
#include "proxy/tls/authority.h"
#include "proxy/tls/stream.h"

namespace egret::tls {

// Seals the tickets of TLS servers: random, the same for all workers, new with each configuration,
// so that a session never outlives the trust it began under.
using TicketKeys = std::array<unsigned char, 80>;
TicketKeys make_ticket_keys();

// Which client certificates a server asks for.
struct ClientCertificates {
  std::string_view ca;   // PEM; empty: none are asked for
  std::string_view crl;  // PEM; empty: revocation is not looked at
  bool required = true;
};

// Server accepts TLS from senders. ALPN http/1.1 where any is offered, no renegotiation.
//   One thread: a worker's.
class Server {
 public:
  // An HTTPS proxy's listener. Errors: internal_error (PEM that was checked before).
  // `name` is the listener's: a session of one is not resumed at another.
  static Result<std::shared_ptr<Server>> for_listener(std::string_view name,
                                                      const policy::KeyPair& certificate,
                                                      const ClientCertificates& clients,
                                                      const TicketKeys& tickets);
  // For tunnels that are intercepted: each connection brings its own certificate.
  static std::shared_ptr<Server> for_interception(const TicketKeys& tickets);

  // Whether a handshake that ended well has brought the certificate that is required. Always,
  // unless OpenSSL and this file disagree about resumption.
  [[nodiscard]] bool satisfied(const TlsStream& stream) const {
    return !certificate_required_ || SSL_get0_peer_certificate(stream.ssl()) != nullptr;
  }
  // TLS over `below`, not yet shaken hands.
  std::unique_ptr<TlsStream> accept(std::unique_ptr<net::Stream> below);
  // As `host`, with its `leaf`. A ClientHello for another name is refused; one for none is taken
  // for `host`, unless `sni_required` and the host is a name. `below` must outlive the stream.
  std::unique_ptr<TlsStream> accept_as(net::Stream& below, const policy::Host& host,
                                       const Leaf& leaf, bool sni_required);

 private:
  Server(Context context, std::string purpose, bool certificate_required)
      : context_(std::move(context)),
        purpose_(std::move(purpose)),
        certificate_required_(certificate_required) {}
  Context context_;
  std::string purpose_;  // what its sessions are for
  bool certificate_required_;
};

// What a verified client certificate calls its owner: SAN URIs and SAN DNS names; without any, the
// subject's CN (RFC 6125 6.4.4: a CA may not have looked at it).
// Empty without one. Names with bytes other than printable ASCII are left out.
std::vector<std::string> client_names(const TlsStream& stream);

}  // namespace egret::tls
