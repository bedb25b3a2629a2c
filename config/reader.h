#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/diagnostics.h"
#include "config/document.h"

namespace egret::config {

struct Named;

// Mapping reads one YAML mapping into C++ values. What is wrong goes to the diagnostics and leaves
// the value as it was, so that reading goes on and every mistake is found at once.
//   Keys that schema.cc does not have at `path`, and repeated keys, are reported on construction.
//   Every reader returns true when the key was there and good.
//   Parsers: std::optional<T>(std::string_view text, std::string& why), see scalars.h.
class Mapping {
 public:
  // Lists that every rule inherits are short, so that the product of both stays small.
  static constexpr size_t kMostItems = 1000;
  static constexpr size_t kMostOwnItems = 10'000;

  // `name` is what messages call it. `node` must outlive this.
  Mapping(const Node& node, Span where, std::string name, std::string path,
          Diagnostics& diagnostics);

  // The key's value; null when the key is not there, or has no value (which was reported).
  [[nodiscard]] const Node* find(std::string_view key) const;
  [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }
  // `none` or null, for a key that may be (schema.h): what would be inherited is not wanted.
  [[nodiscard]] bool is_none(std::string_view key) const;
  // Where the key's value is, or the mapping when the key is not there.
  [[nodiscard]] Span span(std::string_view key) const;
  // False: it was something else, which was reported.
  [[nodiscard]] bool is_mapping() const { return is_mapping_; }
  [[nodiscard]] Diagnostics& diagnostics() const { return diagnostics_; }

  template <typename T, typename Parse>
  bool scalar(std::string_view key, T& out, Parse parse) const {
    const Node* node = find(key);
    return node != nullptr && element(key, *node, out, parse);
  }

  // A list of at most `most` scalars; replaces `out`. `spans`: where each element stands.
  template <typename T, typename Parse>
  bool list(std::string_view key, std::vector<T>& out, Parse parse,
            std::vector<Span>* spans = nullptr, size_t most = kMostItems) const {
    return read_list(key, out, parse, spans, most, Repeats::warned);
  }
  // A list in which an element may come again.
  template <typename T, typename Parse>
  bool sequence(std::string_view key, std::vector<T>& out, Parse parse, size_t most) const {
    return read_list(key, out, parse, nullptr, most, Repeats::meant);
  }

  // One of a few words.
  template <typename T>
  bool choice(std::string_view key, T& out,
              std::initializer_list<std::pair<std::string_view, T>> words) const {
    return choice(key, out, std::span<const std::pair<std::string_view, T>>(words));
  }
  template <typename T>
  bool choice(std::string_view key, T& out,
              std::span<const std::pair<std::string_view, T>> words) const {
    std::vector<std::string_view> names;
    for (const auto& [word, value] : words) names.push_back(word);
    return scalar(key, out, [&](std::string_view text, std::string& why) -> std::optional<T> {
      for (const auto& [word, value] : words) {
        if (word == text) return value;
      }
      why = not_one_of(text, names);
      return std::nullopt;
    });
  }

  // `true` or `false`, not in quotes.
  bool boolean(std::string_view key, bool& out) const;
  // A whole number from `least` to `most`, not in quotes.
  bool count(std::string_view key, uint32_t& out, uint32_t least, uint32_t most) const;

  // The mapping at `key`; nothing when it is not there.
  [[nodiscard]] std::optional<Mapping> mapping(std::string_view key) const;
  // The mappings of the list at `key`, at most `most`. `noun` is what one is called: "sender".
  [[nodiscard]] std::vector<Mapping> mappings(std::string_view key, std::string_view noun,
                                              size_t most) const;
  // False, and an error, when the list at `key` is there and empty: `why` says what to do.
  bool not_empty(std::string_view key, std::string_view why) const;

  // The mappings below the mapping at `key`, at most `most`, each under a name of its own that
  // parse_name takes: `keys: {partner: {…}}`.
  [[nodiscard]] std::vector<Named> named(std::string_view key, std::string_view noun,
                                         size_t most) const;

  void error(std::string_view key, const std::string& message) const;
  void warning(std::string_view key, const std::string& message) const;

 private:
  struct Field {
    const Node* key;
    const Node* value;
  };
  enum class Repeats : uint8_t { warned, meant };
  template <typename T, typename Parse>
  bool read_list(std::string_view key, std::vector<T>& out, Parse parse, std::vector<Span>* spans,
                 size_t most, Repeats repeats) const {
    const std::vector<Node>* items = list_items(key, most);
    if (items == nullptr) return false;
    std::vector<T> read;
    bool good = true;
    std::map<std::string_view, int> seen;
    for (const Node& item : *items) {
      T value;
      if (!element(key, item, value, parse)) {
        good = false;
      } else if (repeats == Repeats::meant || note_repeated(key, item, seen)) {
        read.push_back(std::move(value));
        if (spans != nullptr) spans->push_back(item.span);
      }
    }
    if (good) out = std::move(read);
    return good;
  }
  template <typename T, typename Parse>
  bool element(std::string_view key, const Node& node, T& out, Parse parse) const {
    if (!expect_scalar(key, node)) return false;
    std::string why;
    auto value = parse(std::string_view(node.text), why);
    if (value) {
      out = std::move(*value);
    } else {
      diagnostics_.error(node.span, std::string(key) + ": " + why);
    }
    return value.has_value();
  }
  void take(const Node& key, const Node& value);
  bool expect_scalar(std::string_view key, const Node& node) const;
  bool expect_unquoted(std::string_view key, std::string_view noun) const;
  const std::vector<Node>* list_items(std::string_view key, size_t most) const;
  bool note_repeated(std::string_view key, const Node& item,
                     std::map<std::string_view, int>& seen) const;
  static std::string not_one_of(std::string_view text, const std::vector<std::string_view>& words);

  std::map<std::string, Field, std::less<>> fields_;
  bool is_mapping_;
  Span where_;
  std::string name_;
  std::string path_;
  Diagnostics& diagnostics_;
};

// A mapping with the name that it stands under.
struct Named {
  std::string name;
  Span where;  // of the name
  Mapping mapping;
};

}  // namespace egret::config
