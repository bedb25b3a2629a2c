// What can never be chosen because an earlier one takes all of it: first match wins, among rules
// as among senders. Sound, not complete: a warning is always true, but a rule that only several
// earlier ones together take all of is not found.
#include <algorithm>
#include <optional>
#include <string>

#include "config/sections.h"

namespace egret::config {
namespace {

using policy::HostPattern;
using policy::PortRange;
using policy::Prefix;
using policy::Rule;
using policy::Sender;

// What all comparisons of one file may cost together; a file that no person wrote could ask for
// more than a start should take.
constexpr size_t kMostComparisons = 5'000'000;

class Budget {
 public:
  bool spend() { return left_ > 0 && left_-- > 0; }
  [[nodiscard]] bool spent() const { return left_ == 0; }

 private:
  size_t left_ = kMostComparisons;
};

// True when every one of `later` is covered by one of `earlier`; an empty list is everything.
template <typename T, typename Covers>
bool covers_all(const std::vector<T>& earlier, const std::vector<T>& later, const T& everything,
                Budget& budget, Covers covers) {
  if (earlier.empty()) return true;
  const auto covered = [&](const T& wanted) {
    return std::any_of(earlier.begin(), earlier.end(), [&](const T& candidate) {
      return budget.spend() && covers(candidate, wanted);
    });
  };
  if (later.empty()) return covered(everything);
  return std::all_of(later.begin(), later.end(), covered);
}

bool covers_host(const HostPattern& wide, const HostPattern& narrow) {
  if (wide == narrow || wide.text() == "*") return true;
  // "*.example.com" has "a.example.com" and "*.a.example.com" in it.
  const std::string& text = wide.text();
  return text.starts_with("*.") && narrow.text() != "*" &&
         narrow.text().ends_with(std::string_view(text).substr(1)) &&
         narrow.text().size() > text.size() - 1;
}

bool covers_ports(const PortRange& wide, const PortRange& narrow) {
  return wide.first <= narrow.first && narrow.last <= wide.last;
}

// A star of `narrow` can only be eaten by a star of `wide`, which would eat whatever it stands
// for: so matching the pattern as if it were a path proves all of it.
bool covers_path(const std::string& wide, const std::string& narrow) {
  return policy::path_matches(wide, narrow);
}

bool covers(const Rule& earlier, const Rule& later, Budget& budget) {
  const auto same = [](const std::string& a, const std::string& b) { return a == b; };
  const policy::Match& a = earlier.match;
  const policy::Match& b = later.match;
  return covers_all(a.senders, b.senders, std::string(), budget, same) &&
         covers_all(a.methods, b.methods, std::string(), budget, same) &&
         covers_all(a.ports, b.ports, PortRange{1, 65535}, budget, covers_ports) &&
         covers_all(a.hosts, b.hosts, HostPattern(), budget, covers_host) &&
         covers_all(a.paths, b.paths, std::string("*"), budget, covers_path);
}

bool covers_network(const Prefix& wide, const Prefix& narrow) {
  return wide.length <= narrow.length && wide.contains(narrow.base);
}

bool covers(const Sender& earlier, const Sender& later, Budget& budget) {
  // A sender without networks can come from a Unix socket, which no network has.
  if (!earlier.networks.empty() && later.networks.empty()) return false;
  if (!earlier.listeners.empty() && later.listeners.empty()) return false;
  if (!earlier.certificates.empty() && later.certificates.empty()) return false;
  const auto same = [](const std::string& a, const std::string& b) { return a == b; };
  const bool credentials =
      earlier.scheme == Sender::Scheme::none ||
      (earlier.scheme == later.scheme && earlier.credentials.equals(later.credentials.reveal()));
  return credentials &&
         covers_all(earlier.networks, later.networks, Prefix(), budget, covers_network) &&
         covers_all(earlier.certificates, later.certificates, std::string(), budget, same) &&
         covers_all(earlier.listeners, later.listeners, std::string(), budget, same);
}

// The first of `all` before `index` that takes all of `all[index]`.
template <typename T>
const T* taker(const std::vector<T>& all, size_t index, Budget& budget) {
  for (size_t i = 0; i < index && budget.spend(); ++i) {
    if (covers(all[i], all[index], budget)) return budget.spent() ? nullptr : &all[i];
  }
  return nullptr;
}

template <typename T, typename Message>
void warn(const std::vector<T>& all, const std::vector<Span>& names, Diagnostics& diagnostics,
          std::string_view noun, Message message) {
  Budget budget;
  for (size_t i = 0; i < all.size(); ++i) {
    if (const T* earlier = taker(all, i, budget)) {
      diagnostics.warning(names[i], message(all[i], *earlier));
    }
    if (budget.spent()) {
      diagnostics.warning(names[i], "too many " + std::string(noun) +
                                        " to say which of those from here on cannot be reached");
      return;
    }
  }
}

}  // namespace

void warn_unreachable_rules(const std::vector<Rule>& rules, const std::vector<Span>& names,
                            Diagnostics& diagnostics) {
  warn(rules, names, diagnostics, "rules", [](const Rule& rule, const Rule& earlier) {
    return "no request can reach the rule " + in_quotes(rule.name) + ": " +
           in_quotes(earlier.name) + " before it takes them all";
  });
}

void warn_unreachable_senders(const std::vector<Sender>& senders, const std::vector<Span>& names,
                              Diagnostics& diagnostics) {
  warn(senders, names, diagnostics, "senders", [](const Sender& sender, const Sender& earlier) {
    return "nobody can be the sender " + in_quotes(sender.name) + ": " + in_quotes(earlier.name) +
           " before it takes them all";
  });
}

}  // namespace egret::config
