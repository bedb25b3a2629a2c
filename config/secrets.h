#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/secret.h"
#include "config/reader.h"

namespace egret::config {

// Keeps every line out of the excerpts that holds, or may hold, a secret written in the text:
// whatever stands under a key that sounds like one, unless it is `{file: …}` or `{env: …}`.
// Called before anything is read, so that no diagnostic of any kind can show such a line.
void hide_secrets(const Node& root, Diagnostics& diagnostics);

// Keeps every line out of the excerpts from the first on that looks like PEM, a key perhaps. Called
// before the text is parsed: a key that was pasted in is seldom good YAML.
void hide_pem(const Source& source, Diagnostics& diagnostics);

// Reads the secret at `key`, `{file: path}` or `{env: NAME}`; nothing when it is not there or was
// reported. No message ever has the secret in it.
std::optional<Secret> read_secret(const Mapping& mapping, std::string_view key,
                                  SecretSource& source);

// The same for a value that stands under no key of a schema, which messages call `name`.
std::optional<Secret> read_secret_node(const Node& node, std::string_view name,
                                       SecretSource& source, Diagnostics& diagnostics);
// The same for a mapping with other keys beside the reference.
std::optional<Secret> read_secret_of(const Mapping& mapping, std::string_view name,
                                     SecretSource& source);

// Reads `username` and `password`, which are both needed, as the base64 that stands behind "Basic "
// (RFC 7617); nothing when one was reported. `what` is what a missing one is called after.
std::optional<Secret> read_basic(const Mapping& mapping, std::string_view what,
                                 std::string& username, SecretSource& source);

}  // namespace egret::config
