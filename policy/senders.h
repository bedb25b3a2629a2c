#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "policy/address.h"

namespace egret::policy {

// Who may send, and how Egret knows. All kinds that a sender states must hold.
struct Sender {
  std::string name;
  std::vector<Prefix> networks;        // peer address of the connection
  std::vector<std::string> listeners;  // listener names as in `listeners[].address`
  // Names that its client certificate must have, one of them: SAN URI, SAN DNS or subject CN.
  std::vector<std::string> certificates;
  // The whole of Proxy-Authorization that this sender must present, "Basic " or "Bearer " left
  // out: base64 of user:password (RFC 7617), or the token (RFC 6750). Empty: none is asked.
  enum class Scheme : uint8_t { none, basic, bearer } scheme = Scheme::none;
  std::string username;  // of Basic; for `check` and `explain`, never the password
  Secret credentials;
  bool operator==(const Sender&) const = default;
};

// What is known of a connection before its request is judged.
struct Caller {
  std::optional<Address> address;  // nothing on a Unix socket
  std::string_view listener;
  std::optional<std::string_view> proxy_authorization = {};
  std::span<const std::string> certificate_names = {};  // of a verified client certificate
};

class Senders {
 public:
  Senders() = default;
  explicit Senders(std::vector<Sender> senders) : senders_(std::move(senders)) {}

  // The first sender whose every stated kind holds; nullptr when no senders are configured
  // (anyone who can reach a listener may send).
  // Errors:
  //   credentials_missing  a sender with credentials would match, and none were presented
  //   credentials_wrong    credentials were presented and are nobody's: never falls back to a
  //                        sender known by network alone
  //   sender_unknown       nobody matches, and credentials would not help
  [[nodiscard]] Result<const Sender*> identify(const Caller& caller) const;
  // The one of that name; null: there is none.
  [[nodiscard]] const Sender* named(std::string_view name) const;
  [[nodiscard]] const std::vector<Sender>& all() const { return senders_; }

 private:
  std::vector<Sender> senders_;
};

}  // namespace egret::policy
