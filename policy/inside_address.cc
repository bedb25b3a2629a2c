#include "policy/inside_address.h"

#include <algorithm>

namespace egret::policy {
namespace {

using Bytes = std::array<uint8_t, 16>;

Address v4_at(const Bytes& bytes, size_t at) {
  return Address::v4({bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]});
}

template <size_t N>
bool starts_with(const Bytes& bytes, const std::array<uint8_t, N>& head) {
  return std::equal(head.begin(), head.end(), bytes.begin());
}

constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
constexpr std::array<uint8_t, 12> kSiit = {0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0};
constexpr std::array<uint8_t, 12> kCompatible = {};
constexpr std::array<uint8_t, 12> kNat64 = {0, 0x64, 0xFF, 0x9B};
constexpr std::array<uint8_t, 6> kNat64Local = {0, 0x64, 0xFF, 0x9B, 0, 1};
constexpr std::array<uint8_t, 2> k6to4 = {0x20, 0x02};
constexpr std::array<uint8_t, 4> kTeredo = {0x20, 0x01, 0, 0};

constexpr size_t kReservedOctet = 8;  // bits 64 to 71, RFC 6052 2.2

// RFC 6052 2.2: the IPv4 follows the prefix and steps over the reserved octet.
Inside nat64_inside(const Bytes& bytes, unsigned prefix_bits, std::string_view how) {
  std::array<uint8_t, 4> v4{};
  size_t at = prefix_bits / 8;
  for (auto& byte : v4) {
    if (at == kReservedOctet) ++at;
    byte = bytes[at++];
  }
  const bool well_formed = prefix_bits == 96 || bytes[kReservedOctet] == 0;
  return {Address::v4(v4), how, well_formed};
}

void add_translated(const Address& address, std::span<const Prefix> nat64_prefixes,
                    std::vector<Inside>& out) {
  bool configured = false;
  for (const Prefix& prefix : nat64_prefixes) {
    if (!prefix.contains(address) || !is_nat64_length(prefix.length)) continue;
    out.push_back(nat64_inside(address.bytes(), prefix.length, "NAT64"));
    configured = true;
  }
  if (configured) return;
  if (starts_with(address.bytes(), kNat64)) {
    out.push_back(nat64_inside(address.bytes(), 96, "NAT64"));
  } else if (starts_with(address.bytes(), kNat64Local)) {
    for (const unsigned bits : {48U, 56U, 64U, 96U}) {
      out.push_back(nat64_inside(address.bytes(), bits, "NAT64, local-use"));
    }
  }
}

bool is_isatap(const Bytes& bytes) {
  return (bytes[8] == 0 || bytes[8] == 2) && bytes[9] == 0 && bytes[10] == 0x5E &&
         bytes[11] == 0xFE;
}

}  // namespace

bool is_nat64_length(unsigned bits) {
  return bits == 96 || (bits >= 32 && bits <= 64 && bits % 8 == 0);
}

std::vector<Inside> addresses_inside(const Address& address,
                                     std::span<const Prefix> nat64_prefixes) {
  std::vector<Inside> out;
  if (address.is_v4()) return out;
  const Bytes& bytes = address.bytes();
  if (starts_with(bytes, kMapped)) out.push_back({v4_at(bytes, 12), "IPv4-mapped"});
  if (starts_with(bytes, kSiit)) out.push_back({v4_at(bytes, 12), "IPv4-translated, SIIT"});
  if (starts_with(bytes, kCompatible)) {
    const bool own_meaning =
        bytes[12] == 0 && bytes[13] == 0 && bytes[14] == 0 && bytes[15] <= 1;  // :: and ::1
    if (!own_meaning) out.push_back({v4_at(bytes, 12), "IPv4-compatible"});
  }
  if (starts_with(bytes, k6to4)) out.push_back({v4_at(bytes, 2), "6to4"});
  if (starts_with(bytes, kTeredo)) {
    Bytes plain = bytes;  // the client's address is sent inverted (RFC 4380 4)
    for (size_t i = 12; i < 16; ++i) plain[i] = static_cast<uint8_t>(~bytes[i]);
    out.push_back({v4_at(bytes, 4), "Teredo server"});
    out.push_back({v4_at(plain, 12), "Teredo client"});
  }
  if (is_isatap(bytes)) out.push_back({v4_at(bytes, 12), "ISATAP"});
  add_translated(address, nat64_prefixes, out);
  return out;
}

}  // namespace egret::policy
