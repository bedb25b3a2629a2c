#pragma once

#include <optional>

#include "policy/judge.h"
#include "policy/senders.h"
#include "proxy/http/message.h"
#include "proxy/services.h"

namespace egret::proxy {

// A connection inside an intercepted tunnel: whose it is was settled at its CONNECT.
struct Inside {
  policy::Authority authority;
  std::optional<policy::Sender> sender;  // as it was then; nothing: anyone
  Deadline until = kNever;               // timeouts.tunnel
};

// A request that may go on: what it asks for, in canonical form, and the rule that took it.
struct Admission {
  bool connect = false;
  policy::Url url;  // as it will be sent; of CONNECT: host and port only
  const policy::Rule* rule = nullptr;
  std::string key;  // Egret-Key: one of the rule's keys; empty: all of them sign
  // The port as it was asked for, when the rule has made https of an http URL.
  std::optional<uint16_t> http_port = {};
  policy::Preferences preferences = {};
};

// Who is it, what does it ask for, may it: everything that is decided from the head alone, without
// waiting. Fills `record` as far as it gets, also when it refuses.
//   `inside`: null, or the tunnel that the request came through.
//   `kept_for`: null, or the sender's name of a request that was kept; its caller is not asked.
//   Errors: those of Senders::identify, parse_url, parse_authority and Judge::judge;
//   not_a_proxy_request, header_invalid (Egret-*), upgrade_not_supported, loop_detected,
//   authority_mismatch (inside a tunnel, for another host, port or scheme),
//   request_malformed (CONNECT with content), request_headers_too_large and
//   request_body_too_large by the rule's limits.
Result<Admission> admit(const Policy& policy, const http::RequestHead& head, size_t head_size,
                        policy::Caller caller, const Inside* inside, const std::string* kept_for,
                        std::string_view pseudonym, Record& record);

}  // namespace egret::proxy
