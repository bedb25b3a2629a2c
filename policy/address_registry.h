#pragma once

#include <string>
#include <vector>

#include "policy/address.h"

namespace egret::policy {

enum class Mixed : uint8_t { deny, filter };

// A rule's own entries over the built-in registries.
struct AddressPolicy {
  std::vector<Prefix> allow;
  std::vector<Prefix> deny;
  Mixed mixed = Mixed::deny;
  bool operator==(const AddressPolicy&) const = default;
};

// What holds for every rule: how NAT64 is spelled here, and where Egret itself listens.
struct AddressContext {
  std::vector<Prefix> nat64_prefixes;   // RFC 6052 lengths only: 32 40 48 56 64 96
  std::vector<Endpoint> own_listeners;  // wildcard listeners expanded to every local address
};

// The judgement of one address and why.
struct Classification {
  bool permitted = false;
  std::string entry;   // the deciding entry: "10.0.0.0/8", or empty when no entry has the address
  std::string source;  // "IANA IPv4 special-purpose: Private-Use [RFC1918]",
                       // "addresses.allow", "cloud-metadata: AWS …", "Egret's own listener", …
  // The IPv4 address that decided, when one was found inside an IPv6 one, and how: "NAT64",
  // "IPv4-mapped", "6to4", "Teredo server", "Teredo client", "ISATAP", …
  std::string inside;
};

// Judges one endpoint by the longest matching prefix over the built-in registries and `policy`'s
// entries; deny wins a tie. Pure: same arguments, same answer.
//   Built in, in policy/address_registry.cc, one table: the IANA IPv4 and IPv6 Special-Purpose
//   Address Registries (entries that are not globally reachable are denied, those that are stay
//   permitted), multicast, ::/8, everything outside 2000::/3, deprecated ranges (192.88.99.0/24,
//   fec0::/10, 3ffe::/16 is permitted as ordinary), and cloud-metadata addresses, which yield
//   only to an `allow` entry of exactly that address.
//   IPv6 that carries an IPv4 (mapped, compatible, SIIT, NAT64 well-known, local and configured,
//   6to4, Teredo server and client, ISATAP) is permitted only if the IPv4 inside is permitted by
//   the same policy and port, and the outer form itself is not denied.
//   An own listener is denied whatever `allow` says.
Classification classify(const Endpoint& endpoint, const AddressPolicy& policy,
                        const AddressContext& context);

}  // namespace egret::policy
