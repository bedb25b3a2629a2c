#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "config/load.h"
#include "config/pem.h"
#include "config/reader.h"
#include "policy/rules.h"

namespace egret::config {

// The keys of a mapping under which a certificate chain and its private key stand.
struct PairKeys {
  std::string_view certificate = "certificate";
  std::string_view private_key = "private_key";
};

// PemFiles reads the files of certificates, keys and revocation lists that a configuration names,
// and reports what is wrong with one at its name. A file of certificates or lists is read and
// checked once, however many rules name it; keys are read each time, so that no copy is kept.
//   Owner: one load; `source` must outlive it.
class PemFiles {
 public:
  explicit PemFiles(SecretSource& source) : source_(source) {}

  // Each is true, and `out` the text of the file, when the key was there and the file good.
  bool authorities(const Mapping& mapping, std::string_view key, std::string& out);
  bool revocation_lists(const Mapping& mapping, std::string_view key, std::string& out);
  // Both keys are needed; `what` is what a missing one is called after: "tls".
  bool pair(const Mapping& mapping, std::string_view what, PairKeys keys, pem::Owner owner,
            policy::KeyPair& out);

 private:
  enum class Kind : uint8_t { peer, authority, authorities, revocation_lists };
  struct File {
    std::string text;
    std::string unreadable;  // why it could not be read, a sentence of its own
    pem::Checked checked;
  };
  const File& file(Kind kind, const std::string& path);
  bool read(const Mapping& mapping, std::string_view key, Kind kind, std::string& out);
  bool read_key(const Mapping& mapping, std::string_view key, Secret& out);

  SecretSource& source_;
  std::map<std::pair<Kind, std::string>, File> files_;
};

}  // namespace egret::config
