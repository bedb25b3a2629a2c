#pragma once

#include <optional>
#include <string_view>

#include "base/secret.h"
#include "config/reader.h"

namespace egret::config {

// Keeps every line out of the excerpts that holds, or may hold, a secret written in the text:
// whatever stands under a key that sounds like one, unless it is `{file: …}` or `{env: …}`.
// Called before anything is read, so that no diagnostic of any kind can show such a line.
void hide_secrets(const Node& root, Diagnostics& diagnostics);

// Reads the secret at `key`, `{file: path}` or `{env: NAME}`; nothing when it is not there or was
// reported. No message ever has the secret in it.
std::optional<Secret> read_secret(const Mapping& mapping, std::string_view key,
                                  SecretSource& source);

}  // namespace egret::config
