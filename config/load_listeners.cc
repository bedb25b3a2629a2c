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

// The kernel gives each port 0 a port of its own.
bool same_place(const ListenAddress& a, const ListenAddress& b) {
  if (!a.endpoint || !b.endpoint) return a.unix_path == b.unix_path && !a.endpoint && !b.endpoint;
  return a.endpoint == b.endpoint && a.endpoint->port != 0;
}

// A wildcard takes the other's connections; `::` takes IPv4 too where the kernel maps it.
bool overlap(const ListenAddress& a, const ListenAddress& b) {
  if (same_place(a, b)) return true;
  if (!a.endpoint || !b.endpoint || a.endpoint->port != b.endpoint->port) return false;
  if (a.endpoint->port == 0) return false;
  const auto takes = [](const policy::Address& wide, const policy::Address& other) {
    return is_wildcard(wide) && (!wide.is_v4() || other.is_v4());
  };
  return takes(a.endpoint->address, b.endpoint->address) ||
         takes(b.endpoint->address, a.endpoint->address);
}

}  // namespace

void read_listeners(const Mapping& root, Settings& settings) {
  root.not_empty("listeners", "an empty list listens nowhere; name one or leave the key out");
  for (const Mapping& item : root.mappings("listeners", "listener", kMostListeners)) {
    Listener listener;
    const bool placed = item.scalar("address", listener.address, parse_listen_address);
    item.count("max_connections", listener.max_connections, 1, kMostConnections);
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

}  // namespace egret::config
