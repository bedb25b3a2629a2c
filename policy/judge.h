#pragma once

#include <optional>
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
  Scheme scheme = Scheme::http;  // of CONNECT: nothing is known
  const Host* host = nullptr;
  uint16_t port = 0;
  std::string_view path;
};

// May it? `rule` is never null: what was decided, and the timeouts and limits that hold even for
// the refusal. `reported` is set in report mode when a refusal was let pass.
struct Verdict {
  const Rule* rule = nullptr;
  // How and where it goes: as asked, unless the rule turns http into https, and port 80 into 443.
  // The rule was chosen by what was asked.
  Scheme scheme = Scheme::http;
  uint16_t port = 0;
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

  // First matching rule, else the defaults; then action, CONNECT mode or method, scheme, port, and
  // the host's name (policy/host_names.h). In report mode a refusal by rule, method, scheme or port
  // is moved to `reported`; one by name is not, since names are judged as addresses are. Refusals:
  // rule_denied, connect_prohibited, method_prohibited, scheme_prohibited, port_prohibited,
  //   host_prohibited     cloud-metadata names, always; special-use names, unless a `match.hosts`
  //                       of the rule names the host (exactly or by `*.domain`, not by `*`)
  //   host_not_canonical  a name of one label, unless the rule names it: what it means depends on
  //                       the search domains of whoever resolves it, so it has no single meaning
  //   `localhost` is neither: it has an address, see localhost_addresses.
  [[nodiscard]] Verdict judge(const Ask& ask, Trace* trace = nullptr) const;

  // The addresses of `candidates` that may be dialled under `rule`, in the same order, duplicates
  // removed. An exact-address entry in rule.addresses.allow permits; report mode does not.
  // Errors: address_prohibited (none may), addresses_mixed (some may not, and `mixed: deny`),
  //   name_has_no_address (no candidates).
  [[nodiscard]] Result<PermittedAddresses> permit(const Rule& rule, uint16_t port,
                                                  std::span<const Address> candidates,
                                                  Trace* trace = nullptr) const;

  // The addresses of the parent proxy `via`, at its port, in the same order, duplicates removed.
  // The operator has named it, so no registry and no rule is asked: a parent is usually a
  // neighbour. Errors: address_prohibited (one is Egret's own listener: a loop),
  // name_has_no_address.
  [[nodiscard]] Result<PermittedAddresses> permit_parent(const Via& via,
                                                         std::span<const Address> candidates) const;

  [[nodiscard]] const Rule& defaults() const { return defaults_; }
  [[nodiscard]] const std::vector<Rule>& rules() const { return rules_; }

 private:
  Mode mode_;
  Rule defaults_;
  std::vector<Rule> rules_;
  AddressContext context_;
};

// RFC 6761 6.3: `localhost` and names below it are the loopback address and are never asked of
// DNS. Empty for every other host. 127.0.0.1 alone: with ::1 beside it, an operator who allows
// 127.0.0.1 would be refused for mixed addresses.
std::span<const Address> localhost_addresses(const Host& host);

}  // namespace egret::policy
