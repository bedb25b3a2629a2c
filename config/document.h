#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/diagnostics.h"
#include "config/source.h"

namespace egret::config {

// One YAML value as it was written: scalars stay text (a YAML library reads 010 as 8 and yes as
// true), repeated keys stay side by side. Nothing beyond document.cc knows the YAML library.
struct Node {
  // refused: was reported already, so readers pass over it in silence.
  enum class Kind : uint8_t { none, scalar, list, mapping, refused };
  Kind kind = Kind::none;
  bool quoted = false;      // a scalar in quotes or a block: text, never a number or a boolean
  bool many_lines = false;  // a scalar that continues beyond its first line
  std::string text;         // of a scalar; of none "null", when that was written out
  Span span;                // of a scalar the whole, of a list or mapping the beginning
  std::vector<Node> keys;   // of a mapping: keys[i] belongs to items[i]
  std::vector<Node> items;  // of a list or mapping
};

inline constexpr size_t kMostBytes = 1 << 20;
inline constexpr size_t kMostNodes = 100'000;
inline constexpr size_t kDeepest = 16;

// Parses the one YAML document of `source`; nothing, with the errors reported, when there is none.
//   Refused with an error each: more than kMostBytes, kMostNodes or kDeepest levels; a byte-order
//   mark, bytes that are not UTF-8, control bytes, tabs as indentation; a second document; an empty
//   one, or one whose root is no mapping; anchors, aliases and tags.
std::optional<Node> parse_document(const Source& source, Diagnostics& diagnostics);

}  // namespace egret::config
