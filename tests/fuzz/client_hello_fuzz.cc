// A tunnel's first bytes: whatever they are, the reader ends, says the same however they come in
// pieces, and a name that it tells stands in them.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/text.h"
#include "proxy/tls/client_hello.h"
#include "tests/fuzz/fuzz.h"

namespace {

using egret::tls::ClientHelloReader;
using Outcome = ClientHelloReader::Outcome;

bool same(const ClientHelloReader& a, const ClientHelloReader& b) {
  return a.fault() == b.fault() && a.hello().server_name == b.hello().server_name &&
         a.hello().encrypted == b.hello().encrypted;
}

void check_name(std::string_view name) {
  EGRET_FUZZ_CHECK(!name.empty() && name == egret::text::to_lower(name));
  EGRET_FUZZ_CHECK(std::ranges::all_of(name, [](char c) { return c > ' ' && c < 0x7f; }));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  ClientHelloReader whole;
  const Outcome outcome = whole.look(bytes);
  EGRET_FUZZ_CHECK(whole.look(bytes) == outcome);
  EGRET_FUZZ_CHECK((outcome == Outcome::not_tls) == !whole.fault().empty());
  EGRET_FUZZ_CHECK(outcome != Outcome::incomplete || size < egret::tls::kMostClientHello);
  if (outcome == Outcome::hello && whole.hello().server_name) {
    check_name(*whole.hello().server_name);
  }

  ClientHelloReader slow;
  Outcome last = Outcome::incomplete;
  for (size_t end = 1; end <= size; ++end) {
    const Outcome next = slow.look(bytes.substr(0, end));
    EGRET_FUZZ_CHECK(last == Outcome::incomplete || next == last);
    last = next;
  }
  EGRET_FUZZ_CHECK(last == outcome && same(slow, whole));
  return 0;
}
