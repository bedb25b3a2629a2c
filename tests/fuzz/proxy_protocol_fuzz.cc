// A connection's first bytes on a listener with `proxy_protocol`: the parser asks for no byte
// beyond the header, ends, and says the same however the bytes come.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "proxy/net/proxy_protocol.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace egret;

constexpr size_t kBlockStart = 16;

// Where the header ends when it comes in pieces of at most `most` bytes; nothing when it is none.
std::optional<size_t> end_of_header(std::string_view bytes, size_t most) {
  size_t size = 0;
  while (true) {
    const Result<size_t> missing = net::missing_of_proxy_header(bytes.substr(0, size));
    if (!missing) {
      EGRET_FUZZ_CHECK(missing.error().reason == Reason::proxy_protocol_invalid);
      return std::nullopt;
    }
    if (*missing == 0) return size;
    EGRET_FUZZ_CHECK(size + *missing <= kBlockStart + net::kMostProxyBlock);
    size += std::min(*missing, most);
    if (size > bytes.size()) return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::optional<size_t> end = end_of_header(bytes, SIZE_MAX);
  EGRET_FUZZ_CHECK(end_of_header(bytes, 1) == end);
  const auto whole = net::parse_proxy_header(bytes);
  EGRET_FUZZ_CHECK(!whole || end == size);
  if (!end) return 0;
  const std::string_view header = bytes.substr(0, *end);
  EGRET_FUZZ_CHECK(!header.starts_with("PROXY ") || header.size() <= net::kMostProxyLine);
  const auto source = net::parse_proxy_header(header);
  if (!source || !*source) return 0;
  // Judged as IPv4 or not at all: no mapped address gets out.
  static constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const policy::Address& address = (*source)->address;
  EGRET_FUZZ_CHECK(address.is_v4() ||
                   !std::ranges::equal(std::span(address.bytes()).first(12), kMapped));
  return 0;
}
