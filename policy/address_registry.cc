#include "policy/address_registry.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "policy/inside_address.h"

namespace egret::policy {
namespace {

constexpr std::string_view kIanaV4 = "IANA IPv4 special-purpose";
constexpr std::string_view kIanaV6 = "IANA IPv6 special-purpose";
constexpr std::string_view kSpaceV4 = "IANA IPv4 address space";
constexpr std::string_view kSpaceV6 = "IANA IPv6 address space";
constexpr std::string_view kMetadata = "cloud-metadata";

// clang-format off
constexpr RegistryEntry kEntries[] = {
    // IANA IPv4 Special-Purpose Address Registry, 2026-07-18; a test compares every row.
    {"0.0.0.0/8", Effect::deny, kIanaV4, R"("This network")", "[RFC791], Section 3.2"},
    {"0.0.0.0/32", Effect::deny, kIanaV4, R"("This host on this network")", "[RFC1122], Section 3.2.1.3"},
    {"10.0.0.0/8", Effect::deny, kIanaV4, "Private-Use", "[RFC1918]"},
    {"100.64.0.0/10", Effect::deny, kIanaV4, "Shared Address Space", "[RFC6598]"},
    {"127.0.0.0/8", Effect::deny, kIanaV4, "Loopback", "[RFC1122], Section 3.2.1.3"},
    {"169.254.0.0/16", Effect::deny, kIanaV4, "Link Local", "[RFC3927]"},
    {"172.16.0.0/12", Effect::deny, kIanaV4, "Private-Use", "[RFC1918]"},
    {"192.0.0.0/24", Effect::deny, kIanaV4, "IETF Protocol Assignments", "[RFC6890], Section 2.1"},
    {"192.0.0.0/29", Effect::deny, kIanaV4, "IPv4 Service Continuity Prefix", "[RFC7335]"},
    {"192.0.0.8/32", Effect::deny, kIanaV4, "IPv4 dummy address", "[RFC7600]"},
    {"192.0.0.9/32", Effect::permit, kIanaV4, "Port Control Protocol Anycast", "[RFC7723]"},
    {"192.0.0.10/32", Effect::permit, kIanaV4, "Traversal Using Relays around NAT Anycast", "[RFC8155]"},
    {"192.0.0.170/32", Effect::deny, kIanaV4, "NAT64/DNS64 Discovery", "[RFC8880][RFC7050], Section 2.2"},
    {"192.0.0.171/32", Effect::deny, kIanaV4, "NAT64/DNS64 Discovery", "[RFC8880][RFC7050], Section 2.2"},
    {"192.0.2.0/24", Effect::deny, kIanaV4, "Documentation (TEST-NET-1)", "[RFC5737]"},
    {"192.31.196.0/24", Effect::permit, kIanaV4, "AS112-v4", "[RFC7535]"},
    {"192.52.193.0/24", Effect::permit, kIanaV4, "AMT", "[RFC7450]"},
    {"192.88.99.0/24", Effect::deny, kIanaV4, "Deprecated (6to4 Relay Anycast)", "[RFC7526]"},
    {"192.88.99.2/32", Effect::deny, kIanaV4, "6a44-relay anycast address", "[RFC6751]"},
    {"192.168.0.0/16", Effect::deny, kIanaV4, "Private-Use", "[RFC1918]"},
    {"192.175.48.0/24", Effect::permit, kIanaV4, "Direct Delegation AS112 Service", "[RFC7534]"},
    {"198.18.0.0/15", Effect::deny, kIanaV4, "Benchmarking", "[RFC2544]"},
    {"198.51.100.0/24", Effect::deny, kIanaV4, "Documentation (TEST-NET-2)", "[RFC5737]"},
    {"203.0.113.0/24", Effect::deny, kIanaV4, "Documentation (TEST-NET-3)", "[RFC5737]"},
    {"240.0.0.0/4", Effect::deny, kIanaV4, "Reserved", "[RFC1112], Section 4"},
    {"255.255.255.255/32", Effect::deny, kIanaV4, "Limited Broadcast", "[RFC8190] [RFC919], Section 7"},
    // IANA IPv6 Special-Purpose Address Registry, 2026-07-18. "N/A" is denied. IPv4-mapped is "not
    // globally reachable" as an address on the wire, but a socket takes it for the IPv4 inside.
    {"::1/128", Effect::deny, kIanaV6, "Loopback Address", "[RFC4291]"},
    {"::/128", Effect::deny, kIanaV6, "Unspecified Address", "[RFC4291]"},
    {"::ffff:0:0/96", Effect::inside, kIanaV6, "IPv4-mapped Address", "[RFC4291]"},
    {"64:ff9b::/96", Effect::inside, kIanaV6, "IPv4-IPv6 Translat.", "[RFC6052]"},
    {"64:ff9b:1::/48", Effect::deny, kIanaV6, "IPv4-IPv6 Translat.", "[RFC8215]"},
    {"100::/64", Effect::deny, kIanaV6, "Discard-Only Address Block", "[RFC6666]"},
    {"100:0:0:1::/64", Effect::deny, kIanaV6, "Dummy IPv6 Prefix", "[RFC9780]"},
    {"2001::/23", Effect::deny, kIanaV6, "IETF Protocol Assignments", "[RFC2928]"},
    {"2001::/32", Effect::deny, kIanaV6, "TEREDO", "[RFC4380] [RFC8190]"},
    {"2001:1::1/128", Effect::permit, kIanaV6, "Port Control Protocol Anycast", "[RFC7723]"},
    {"2001:1::2/128", Effect::permit, kIanaV6, "Traversal Using Relays around NAT Anycast", "[RFC8155]"},
    {"2001:1::3/128", Effect::permit, kIanaV6, "DNS-SD Service Registration Protocol Anycast", "[RFC9665]"},
    {"2001:2::/48", Effect::deny, kIanaV6, "Benchmarking", "[RFC5180][RFC Errata 1752]"},
    {"2001:3::/32", Effect::permit, kIanaV6, "AMT", "[RFC7450]"},
    {"2001:4:112::/48", Effect::permit, kIanaV6, "AS112-v6", "[RFC7535]"},
    {"2001:10::/28", Effect::deny, kIanaV6, "Deprecated (previously ORCHID)", "[RFC4843]"},
    {"2001:20::/28", Effect::permit, kIanaV6, "ORCHIDv2", "[RFC7343]"},
    {"2001:30::/28", Effect::permit, kIanaV6, "Drone Remote ID Protocol Entity Tags (DETs) Prefix", "[RFC9374]"},
    {"2001:db8::/32", Effect::deny, kIanaV6, "Documentation", "[RFC3849]"},
    {"2002::/16", Effect::deny, kIanaV6, "6to4", "[RFC3056]"},
    {"2620:4f:8000::/48", Effect::permit, kIanaV6, "Direct Delegation AS112 Service", "[RFC7534]"},
    {"3fff::/20", Effect::deny, kIanaV6, "Documentation", "[RFC9637]"},
    {"5f00::/16", Effect::deny, kIanaV6, "Segment Routing (SRv6) SIDs", "[RFC9602]"},
    {"fc00::/7", Effect::deny, kIanaV6, "Unique-Local", "[RFC4193] [RFC8190]"},
    {"fe80::/10", Effect::deny, kIanaV6, "Link-Local Unicast", "[RFC4291]"},
    // Outside the special-purpose registries.
    {"224.0.0.0/4", Effect::deny, kSpaceV4, "Multicast", "[RFC5771]"},
    {"::/0", Effect::deny, kSpaceV6, "Not global unicast", "[RFC4291]"},
    {"::/8", Effect::deny, kSpaceV6, "Reserved by IETF", "[RFC4291]"},
    {"::/96", Effect::deny, kSpaceV6, "IPv4-compatible, deprecated", "[RFC4291], Section 2.5.5.1"},
    {"::ffff:0:0:0/96", Effect::deny, kSpaceV6, "IPv4-translated (SIIT), obsolete", "[RFC2765]"},
    {"2000::/3", Effect::permit, kSpaceV6, "Global Unicast", "[RFC4291]"},
    {"fec0::/10", Effect::deny, kSpaceV6, "Site-local unicast, deprecated", "[RFC3879]"},
    {"ff00::/8", Effect::deny, kSpaceV6, "Multicast", "[RFC4291]"},
    // Where a cloud hands its secrets to whoever asks, and its other platform services. Single
    // addresses, so that only an entry of exactly that address can open them.
    {"169.254.169.254/32", Effect::deny, kMetadata, "AWS, Google, Azure, Oracle, OpenStack, DigitalOcean and others: instance metadata", ""},
    {"169.254.170.2/32", Effect::deny, kMetadata, "AWS ECS: task metadata and credentials", ""},
    {"169.254.170.23/32", Effect::deny, kMetadata, "AWS EKS: pod identity", ""},
    {"169.254.169.253/32", Effect::deny, kMetadata, "AWS: VPC DNS", ""},
    {"169.254.169.123/32", Effect::deny, kMetadata, "AWS: time", ""},
    {"169.254.169.249/32", Effect::deny, kMetadata, "AWS: key management for Windows", ""},
    {"169.254.169.250/32", Effect::deny, kMetadata, "AWS: key management for Windows", ""},
    {"169.254.169.251/32", Effect::deny, kMetadata, "AWS: key management for Windows", ""},
    {"169.254.169.252/32", Effect::deny, kMetadata, "Google GKE: metadata server", ""},
    {"169.254.169.255/32", Effect::deny, kMetadata, "Linode: metadata", ""},
    {"169.254.0.23/32", Effect::deny, kMetadata, "Tencent Cloud: metadata", ""},
    {"169.254.10.10/32", Effect::deny, kMetadata, "Tencent Cloud: metadata", ""},
    {"169.254.42.42/32", Effect::deny, kMetadata, "Scaleway: metadata", ""},
    {"169.254.20.10/32", Effect::deny, kMetadata, "Kubernetes: node-local DNS", ""},
    {"169.254.25.10/32", Effect::deny, kMetadata, "Kubernetes: node-local DNS", ""},
    {"100.100.100.200/32", Effect::deny, kMetadata, "Alibaba Cloud: metadata", ""},
    {"168.63.129.16/32", Effect::deny, kMetadata, "Azure: WireServer and platform DNS", ""},
    {"192.0.0.192/32", Effect::deny, kMetadata, "Oracle Cloud Classic: metadata", ""},
    {"fd00:ec2::254/128", Effect::deny, kMetadata, "AWS: instance metadata", ""},
    {"fd00:ec2::253/128", Effect::deny, kMetadata, "AWS: VPC DNS", ""},
    {"fd00:ec2::123/128", Effect::deny, kMetadata, "AWS: time", ""},
    {"fd00:ec2::250/128", Effect::deny, kMetadata, "AWS: key management for Windows", ""},
    {"fd00:ec2::23/128", Effect::deny, kMetadata, "AWS EKS: pod identity", ""},
    {"fd20:ce::254/128", Effect::deny, kMetadata, "Google: instance metadata", ""},
    {"fd00:c1::a9fe:a9fe/128", Effect::deny, kMetadata, "Oracle Cloud: instance metadata", ""},
    {"fd00:42::42/128", Effect::deny, kMetadata, "Scaleway: metadata", ""},
    {"fd00:a9fe:a9fe::1/128", Effect::deny, kMetadata, "Linode: metadata", ""},
    {"fe80::a9fe:a9fe/128", Effect::deny, kMetadata, "OpenStack: instance metadata", ""},
};
// clang-format on

struct ParsedEntry {
  Prefix prefix;
  const RegistryEntry* entry;
};

// The longest prefix first: the first that contains an address decides.
std::vector<ParsedEntry> parse_entries(Address::Family family) {
  std::vector<ParsedEntry> out;
  for (const RegistryEntry& entry : kEntries) {
    const auto prefix = Prefix::parse(entry.prefix);  // a test: every row parses
    if (prefix && prefix->base.family() == family) out.push_back({*prefix, &entry});
  }
  std::ranges::stable_sort(out, std::ranges::greater(),
                           [](const ParsedEntry& row) { return row.prefix.length; });
  return out;
}

const std::vector<ParsedEntry>& entries_of(Address::Family family) {
  static const auto v4 = parse_entries(Address::Family::v4);
  static const auto v6 = parse_entries(Address::Family::v6);
  return family == Address::Family::v4 ? v4 : v6;
}

const Prefix* longest(const std::vector<Prefix>& prefixes, const Address& address) {
  const Prefix* best = nullptr;
  for (const Prefix& prefix : prefixes) {
    if ((best == nullptr || prefix.length > best->length) && prefix.contains(address)) {
      best = &prefix;
    }
  }
  return best;
}

const ParsedEntry* longest_builtin(const Address& address) {
  const std::vector<ParsedEntry>& rows = entries_of(address.family());
  const auto found = std::ranges::find_if(
      rows, [&](const ParsedEntry& row) { return row.prefix.contains(address); });
  return found == rows.end() ? nullptr : &*found;
}

bool reaches_this_host(const Address& address) {
  static constexpr std::array<uint8_t, 16> kZero{};
  if (address.bytes() == kZero) return true;  // connect() to 0.0.0.0 or :: means loopback
  if (address.is_v4()) return address.bytes()[0] == 127;
  static constexpr std::array<uint8_t, 16> kLoopback = {0, 0, 0, 0, 0, 0, 0, 0,
                                                        0, 0, 0, 0, 0, 0, 0, 1};
  return address.bytes() == kLoopback;
}

bool is_own_listener(const Endpoint& endpoint, const AddressContext& context) {
  for (const Endpoint& own : context.own_listeners) {
    if (own.port != endpoint.port) continue;
    if (own.address == endpoint.address) return true;
    if (reaches_this_host(own.address) && reaches_this_host(endpoint.address)) return true;
  }
  return false;
}

// Which entry decided. Words are made of it only when somebody reads them.
struct Decision {
  enum class By : uint8_t { nothing, builtin, nat64, allow, deny, own_listener, broken_nat64 };
  bool permitted = true;
  By by = By::nothing;
  const Prefix* prefix = nullptr;
  const RegistryEntry* entry = nullptr;
  std::optional<Inside> inside;
};

// The built-in table and the configured NAT64 prefixes, which win a tie: they describe this
// network, the table any network.
Decision decide_builtin(const Address& address, const AddressContext& context) {
  const ParsedEntry* row = longest_builtin(address);
  const Prefix* nat64 = longest(context.nat64_prefixes, address);
  if (nat64 != nullptr && (row == nullptr || nat64->length >= row->prefix.length)) {
    return {true, Decision::By::nat64, nat64, nullptr, {}};
  }
  if (row == nullptr) return {};
  return {row->entry->effect != Effect::deny, Decision::By::builtin, &row->prefix, row->entry, {}};
}

// `endpoint` as it is written, without looking inside.
Decision decide_outer(const Endpoint& endpoint, const AddressPolicy& policy,
                      const AddressContext& context) {
  if (is_own_listener(endpoint, context)) {
    return {false, Decision::By::own_listener, nullptr, nullptr, {}};
  }
  Decision decision = decide_builtin(endpoint.address, context);
  int length = decision.permitted ? -1 : decision.prefix->length;
  const Prefix* allow = longest(policy.allow, endpoint.address);
  if (allow != nullptr && allow->length >= length) {
    decision = {true, Decision::By::allow, allow, nullptr, {}};
    length = allow->length;
  }
  const Prefix* deny = longest(policy.deny, endpoint.address);
  if (deny != nullptr && deny->length >= length) {
    decision = {false, Decision::By::deny, deny, nullptr, {}};
  }
  return decision;
}

// True when the outer form has no say and the IPv4 inside is the better explanation.
bool defers_to_inside(const Decision& decision) {
  return decision.by == Decision::By::nat64 ||
         (decision.entry != nullptr && decision.entry->effect == Effect::inside);
}

Decision decide(const Endpoint& endpoint, const AddressPolicy& policy,
                const AddressContext& context) {
  Decision outer = decide_outer(endpoint, policy, context);
  if (!outer.permitted) return outer;
  for (const Inside& inside : addresses_inside(endpoint.address, context.nat64_prefixes)) {
    if (!inside.well_formed) {
      return {false, Decision::By::broken_nat64, outer.prefix, nullptr, inside};
    }
    Decision inner = decide_outer({inside.address, endpoint.port}, policy, context);
    if (!inner.permitted || defers_to_inside(outer)) {
      inner.inside = inside;
      if (!inner.permitted) return inner;
      outer = inner;
    }
  }
  return outer;
}

std::string words(const RegistryEntry& entry) {
  std::string out(entry.name);
  if (!entry.reference.empty()) out.append(" ").append(entry.reference);
  return out.append(" (").append(entry.registry).append(")");
}

std::string source_of(const Decision& decision) {
  switch (decision.by) {
    case Decision::By::nothing:
      return "no registry entry";
    case Decision::By::builtin:
      return words(*decision.entry);
    case Decision::By::nat64:
      return "resolver.nat64_prefixes";
    case Decision::By::allow:
      return "addresses.allow";
    case Decision::By::deny:
      return "addresses.deny";
    case Decision::By::own_listener:
      return "Egret's own listener";
    case Decision::By::broken_nat64:
      break;
  }
  return "NAT64 address whose reserved octet is not zero [RFC6052], Section 2.2";
}

std::string remedy_of(const Decision& decision, const Endpoint& endpoint) {
  switch (decision.by) {
    case Decision::By::deny:
      return "remove that entry from addresses.deny";
    case Decision::By::builtin: {
      const Address address = decision.inside ? decision.inside->address : endpoint.address;
      if (decision.entry->prefix == "64:ff9b:1::/48") {
        return "name the prefix in use in resolver.nat64_prefixes";
      }
      return "add " + address.to_string() + " to addresses.allow";
    }
    default:
      return "";
  }
}

}  // namespace

std::span<const RegistryEntry> builtin_entries() { return kEntries; }

bool is_permitted(const Endpoint& endpoint, const AddressPolicy& policy,
                  const AddressContext& context) {
  return decide(endpoint, policy, context).permitted;
}

bool leads_to_own_listener(const Endpoint& endpoint, const AddressContext& context) {
  if (is_own_listener(endpoint, context)) return true;
  const std::vector<Inside> inside = addresses_inside(endpoint.address, context.nat64_prefixes);
  return std::ranges::any_of(inside, [&](const Inside& each) {
    return is_own_listener({each.address, endpoint.port}, context);
  });
}

Classification classify(const Endpoint& endpoint, const AddressPolicy& policy,
                        const AddressContext& context) {
  const Decision decision = decide(endpoint, policy, context);
  Classification out;
  out.permitted = decision.permitted;
  if (decision.prefix != nullptr) out.entry = decision.prefix->to_string();
  out.source = source_of(decision);
  if (decision.inside) {
    out.inside = decision.inside->address.to_string();
    out.inside.append(" (").append(decision.inside->how).append(")");
  }
  if (!decision.permitted) out.remedy = remedy_of(decision, endpoint);
  return out;
}

}  // namespace egret::policy
