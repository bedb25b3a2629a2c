// A name server's reply: whatever the bytes, the parser ends, and what it takes it can account for.
#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "proxy/net/dns_reply.h"
#include "tests/fuzz/fuzz.h"

namespace {

using egret::Reason;
using egret::net::Answer;
using egret::net::RecordType;

// The addresses' octets must stand in the message, and the question in its place.
void check(std::span<const uint8_t> reply, RecordType type, const egret::Result<Answer>& answer) {
  if (!answer) {
    const Reason reason = answer.error().reason;
    EGRET_FUZZ_CHECK(reason == Reason::name_not_found || reason == Reason::name_has_no_address ||
                     reason == Reason::dns_error);
    EGRET_FUZZ_CHECK(!answer.error().detail.empty());
    return;
  }
  EGRET_FUZZ_CHECK(!answer->addresses.empty());
  EGRET_FUZZ_CHECK(answer->addresses.size() <= egret::net::kMaxAddressesPerType);
  EGRET_FUZZ_CHECK(answer->ttl >= egret::Duration::zero());
  EGRET_FUZZ_CHECK((reply[2] & 0x82) == 0x80 && (reply[3] & 0x0f) == 0);
  for (const auto& address : answer->addresses) {
    EGRET_FUZZ_CHECK(address.is_v4() == (type == RecordType::a));
    const std::span<const uint8_t> octets(address.bytes().data(), address.is_v4() ? 4 : 16);
    EGRET_FUZZ_CHECK(!std::ranges::search(reply, octets).empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> reply(data, size);
  for (const RecordType type : {RecordType::a, RecordType::aaaa}) {
    check(reply, type, egret::net::parse_reply("hook.test", type, reply));
  }
  // As a name too: what is taken for one must be one.
  const std::string name(reinterpret_cast<const char*>(data), size);
  if (egret::net::is_dns_name(name)) {
    EGRET_FUZZ_CHECK(name.size() <= 253 && name.find('\0') == std::string::npos);
    (void)egret::net::parse_reply(name, RecordType::a, reply);
  }
  return 0;
}
