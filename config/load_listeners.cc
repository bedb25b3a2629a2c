// listeners and admin: where Egret is reached.
#include <algorithm>

#include "config/scalars.h"
#include "config/secrets.h"
#include "config/sections.h"

namespace egret::config {
namespace {

constexpr size_t kMostListeners = 64;
constexpr uint32_t kMostConnections = 1'000'000;
constexpr uint16_t kDefaultPort = 4750;
constexpr uint16_t kDefaultAdminPort = 4751;

ListenAddress loopback(uint16_t port) {
  const policy::Endpoint endpoint{policy::Address::v4({127, 0, 0, 1}), port};
  return {endpoint.to_string(), endpoint, {}};
}

bool is_wildcard(const policy::Address& address) {
  return std::all_of(address.bytes().begin(), address.bytes().end(),
                     [](uint8_t byte) { return byte == 0; });
}

bool is_loopback(const policy::Address& address) {
  static const policy::Prefix v4{policy::Address::v4({127, 0, 0, 0}), 8};
  static const policy::Prefix v6{
      policy::Address::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}), 128};
  return v4.contains(address) || v6.contains(address);
}

// Listeners are known by their address, so two with port 0 are the same one too.
bool same_place(const ListenAddress& a, const ListenAddress& b) {
  if (!a.endpoint || !b.endpoint) return a.unix_path == b.unix_path && !a.endpoint && !b.endpoint;
  return a.endpoint == b.endpoint;
}

// A wildcard takes the other's connections; `::` takes IPv4 too where the kernel maps it.
bool overlap(const ListenAddress& a, const ListenAddress& b) {
  // The kernel gives each port 0 a port of its own.
  if (a.endpoint && a.endpoint->port == 0) return false;
  if (same_place(a, b)) return true;
  if (!a.endpoint || !b.endpoint || a.endpoint->port != b.endpoint->port) return false;
  const auto takes = [](const policy::Address& wide, const policy::Address& other) {
    return is_wildcard(wide) && (!wide.is_v4() || other.is_v4());
  };
  return takes(a.endpoint->address, b.endpoint->address) ||
         takes(b.endpoint->address, a.endpoint->address);
}

ListenerTls read_tls(const Mapping& mapping, PemFiles& pem) {
  ListenerTls tls;
  pem.pair(mapping, "tls", {}, pem::Owner::peer, tls.certificate);
  // After an error nothing is used but this: that a certificate is asked for.
  const bool asks = mapping.has("client_ca");
  if (!pem.authorities(mapping, "client_ca", tls.client_ca) && asks) tls.client_ca = "unusable";
  pem.revocation_lists(mapping, "crl", tls.crl);
  mapping.choice<bool>("client_certificate", tls.client_certificate_required,
                       {{"required", true}, {"optional", false}});
  for (const std::string_view key : {"crl", "client_certificate"}) {
    if (asks || !mapping.has(key)) continue;
    mapping.error(key, std::string(key) +
                           ": no client certificate is asked for; write client_ca beside it, the "
                           "file of the CAs that senders' certificates are from");
  }
  return tls;
}

void read_proxy_protocol(const Mapping& mapping, Listener& listener) {
  mapping.boolean("proxy_protocol", listener.proxy_protocol);
  mapping.list("proxy_protocol_from", listener.proxy_protocol_from, parse_prefix);
  if (!listener.proxy_protocol) {
    if (!mapping.has("proxy_protocol_from")) return;
    mapping.warning("proxy_protocol_from",
                    "proxy_protocol_from: nothing uses it without proxy_protocol: true");
    return;
  }
  if (!listener.address.unix_path.empty()) {
    mapping.error("proxy_protocol",
                  "proxy_protocol: a connection to a Unix socket comes from no network, so nothing "
                  "says whom to believe; use an address");
    return;
  }
  mapping.not_empty("proxy_protocol_from",
                    "an empty list lets nobody in; name the load balancers' networks");
  if (mapping.has("proxy_protocol_from")) return;
  mapping.error("proxy_protocol",
                "proxy_protocol: anyone could write any address into its header; name the load "
                "balancers' networks in proxy_protocol_from");
}

}  // namespace

void read_listeners(const Mapping& root, Settings& settings, PemFiles& pem) {
  root.not_empty("listeners", "an empty list listens nowhere; name one or leave the key out");
  for (const Mapping& item : root.mappings("listeners", "listener", kMostListeners)) {
    Listener listener;
    const bool placed = item.scalar("address", listener.address, parse_listen_address);
    item.count("max_connections", listener.max_connections, 1, kMostConnections);
    if (const auto tls = item.mapping("tls")) listener.tls = read_tls(*tls, pem);
    read_proxy_protocol(item, listener);
    if (!placed) {
      if (item.is_mapping() && !item.has("address"))
        item.error("address", "listener: an address is needed");
      continue;
    }
    for (const Listener& other : settings.listeners) {
      if (!same_place(listener.address, other.address)) continue;
      item.error("address", "address: " + in_quotes(listener.address.name) +
                                " is an earlier listener's address already");
    }
    settings.listeners.push_back(std::move(listener));
  }
  if (root.has("listeners")) return;
  Listener listener;
  listener.address = loopback(kDefaultPort);
  settings.listeners.push_back(std::move(listener));
}

void read_admin(const Mapping& root, Settings& settings, SecretSource& secrets) {
  Admin& admin = settings.admin;
  admin.address = loopback(kDefaultAdminPort);
  const std::optional<Mapping> mapping = root.mapping("admin");
  const Mapping& where = mapping ? *mapping : root;
  if (mapping) {
    mapping->scalar("address", admin.address, parse_listen_address);
    admin.token = read_secret(*mapping, "token", secrets);
    if (admin.token && !is_token68(admin.token->reveal())) {
      admin.token.reset();
      mapping->error("token",
                     "token: no bearer token has such bytes (RFC 6750); letters, digits and "
                     "\"-._~+/\", then \"=\"");
    }
  }
  for (const Listener& listener : settings.listeners) {
    if (!overlap(admin.address, listener.address)) continue;
    where.error("address", "admin: " + in_quotes(admin.address.name) +
                               " is taken by the listener " + in_quotes(listener.address.name) +
                               "; the admin listener stands apart, at an address of its own");
    break;
  }
  const bool open = admin.address.endpoint && !is_loopback(admin.address.endpoint->address);
  if (open && mapping && !mapping->has("token")) {
    mapping->error("address", "admin: " + in_quotes(admin.address.name) +
                                  " can be reached from other machines, so a token is needed; "
                                  "write token: {file: path}");
  }
}

void warn_open_admin(const Mapping& root, const Settings& settings) {
  const bool open = !settings.admin.token && settings.admin.address.endpoint;
  if (!open || !settings.queue || settings.senders.all().empty()) return;
  root.warning(root.has("admin") ? "admin" : "queue",
               "admin: without a token every process on this machine, each sender too, may read, "
               "replay and cancel all senders' deliveries; write token: {file: path}, or let "
               "address be a Unix socket");
}

}  // namespace egret::config
