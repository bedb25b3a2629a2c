#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"
#include "proxy/signing/signing.h"

namespace egret::proxy {

// Outgoing is how the requests of one rule leave: which of the sender's fields stay behind, which
// are set, and who signs. One thread: a worker's.
class Outgoing {
 public:
  // `rule` must outlive this. Throws std::runtime_error on a key that OpenSSL does not take, which
  // loading has excluded.
  Outgoing(const policy::Rule& rule, std::span<const policy::SigningKey> keys);

  // True when nothing of the request is changed: it may leave as it came.
  [[nodiscard]] bool plain() const { return removed_.empty() && !all_; }
  // Names in lower case: headers.remove, headers.set, what consent tells, and what any of the
  // rule's keys writes.
  [[nodiscard]] const std::vector<std::string>& removed() const { return removed_; }
  // Complete field lines of headers.set and of consent; may hold a credential.
  [[nodiscard]] std::string_view set_lines() const { return set_lines_.reveal(); }
  // Who signs when the sender asked for `key` (Egret-Key): that key, or all when it is none of this
  // rule's. Null: the rule has no keys.
  [[nodiscard]] signing::Signer* signer(std::string_view key) const;
  // Room for the lines of one request, used again for the next: nothing waits while it is in use.
  [[nodiscard]] std::string& scratch() const { return scratch_; }

 private:
  std::vector<std::string> removed_;
  Secret set_lines_;
  mutable std::string scratch_;
  std::unique_ptr<signing::Signer> all_;
  struct Named {
    std::string_view name;
    std::unique_ptr<signing::Signer> signer;
  };
  std::vector<Named> by_name_;  // when there are several keys
};

}  // namespace egret::proxy
