#include "config/secrets.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "config/scalars.h"

namespace egret::config {
namespace {

constexpr std::string_view kHowTo =
    "write {file: path}, {env: NAME} or {command: [/path/to/program]}";

// Also when misspelt: "pasword", "tokn".
bool sounds_secret(std::string_view key) {
  static constexpr std::array<std::string_view, 6> kWords = {"pass",   "pwd",        "token",
                                                             "secret", "credential", "auth"};
  static constexpr std::array<std::string_view, 4> kNear = {"password", "token", "secret",
                                                            "credentials"};
  if (key.size() > 64) return true;
  const std::string lower = text::to_lower(key);
  return std::any_of(
             kWords.begin(), kWords.end(),
             [&](std::string_view word) { return lower.find(word) != std::string::npos; }) ||
         std::any_of(kNear.begin(), kNear.end(),
                     [&](std::string_view word) { return text::edit_distance(lower, word) <= 2; });
}

void hide(const Node& node, Diagnostics& diagnostics) {
  if (node.many_lines || node.kind == Node::Kind::refused) {
    diagnostics.hide_from(node.span.line);
  } else {
    diagnostics.hide_line(node.span.line);
  }
}

// `node` is the value of a key that sounds like a secret, or inside one.
void hide_within(const Node& node, Diagnostics& diagnostics) {
  switch (node.kind) {
    case Node::Kind::none:
      return;
    case Node::Kind::scalar:
    case Node::Kind::refused:
      hide(node, diagnostics);
      return;
    case Node::Kind::list:
      for (const Node& item : node.items) hide_within(item, diagnostics);
      return;
    case Node::Kind::mapping:
      break;
  }
  for (size_t i = 0; i < node.items.size(); ++i) {
    const Node& key = node.keys[i];
    const Node& value = node.items[i];
    const bool username = key.text == "username" && value.text.find(':') == std::string::npos;
    const bool harmless = key.text == "file" || key.text == "env" || key.text == "id" ||
                          key.text == "not_before" || key.text == "not_after" || username;
    if (value.kind == Node::Kind::none) hide_within(key, diagnostics);  // {hunter2}
    if (!harmless || value.kind != Node::Kind::scalar) hide_within(value, diagnostics);
  }
}

// A URL or a name with a password in it, wherever it stands: "http://user:password@host",
// "postgresql://host/database?password=…".
bool holds_secret(const Node& key, const Node& value) {
  if (value.kind != Node::Kind::scalar) return false;
  if (text::to_lower(value.text).find("password=") != std::string::npos) return true;
  const size_t colon = value.text.find(':');
  if (colon == std::string::npos) return false;
  return value.text.find('@', colon) != std::string::npos || key.text == "username";
}

bool is_reference(const Node& key, const Node& value) {
  if (key.text == "command") {
    return value.kind == Node::Kind::list && !value.items.empty() &&
           std::ranges::all_of(value.items,
                               [](const Node& item) { return item.kind == Node::Kind::scalar; });
  }
  return (key.text == "file" || key.text == "env") && value.kind == Node::Kind::scalar &&
         !value.text.empty();
}

std::string read_reference(const Node& key, const Node& value, SecretSource& source,
                           Diagnostics& diagnostics, std::string& error) {
  if (key.text == "env") return source.read_env(value.text, error);
  if (key.text == "command") {
    std::vector<std::string> arguments;
    for (const Node& item : value.items) arguments.push_back(item.text);
    return source.read_command(arguments, error);
  }
  std::string bytes = source.read_file(value.text, error);
  if (const std::string risk = source.file_warning(value.text); error.empty() && !risk.empty()) {
    diagnostics.warning(value.span, risk);
  }
  return bytes;
}

std::optional<Secret> follow_reference(const Node& key, const Node& value, std::string_view name,
                                       SecretSource& source, Diagnostics& diagnostics) {
  std::string error;
  Secret secret(read_reference(key, value, source, diagnostics, error));
  if (error.empty() && secret.empty()) {
    const Node& what = value.kind == Node::Kind::list ? value.items.front() : value;
    error = in_quotes(what.text) + " is empty";
  }
  if (error.empty()) return secret;
  diagnostics.error(value.span, std::string(name) + ": " + error);
  return std::nullopt;
}

}  // namespace

void hide_secrets(const Node& root, Diagnostics& diagnostics) {
  for (size_t i = 0; i < root.items.size(); ++i) {
    const Node& value = root.items[i];
    if (i < root.keys.size() && sounds_secret(root.keys[i].text)) {
      hide_within(value, diagnostics);
    } else if (i < root.keys.size() && holds_secret(root.keys[i], value)) {
      hide(value, diagnostics);
    } else {
      hide_secrets(value, diagnostics);
    }
  }
}

void hide_pem(const Source& source, Diagnostics& diagnostics) {
  const size_t begin = source.text().find("-----BEGIN");
  if (begin != std::string_view::npos) diagnostics.hide_from(source.span(begin).line);
}

std::optional<Secret> read_secret(const Mapping& mapping, std::string_view key,
                                  SecretSource& source) {
  const Node* node = mapping.find(key);
  if (node == nullptr) return std::nullopt;
  return read_secret_node(*node, key, source, mapping.diagnostics());
}

std::optional<Secret> read_secret_node(const Node& node, std::string_view name,
                                       SecretSource& source, Diagnostics& diagnostics) {
  if (node.kind == Node::Kind::refused) return std::nullopt;
  if (node.kind != Node::Kind::mapping) {
    diagnostics.error(
        {node.span.line, node.span.column},
        std::string(name) + ": a secret does not stand in the text; " + std::string(kHowTo));
    return std::nullopt;
  }
  if (node.keys.size() != 1 || !is_reference(node.keys[0], node.items[0])) {
    diagnostics.error(node.span, std::string(name) + ": a secret is exactly one reference; " +
                                     std::string(kHowTo));
    return std::nullopt;
  }
  return follow_reference(node.keys[0], node.items[0], name, source, diagnostics);
}

std::optional<Secret> read_secret_of(const Mapping& mapping, std::string_view name,
                                     SecretSource& source) {
  std::optional<Secret> secret;
  size_t references = 0;
  for (const std::string_view way : {"file", "env", "command"}) {
    const Node* node = mapping.find(way);
    if (node == nullptr) continue;
    Node key;
    key.kind = Node::Kind::scalar;
    key.text = way;
    key.span = node->span;
    if (++references > 1 || !is_reference(key, *node)) {
      references = 0;
      break;
    }
    secret = follow_reference(key, *node, name, source, mapping.diagnostics());
  }
  if (references == 1) return secret;
  if (mapping.is_mapping()) {
    mapping.error(
        "", std::string(name) + ": a secret is exactly one reference; " + std::string(kHowTo));
  }
  return std::nullopt;
}

std::optional<Secret> read_basic(const Mapping& mapping, std::string_view what,
                                 std::string& username, SecretSource& source) {
  const bool named = mapping.scalar("username", username, parse_username);
  for (const std::string_view key : {"username", "password"}) {
    if (!mapping.has(key)) {
      mapping.error(key, std::string(what) + ": a " + std::string(key) + " is needed");
    }
  }
  const std::optional<Secret> password = read_secret(mapping, "password", source);
  if (!named || !password) return std::nullopt;
  if (has_control_byte(password->reveal())) {
    mapping.error("password", "password: it has a control byte, such as a line end in the middle");
    return std::nullopt;
  }
  std::string pair = username + ":";
  pair += password->reveal();
  const Secret wiped(std::move(pair));
  return Secret(text::base64(wiped.reveal()));
}

}  // namespace egret::config
