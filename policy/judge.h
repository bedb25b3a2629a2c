#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "policy/rules.h"

namespace egret::policy {

// One step of a verdict, as `egret explain` shows it.
struct Step {
  std::string name;     // "url", "sender", "rule", "method", "port", "host", "address", …
  std::string outcome;  // "ok", "denied", "skipped", "reported"
  std::string detail;
};
using Trace = std::vector<Step>;

// What a request asks for. CONNECT has an authority only: path empty.
struct Ask {
  std::string_view sender;  // name, or empty for anyone
  std::string_view method;
  bool connect = false;
  const Host* host = nullptr;
  uint16_t port = 0;
  std::string_view path;
};

// May it? `rule` is never null: what was decided, and the timeouts and limits that hold even for
// the refusal. `reported` is set in report mode when a refusal was let pass.
struct Verdict {
  const Rule* rule = nullptr;
  std::optional<Failure> refusal;
  std::optional<Failure> reported;
  [[nodiscard]] bool allowed() const { return !refusal; }
};

// An endpoint that policy has permitted: the only thing that can be dialled. Only Judge makes one.
class PermittedAddress {
 public:
  [[nodiscard]] const Endpoint& endpoint() const { return endpoint_; }
  auto operator<=>(const PermittedAddress&) const = default;

 private:
  friend class Judge;
  explicit PermittedAddress(Endpoint endpoint) : endpoint_(endpoint) {}
  Endpoint endpoint_;
};
using PermittedAddresses = std::vector<PermittedAddress>;  // never empty

enum class Mode : uint8_t { enforce, report };

// Judge answers "may it, and how hard do we try". Immutable, pure, any thread.
class Judge {
 public:
  Judge(Mode mode, Rule defaults, std::vector<Rule> rules, AddressContext context);

  // First matching rule, else the defaults; then action, CONNECT mode, method, port, and names
  // that no rule can allow (see below). In report mode a refusal by rule, method or port is
  // moved to `reported`.
  // Refusals: rule_denied, connect_prohibited, method_prohibited, port_prohibited,
  //   host_prohibited (cloud-metadata and special-use names, RFC 6761/6762: judged as
  //   addresses are, so report mode does not let them pass; `localhost` is not among them, it
  //   has addresses, see localhost_addresses).
  [[nodiscard]] Verdict judge(const Ask& ask, Trace* trace = nullptr) const;

  // The addresses of `candidates` that may be dialled under `rule`, in the same order, duplicates
  // removed. An exact-address entry in rule.addresses.allow permits; report mode does not.
  // Errors: address_prohibited (none may), addresses_mixed (some may not, and `mixed: deny`).
  [[nodiscard]] Result<PermittedAddresses> permit(const Rule& rule, uint16_t port,
                                                  std::span<const Address> candidates,
                                                  Trace* trace = nullptr) const;

  [[nodiscard]] const Rule& defaults() const { return defaults_; }
  [[nodiscard]] const std::vector<Rule>& rules() const { return rules_; }

 private:
  Mode mode_;
  Rule defaults_;
  std::vector<Rule> rules_;
  AddressContext context_;
};

// RFC 6761 6.3: `localhost` and names below it are the loopback address and are never asked of
// DNS. Empty for every other host.
std::span<const Address> localhost_addresses(const Host& host);

}  // namespace egret::policy
