#pragma once

#include <string>

#include "base/result.h"
#include "config/settings.h"
#include "proxy/record.h"

namespace egret::proxy {

// What an answer that Egret makes itself depends on beside the reason.
struct ReplyContext {
  int sender_minor = 1;       // HTTP/1.x of the sender
  bool keep_alive = false;    // false: `Connection: close`
  bool head_request = false;  // HEAD: the header of the answer, without its content
  config::LogDetail detail = config::LogDetail::full;
};

// The whole answer to a refused or failed exchange: status line, `application/problem+json`
// (RFC 9457) and `Proxy-Status` (RFC 9209). 407 carries the challenges, 429 and 503 Retry-After,
// and what was tried Egret-Attempts.
//   `log.detail: minimal` leaves the detail out: addresses stay out of answers.
//   The reason's status must not be 0.
std::string refusal(const Failure& failure, const Record& record, const ReplyContext& context);

// 202: the request is on stable storage, and `record.delivery` says which one it is there; `state`,
// how it is kept. `admin`: where deliveries can be looked at. `preferences`: what the sender asked
// for.
std::string accepted(const Record& record, std::string_view state,
                     const config::ListenAddress& admin, const policy::Preferences& preferences,
                     const ReplyContext& context);

// "Proxy-Status: egret; received-status=200\r\n" and what else a relayed answer gains. `cut`: it is
// known already that its content will be cut at limits.response_body.
void append_relayed_fields(std::string& out, int status, int attempts, bool cut);

// The status line's text for a status that Egret itself sends (RFC 9110 15).
std::string_view reason_phrase(int status);

}  // namespace egret::proxy
