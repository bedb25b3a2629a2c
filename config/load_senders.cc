// senders: who may send, and how Egret knows.
#include <algorithm>

#include "config/scalars.h"
#include "config/schema.h"
#include "config/secrets.h"
#include "config/sections.h"

namespace egret::config {
namespace {

using policy::Sender;

constexpr size_t kMostSenders = 2000;

void read_basic_sender(const Mapping& mapping, Sender& sender, SecretSource& secrets) {
  std::optional<Secret> basic = read_basic(mapping, "credentials", sender.username, secrets);
  if (!basic) return;
  sender.scheme = Sender::Scheme::basic;
  sender.credentials = std::move(*basic);
}

void read_bearer(const Mapping& mapping, Sender& sender, SecretSource& secrets) {
  std::optional<Secret> token = read_secret(mapping, "token", secrets);
  if (!token) return;
  if (!is_token68(token->reveal())) {
    mapping.error("token",
                  "token: no bearer token has such bytes (RFC 6750); letters, digits and "
                  "\"-._~+/\", then \"=\"");
    return;
  }
  sender.scheme = Sender::Scheme::bearer;
  sender.credentials = std::move(*token);
}

void read_credentials(const Mapping& mapping, Sender& sender, SecretSource& secrets) {
  const bool basic = mapping.has("username") || mapping.has("password");
  const bool bearer = mapping.has("token");
  if (basic && bearer) {
    mapping.error("token", "credentials: a token, or a username and password; not both");
  } else if (bearer) {
    read_bearer(mapping, sender, secrets);
  } else if (basic) {
    read_basic_sender(mapping, sender, secrets);
  } else {
    mapping.error("",
                  "credentials: write {username: …, password: {file: path}} or "
                  "{token: {file: path}}");
  }
}

// Listeners by what they are, not how they are spelt: [0:0::1]:80 is [::1]:80.
void read_sender_listeners(const Mapping& mapping, const std::vector<Listener>& known,
                           Sender& sender) {
  std::vector<ListenAddress> wanted;
  std::vector<Span> spans;
  if (!mapping.list("listeners", wanted, parse_listen_address, &spans)) return;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const auto same = std::find_if(known.begin(), known.end(), [&](const Listener& listener) {
      return listener.address.endpoint == wanted[i].endpoint &&
             listener.address.unix_path == wanted[i].unix_path;
    });
    if (same != known.end()) {
      sender.listeners.push_back(same->address.name);
      continue;
    }
    std::string message = "listeners: no listener has the address " + in_quotes(wanted[i].name);
    std::vector<std::string_view> names;
    for (const Listener& listener : known) names.push_back(listener.address.name);
    if (const auto near = nearest(wanted[i].name, names); !near.empty()) {
      message += "; did you mean " + in_quotes(near) + "?";
    }
    mapping.diagnostics().error(spans[i], message);
  }
}

void check_kinds(const Mapping& mapping, const Sender& sender) {
  if (!mapping.has("credentials") && !mapping.has("networks") && !mapping.has("listeners") &&
      !mapping.has("certificates")) {
    mapping.error("name",
                  "sender: nothing says who this is, so it would be everyone; give it "
                  "credentials, networks, certificates or listeners");
  }
  mapping.not_empty("networks", "an empty list is nobody's network; leave the key out");
  mapping.not_empty("listeners", "an empty list is no listener; leave the key out");
  mapping.not_empty("certificates", "an empty list is nobody's name; leave the key out");
  const bool only_unix =
      !sender.listeners.empty() &&
      std::all_of(sender.listeners.begin(), sender.listeners.end(),
                  [](const std::string& name) { return name.starts_with("unix:"); });
  if (only_unix && !sender.networks.empty()) {
    mapping.warning("networks",
                    "networks: nobody can be this sender; a connection to a Unix socket comes from "
                    "no network");
  }
}

bool asks_for_certificates(const Listener& listener) {
  return listener.tls && !listener.tls->client_ca.empty();
}

std::optional<std::string> parse_certificate_name(std::string_view text, std::string& why) {
  if (!text.empty() && text.size() <= 1024 && !has_control_byte(text)) return std::string(text);
  why = in_quotes(text) +
        " is no certificate's name; write a SAN URI, a SAN DNS name or a subject CN, such as "
        "\"spiffe://corp.example/billing\"";
  return std::nullopt;
}

// Only a listener with client_ca ever sees a sender's certificate.
void read_certificates(const Mapping& mapping, const std::vector<Listener>& known, Sender& sender) {
  if (!mapping.list("certificates", sender.certificates, parse_certificate_name)) return;
  if (sender.certificates.empty()) return;
  if (std::none_of(known.begin(), known.end(), asks_for_certificates)) {
    mapping.error("certificates",
                  "certificates: no listener asks for one; give a listener tls with client_ca");
    return;
  }
  const bool never_seen = !sender.listeners.empty() &&
                          std::none_of(known.begin(), known.end(), [&](const Listener& listener) {
                            return asks_for_certificates(listener) &&
                                   std::find(sender.listeners.begin(), sender.listeners.end(),
                                             listener.address.name) != sender.listeners.end();
                          });
  if (!never_seen) return;
  mapping.warning("certificates",
                  "certificates: nobody can be this sender; none of its listeners asks for a "
                  "certificate (tls.client_ca)");
}

Sender read_sender(const Mapping& mapping, const Settings& settings, SecretSource& secrets) {
  Sender sender;
  if (!mapping.is_mapping()) return sender;
  mapping.scalar("name", sender.name, parse_name);
  if (!mapping.has("name")) mapping.error("name", "sender: a name is needed");
  mapping.list("networks", sender.networks, parse_prefix, nullptr, Mapping::kMostOwnItems);
  read_sender_listeners(mapping, settings.listeners, sender);
  read_certificates(mapping, settings.listeners, sender);
  if (const auto credentials = mapping.mapping("credentials")) {
    read_credentials(*credentials, sender, secrets);
  }
  check_kinds(mapping, sender);
  return sender;
}

void check_unique(const Mapping& mapping, const Sender& sender,
                  const std::vector<Sender>& earlier) {
  for (const Sender& other : earlier) {
    if (!sender.name.empty() && other.name == sender.name) {
      mapping.error("name",
                    "name: an earlier sender is called " + in_quotes(sender.name) + " already");
    }
    if (!sender.username.empty() && other.username == sender.username) {
      mapping.error("name", "sender: " + in_quotes(other.name) + " has the username " +
                                in_quotes(sender.username) + " already");
    }
  }
}

}  // namespace

void read_senders(const Mapping& root, Settings& settings, SecretSource& secrets) {
  std::vector<Sender> senders;
  std::vector<Span> names;
  for (const Mapping& mapping : root.mappings("senders", "sender", kMostSenders)) {
    Sender sender = read_sender(mapping, settings, secrets);
    check_unique(mapping, sender, senders);
    names.push_back(mapping.span("name"));
    senders.push_back(std::move(sender));
  }
  // After an error a sender may lack what would have told it from the others.
  if (!root.diagnostics().has_errors()) {
    warn_unreachable_senders(senders, names, root.diagnostics());
  }
  settings.senders = policy::Senders(std::move(senders));
}

}  // namespace egret::config
