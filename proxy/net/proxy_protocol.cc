#include "proxy/net/proxy_protocol.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "base/text.h"

namespace egret::net {
namespace {

using Source = std::optional<policy::Endpoint>;

constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::string_view kLineStart = "PROXY ";
constexpr std::string_view kLineEnd = "\r\n";
// Shorter than the shortest line, "PROXY UNKNOWN" with its end: safe to read before it is known.
constexpr size_t kFirst = kSignature.size();
constexpr size_t kBlockStart = 16;  // signature, version and command, family and protocol, length
constexpr uint8_t kVersion2 = 0x2;
constexpr uint8_t kLocal = 0x0;
constexpr uint8_t kProxy = 0x1;
constexpr uint8_t kTcp4 = 0x11;
constexpr uint8_t kTcp6 = 0x21;

Unexpected invalid(std::string_view why) {
  return Unexpected(Reason::proxy_protocol_invalid, std::string(why));
}

uint8_t byte_at(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

size_t number_at(std::string_view bytes, size_t at) {
  return static_cast<size_t>(byte_at(bytes, at)) << 8 | byte_at(bytes, at + 1);
}

bool starts(std::string_view bytes, std::string_view with) {
  return bytes.substr(0, with.size()) == with.substr(0, bytes.size());
}

policy::Address unmapped(const policy::Address& address) {
  static constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const std::array<uint8_t, 16>& bytes = address.bytes();
  if (address.is_v4() || !std::equal(kMapped.begin(), kMapped.end(), bytes.begin())) {
    return address;
  }
  return policy::Address::v4({bytes[12], bytes[13], bytes[14], bytes[15]});
}

Result<size_t> missing_of_line(std::string_view bytes) {
  const size_t end = bytes.find('\n');
  if (end == std::string_view::npos && bytes.size() < kMostProxyLine) return size_t{1};
  if (std::min(end, bytes.size()) >= kMostProxyLine) {
    return invalid("the PROXY line is over 107 bytes");
  }
  if (end + 1 < bytes.size()) return invalid("something stands behind the PROXY line");
  if (!bytes.ends_with(kLineEnd)) return invalid("the PROXY line ends without CR");
  return size_t{0};
}

Result<size_t> missing_of_block(std::string_view bytes) {
  if (bytes.size() < kBlockStart) return kBlockStart - bytes.size();
  const size_t length = number_at(bytes, 14);
  if (length > kMostProxyBlock) return invalid("the PROXY header is over 2048 bytes");
  const size_t whole = kBlockStart + length;
  if (bytes.size() > whole) return invalid("something stands behind the PROXY header");
  return whole - bytes.size();
}

std::optional<uint16_t> parse_port(std::string_view digits) {
  if (digits.size() > 1 && digits.starts_with('0')) return std::nullopt;
  const std::optional<uint64_t> port = text::parse_decimal(digits, UINT16_MAX);
  if (!port) return std::nullopt;
  return static_cast<uint16_t>(*port);
}

// "192.0.2.1 198.51.100.1 56324 443", spaces single.
Source parse_ends(std::string_view ends, policy::Address::Family family) {
  std::array<std::string_view, 4> parts;
  for (size_t i = 0; i < parts.size(); ++i) {
    const size_t space = ends.find(' ');
    if ((space == std::string_view::npos) != (i + 1 == parts.size())) return std::nullopt;
    parts[i] = ends.substr(0, space);
    ends.remove_prefix(std::min(ends.size(), parts[i].size() + 1));
  }
  const auto source = policy::Address::parse(parts[0]);
  const auto destination = policy::Address::parse(parts[1]);
  const auto source_port = parse_port(parts[2]);
  if (!source || !destination || source->family() != family || destination->family() != family ||
      !source_port || !parse_port(parts[3])) {
    return std::nullopt;
  }
  return policy::Endpoint{unmapped(*source), *source_port};
}

Result<Source> parse_line(std::string_view line) {
  using Family = policy::Address::Family;
  line.remove_suffix(kLineEnd.size());
  line.remove_prefix(kLineStart.size());
  const size_t space = line.find(' ');
  const std::string_view protocol = line.substr(0, space);
  // 2.1: what stands behind UNKNOWN is to be ignored.
  if (protocol == "UNKNOWN") return Source();
  const bool v4 = protocol == "TCP4";
  if (!v4 && protocol != "TCP6") return invalid("the PROXY line is for no protocol of ours");
  const std::string_view ends = space == std::string_view::npos ? "" : line.substr(space + 1);
  const Source source = parse_ends(ends, v4 ? Family::v4 : Family::v6);
  if (!source) return invalid("the PROXY line's addresses or ports are malformed");
  return source;
}

Result<Source> parse_block(std::string_view header) {
  const uint8_t version = byte_at(header, 12) >> 4;
  const uint8_t command = byte_at(header, 12) & 0xf;
  if (version != kVersion2) return invalid("the PROXY header is of an unknown version");
  if (command == kLocal) return Source();
  if (command != kProxy) return invalid("the PROXY header has an unknown command");
  const uint8_t family = byte_at(header, 13);
  if (family != kTcp4 && family != kTcp6) return invalid("the PROXY header is not for TCP over IP");
  // Source, destination, source's port, destination's port; TLVs may follow.
  const size_t size = family == kTcp4 ? 4 : 16;
  const std::string_view block = header.substr(kBlockStart);
  if (block.size() < 2 * size + 4) return invalid("the PROXY header's addresses are cut short");
  const auto port = static_cast<uint16_t>(number_at(block, 2 * size));
  if (family == kTcp4) {
    std::array<uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), block.data(), bytes.size());
    return Source(policy::Endpoint{policy::Address::v4(bytes), port});
  }
  std::array<uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), block.data(), bytes.size());
  return Source(policy::Endpoint{unmapped(policy::Address::v6(bytes)), port});
}

Unexpected unread(const Io& io) {
  if (io.status == Io::Status::timed_out) return invalid("no whole PROXY header came in time");
  if (io.status == Io::Status::closed) return invalid("closed before a whole PROXY header");
  return invalid(std::string("before a whole PROXY header: ") + std::strerror(io.error));
}

}  // namespace

Result<size_t> missing_of_proxy_header(std::string_view bytes) {
  const bool line = starts(bytes, kLineStart);
  if (!line && !starts(bytes, kSignature)) return invalid("it does not begin with a PROXY header");
  if (bytes.size() < kFirst) return kFirst - bytes.size();
  return line ? missing_of_line(bytes) : missing_of_block(bytes);
}

Result<Source> parse_proxy_header(std::string_view header) {
  const Result<size_t> missing = missing_of_proxy_header(header);
  if (!missing) return Unexpected(missing.error());
  if (*missing != 0) return invalid("the PROXY header is cut short");
  return header.starts_with(kLineStart) ? parse_line(header) : parse_block(header);
}

async::Task<Result<Source>> read_proxy_header(Stream& stream, Deadline deadline) {
  std::string header;
  while (true) {
    const Result<size_t> missing = missing_of_proxy_header(header);
    if (!missing) co_return Unexpected(missing.error());
    if (*missing == 0) co_return parse_proxy_header(header);
    const size_t before = header.size();
    header.resize(before + *missing);
    const std::span<char> space = std::span<char>(header).subspan(before);
    const Io io = co_await stream.read_some(space, deadline);
    if (before == 0 && io.status == Io::Status::closed) {
      co_return Unexpected(Reason::sender_disconnected, "closed before a PROXY header");
    }
    if (!io.ok()) co_return unread(io);
    header.resize(before + io.bytes);
  }
}

}  // namespace egret::net
