#include "policy/judge.h"

#include <algorithm>

#include "base/text.h"
#include "policy/host_names.h"

namespace egret::policy {
namespace {

// Adds a step when somebody listens; `detail` is made only then.
template <typename Detail>
void add_step(Trace* trace, std::string_view name, std::string_view outcome, Detail detail) {
  if (trace != nullptr) trace->push_back({std::string(name), std::string(outcome), detail()});
}

std::string quoted(std::string_view text) { return "\"" + text::printable(text) + "\""; }

// "rule "partners"" or "the defaults".
std::string describe(const Rule& rule) {
  return rule.name == "defaults" ? "the defaults" : "rule " + quoted(rule.name);
}

bool has(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

bool has_port(const std::vector<PortRange>& ports, uint16_t port) {
  return std::any_of(ports.begin(), ports.end(),
                     [&](const PortRange& range) { return range.contains(port); });
}

bool has_path(const std::vector<std::string>& patterns, std::string_view path) {
  const std::string plain = normalized_path(path);
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return path_matches(pattern, plain); });
}

// Everything but the path.
bool may_take(const Match& match, const Ask& ask) {
  if (!match.senders.empty() && !has(match.senders, ask.sender)) return false;
  if (!match.ports.empty() && !has_port(match.ports, ask.port)) return false;
  if (!match.methods.empty() && !has(match.methods, ask.method)) return false;
  const auto matches_host = [&](const HostPattern& p) { return p.matches(ask.host->text); };
  if (!match.hosts.empty() && std::none_of(match.hosts.begin(), match.hosts.end(), matches_host)) {
    return false;
  }
  return match.paths.empty() || !ask.connect;
}

bool takes(const Match& match, const Ask& ask) {
  if (!may_take(match, ask)) return false;
  // A path with two readings is this rule's to refuse: see refuse_path.
  return match.paths.empty() || is_ambiguous_path(ask.path) || has_path(match.paths, ask.path);
}

// Servers differ about "//", "%2f", "%5c" and "%00": a rule about paths cannot be kept for them.
std::optional<Failure> refuse_path(const Rule& rule, const Ask& ask) {
  if (rule.match.paths.empty() || !is_ambiguous_path(ask.path)) return std::nullopt;
  return Failure{
      Reason::url_malformed,
      "The path has \"//\", \"%2f\", \"%5c\" or \"%00\", which servers read in different "
      "ways, and rule \"" +
          rule.name + "\" decides by the path."};
}

std::string list_of(const std::vector<PortRange>& ports) {
  std::string out;
  for (const PortRange& range : ports) {
    if (!out.empty()) out += ", ";
    out += std::to_string(range.first);
    if (range.last != range.first) out += "-" + std::to_string(range.last);
  }
  return out.empty() ? "none" : out;
}

std::string list_of(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out.empty() ? "none" : out;
}

std::optional<Failure> refuse_action(const Rule& rule, Trace* trace) {
  if (rule.action == Action::allow) {
    add_step(trace, "action", "ok", [&] { return describe(rule) + ": action allow"; });
    return std::nullopt;
  }
  return Failure{Reason::rule_denied,
                 "The request is refused by " + describe(rule) +
                     " (action: deny); to let it pass, add an earlier rule that takes it."};
}

// A tunnel is opaque: only its authority can be judged, never a method inside it.
std::optional<Failure> refuse_method(const Rule& rule, const Ask& ask, Trace* trace) {
  if (ask.connect) {
    if (rule.connect == ConnectMode::deny) {
      return Failure{Reason::connect_prohibited, "CONNECT is refused by " + describe(rule) +
                                                     " (connect: deny); send the request to the "
                                                     "proxy itself, or set connect: tunnel."};
    }
    add_step(trace, "connect", "ok", [&] {
      return describe(rule) + ": connect " +
             (rule.connect == ConnectMode::tunnel ? "tunnel" : "intercept");
    });
    return std::nullopt;
  }
  if (!has(rule.methods, ask.method)) {
    return Failure{Reason::method_prohibited,
                   "The method " + quoted(ask.method) + " is refused by " + describe(rule) +
                       ", whose methods are " + list_of(rule.methods) + "; add it there."};
  }
  add_step(trace, "method", "ok", [&] { return std::string(ask.method) + " is listed"; });
  return std::nullopt;
}

// Where a request for http goes under a rule that asks for TLS.
void settle_scheme(const Rule& rule, const Ask& ask, Verdict& verdict, Trace* trace) {
  verdict.scheme = ask.scheme;
  verdict.port = ask.port;
  if (!ask.connect && ask.scheme == Scheme::https) {
    add_step(trace, "scheme", "ok",
             [&] { return "https: the certificate must be for " + ask.host->text; });
    return;
  }
  if (ask.connect || rule.scheme != SchemeMode::https) return;
  verdict.scheme = Scheme::https;
  if (ask.port == default_port(Scheme::http)) verdict.port = default_port(Scheme::https);
  add_step(trace, "scheme", "ok",
           [&] { return describe(rule) + ": scheme https, port " + std::to_string(verdict.port); });
}

std::optional<Failure> refuse_scheme(const Rule& rule, const Ask& ask) {
  if (ask.connect || ask.scheme == Scheme::https || rule.scheme != SchemeMode::https_only) {
    return std::nullopt;
  }
  return Failure{Reason::scheme_prohibited,
                 "An http URL is refused by " + describe(rule) +
                     " (scheme: https-only); send it to the https URL, or set scheme: https."};
}

std::optional<Failure> refuse_port(const Rule& rule, uint16_t port, Trace* trace) {
  if (!has_port(rule.ports, port)) {
    return Failure{Reason::port_prohibited, "Port " + std::to_string(port) + " is refused by " +
                                                describe(rule) + ", whose ports are " +
                                                list_of(rule.ports) + "; add it there."};
  }
  add_step(trace, "port", "ok", [&] { return std::to_string(port) + " is listed"; });
  return std::nullopt;
}

// True when the operator wrote this very host, or its domain, into the rule.
bool names(const Rule& rule, const Host& host) {
  return std::any_of(rule.match.hosts.begin(), rule.match.hosts.end(),
                     [&](const HostPattern& p) { return p.names_hosts() && p.matches(host.text); });
}

constexpr std::string_view kNameIt =
    "; to permit it, name it in match.hosts of a rule that allows its addresses.";

Failure metadata_refusal(const Host& host, const NameFinding& found) {
  std::string detail = "The host " + host.text + " is refused by ";
  detail.append(found.entry)
      .append(" (")
      .append(found.source)
      .append("), which no rule can permit.");
  return {Reason::host_prohibited, std::move(detail)};
}

Failure special_use_refusal(const Host& host, const NameFinding& found) {
  std::string detail = "The host " + host.text + " is refused by ";
  detail.append(found.entry).append(" (").append(found.source).append(")").append(kNameIt);
  return {Reason::host_prohibited, std::move(detail)};
}

Failure single_label_refusal(const Host& host) {
  std::string detail = "The host " + host.text + " is a name of one label, which means something ";
  detail.append("else on every machine").append(kNameIt);
  return {Reason::host_not_canonical, std::move(detail)};
}

std::optional<Failure> refuse_name(const Rule& rule, const Host& host, Trace* trace) {
  const NameFinding found = classify_name(host);
  if (found.kind == NameKind::cloud_metadata) return metadata_refusal(host, found);
  if (found.kind != NameKind::ordinary && !names(rule, host)) {
    return found.kind == NameKind::special_use ? special_use_refusal(host, found)
                                               : single_label_refusal(host);
  }
  add_step(trace, "host", "ok", [&] {
    if (host.literal) return host.text + " is an address";
    if (is_localhost(host)) return host.text + " is the loopback address (RFC 6761)";
    if (found.kind == NameKind::ordinary) return host.text + " is no special name";
    return host.text + " is named by " + describe(rule);
  });
  return std::nullopt;
}

// "10.0.0.0/8 Private-Use [RFC1918] (IANA IPv4 special-purpose)"
std::string entry_of(const Classification& found) {
  return found.entry.empty() ? found.source : found.entry + " " + found.source;
}

std::string refusal_of(const Endpoint& endpoint, const Classification& found, const Rule& rule) {
  std::string out = "The address " + endpoint.address.to_string() + " is refused ";
  if (!found.inside.empty()) out += "for the " + found.inside + " inside it ";
  out += "by " + entry_of(found);
  if (found.remedy.empty()) return out + ", which no rule can permit.";
  return out + "; to permit it, " + found.remedy + " (" + describe(rule) + ").";
}

}  // namespace

Judge::Judge(Mode mode, Rule defaults, std::vector<Rule> rules, AddressContext context)
    : mode_(mode),
      defaults_(std::move(defaults)),
      rules_(std::move(rules)),
      context_(std::move(context)) {}

Verdict Judge::judge(const Ask& ask, Trace* trace) const {
  const auto found = std::find_if(rules_.begin(), rules_.end(),
                                  [&](const Rule& rule) { return takes(rule.match, ask); });
  Verdict verdict;
  verdict.rule = found == rules_.end() ? &defaults_ : &*found;
  const Rule& rule = *verdict.rule;
  add_step(trace, "rule", "ok", [&] {
    if (found == rules_.end()) return std::string("no rule matches: the defaults");
    return describe(rule) + " is the first that matches";
  });

  const auto reject = [&](std::string_view step, std::optional<Failure> failure) {
    if (!failure || verdict.refusal) return;
    const bool reported = mode_ == Mode::report && step != "host";
    add_step(trace, step, reported ? "reported" : "denied", [&] { return failure->detail; });
    auto& slot = reported ? verdict.reported : verdict.refusal;
    if (!slot) slot = std::move(failure);
  };
  reject("path", refuse_path(rule, ask));
  if (!verdict.refusal) reject("action", refuse_action(rule, trace));
  if (!verdict.refusal) reject(ask.connect ? "connect" : "method", refuse_method(rule, ask, trace));
  if (!verdict.refusal) reject("scheme", refuse_scheme(rule, ask));
  settle_scheme(rule, ask, verdict, trace);
  if (!verdict.refusal) reject("port", refuse_port(rule, verdict.port, trace));
  if (!verdict.refusal) reject("host", refuse_name(rule, *ask.host, trace));
  return verdict;
}

Result<PermittedAddresses> Judge::permit(const Rule& rule, uint16_t port,
                                         std::span<const Address> candidates, Trace* trace) const {
  if (candidates.empty()) {
    return Unexpected(Reason::name_has_no_address, "The host has no address to judge.");
  }
  PermittedAddresses permitted;
  std::optional<Endpoint> refused;  // the first
  for (const Address& address : candidates) {
    const PermittedAddress candidate(Endpoint{address, port});
    if (std::find(permitted.begin(), permitted.end(), candidate) != permitted.end()) continue;
    const bool ok = is_permitted(candidate.endpoint_, rule.addresses, context_);
    add_step(trace, "address", ok ? "ok" : "denied", [&] {
      const auto found = classify(candidate.endpoint_, rule.addresses, context_);
      if (!ok) return refusal_of(candidate.endpoint_, found, rule);
      const auto inside = found.inside.empty() ? "" : " for the " + found.inside + " inside it";
      return address.to_string() + " is permitted" + inside + ": " + entry_of(found);
    });
    if (ok) {
      permitted.push_back(candidate);
    } else if (!refused) {
      refused = candidate.endpoint_;
    }
  }
  if (!refused || (!permitted.empty() && rule.addresses.mixed == Mixed::filter)) return permitted;
  const std::string why = refusal_of(*refused, classify(*refused, rule.addresses, context_), rule);
  if (permitted.empty()) return Unexpected(Reason::address_prohibited, why);
  return Unexpected(Reason::addresses_mixed,
                    "The host has permitted and refused addresses (addresses.mixed: deny). " + why);
}

Result<PermittedAddresses> Judge::permit_parent(const Via& via,
                                                std::span<const Address> candidates) const {
  if (candidates.empty()) {
    return Unexpected(Reason::name_has_no_address,
                      "The parent proxy " + via.host.text + " has no address.");
  }
  PermittedAddresses permitted;
  for (const Address& address : candidates) {
    const PermittedAddress candidate(Endpoint{address, via.port});
    if (leads_to_own_listener(candidate.endpoint_, context_)) {
      return Unexpected(Reason::address_prohibited, "The parent proxy " + via.host.text + " is " +
                                                        candidate.endpoint_.to_string() +
                                                        ", Egret's own listener.");
    }
    if (std::find(permitted.begin(), permitted.end(), candidate) == permitted.end()) {
      permitted.push_back(candidate);
    }
  }
  return permitted;
}

std::span<const Address> localhost_addresses(const Host& host) {
  static const Address kLoopback[] = {Address::v4({127, 0, 0, 1})};
  if (!is_localhost(host)) return {};
  return kLoopback;
}

}  // namespace egret::policy
