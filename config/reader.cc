#include "config/reader.h"

#include <algorithm>

#include "config/scalars.h"
#include "config/schema.h"

namespace egret::config {
namespace {

std::string_view kind_name(const Node& node) {
  switch (node.kind) {
    case Node::Kind::none:
      return "nothing";
    case Node::Kind::list:
      return "a list";
    case Node::Kind::mapping:
      return "a mapping";
    case Node::Kind::scalar:
    case Node::Kind::refused:
      break;
  }
  return "one value";
}

}  // namespace

Mapping::Mapping(const Node& node, Span where, std::string name, std::string path,
                 Diagnostics& diagnostics)
    : is_mapping_(node.kind == Node::Kind::mapping),
      where_(where),
      name_(std::move(name)),
      path_(std::move(path)),
      diagnostics_(diagnostics) {
  if (is_mapping_) {
    for (size_t i = 0; i < node.items.size(); ++i) take(node.keys[i], node.items[i]);
  } else if (node.kind != Node::Kind::refused) {
    diagnostics_.error(
        node.kind == Node::Kind::none ? where : node.span,
        name_ + ": expected a mapping of keys, found " + std::string(kind_name(node)));
  }
}

void Mapping::take(const Node& key, const Node& value) {
  if (key.kind == Node::Kind::refused) return;
  if (key.kind != Node::Kind::scalar) {
    diagnostics_.error(key.span, "a key is one word, not " + std::string(kind_name(key)));
    return;
  }
  const std::vector<std::string_view> known = keys_of(path_);
  if (key.text == "<<" && !key.quoted) {
    diagnostics_.error(key.span, "merge keys are not supported; write the keys out");
  } else if (std::find(known.begin(), known.end(), key.text) == known.end()) {
    const std::string near = nearest_key(key.text, path_);
    // {hunter2}: a secret where a key should be.
    const bool secret = value.kind == Node::Kind::none && diagnostics_.is_hidden(key.span.line);
    diagnostics_.error(key.span,
                       "unknown key" + (secret ? "" : " " + in_quotes(key.text)) +
                           (near.empty() ? "" : "; did you mean " + in_quotes(near) + "?"));
  } else if (const auto [field, added] = fields_.emplace(key.text, Field{&key, &value}); !added) {
    diagnostics_.error(key.span, "repeated key " + in_quotes(key.text) + "; the first is on line " +
                                     std::to_string(field->second.key->span.line));
  } else if (value.kind == Node::Kind::none && !is_none(key.text)) {
    diagnostics_.error(key.span,
                       in_quotes(key.text) + " has no value; give it one or leave it out");
  }
}

const Node* Mapping::find(std::string_view key) const {
  const auto found = fields_.find(key);
  if (found == fields_.end() || found->second.value->kind == Node::Kind::none) return nullptr;
  return found->second.value;
}

bool Mapping::is_none(std::string_view key) const {
  const auto found = fields_.find(key);
  if (found == fields_.end() || !may_be_none(key, path_)) return false;
  const Node& node = *found->second.value;
  return (node.kind == Node::Kind::none && node.text == "null") ||
         (node.kind == Node::Kind::scalar && node.text == "none" && !node.quoted);
}

Span Mapping::span(std::string_view key) const {
  const Node* node = find(key);
  return node == nullptr ? where_ : node->span;
}

bool Mapping::expect_scalar(std::string_view key, const Node& node) const {
  if (node.kind == Node::Kind::scalar) return true;
  if (node.kind != Node::Kind::refused) {
    diagnostics_.error(node.span, std::string(key) + ": expected one value, found " +
                                      std::string(kind_name(node)));
  }
  return false;
}

bool Mapping::expect_unquoted(std::string_view key, std::string_view noun) const {
  const Node* node = find(key);
  if (node == nullptr || node->kind != Node::Kind::scalar || !node->quoted) return true;
  diagnostics_.error(node->span, std::string(key) + ": text in quotes is not " + std::string(noun));
  return false;
}

const std::vector<Node>* Mapping::list_items(std::string_view key, size_t most) const {
  const Node* node = find(key);
  if (node == nullptr || node->kind == Node::Kind::refused) return nullptr;
  if (node->kind == Node::Kind::list) {
    if (node->items.size() <= most) return &node->items;
    diagnostics_.error(node->span, std::string(key) + ": " + std::to_string(node->items.size()) +
                                       " entries; at most " + std::to_string(most));
    return nullptr;
  }
  std::string message =
      std::string(key) + ": expected a list, found " + std::string(kind_name(*node));
  const bool plain = node->kind == Node::Kind::scalar && !node->quoted && node->text.size() < 40;
  if (plain) message += "; write [" + node->text + "]";
  diagnostics_.error(node->span, message);
  return nullptr;
}

bool Mapping::note_repeated(std::string_view key, const Node& item,
                            std::map<std::string_view, int>& seen) const {
  const auto [first, added] = seen.emplace(item.text, item.span.line);
  if (!added) {
    diagnostics_.warning(item.span, std::string(key) + ": " + in_quotes(item.text) +
                                        " is in the list already, on line " +
                                        std::to_string(first->second));
  }
  return added;
}

std::string Mapping::not_one_of(std::string_view text, const std::vector<std::string_view>& words) {
  std::string why = in_quotes(text) + " is not one of ";
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) why += i + 1 == words.size() ? " and " : ", ";
    why += words[i];
  }
  const std::string_view near = nearest(text, words);
  return near.empty() ? why : why + "; did you mean " + in_quotes(near) + "?";
}

bool Mapping::boolean(std::string_view key, bool& out) const {
  if (!expect_unquoted(key, "true or false")) return false;
  return choice<bool>(key, out, {{"true", true}, {"false", false}});
}

bool Mapping::count(std::string_view key, uint32_t& out, uint32_t least, uint32_t most) const {
  if (!expect_unquoted(key, "a number")) return false;
  uint64_t value = 0;
  const auto print = [](uint64_t number) { return std::to_string(number); };
  if (!scalar(key, value, between<uint64_t>(least, most, parse_count, print))) return false;
  out = static_cast<uint32_t>(value);
  return true;
}

std::optional<Mapping> Mapping::mapping(std::string_view key) const {
  const auto found = fields_.find(key);
  if (!has(key)) return std::nullopt;
  const std::string path = path_.empty() ? std::string(key) : path_ + "." + std::string(key);
  return Mapping(*found->second.value, found->second.key->span, std::string(key), path,
                 diagnostics_);
}

std::vector<Mapping> Mapping::mappings(std::string_view key, std::string_view noun,
                                       size_t most) const {
  std::vector<Mapping> read;
  const std::vector<Node>* items = list_items(key, most);
  if (items == nullptr) return read;
  const std::string path = path_.empty() ? std::string(key) : path_ + "." + std::string(key);
  for (const Node& item : *items) {
    read.emplace_back(item, item.span, std::string(noun), path, diagnostics_);
  }
  return read;
}

std::vector<Named> Mapping::named(std::string_view key, std::string_view noun, size_t most) const {
  std::vector<Named> read;
  const Node* node = find(key);
  if (node == nullptr || node->kind == Node::Kind::refused) return read;
  if (node->kind != Node::Kind::mapping || node->items.size() > most) {
    diagnostics_.error(node->span, std::string(key) + ": expected a mapping of at most " +
                                       std::to_string(most) + " names");
    return read;
  }
  const std::string path = path_.empty() ? std::string(key) : path_ + "." + std::string(key);
  for (size_t i = 0; i < node->items.size(); ++i) {
    const Node& word = node->keys[i];
    std::string why;
    const std::optional<std::string> name =
        word.kind == Node::Kind::scalar ? parse_name(word.text, why) : std::nullopt;
    if (!name) {
      diagnostics_.error(word.span,
                         std::string(key) + ": " + (why.empty() ? "a name is one word" : why));
      continue;
    }
    const bool taken = std::any_of(read.begin(), read.end(),
                                   [&](const Named& each) { return each.name == *name; });
    if (taken) {
      diagnostics_.error(word.span, std::string(key) + ": an earlier " + std::string(noun) +
                                        " is called " + in_quotes(*name) + " already");
    }
    read.push_back({*name, word.span,
                    Mapping(node->items[i], word.span, std::string(noun), path, diagnostics_)});
  }
  return read;
}

bool Mapping::not_empty(std::string_view key, std::string_view why) const {
  const Node* node = find(key);
  if (node == nullptr || node->kind != Node::Kind::list || !node->items.empty()) return true;
  diagnostics_.error(node->span, std::string(key) + ": " + std::string(why));
  return false;
}

void Mapping::error(std::string_view key, const std::string& message) const {
  diagnostics_.error(span(key), message);
}

void Mapping::warning(std::string_view key, const std::string& message) const {
  diagnostics_.warning(span(key), message);
}

}  // namespace egret::config
