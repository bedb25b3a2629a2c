// defaults, rules and interception.
#include <algorithm>

#include "config/scalars.h"
#include "config/schema.h"
#include "config/sections.h"

namespace egret::config {
namespace {

using policy::Rule;

constexpr size_t kMostRules = 2000;
constexpr std::string_view kDefaultsName = "defaults";

void check_senders_known(const Mapping& mapping, const policy::Senders& senders,
                         const policy::Match& match, const std::vector<Span>& spans) {
  std::vector<std::string_view> names;
  for (const policy::Sender& sender : senders.all()) names.push_back(sender.name);
  for (size_t i = 0; i < match.senders.size() && i < spans.size(); ++i) {
    if (std::find(names.begin(), names.end(), match.senders[i]) != names.end()) continue;
    const auto near = nearest(match.senders[i], names);
    mapping.diagnostics().error(
        spans[i], "senders: no sender is called " + in_quotes(match.senders[i]) +
                      (near.empty() ? "" : "; did you mean " + in_quotes(near) + "?"));
  }
}

void read_match(const Mapping& mapping, const policy::Senders& senders, policy::Match& match) {
  for (const std::string_view key : {"senders", "hosts", "ports", "methods", "paths"}) {
    mapping.not_empty(key,
                      "an empty list matches nothing and a missing one everything; leave the "
                      "key out, or the rule");
  }
  std::vector<Span> spans;
  if (mapping.list("senders", match.senders, parse_name, &spans)) {
    check_senders_known(mapping, senders, match, spans);
  }
  mapping.list("hosts", match.hosts, parse_host_pattern, nullptr, Mapping::kMostOwnItems);
  mapping.list("ports", match.ports, parse_ports);
  mapping.list("methods", match.methods, parse_method);
  mapping.list("paths", match.paths, parse_path_pattern, nullptr, Mapping::kMostOwnItems);
}

bool touch(const policy::PortRange& a, const policy::PortRange& b) {
  return a.first <= b.last && b.first <= a.last;
}

// A rule that takes only what it then refuses by its own ports or methods.
void check_possible(const Mapping& mapping, const Rule& rule) {
  if (rule.action == policy::Action::deny) return;
  const bool some_port =
      rule.match.ports.empty() ||
      std::any_of(rule.match.ports.begin(), rule.match.ports.end(), [&](const auto& asked) {
        return std::any_of(rule.ports.begin(), rule.ports.end(),
                           [&](const auto& allowed) { return touch(asked, allowed); });
      });
  if (!some_port) {
    mapping.warning("match", "rule " + in_quotes(rule.name) +
                                 " allows nothing: none of the ports that it matches is among its "
                                 "own ports; add \"ports\" beside \"match\"");
  }
  const bool tunnels = rule.connect != policy::ConnectMode::deny;
  const bool some_method =
      rule.match.methods.empty() ||
      std::any_of(rule.match.methods.begin(), rule.match.methods.end(), [&](const auto& asked) {
        if (asked == "CONNECT") return tunnels;
        return std::find(rule.methods.begin(), rule.methods.end(), asked) != rule.methods.end();
      });
  if (some_method) return;
  const std::vector<std::string> only_tunnels = {"CONNECT"};
  if (rule.match.methods == only_tunnels) {
    mapping.warning("match",
                    "rule " + in_quotes(rule.name) +
                        " allows nothing: it matches tunnels only, and its \"connect\" is "
                        "deny; write connect: tunnel or intercept, or action: deny if that is "
                        "meant");
    return;
  }
  mapping.warning("match", "rule " + in_quotes(rule.name) +
                               " allows nothing: none of the methods that it matches is among its "
                               "own methods; add \"methods\" beside \"match\"");
}

void check_name(const Mapping& mapping, const Rule& rule, const std::vector<Rule>& earlier) {
  if (mapping.is_mapping() && !mapping.has("name")) {
    mapping.error("name", "rule: a name is needed; answers, logs and metrics say it");
  }
  if (rule.name == kDefaultsName) {
    mapping.error("name", "name: \"defaults\" is what no rule's own name may be");
  }
  const bool taken = std::any_of(earlier.begin(), earlier.end(),
                                 [&](const Rule& other) { return other.name == rule.name; });
  if (taken && !rule.name.empty()) {
    mapping.error("name", "name: an earlier rule is called " + in_quotes(rule.name) + " already");
  }
}

bool intercepts(const Rule& rule) { return rule.connect == policy::ConnectMode::intercept; }

// Said where it was written, not at every rule that inherits it.
void check_interception(const Mapping& root, const Mapping& mapping, const Rule& rule) {
  if (!mapping.has("connect") || !intercepts(rule) || root.has("interception")) return;
  mapping.error("connect",
                "connect: intercept needs a CA; write interception: {ca_certificate: path, "
                "ca_key: path} at the top");
}

void check_interception_used(const Mapping& root, const Settings& settings) {
  if (!root.has("interception") || intercepts(settings.defaults)) return;
  if (std::any_of(settings.rules.begin(), settings.rules.end(), intercepts)) return;
  root.warning("interception",
               "interception: nothing uses it; write connect: intercept in a rule or in defaults");
}

}  // namespace

void read_interception(const Mapping& root, Settings& settings, PemFiles& pem) {
  const std::optional<Mapping> mapping = root.mapping("interception");
  if (!mapping) return;
  Interception interception;
  const bool good = pem.pair(*mapping, "interception", {"ca_certificate", "ca_key"},
                             pem::Owner::authority, interception.ca);
  if (good) settings.interception = std::move(interception);
}

void read_rules(const Mapping& root, Settings& settings, SecretSource& secrets, PemFiles& pem) {
  settings.defaults.name = kDefaultsName;
  const auto defaults = root.mapping("defaults");
  if (defaults) {
    read_policy(*defaults, settings.defaults, secrets, pem);
    read_outgoing(*defaults, settings.keys, settings.defaults, secrets);
    read_delivery(root, *defaults, settings.defaults.delivery);
    read_isolation(root, *defaults, settings.defaults);
    read_consent(root, *defaults, settings.defaults);
    check_interception(root, *defaults, settings.defaults);
  }
  std::vector<Span> names;
  for (const Mapping& mapping : root.mappings("rules", "rule", kMostRules)) {
    Rule rule = settings.defaults;
    rule.name.clear();
    mapping.scalar("name", rule.name, parse_name);
    check_name(mapping, rule, settings.rules);
    if (const auto match = mapping.mapping("match")) {
      read_match(*match, settings.senders, rule.match);
    }
    read_policy(mapping, rule, secrets, pem);
    read_outgoing(mapping, settings.keys, rule, secrets);
    read_delivery(root, mapping, rule.delivery);
    read_isolation(root, mapping, rule);
    read_consent(root, mapping, rule);
    check_interception(root, mapping, rule);
    check_possible(mapping, rule);
    names.push_back(mapping.span("name"));
    settings.rules.push_back(std::move(rule));
  }
  check_interception_used(root, settings);
  if (defaults) warn_idle_defaults(root, *defaults, settings);
  // After an error a rule may lack what would have told it from the others.
  if (!root.diagnostics().has_errors()) {
    warn_unreachable_rules(settings.rules, names, root.diagnostics());
  }
}

}  // namespace egret::config
