// tls, via and source: how a rule's connections are made.
#include "config/scalars.h"
#include "config/secrets.h"
#include "config/sections.h"

namespace egret::config {
namespace {

using policy::Tls;
using policy::Via;

void read_ca(const Mapping& mapping, std::string& ca, PemFiles& pem) {
  const Node* node = mapping.find("ca");
  if (node != nullptr && node->kind == Node::Kind::scalar && node->text == "system") {
    ca.clear();
  } else {
    pem.authorities(mapping, "ca", ca);
  }
}

void read_client_certificate(const Mapping& mapping, Tls& tls, PemFiles& pem) {
  if (mapping.is_none("client_certificate")) {
    tls.client_certificate.reset();
    return;
  }
  const std::optional<Mapping> pair = mapping.mapping("client_certificate");
  if (!pair) return;
  policy::KeyPair read;
  if (pem.pair(*pair, "client_certificate", {}, pem::Owner::peer, read)) {
    tls.client_certificate = std::move(read);
  }
}

void read_tls(const Mapping& mapping, Tls& tls, PemFiles& pem) {
  mapping.choice<Tls::Version>("min_version", tls.min_version,
                               {{"1.2", Tls::Version::tls12}, {"1.3", Tls::Version::tls13}});
  read_ca(mapping, tls.ca, pem);
  if (mapping.is_none("crl")) {
    tls.crl.clear();
  } else {
    pem.revocation_lists(mapping, "crl", tls.crl);
  }
  mapping.list("pins", tls.pins, parse_pin);
  read_client_certificate(mapping, tls, pem);
}

// A `via` that names a proxy is a new one: what another proxy was told is not told to this one.
void read_via(const Mapping& mapping, std::optional<Via>& inherited, SecretSource& secrets) {
  Via via;
  if (mapping.has("proxy")) {
    policy::Authority proxy;
    mapping.scalar("proxy", proxy, parse_parent_proxy);
    via.host = std::move(proxy.host);
    via.port = proxy.port;
  } else if (inherited) {
    via = *inherited;
  } else if (mapping.is_mapping()) {
    mapping.error("proxy", "via: a proxy is needed, such as proxy: http://proxy.example:3128");
  }
  mapping.choice<Via::Ask>("ask", via.ask,
                           {{"address", Via::Ask::address}, {"name", Via::Ask::name}});
  if (mapping.has("username") || mapping.has("password")) {
    std::string username;
    if (const auto basic = read_basic(mapping, "via", username, secrets)) {
      via.authorization = Secret("Basic " + std::string(basic->reveal()));
    }
  }
  inherited = std::move(via);
}

}  // namespace

void read_way(const Mapping& mapping, policy::Way& way, SecretSource& secrets, PemFiles& pem) {
  if (const auto tls = mapping.mapping("tls")) read_tls(*tls, way.tls, pem);
  if (mapping.is_none("via")) {
    way.via.reset();
  } else if (const auto via = mapping.mapping("via")) {
    read_via(*via, way.via, secrets);
  }
  if (mapping.is_none("source")) {
    way.source.reset();
    return;
  }
  policy::Address source;
  if (mapping.scalar("source", source, parse_source)) way.source = source;
}

}  // namespace egret::config
