// Bytes of a sender. Whatever is accepted is read in one way only: the same however it arrives, and
// the same by the next reader of what Egret sends on.
#include <cstdint>

#include "policy/url.h"
#include "proxy/http/forward.h"
#include "proxy/http/strict.h"
#include "tests/fuzz/http_fuzz.h"

namespace egret::http::fuzz {
namespace {

const std::vector<std::string_view> kWrittenAnew{"host", "content-length", "transfer-encoding",
                                                 "via"};

// What Egret sends on is a request of the same framing, without fields of this hop, that names the
// URL's host once.
void check_forwarded(const RequestHead& head) {
  const auto url = policy::parse_url(head.target);
  if (!url || head.method == "CONNECT") return;
  std::string sent;
  append_request(sent, head, *url, head.framing, "egret");
  RequestHead again;
  const auto parsed = parse_request(sent, again);
  if (!parsed) {
    // Via and a Content-Length of 0 are two fields more: only the limit may be in the way.
    EGRET_FUZZ_CHECK(parsed.error().reason == Reason::request_headers_too_large);
    EGRET_FUZZ_CHECK(head.fields.all().size() + 3 > kMaxFields);
    return;
  }
  EGRET_FUZZ_CHECK(again.method == head.method);
  EGRET_FUZZ_CHECK(again.target == url->origin_form() || again.target == "*");
  EGRET_FUZZ_CHECK(again.fields.count("host") == 1);
  EGRET_FUZZ_CHECK(again.fields.find("host")->value == url->host_header());
  EGRET_FUZZ_CHECK((again.framing.kind == Framing::Kind::chunked) ==
                   (head.framing.kind == Framing::Kind::chunked));
  EGRET_FUZZ_CHECK(again.framing.length == head.framing.length);
  EGRET_FUZZ_CHECK(!again.expect_continue && again.keep_alive);
  EGRET_FUZZ_CHECK(has_been_here(again.fields, "egret"));
  for (const char* name : {"connection", "keep-alive", "te", "trailer", "upgrade"}) {
    EGRET_FUZZ_CHECK(again.fields.count(name) == 0);
  }
  for (const Field& field : again.fields.all()) {
    const std::string name = text::to_lower(field.name);
    EGRET_FUZZ_CHECK(!name.starts_with("proxy-") && !name.starts_with("egret-"));
  }
  // Nothing is made up or changed, and sending it on once more changes nothing but Via.
  const FieldList before = fields_but(head.fields, kWrittenAnew);
  const FieldList after = fields_but(again.fields, kWrittenAnew);
  EGRET_FUZZ_CHECK(std::ranges::includes(before, after));
  std::string twice;
  append_request(twice, again, *url, again.framing, "egret");
  RequestHead third;
  if (parse_request(twice, third)) {
    EGRET_FUZZ_CHECK(fields_but(third.fields, kWrittenAnew) == after);
  }
}

void run(std::string_view bytes, size_t first) {
  const HeadEnd end = find(bytes, bytes.size());
  EGRET_FUZZ_CHECK(end == find(bytes, first));
  if (end.refused || end.size == 0) {
    RequestHead head;
    EGRET_FUZZ_CHECK(!parse_request(bytes, head));
    return;
  }
  const std::string_view text = bytes.substr(0, end.size);
  RequestHead head;
  if (!parse_request(text, head)) return;
  EGRET_FUZZ_CHECK(is_token(head.method));
  EGRET_FUZZ_CHECK(text.starts_with(std::string(head.method) + " " + std::string(head.target)));
  EGRET_FUZZ_CHECK(
      !(head.fields.count("content-length") > 0 && head.fields.count("transfer-encoding") > 0));
  check_forwarded(head);
  const std::string_view rest = bytes.substr(end.size);
  check_content(head.framing, rest, std::min(first, rest.size()));
}

}  // namespace
}  // namespace egret::http::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // The first byte is where the bytes are split; a corpus stays readable.
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  egret::http::fuzz::run(bytes, std::min<size_t>(data[0], bytes.size()));
  return 0;
}
