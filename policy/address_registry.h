#pragma once

#include <span>
#include <string>
#include <string_view>
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

// What a built-in entry says of its addresses.
enum class Effect : uint8_t {
  permit,  // globally reachable: no entry of its own, and no shorter built-in entry counts
  deny,
  inside,  // says nothing itself; the IPv4 inside decides
};

// A row of the built-in table.
struct RegistryEntry {
  std::string_view prefix;  // "10.0.0.0/8"
  Effect effect = Effect::deny;
  std::string_view registry;   // "IANA IPv4 special-purpose", "cloud-metadata", …
  std::string_view name;       // as the registry has it
  std::string_view reference;  // "[RFC1918]", may be empty
};
std::span<const RegistryEntry> builtin_entries();

// The judgement of one address and why.
struct Classification {
  bool permitted = false;
  std::string entry;   // the deciding entry: "10.0.0.0/8", or empty when no entry has the address
  std::string source;  // "Private-Use [RFC1918] (IANA IPv4 special-purpose)", "addresses.allow",
                       // "addresses.deny", "AWS … (cloud-metadata)", "Egret's own listener", …
  // The IPv4 address that decided, when one was found inside an IPv6 one, and how:
  // "10.0.0.1 (IPv4-mapped)", "10.0.0.1 (NAT64)", "(6to4)", "(Teredo client)", "(ISATAP)", …
  std::string inside;
  // What an operator could change to permit a refused address; empty when nothing can.
  std::string remedy;
};

// Judges one endpoint by the longest matching prefix over the built-in registries and `policy`'s
// entries. Pure: same arguments, same answer.
//   Built in, in policy/address_registry.cc, one table: the IANA IPv4 and IPv6 Special-Purpose
//   Address Registries (entries that are not globally reachable are denied, those that are stay
//   permitted), multicast, ::/8, everything outside 2000::/3, deprecated ranges (192.88.99.0/24,
//   fec0::/10; 3ffe::/16 is permitted as ordinary), and cloud-metadata addresses.
//   Of equally long entries `deny` wins over `allow`, and both over the built-in one: an operator
//   who writes 10.0.0.0/8 has named exactly that range. Since cloud-metadata entries are single
//   addresses, they yield only to an `allow` entry of exactly that address. A built-in *permit*
//   only lifts shorter built-in denials; it never competes with an operator's `deny`, so
//   `deny: ["::/0"]` means what it says.
//   IPv6 that carries an IPv4 (policy/inside_address.h) is permitted only if every IPv4 inside is
//   permitted by the same policy and port, and the outer form itself is not denied. The mapped
//   and NAT64 forms (well-known and configured prefixes) have no say of their own: allowing
//   10.0.0.0/8 allows ::ffff:10.0.0.1 and 64:ff9b::10.0.0.1 too, which lead to the same host;
//   allowing an IPv6 range never allows an IPv4 inside it.
//   An own listener is denied whatever `allow` says, in each of these forms too. A listener on a
//   loopback address is meant by every loopback and unspecified address with its port.
Classification classify(const Endpoint& endpoint, const AddressPolicy& policy,
                        const AddressContext& context);

// classify(…).permitted, without the words.
bool is_permitted(const Endpoint& endpoint, const AddressPolicy& policy,
                  const AddressContext& context);

// True when one of Egret's own listeners would answer at `endpoint`, or at an IPv4 inside it.
bool leads_to_own_listener(const Endpoint& endpoint, const AddressContext& context);

}  // namespace egret::policy
