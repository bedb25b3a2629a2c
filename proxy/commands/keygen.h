#pragma once

#include <string>

namespace egret::commands {

struct KeygenOptions {
  std::string scheme;
  std::string algorithm;  // of http-message-signatures; empty: ed25519
  std::string output;     // empty: the secret goes to stdout
};

// `egret keygen`: makes a new secret or key pair. With a file, which must not be there yet, the
// secret goes into it (readable by its owner only) and the public part to stdout; without one the
// secret goes to stdout and everything else to stderr, so that it can be piped. 0 or 2.
int keygen(const KeygenOptions& options);

}  // namespace egret::commands
