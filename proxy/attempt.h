#pragma once

#include <optional>
#include <string>

#include "policy/judge.h"
#include "proxy/http/message.h"
#include "proxy/pour.h"
#include "proxy/services.h"

namespace egret::proxy {

// An attempt is one try at one destination: resolve → permit → connect → send → answer. The same
// for a sender that waits and, later, for deliveries and consent.

// The endpoint that is asked for, and under which rule.
struct Target {
  const policy::Rule& rule;
  const policy::Host& host;
  uint16_t port;
  // Reached by a redirect: the rule of the sender's request, which must permit the address too.
  const policy::Rule* first = nullptr;
};

// The permitted addresses of a target when they are known without waiting: a literal, localhost, or
// a name in the cache. Nothing: ask locate().
std::optional<Result<policy::PermittedAddresses>> locate_now(Services& services,
                                                             const Policy& policy,
                                                             const Target& target);
// The same, asking the name servers. Errors: those of Resolver::resolve and Judge::permit,
// dns_timeout after timeouts.resolve, total_timeout.
// `policy` is kept by the task.
async::Task<Result<policy::PermittedAddresses>> locate(Services& services,
                                                       std::shared_ptr<const Policy> policy,
                                                       Target target, Record& record,
                                                       Deadline total);

// Where a connection is to lead, and what it is to be like.
struct Route {
  const policy::Rule& rule;
  const ReadyWay& way;
  const policy::Host& host;
  uint16_t port;
  bool tls;
  policy::PermittedAddresses addresses;
  Lane lane;

  // `sender`: the request's, or empty.
  static Route make(const Policy& policy, const policy::Rule& rule, const policy::Url& url,
                    bool tls, std::string_view sender, policy::PermittedAddresses addresses);
};

// An idle connection for `route` from the pool.
std::optional<Upstream> take_idle(Services& services, const Route& route, Record& record);
// A new connection for `route`: to one of its addresses, or through the rule's parent proxy to the
// first of them; then, when it is to be so, TLS. `policy` is kept by the task.
//   Errors: those of Connector::connect; parent_proxy_failed, parent_proxy_refused; those of
//   TlsStream::handshake; tls_timeout, total_timeout, memory_limit (for a parent's answer).
async::Task<Result<Upstream>> open(Services& services, std::shared_ptr<const Policy> policy,
                                   Route& route, Record& record, Deadline total);

// The final answer's head, parsed, with the buffer that it and the first content are in.
struct Answer {
  Buffer buffer;
  http::ResponseHead head;
  size_t head_size = 0;
};

// Waits for the final answer. Interim answers other than 100 are passed on to `sender` when it
// speaks HTTP/1.1 (RFC 9110 15.2), at most kMostInterim of them.
//   Errors: response_timeout, total_timeout, connection_terminated (closed or reset before the
//   first byte), response_incomplete, response_malformed, response_headers_too_large,
//   response_upgrade_unasked, sender_disconnected (while passing on).
struct AnswerWait {
  net::Stream& upstream;
  net::Stream* sender = nullptr;  // null: interim answers are dropped
  std::string_view method;
  size_t head_limit = 0;
  Duration patience{};
  Deadline total = kNever;
  bool anything = false;  // out: a byte of an answer has come
};
inline constexpr int kMostInterim = 16;
async::Task<Result<>> await_answer(Services& services, AnswerWait& wait, Answer& answer);

}  // namespace egret::proxy
