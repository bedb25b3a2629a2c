#include "policy/host_names.h"

namespace egret::policy {
namespace {

struct Domain {
  std::string_view name;  // it and every name below it
  std::string_view source;
};

constexpr Domain kMetadata[] = {
    {"metadata.google.internal", "Google Cloud metadata"},
    {"metadata.goog", "Google Cloud metadata"},
    {"instance-data", "AWS metadata"},
    {"instance-data.ec2.internal", "AWS metadata"},
    {"metadata.azure.internal", "Azure metadata"},
    {"metadata.tencentyun.com", "Tencent Cloud metadata"},
    {"metadata.platformequinix.com", "Equinix Metal metadata"},
    {"metadata.packet.net", "Equinix Metal metadata"},
    {"metadata.cloud.ibm.com", "IBM Cloud metadata"},
    {"rancher-metadata", "Rancher metadata"},
};

constexpr std::string_view kHostsFile = "a name of hosts files";
constexpr std::string_view kPrivateUse = "RFC 6762 appendix G, private name spaces";
constexpr std::string_view kKubernetes = "Kubernetes service names";

constexpr Domain kSpecialUse[] = {
    {"local", "RFC 6762, multicast DNS"},
    {"internal", "ICANN, reserved for private use"},
    {"invalid", "RFC 6761, never resolves"},
    {"onion", "RFC 7686, Tor"},
    {"alt", "RFC 9476, not DNS"},
    {"home.arpa", "RFC 8375, home networks"},
    {"intranet", kPrivateUse},
    {"private", kPrivateUse},
    {"corp", kPrivateUse},
    {"home", kPrivateUse},
    {"lan", kPrivateUse},
    {"localdomain", kHostsFile},
    {"localdomain4", kHostsFile},
    {"localdomain6", kHostsFile},
    {"localhost4", kHostsFile},
    {"localhost6", kHostsFile},
    {"broadcasthost", kHostsFile},
    {"ip6-localhost", kHostsFile},
    {"ip6-loopback", kHostsFile},
    {"ip6-localnet", kHostsFile},
    {"ip6-mcastprefix", kHostsFile},
    {"ip6-allnodes", kHostsFile},
    {"ip6-allrouters", kHostsFile},
    {"ip6-allhosts", kHostsFile},
    {"cluster.local", kKubernetes},
    {"svc", kKubernetes},
    {"kubernetes.default", kKubernetes},
    {"kubernetes", kKubernetes},
    {"consul", "HashiCorp Consul service names"},
};

bool is_or_below(std::string_view host, std::string_view domain) {
  if (!host.ends_with(domain)) return false;
  return host.size() == domain.size() || host[host.size() - domain.size() - 1] == '.';
}

}  // namespace

bool is_localhost(const Host& host) { return !host.literal && is_or_below(host.text, "localhost"); }

NameFinding classify_name(const Host& host) {
  if (host.literal || is_localhost(host)) return {};
  for (const Domain& domain : kMetadata) {
    if (is_or_below(host.text, domain.name)) {
      return {NameKind::cloud_metadata, domain.name, domain.source};
    }
  }
  for (const Domain& domain : kSpecialUse) {
    if (is_or_below(host.text, domain.name)) {
      return {NameKind::special_use, domain.name, domain.source};
    }
  }
  if (host.text.find('.') == std::string::npos) {
    return {NameKind::single_label, host.text, "a name of one label"};
  }
  return {};
}

}  // namespace egret::policy
