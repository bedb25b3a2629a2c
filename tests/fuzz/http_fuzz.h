#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "proxy/http/body.h"
#include "proxy/http/message.h"
#include "proxy/http/parser.h"
#include "tests/fuzz/fuzz.h"

// What the request and the answer target have in common.
namespace egret::http::fuzz {

struct HeadEnd {
  bool refused = false;
  size_t size = 0;
  bool operator==(const HeadEnd&) const = default;
};

// find_head_end over `bytes` that arrive in two pieces.
inline HeadEnd find(std::string_view bytes, size_t first) {
  size_t scanned = 0;
  for (const size_t have : {first, bytes.size()}) {
    const auto end = find_head_end(bytes.substr(0, have), scanned);
    if (!end) return {true, 0};
    EGRET_FUZZ_CHECK(*end <= have && scanned <= have);
    if (*end > 0) return {false, *end};
  }
  return {};
}

struct Content {
  bool refused = false;
  bool done = false;
  size_t consumed = 0;
  std::string bytes;
  bool operator==(const Content&) const = default;
};

inline void feed(BodyDecoder& decoder, std::string_view bytes, Content& out) {
  while (!bytes.empty() && !decoder.done() && !out.refused) {
    const auto step = decoder.next(bytes);
    if (!step) {
      out = Content();
      out.refused = true;
      return;
    }
    EGRET_FUZZ_CHECK(step->consumed > 0 && step->consumed <= bytes.size());
    EGRET_FUZZ_CHECK(step->content.size() <= step->consumed);
    out.consumed += step->consumed;
    out.bytes += step->content;
    bytes.remove_prefix(step->consumed);
  }
  out.done = decoder.done();
}

inline Content decode(Framing framing, std::string_view bytes, size_t first) {
  BodyDecoder decoder(framing);
  Content out;
  feed(decoder, bytes.substr(0, first), out);
  if (!out.refused) feed(decoder, bytes.substr(first), out);
  return out;
}

// Content comes out the same however it arrives, and once more when it is sent on in chunks.
inline void check_content(Framing framing, std::string_view bytes, size_t first) {
  const Content whole = decode(framing, bytes, bytes.size());
  EGRET_FUZZ_CHECK(whole == decode(framing, bytes, first));
  EGRET_FUZZ_CHECK(whole.bytes.size() <= bytes.size());
  if (framing.kind == Framing::Kind::length) EGRET_FUZZ_CHECK(whole.bytes.size() <= framing.length);
  if (!whole.done) return;
  std::string again;
  if (!whole.bytes.empty()) {
    char head[18];
    again.append(head, write_chunk_head(head, whole.bytes.size())).append(whole.bytes) += "\r\n";
  }
  again += kLastChunk;
  const Content second = decode({Framing::Kind::chunked, 0}, again, again.size() / 2);
  EGRET_FUZZ_CHECK(second.done && second.bytes == whole.bytes);
  EGRET_FUZZ_CHECK(second.consumed == again.size());
}

using FieldList = std::vector<std::pair<std::string, std::string>>;

inline bool is_one_of(std::string_view name, const std::vector<std::string_view>& names) {
  return std::ranges::any_of(
      names, [name](std::string_view other) { return text::equals_ignore_case(name, other); });
}

// The fields but those of these names, sorted: what must survive being forwarded.
inline FieldList fields_but(const Fields& fields, const std::vector<std::string_view>& names) {
  FieldList out;
  for (const Field& field : fields.all()) {
    if (!is_one_of(field.name, names)) out.emplace_back(text::to_lower(field.name), field.value);
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace egret::http::fuzz
