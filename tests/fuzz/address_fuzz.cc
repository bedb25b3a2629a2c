// Addresses: text and bytes round-trip, and what the default policy permits is outside every
// private range by a second opinion that shares no code with the first.
#include <arpa/inet.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "policy/address.h"
#include "policy/address_registry.h"

namespace {

using egret::policy::Address;
using egret::policy::AddressContext;
using egret::policy::AddressPolicy;

void check(bool holds) {
  if (!holds) std::abort();
}

// Ranges that nobody may reach by default, as plain arithmetic.
bool is_private_v4(uint32_t ip) {
  const auto in = [ip](uint32_t base, unsigned bits) { return (ip ^ base) >> (32 - bits) == 0; };
  return in(0x00000000, 8) || in(0x0A000000, 8) || in(0x64400000, 10) || in(0x7F000000, 8) ||
         in(0xA9FE0000, 16) || in(0xAC100000, 12) || in(0xC0000200, 24) || in(0xC0A80000, 16) ||
         in(0xC6120000, 15) || in(0xC6336400, 24) || in(0xCB007100, 24) || in(0xE0000000, 4) ||
         in(0xF0000000, 4) || ip == 0xA83F8110;
}

uint32_t word(const std::array<uint8_t, 16>& b, size_t at) {
  return static_cast<uint32_t>(b[at]) << 24 | static_cast<uint32_t>(b[at + 1]) << 16 |
         static_cast<uint32_t>(b[at + 2]) << 8 | b[at + 3];
}

bool is_private(const Address& address) {
  const auto& b = address.bytes();
  if (address.is_v4()) return is_private_v4(word(b, 0));
  const uint32_t w0 = word(b, 0);
  const uint32_t w1 = word(b, 4);
  const uint32_t w2 = word(b, 8);
  const uint32_t w3 = word(b, 12);
  if (w0 == 0 && w1 == 0 && w2 == 0xFFFF) return is_private_v4(w3);      // IPv4-mapped
  if (w0 == 0x0064FF9B && w1 == 0 && w2 == 0) return is_private_v4(w3);  // NAT64
  if ((b[0] & 0xE0) != 0x20) return true;                                // outside 2000::/3
  if (w0 == 0x20010000 || w0 >> 16 == 0x2002) return true;               // Teredo, 6to4
  if (w0 == 0x20010DB8 || (w0 >> 12) == 0x3FFF0) return true;            // documentation
  return (w2 == 0x5EFE || w2 == 0x02005EFE) && is_private_v4(w3);        // ISATAP
}

void check_text(std::string_view text) {
  const auto address = Address::parse(text);
  const std::string terminated(text);
  if (text.find('\0') == std::string_view::npos) {
    // The C library is as strict as we are, about IPv6 and about dotted quads.
    std::array<uint8_t, 16> theirs{};
    const bool v6 = text.find(':') != std::string_view::npos;
    const bool read = inet_pton(v6 ? AF_INET6 : AF_INET, terminated.c_str(), theirs.data()) == 1;
    check(read == address.has_value());
    check(!read || theirs == address->bytes());
  }
  if (address) check(Address::parse(address->to_string()) == address);
  const auto prefix = egret::policy::Prefix::parse(text);
  if (prefix) {
    check(prefix->contains(prefix->base));
    check(egret::policy::Prefix::parse(prefix->to_string()) == prefix);
  }
}

void check_bytes(const Address& address, uint16_t port, uint8_t allow_bits) {
  check(Address::parse(address.to_string()) == address);
  const AddressPolicy defaults;
  const AddressContext context;
  const bool permitted = is_permitted({address, port}, defaults, context);
  check(!permitted || !is_private(address));
  const auto words = classify({address, port}, defaults, context);
  check(words.permitted == permitted && !words.source.empty());

  // Denying everything denies it; so does listening there; allowing a short prefix opens nothing.
  AddressPolicy policy;
  policy.deny = {*egret::policy::Prefix::parse("0.0.0.0/0"), *egret::policy::Prefix::parse("::/0")};
  check(!is_permitted({address, port}, policy, context));
  policy.deny.clear();
  policy.allow = {{address, static_cast<uint8_t>(address.is_v4() ? 32 : 128)}};
  check(!is_permitted({address, port}, policy, {{}, {{address, port}}}));
  policy.allow = {*egret::policy::Prefix::parse(address.is_v4() ? "0.0.0.0/0" : "::/0")};
  if (allow_bits % 2 == 0 && address.is_v4()) {
    check(is_permitted({address, port}, policy, context) == permitted);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  check_text(std::string_view(reinterpret_cast<const char*>(data), size));
  if (size < 16) return 0;
  std::array<uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), data, bytes.size());
  const uint16_t port = bytes[15];
  check_bytes(Address::v6(bytes), port, bytes[0]);
  check_bytes(Address::v4({bytes[12], bytes[13], bytes[14], bytes[15]}), port, bytes[0]);
  return 0;
}
