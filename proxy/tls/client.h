#pragma once

#include <deque>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "policy/rules.h"
#include "policy/url.h"
#include "proxy/tls/stream.h"
#include "proxy/tls/trust.h"

namespace egret::tls {

// Client makes the TLS connections of one policy::Tls, and keeps the sessions to resume them.
//   A certificate must be for the name that was asked for: SAN only, whole-label wildcards; IP
//   literals by their IP SAN. No renegotiation, ALPN http/1.1, SNI for names only.
//   One thread: a worker's.
class Client {
 public:
  static constexpr size_t kMostDestinations = 1000;  // whose sessions are kept
  static constexpr size_t kMostSessions = 4;         // of one destination: tickets are used once
  static constexpr int kLargestSession = 8 << 10;    // bytes, as OpenSSL would store it
  // A verdict about a certificate is believed for so long at most, however often it is resumed.
  static constexpr time_t kBelieved = 24 * 3600;  // seconds

  // `trust` is used where the settings name no CA. Errors: internal_error (the PEM was checked
  // when the configuration was read).
  static Result<std::shared_ptr<Client>> make(const policy::Tls& settings,
                                              std::shared_ptr<const Trust> trust);
  ~Client();

  // TLS over `below` to `host`, not yet shaken hands.
  std::unique_ptr<TlsStream> connect(std::unique_ptr<net::Stream> below, const policy::Host& host,
                                     uint16_t port);
  [[nodiscard]] bool presents_certificate() const { return presents_certificate_; }

 private:
  struct Kept {
    Session session;
    time_t until;  // of what was verified
  };
  struct Destination {
    std::string key;
    std::deque<Kept> sessions;  // oldest first
  };
  Client(Context context, const policy::Tls& settings, std::shared_ptr<const Trust> trust);
  Kept take_session(const std::string& key);
  void keep(const std::string& key, Kept kept);
  static int on_session(SSL* ssl, SSL_SESSION* session);
  static int on_chain(X509_STORE_CTX* chain, void* client);

  Context context_;
  std::shared_ptr<const Trust> trust_;
  std::vector<policy::Pin> pins_;
  bool presents_certificate_;
  std::list<Destination> destinations_;  // most recently used first
  std::unordered_map<std::string_view, std::list<Destination>::iterator> by_key_;
};

}  // namespace egret::tls
