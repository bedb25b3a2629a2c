#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "policy/address.h"

namespace egret::policy {

// An IPv4 address that an IPv6 address carries: where the packet, or a part of its way, really
// goes.
struct Inside {
  Address address;
  std::string_view how;  // "IPv4-mapped", "NAT64", "6to4", "Teredo client", …
  // False when the outer form breaks its own RFC (a NAT64 address whose reserved octet is not
  // zero): translators disagree about what it means, so it is never permitted.
  bool well_formed = true;
};

// Every IPv4 address inside `address`, empty for IPv4 and for plain IPv6:
//   IPv4-mapped ::ffff:0:0/96 (RFC 4291) · IPv4-compatible ::/96 but not :: and ::1 (RFC 4291) ·
//   SIIT ::ffff:0:0:0/96 (RFC 2765) · NAT64 64:ff9b::/96 and `nat64_prefixes` (RFC 6052) ·
//   64:ff9b:1::/48 outside them, in each RFC 6052 length, since its real one is not known
//   (RFC 8215) · 6to4 (RFC 3056) · Teredo server and client (RFC 4380) · ISATAP interface
//   identifiers 0:5efe and 200:5efe under any prefix (RFC 5214).
std::vector<Inside> addresses_inside(const Address& address,
                                     std::span<const Prefix> nat64_prefixes);

// The prefix lengths of RFC 6052 2.2: 32 40 48 56 64 96.
bool is_nat64_length(unsigned bits);

}  // namespace egret::policy
