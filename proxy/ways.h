#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "config/settings.h"
#include "proxy/metrics.h"
#include "proxy/tls/authority.h"
#include "proxy/tls/client.h"
#include "proxy/tls/server.h"
#include "proxy/tls/trust.h"

namespace egret::proxy {

// What the TLS of all workers has in common. Any thread.
struct TlsRoots {
  std::shared_ptr<const tls::Trust> trust = tls::Trust::nobody();
  tls::TicketKeys tickets = tls::make_ticket_keys();
};

// A rule's way to destinations, made ready for connections.
struct ReadyWay {
  policy::Way settings;
  std::shared_ptr<tls::Client> tls;
};

// A listener, with what its connections begin with.
struct ReadyListener {
  config::Listener settings;
  std::shared_ptr<tls::Server> tls;  // null: none
};

// What `connect: intercept` needs.
struct ReadyInterception {
  std::shared_ptr<tls::Authority> authority;
  std::shared_ptr<tls::Server> server;
};

// Ways is everything with OpenSSL in it that settings stand for, one of each kind: rules whose way
// is the same share one. One thread: a worker's. Throws std::runtime_error on PEM that is no good,
// which loading the configuration has excluded.
class Ways {
 public:
  Ways(const config::Settings& settings, const TlsRoots& roots);

  // `rule` is of the settings that this was made from, by position: 0 the defaults, then the rules.
  [[nodiscard]] const ReadyWay& way(size_t rule) const { return *by_rule_[rule]; }
  // Null: that listener is not in these settings.
  [[nodiscard]] const ReadyListener* listener(std::string_view name) const;
  // Null: none is configured.
  [[nodiscard]] const ReadyInterception* interception() const { return interception_.get(); }

 private:
  const ReadyWay* ready(const policy::Way& way, const TlsRoots& roots);
  std::vector<std::unique_ptr<ReadyWay>> ways_;
  std::vector<const ReadyWay*> by_rule_;
  std::vector<ReadyListener> listeners_;
  std::unique_ptr<ReadyInterception> interception_;
};

}  // namespace egret::proxy
