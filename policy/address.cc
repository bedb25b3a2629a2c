#include "policy/address.h"

#include <endian.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <span>

#include "base/text.h"

namespace egret::policy {
namespace {

// One decimal octet without leading zeros (RFC 3986 dec-octet), taken from the front of `text`.
std::optional<uint8_t> take_octet(std::string_view& text) {
  size_t digits = 0;
  unsigned value = 0;
  while (digits < text.size() && text::is_digit(text[digits])) {
    value = value * 10 + static_cast<unsigned>(text[digits] - '0');
    if (++digits > 3 || value > 255) return std::nullopt;
  }
  if (digits == 0 || (digits > 1 && text[0] == '0')) return std::nullopt;
  text.remove_prefix(digits);
  return static_cast<uint8_t>(value);
}

// All of `text` as a dotted quad.
bool parse_v4(std::string_view text, std::span<uint8_t, 4> out) {
  for (size_t i = 0; i < 4; ++i) {
    if (i > 0) {
      if (text.empty() || text[0] != '.') return false;
      text.remove_prefix(1);
    }
    const auto octet = take_octet(text);
    if (!octet) return false;
    out[i] = *octet;
  }
  return text.empty();
}

unsigned hex_value(char c) {
  return static_cast<unsigned>(text::is_digit(c) ? c - '0' : text::lower(c) - 'a' + 10);
}

// 16-bit groups of one side of "::" ("" has none), the last of which may be a dotted quad.
// Appends to `out` from `count` on; false when malformed or too many.
bool parse_groups(std::string_view text, bool quad_allowed, std::array<uint8_t, 16>& out,
                  size_t& count) {
  if (text.empty()) return true;
  while (true) {
    const auto colon = text.find(':');
    const auto group = text.substr(0, colon);
    const bool last = colon == std::string_view::npos;
    if (last && quad_allowed && group.find('.') != std::string_view::npos) {
      if (count + 4 > out.size()) return false;
      if (!parse_v4(group, std::span<uint8_t, 4>(&out[count], 4))) return false;
      count += 4;
      return true;
    }
    if (group.empty() || group.size() > 4 || count + 2 > out.size()) return false;
    unsigned value = 0;
    for (const char c : group) {
      if (!text::is_hex(c)) return false;
      value = value << 4 | hex_value(c);
    }
    out[count++] = static_cast<uint8_t>(value >> 8);
    out[count++] = static_cast<uint8_t>(value & 0xFF);
    if (last) return true;
    text.remove_prefix(colon + 1);
  }
}

bool parse_v6(std::string_view text, std::array<uint8_t, 16>& out) {
  const auto gap = text.find("::");
  size_t head = 0;
  if (gap == std::string_view::npos) return parse_groups(text, true, out, head) && head == 16;
  std::array<uint8_t, 16> after{};
  size_t tail = 0;
  if (!parse_groups(text.substr(0, gap), false, out, head)) return false;
  // A second "::" leaves an empty group here and fails.
  if (!parse_groups(text.substr(gap + 2), true, after, tail)) return false;
  if (head + tail > 14) return false;  // "::" stands for at least one group
  std::copy_n(after.begin(), tail, out.end() - static_cast<std::ptrdiff_t>(tail));
  return true;
}

std::string v4_text(std::span<const uint8_t, 4> bytes) {
  char text[16];
  char* at = text;
  for (size_t i = 0; i < 4; ++i) {
    if (i > 0) *at++ = '.';
    at = std::to_chars(at, text + sizeof text, bytes[i]).ptr;
  }
  return {text, at};
}

// The first longest run of two or more zero groups (RFC 5952 4.2): its start and length in groups.
std::pair<size_t, size_t> longest_zero_run(const std::array<uint8_t, 16>& bytes) {
  size_t best_start = 8;
  size_t best_length = 1;
  for (size_t i = 0; i < 8; ++i) {
    size_t length = 0;
    while (i + length < 8 && bytes[2 * (i + length)] == 0 && bytes[2 * (i + length) + 1] == 0) {
      ++length;
    }
    if (length > best_length) {
      best_start = i;
      best_length = length;
    }
    i += length;
  }
  return {best_start, best_start == 8 ? 0 : best_length};
}

void append_hex(std::string& out, unsigned value) {
  static constexpr char kHex[] = "0123456789abcdef";
  bool started = false;
  for (int shift = 12; shift >= 0; shift -= 4) {
    const unsigned nibble = value >> shift & 15U;
    started = started || nibble != 0 || shift == 0;
    if (started) out += kHex[nibble];
  }
}

std::string v6_text(const std::array<uint8_t, 16>& bytes) {
  static constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  if (std::equal(kMapped.begin(), kMapped.end(), bytes.begin())) {  // RFC 5952 5
    return "::ffff:" + v4_text(std::span<const uint8_t, 4>(&bytes[12], 4));
  }
  const auto [gap, length] = longest_zero_run(bytes);
  std::string out;
  for (size_t i = 0; i < 8;) {
    if (i == gap) {
      out += "::";
      i += length;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    append_hex(out, static_cast<unsigned>(bytes[2 * i] << 8 | bytes[2 * i + 1]));
    ++i;
  }
  return out;
}

}  // namespace

Address Address::v4(std::array<uint8_t, 4> bytes) {
  Address address;
  std::copy(bytes.begin(), bytes.end(), address.bytes_.begin());
  return address;
}

Address Address::v6(std::array<uint8_t, 16> bytes) {
  Address address;
  address.family_ = Family::v6;
  address.bytes_ = bytes;
  return address;
}

std::optional<Address> Address::parse(std::string_view text) {
  if (text.find(':') == std::string_view::npos) {
    std::array<uint8_t, 4> bytes{};
    if (!parse_v4(text, bytes)) return std::nullopt;
    return v4(bytes);
  }
  std::array<uint8_t, 16> bytes{};
  if (!parse_v6(text, bytes)) return std::nullopt;
  return v6(bytes);
}

std::string Address::to_string() const { return is_v4() ? v4_text(v4_bytes()) : v6_text(bytes_); }

std::optional<Prefix> Prefix::parse(std::string_view text) {
  const auto slash = text.find('/');
  const auto base = Address::parse(text.substr(0, slash));
  if (!base) return std::nullopt;
  const unsigned bits = base->is_v4() ? 32 : 128;
  Prefix prefix{*base, static_cast<uint8_t>(bits)};
  if (slash == std::string_view::npos) return prefix;
  const auto digits = text.substr(slash + 1);
  if (digits.size() > 1 && digits[0] == '0') return std::nullopt;
  const auto length = text::parse_decimal(digits, bits);
  if (!length) return std::nullopt;
  prefix.length = static_cast<uint8_t>(*length);
  for (size_t bit = prefix.length; bit < bits; ++bit) {
    if ((base->bytes()[bit / 8] >> (7 - bit % 8) & 1) != 0) return std::nullopt;
  }
  return prefix;
}

bool Prefix::contains(const Address& address) const {
  if (address.family() != base.family()) return false;
  // The bits that differ, 64 at a time, the first bit the highest.
  const auto differing = [&](size_t at) {
    uint64_t ours = 0;
    uint64_t theirs = 0;
    std::memcpy(&ours, base.bytes().data() + at, sizeof ours);
    std::memcpy(&theirs, address.bytes().data() + at, sizeof theirs);
    return be64toh(ours ^ theirs);
  };
  if (length == 0) return true;
  if (length <= 64) return differing(0) >> (64 - length) == 0;
  return differing(0) == 0 && differing(8) >> (128 - length) == 0;
}

std::string Prefix::to_string() const { return base.to_string() + "/" + std::to_string(length); }

std::string Endpoint::to_string() const {
  const std::string host = address.to_string();
  return (address.is_v4() ? host : "[" + host + "]") + ":" + std::to_string(port);
}

}  // namespace egret::policy
