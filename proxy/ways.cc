#include "proxy/ways.h"

#include <algorithm>
#include <stdexcept>

namespace egret::proxy {
namespace {

template <typename T>
T or_throw(Result<T> made, std::string_view what) {
  if (!made) throw std::runtime_error(std::string(what) + ": " + made.error().detail);
  return std::move(*made);
}

}  // namespace

Ways::Ways(const config::Settings& settings, const TlsRoots& roots) {
  by_rule_.push_back(ready(settings.defaults.way, roots));
  for (const policy::Rule& rule : settings.rules) by_rule_.push_back(ready(rule.way, roots));
  for (const config::Listener& listener : settings.listeners) {
    std::shared_ptr<tls::Server> server;
    if (listener.tls) {
      const tls::ClientCertificates clients{.ca = listener.tls->client_ca,
                                            .crl = listener.tls->crl,
                                            .required = listener.tls->client_certificate_required};
      server = or_throw(tls::Server::for_listener(listener.address.name, listener.tls->certificate,
                                                  clients, roots.tickets),
                        "listener " + listener.address.name);
    }
    listeners_.push_back({listener, std::move(server)});
  }
  if (!settings.interception) return;
  interception_ = std::make_unique<ReadyInterception>(
      or_throw(tls::Authority::load(settings.interception->ca), "interception"),
      tls::Server::for_interception(roots.tickets));
}

const ReadyWay* Ways::ready(const policy::Way& way, const TlsRoots& roots) {
  const auto same = std::ranges::find_if(
      ways_, [&](const std::unique_ptr<ReadyWay>& each) { return each->settings == way; });
  if (same != ways_.end()) return same->get();
  ways_.push_back(std::make_unique<ReadyWay>(
      ReadyWay{way, or_throw(tls::Client::make(way.tls, roots.trust), "tls")}));
  return ways_.back().get();
}

const ReadyListener* Ways::listener(std::string_view name) const {
  const auto found = std::ranges::find_if(
      listeners_, [&](const ReadyListener& each) { return each.settings.address.name == name; });
  return found == listeners_.end() ? nullptr : &*found;
}

}  // namespace egret::proxy
