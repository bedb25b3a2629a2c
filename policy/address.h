#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace egret::policy {

// An IP address as bytes; never a name. IPv4 occupies the first four bytes.
class Address {
 public:
  enum class Family : uint8_t { v4, v6 };

  Address() = default;  // 0.0.0.0
  static Address v4(std::array<uint8_t, 4> bytes);
  static Address v6(std::array<uint8_t, 16> bytes);

  // Strict: dotted quad without leading zeros (RFC 3986 dec-octet), or RFC 4291 text without
  // brackets or zone. Anything else, such as 127.1 or 0x7f000001, is nothing.
  static std::optional<Address> parse(std::string_view text);

  [[nodiscard]] Family family() const { return family_; }
  [[nodiscard]] bool is_v4() const { return family_ == Family::v4; }
  [[nodiscard]] const std::array<uint8_t, 16>& bytes() const { return bytes_; }
  [[nodiscard]] std::array<uint8_t, 4> v4_bytes() const {
    return {bytes_[0], bytes_[1], bytes_[2], bytes_[3]};
  }
  // Dotted quad, or RFC 5952.
  [[nodiscard]] std::string to_string() const;

  auto operator<=>(const Address&) const = default;

 private:
  Family family_ = Family::v4;
  std::array<uint8_t, 16> bytes_{};
};

// A CIDR prefix; bits below `length` are zero.
struct Prefix {
  Address base;
  uint8_t length = 0;  // bits: 0..32 or 0..128

  // "10.0.0.0/8", "::1" (= /128). Nothing when malformed or when host bits are set.
  static std::optional<Prefix> parse(std::string_view text);
  [[nodiscard]] bool contains(const Address& address) const;
  [[nodiscard]] bool is_single() const { return length == (base.is_v4() ? 32 : 128); }
  [[nodiscard]] std::string to_string() const;
  auto operator<=>(const Prefix&) const = default;
};

// A transport address. Port in host order.
struct Endpoint {
  Address address;
  uint16_t port = 0;
  [[nodiscard]] std::string to_string() const;  // 192.0.2.1:80 or [2001:db8::1]:80
  auto operator<=>(const Endpoint&) const = default;
};

}  // namespace egret::policy
