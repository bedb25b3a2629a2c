#include "policy/senders.h"

#include <algorithm>

#include "base/text.h"

namespace egret::policy {
namespace {

struct Presented {
  Sender::Scheme scheme = Sender::Scheme::none;
  std::string_view credentials;
};

// RFC 9110 11.4: a scheme, in any case, and its credentials. An unknown scheme is `none`.
Presented parse_authorization(std::string_view value) {
  value = text::trim(value);
  const auto space = value.find(' ');
  if (space == std::string_view::npos) return {};
  const auto scheme = value.substr(0, space);
  const auto credentials = text::trim(value.substr(space));
  if (text::equals_ignore_case(scheme, "basic")) return {Sender::Scheme::basic, credentials};
  if (text::equals_ignore_case(scheme, "bearer")) return {Sender::Scheme::bearer, credentials};
  return {};
}

// Everything a sender states but its credentials.
bool may_come_this_way(const Sender& sender, const Caller& caller) {
  if (!sender.networks.empty()) {
    if (!caller.address) return false;
    const auto has_caller = [&](const Prefix& prefix) { return prefix.contains(*caller.address); };
    if (std::none_of(sender.networks.begin(), sender.networks.end(), has_caller)) return false;
  }
  if (!sender.certificates.empty()) {
    const auto has_name = [&](const std::string& name) {
      return std::find(caller.certificate_names.begin(), caller.certificate_names.end(), name) !=
             caller.certificate_names.end();
    };
    if (std::none_of(sender.certificates.begin(), sender.certificates.end(), has_name)) {
      return false;
    }
  }
  if (sender.listeners.empty()) return true;
  return std::find(sender.listeners.begin(), sender.listeners.end(), caller.listener) !=
         sender.listeners.end();
}

std::string describe(const Caller& caller) {
  std::string out = (caller.address ? caller.address->to_string() : "the Unix socket's peer") +
                    " through listener " + std::string(caller.listener);
  if (caller.certificate_names.empty()) return out;
  return out + " with a certificate for " + text::printable(caller.certificate_names.front());
}

// A dual-stack listener sees IPv4 peers as ::ffff:a.b.c.d; networks are written in IPv4.
Caller unmapped(Caller caller) {
  if (caller.address && !caller.address->is_v4()) {
    static const auto mapped = Prefix::parse("::ffff:0:0/96");
    if (mapped->contains(*caller.address)) {
      const auto& bytes = caller.address->bytes();
      caller.address = Address::v4({bytes[12], bytes[13], bytes[14], bytes[15]});
    }
  }
  return caller;
}

}  // namespace

Result<const Sender*> Senders::identify(const Caller& wire_caller) const {
  if (senders_.empty()) return nullptr;
  const Caller caller = unmapped(wire_caller);
  const Presented presented = parse_authorization(caller.proxy_authorization.value_or(""));
  const Sender* first = nullptr;
  bool credentials_are_known = false;
  bool credentials_would_help = false;
  // No early exit: the time taken does not tell how far down the list the credentials are.
  for (const Sender& sender : senders_) {
    const bool asks = sender.scheme != Sender::Scheme::none;
    const bool equal = asks && sender.credentials.equals(presented.credentials);
    const bool proven = equal && sender.scheme == presented.scheme;
    const bool here = may_come_this_way(sender, caller);
    credentials_would_help |= here && asks;
    credentials_are_known |= here && proven;
    if (here && (proven || !asks) && first == nullptr) first = &sender;
  }
  if (caller.proxy_authorization && !credentials_are_known) {
    return Unexpected(Reason::credentials_wrong,
                      "The credentials in Proxy-Authorization are those of no sender that may come "
                      "from " +
                          describe(caller) + "; send the right ones, or none.");
  }
  if (first != nullptr) return first;
  if (credentials_would_help) {
    return Unexpected(Reason::credentials_missing,
                      "A request from " + describe(caller) +
                          " needs Proxy-Authorization; put user:password into the proxy's URL.");
  }
  return Unexpected(Reason::sender_unknown,
                    "No sender may come from " + describe(caller) +
                        "; add its network, or its certificate's name, to `senders`.");
}

const Sender* Senders::named(std::string_view name) const {
  const auto found = std::find_if(senders_.begin(), senders_.end(),
                                  [&](const Sender& sender) { return sender.name == name; });
  return found == senders_.end() ? nullptr : &*found;
}

}  // namespace egret::policy
