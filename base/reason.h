#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace egret {

// The one enum of outcomes. Each row is the only source of the answer's status, its RFC 9209 error
// token, the metric label, the log value, the `urn:egret:reason:` name and the row in
// docs/reasons.md (a test compares them).
//
//   X(name, status, RFC 9209 token, title)
//
// status 0: nothing can be answered any more (the sender has gone, or a tunnel is already open);
// the reason is for the log and the metrics only.
#define EGRET_REASONS(X)                                                                           \
  /* 400: the request itself is wrong */                                                           \
  X(request_malformed, 400, "http_request_error", "The request is not valid HTTP/1.1")             \
  X(not_a_proxy_request, 400, "http_request_error", "The request does not name a destination")     \
  X(url_malformed, 400, "http_request_error", "The URL is malformed")                              \
  X(host_not_canonical, 400, "http_request_error", "The host has no single meaning")               \
  X(body_framing_ambiguous, 400, "http_request_error", "The body's length is ambiguous")           \
  X(header_invalid, 400, "http_request_error", "A header Egret reads has a bad value")             \
  X(request_timeout, 408, "http_request_error", "The request did not arrive in time")              \
  X(request_too_slow, 408, "http_request_error", "The request's body came too slowly")             \
  X(authority_mismatch, 421, "http_request_error",                                                 \
    "The request is for another host than its tunnel")                                             \
  X(request_body_too_large, 413, "http_request_error", "The request body is too large")            \
  X(expectation_failed, 417, "http_request_error", "The expectation cannot be met")                \
  X(idempotency_key_reused, 422, "http_request_error",                                             \
    "The Idempotency-Key stands for another request")                                              \
  X(upgrade_not_supported, 501, "http_upgrade_failed", "Only tunnels carry WebSockets")            \
  X(request_headers_too_large, 431, "http_request_error", "The request's header is too large")     \
  X(http_version_unsupported, 505, "http_request_error", "Only HTTP/1.0 and HTTP/1.1 are spoken")  \
  /* 403, 407, 429: policy */                                                                      \
  X(rule_denied, 403, "http_request_denied", "A rule denies this request")                         \
  X(sender_unknown, 403, "http_request_denied", "No sender matches this connection")               \
  X(scheme_prohibited, 403, "http_request_denied", "Only https is allowed")                        \
  X(method_prohibited, 403, "http_request_denied", "The method is not allowed")                    \
  X(port_prohibited, 403, "http_request_denied", "The port is not allowed")                        \
  X(host_prohibited, 403, "http_request_denied", "The host name is not allowed")                   \
  X(connect_prohibited, 403, "http_request_denied", "CONNECT is not allowed")                      \
  X(address_prohibited, 403, "destination_ip_prohibited", "The address is not allowed")            \
  X(addresses_mixed, 403, "destination_ip_prohibited", "Some of the addresses are not allowed")    \
  X(credentials_missing, 407, "http_request_denied", "Sender credentials are required")            \
  X(credentials_wrong, 407, "http_request_denied", "The sender's credentials are wrong")           \
  X(in_flight_limit, 429, "connection_limit_reached", "Too many requests to this host at once")    \
  X(rate_limited, 429, "http_request_denied", "Too many requests to this host in a time")          \
  X(consent_missing, 429, "http_request_denied", "The host has not agreed to so many requests")    \
  X(redirect_downgrade, 403, "http_request_denied", "The redirect leads from https to http")       \
  /* 502: the destination or the way to it */                                                      \
  X(name_not_found, 502, "dns_error", "The host name does not exist")                              \
  X(name_has_no_address, 502, "dns_error", "The host name has no address")                         \
  X(dns_error, 502, "dns_error", "The host name could not be resolved")                            \
  X(connection_refused, 502, "connection_refused", "The destination refused the connection")       \
  X(destination_unroutable, 502, "destination_ip_unroutable", "There is no route to the address")  \
  X(connection_failed, 502, "destination_unavailable", "The connection could not be made")         \
  X(peer_mismatch, 502, "destination_ip_prohibited", "The peer is not the permitted address")      \
  X(tls_certificate_error, 502, "tls_certificate_error",                                           \
    "The destination's certificate is not to be trusted")                                          \
  X(tls_protocol_error, 502, "tls_protocol_error", "The TLS handshake failed")                     \
  X(tls_alert_received, 502, "tls_alert_received", "The destination ended TLS with an alert")      \
  X(parent_proxy_failed, 502, "destination_unavailable", "The parent proxy cannot be reached")     \
  X(parent_proxy_refused, 502, "connection_refused", "The parent proxy refuses the destination")   \
  X(interception_failed, 502, "proxy_internal_error", "No certificate could be made for the host") \
  X(connection_terminated, 502, "connection_terminated", "The destination closed the connection")  \
  X(response_malformed, 502, "http_protocol_error", "The answer is not valid HTTP/1.1")            \
  X(response_incomplete, 502, "http_response_incomplete", "The answer ended early")                \
  X(response_headers_too_large, 502, "http_response_header_section_size",                          \
    "The answer's header is too large")                                                            \
  X(response_body_too_large, 502, "http_response_body_size", "The answer's body is too large")     \
  X(redirect_malformed, 502, "http_protocol_error", "The redirect does not say where to")          \
  X(redirect_scheme_unsupported, 502, "http_protocol_error",                                       \
    "The redirect is to something other than http")                                                \
  X(redirect_limit, 502, "http_protocol_error", "The destination redirects too often")             \
  X(response_upgrade_unasked, 502, "http_upgrade_failed", "The answer switches protocols unasked") \
  /* 503: Egret itself */                                                                          \
  X(connection_limit, 503, "connection_limit_reached", "Too many sender connections")              \
  X(out_of_resources, 503, "proxy_internal_error", "Egret is out of a resource")                   \
  X(memory_limit, 503, "proxy_internal_error", "No buffer memory is left for another request")     \
  X(draining, 503, "proxy_internal_response", "Egret is shutting down")                            \
  X(breaker_open, 503, "destination_unavailable", "The destination has failed too often")          \
  X(queue_full, 503, "proxy_internal_error", "The queue is full")                                  \
  X(queue_unavailable, 503, "proxy_internal_error", "The queue cannot keep the request")           \
  /* 504: time */                                                                                  \
  X(dns_timeout, 504, "dns_timeout", "The name servers did not answer in time")                    \
  X(connection_timeout, 504, "connection_timeout", "The destination did not accept in time")       \
  X(tls_timeout, 504, "connection_timeout", "The TLS handshake did not end in time")               \
  X(write_timeout, 504, "connection_write_timeout", "The destination did not read in time")        \
  X(response_timeout, 504, "http_response_timeout", "The destination did not answer in time")      \
  X(idle_timeout, 504, "connection_read_timeout", "The answer stopped arriving")                   \
  X(response_too_slow, 504, "connection_read_timeout", "The answer's body came too slowly")        \
  X(total_timeout, 504, "http_response_timeout", "The whole exchange took too long")               \
  /* others */                                                                                     \
  X(loop_detected, 508, "proxy_loop_detected", "The request has been here before")                 \
  X(redirect_loop, 508, "proxy_loop_detected", "The destination redirects in a circle")            \
  X(signing_failed, 500, "proxy_configuration_error", "The request could not be signed")           \
  X(internal_error, 500, "proxy_internal_error", "Egret failed")                                   \
  /* status 0: nobody is left to answer, or the tunnel is already open */                          \
  X(sender_disconnected, 0, "connection_terminated", "The sender hung up")                         \
  X(sender_idle, 0, "connection_read_timeout", "The sender stopped reading or writing")            \
  X(sender_tls_failed, 0, "tls_protocol_error", "The sender's TLS handshake failed")               \
  X(interception_refused, 0, "tls_alert_received",                                                 \
    "The sender does not trust Egret's certificate")                                               \
  X(proxy_protocol_invalid, 0, "http_request_error",                                               \
    "The PROXY protocol header is missing, wrong or not trusted")                                  \
  X(tunnel_sni_mismatch, 0, "http_request_denied", "The TLS server name is not the tunnel's host") \
  X(tunnel_not_tls, 0, "http_request_denied", "The tunnel does not begin with a TLS ClientHello")  \
  X(tunnel_idle, 0, "connection_read_timeout", "The tunnel carried nothing for too long")          \
  X(tunnel_expired, 0, "connection_read_timeout", "The tunnel reached its lifetime")               \
  X(tunnel_reset, 0, "connection_terminated", "One end of the tunnel reset the connection")        \
  X(stopped, 0, "proxy_internal_response", "Egret stopped before the exchange was done")

enum class Reason : uint8_t {
#define X(name, status, token, title) name,
  EGRET_REASONS(X)
#undef X
};

struct ReasonInfo {
  Reason reason;
  std::string_view name;   // snake_case, as in the enum: label, log value, URN suffix
  int status;              // HTTP status, or 0
  std::string_view token;  // RFC 9209 section 2.3
  std::string_view title;  // one sentence without a full stop
};

// Every reason, in the enum's order.
std::span<const ReasonInfo> all_reasons();
const ReasonInfo& info(Reason reason);
inline std::string_view name(Reason reason) { return info(reason).name; }
// What a refusal before any connection is called in the access log and by `egret explain`:
// malformed (400), unresolved (the name has no address to judge), or denied.
std::string_view refusal_word(Reason reason);
inline int status(Reason reason) { return info(reason).status; }

}  // namespace egret
