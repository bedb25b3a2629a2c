// Bytes of a destination: the same invariants as request_fuzz, from the other side. The first byte
// is where the bytes are split, the second what they answer: H for HEAD, C for CONNECT, or POST.
#include <cstdint>

#include "proxy/http/forward.h"
#include "tests/fuzz/http_fuzz.h"

namespace egret::http::fuzz {
namespace {

const std::vector<std::string_view> kWrittenAnew{"content-length", "transfer-encoding", "via",
                                                 "connection"};

void check_forwarded(const ResponseHead& head, std::string_view method, int sender_minor) {
  std::string sent;
  append_response(sent, head, head.framing, sender_minor, head.keep_alive, "egret", "");
  ResponseHead again;
  const auto parsed = parse_response(sent, method, again);
  if (!parsed) {
    EGRET_FUZZ_CHECK(parsed.error().reason == Reason::response_headers_too_large);
    EGRET_FUZZ_CHECK(head.fields.all().size() + 3 > kMaxFields);
    return;
  }
  EGRET_FUZZ_CHECK(again.status == head.status && again.reason_phrase == head.reason_phrase);
  const bool unchunked = head.framing.kind == Framing::Kind::chunked && sender_minor == 0;
  EGRET_FUZZ_CHECK(again.framing.kind ==
                   (unchunked ? Framing::Kind::until_close : head.framing.kind));
  EGRET_FUZZ_CHECK(again.framing.length == head.framing.length);
  EGRET_FUZZ_CHECK(again.keep_alive == (head.keep_alive && !unchunked));
  EGRET_FUZZ_CHECK(std::ranges::includes(fields_but(head.fields, kWrittenAnew),
                                         fields_but(again.fields, kWrittenAnew)));
  for (const Field& field : again.fields.all()) {
    const std::string name = text::to_lower(field.name);
    EGRET_FUZZ_CHECK(!name.starts_with("proxy-") && !name.starts_with("egret-"));
    EGRET_FUZZ_CHECK(name != "connection" || field.value == "close");
  }
  std::string interim;
  append_interim(interim, head);
  ResponseHead as_interim;
  EGRET_FUZZ_CHECK(parse_response(interim, "HEAD", as_interim));
  EGRET_FUZZ_CHECK(as_interim.fields.count("content-length") == 0);
}

void run(std::string_view bytes, size_t first, std::string_view method) {
  const HeadEnd end = find(bytes, bytes.size());
  EGRET_FUZZ_CHECK(end == find(bytes, first));
  ResponseHead head;
  if (end.refused || end.size == 0) {
    EGRET_FUZZ_CHECK(!parse_response(bytes, method, head));
    return;
  }
  if (!parse_response(bytes.substr(0, end.size), method, head)) return;
  EGRET_FUZZ_CHECK(head.status >= 100 && head.status <= 999);
  const bool no_content = head.status < 200 || head.status == 204 || method == "HEAD";
  EGRET_FUZZ_CHECK(!no_content || head.framing.kind == Framing::Kind::none);
  check_forwarded(head, method, static_cast<int>(first % 2));
  const std::string_view rest = bytes.substr(end.size);
  check_content(head.framing, rest, std::min(first, rest.size()));
}

}  // namespace
}  // namespace egret::http::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const char* method = data[1] == 'H' ? "HEAD" : data[1] == 'C' ? "CONNECT" : "POST";
  egret::http::fuzz::run(bytes, std::min<size_t>(data[0], bytes.size()), method);
  return 0;
}
