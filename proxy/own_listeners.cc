#include "proxy/own_listeners.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "proxy/net/socket.h"

namespace egret::proxy {
namespace {

bool is_wildcard(const policy::Address& address) {
  return std::ranges::all_of(address.bytes(), [](uint8_t byte) { return byte == 0; });
}

// Every address of this machine in the family of `wildcard`: where a wildcard listener can be
// reached.
std::vector<policy::Address> local_addresses(const policy::Address& wildcard) {
  std::vector<policy::Address> found{wildcard};
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return found;
  for (const ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr) continue;
    const sa_family_t family = each->ifa_addr->sa_family;
    if (family != (wildcard.is_v4() ? AF_INET : AF_INET6)) continue;
    net::SocketAddress address;
    address.length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    std::memcpy(&address.storage, each->ifa_addr, address.length);
    if (const auto endpoint = address.endpoint()) found.push_back(endpoint->address);
  }
  freeifaddrs(list);
  return found;
}

}  // namespace

void add_own(std::vector<policy::Endpoint>& own, const policy::Endpoint& bound) {
  if (!is_wildcard(bound.address)) {
    own.push_back(bound);
    return;
  }
  for (const policy::Address& address : local_addresses(bound.address)) {
    own.push_back({address, bound.port});
  }
}

}  // namespace egret::proxy
