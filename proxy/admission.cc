#include "proxy/admission.h"

#include <algorithm>

#include "base/text.h"
#include "proxy/http/forward.h"
#include "proxy/http/framing.h"
#include "proxy/http/strict.h"

namespace egret::proxy {
namespace {

constexpr std::string_view kHowToSend =
    "This is a forward proxy: set HTTP_PROXY to it so that the request names an absolute URL, or "
    "name the destination in an Egret-Target header.";

// A configuration that knows a kept request's sender again is looked for this often.
constexpr Duration kUnknownSender = std::chrono::minutes(1);

// What a log may show of a target that is no URL: no query, no userinfo, printable.
std::string loggable(std::string_view target) {
  // Userinfo first: a password may have the others' marks in it.
  const auto at = target.rfind('@');
  if (at != std::string_view::npos) target.remove_prefix(at + 1);
  target = target.substr(0, target.find_first_of("?#"));
  return text::printable(target);
}

Result<std::string_view> single_value(const http::Fields& fields, std::string_view name) {
  const http::Field* field = fields.find(name);
  if (field == nullptr) return std::string_view();
  if (fields.count(name) > 1) {
    return Unexpected(Reason::header_invalid, std::string(name) + " is there more than once.");
  }
  return field->value;
}

// The URL that the request is for: the absolute-form target, or Egret-Target.
Result<std::string_view> target_url(const http::RequestHead& head) {
  const Result<std::string_view> named = single_value(head.fields, "Egret-Target");
  if (!named) return named;
  const bool origin_form = head.target.starts_with('/');
  if (named->empty()) {
    if (origin_form || head.target == "*") {
      return Unexpected(Reason::not_a_proxy_request, std::string(kHowToSend));
    }
    return head.target;
  }
  if (!origin_form) {
    return Unexpected(Reason::header_invalid,
                      "The request names two destinations: its target and Egret-Target.");
  }
  return *named;
}

// Egret-Scheme: https asks for TLS where the sender can only write http.
Result<> apply_scheme(const http::RequestHead& head, policy::Url& url) {
  using policy::Scheme;
  const Result<std::string_view> wanted = single_value(head.fields, "Egret-Scheme");
  if (!wanted) return Unexpected(wanted.error());
  if (wanted->empty()) return {};
  const bool https = text::equals_ignore_case(*wanted, "https");
  if (!https && !text::equals_ignore_case(*wanted, "http")) {
    return Unexpected(Reason::header_invalid, "Egret-Scheme is neither http nor https.");
  }
  if (https == (url.scheme == Scheme::https)) return {};
  if (!https) return Unexpected(Reason::header_invalid, "Egret-Scheme is http, the URL's https.");
  url.scheme = Scheme::https;
  if (url.port == policy::default_port(Scheme::http)) {
    url.port = policy::default_port(Scheme::https);
  }
  return {};
}

// Who asks for a WebSocket through a tunnel means it. In plain requests an Upgrade is an offer like
// any other hop-by-hop field, and left out (RFC 9110 7.8).
Result<> refuse_websocket(const http::RequestHead& head) {
  if (head.fields.find("Upgrade") == nullptr) return {};
  for (const http::Field& field : head.fields.all()) {
    if (!text::equals_ignore_case(field.name, "Upgrade")) continue;
    if (text::to_lower(field.value).find("websocket") == std::string::npos) continue;
    return Unexpected(Reason::upgrade_not_supported,
                      "A WebSocket is asked for: use CONNECT under a rule with connect: tunnel.");
  }
  return {};
}

void note_sender(const Policy& policy, const policy::Sender* sender, Record& record) {
  if (sender == nullptr) return;
  record.sender = sender->name;
  record.sender_label = policy.label(*sender);
}

// Whose a kept request is was settled when it was accepted.
Result<> identify_kept(const Policy& policy, const std::string& name, Record& record) {
  const policy::Senders& senders = policy.settings->senders;
  const policy::Sender* sender = name.empty() ? nullptr : senders.named(name);
  if (name.empty() ? senders.all().empty() : sender != nullptr) {
    note_sender(policy, sender, record);
    return {};
  }
  record.retry_after = kUnknownSender;
  if (name.empty()) {
    return Unexpected(Reason::sender_unknown,
                      "It was accepted when no senders were configured; it waits until that is so "
                      "again, or it is cancelled.");
  }
  return Unexpected(Reason::sender_unknown,
                    "The sender " + name +
                        " is not in the configuration (any more); what it has queued waits until "
                        "it is, or is cancelled.");
}

Result<> identify(const Policy& policy, const http::RequestHead& head, policy::Caller caller,
                  const Inside* inside, Record& record) {
  const policy::Senders& senders = policy.settings->senders;
  if (inside != nullptr) {
    const policy::Sender* sender = inside->sender ? senders.named(inside->sender->name) : nullptr;
    // A reload may have taken the sender away or changed it, or brought senders where there were
    // none.
    const bool same =
        inside->sender ? sender != nullptr && *sender == *inside->sender : senders.all().empty();
    if (!same) {
      return Unexpected(Reason::sender_unknown,
                        "The tunnel's sender is not in the configuration any more, or has changed; "
                        "open a new tunnel.");
    }
    note_sender(policy, sender, record);
    return {};
  }
  const Result<std::string_view> credentials = single_value(head.fields, "Proxy-Authorization");
  if (!credentials) return Unexpected(credentials.error());
  if (head.fields.find("Proxy-Authorization") != nullptr) {
    caller.proxy_authorization = *credentials;
  }
  const Result<const policy::Sender*> sender = senders.identify(caller);
  if (!sender) return Unexpected(sender.error());
  note_sender(policy, *sender, record);
  return {};
}

// The URL that an inner request is for. The tunnel's authority is the only one it may name.
Result<policy::Url> inner_url(const http::RequestHead& head, const policy::Authority& authority) {
  const auto elsewhere = [&authority](std::string_view named) {
    return Unexpected(Reason::authority_mismatch, "The tunnel is for " + authority.to_string() +
                                                      ", the request for " +
                                                      text::printable(named) + ".");
  };
  if (head.fields.find("Egret-Target") != nullptr) {
    return Unexpected(Reason::header_invalid, "Egret-Target has no place inside a tunnel.");
  }
  if (!head.target.starts_with('/') && head.target != "*") {
    Result<policy::Url> url = policy::parse_url(head.target);
    if (!url) return url;
    if (url->scheme != policy::Scheme::https || url->authority() != authority) {
      return elsewhere(url->for_log());
    }
  }
  const http::Field* host = head.fields.find("Host");
  if (host == nullptr) return elsewhere("no host");
  const Result<policy::Authority> named = policy::parse_host_header(host->value);
  if (!named) return Unexpected(named.error());
  const uint16_t port =
      named->port == 0 ? policy::default_port(policy::Scheme::https) : named->port;
  if (named->host != authority.host || port != authority.port) return elsewhere(host->value);
  if (!head.target.starts_with('/') && head.target != "*") return policy::parse_url(head.target);
  if (head.target == "*") {
    return Unexpected(Reason::not_a_proxy_request, "OPTIONS * asks about Egret itself.");
  }
  return policy::parse_url("https://" + authority.to_string() + std::string(head.target));
}

Result<> parse_target(const http::RequestHead& head, const Inside* inside, Admission& admission,
                      Record& record) {
  if (inside != nullptr) {
    record.destination = "https://" + inside->authority.to_string();
    if (admission.connect) {
      return Unexpected(Reason::connect_prohibited, "A tunnel inside a tunnel is not opened.");
    }
    Result<policy::Url> url = inner_url(head, inside->authority);
    if (!url) return Unexpected(std::move(url.error()));
    admission.url = std::move(*url);
    record.destination = admission.url.for_log();
    return apply_scheme(head, admission.url);
  }
  if (admission.connect) {
    Result<policy::Authority> authority = policy::parse_authority(head.target);
    if (!authority) {
      record.destination = loggable(head.target);
      return Unexpected(std::move(authority.error()));
    }
    record.destination = authority->to_string();
    admission.url.host = std::move(authority->host);
    admission.url.port = authority->port;
    return {};
  }
  const Result<std::string_view> wanted = target_url(head);
  if (!wanted) {
    record.destination = loggable(head.target);
    return Unexpected(wanted.error());
  }
  Result<policy::Url> url = policy::parse_url(*wanted);
  if (!url) {
    record.destination = loggable(*wanted);
    return Unexpected(std::move(url.error()));
  }
  admission.url = std::move(*url);
  const Result<> settled = apply_scheme(head, admission.url);
  record.destination = admission.url.for_log();
  return settled;
}

// Egret-Key picks one of the keys that the rule signs with.
Result<> choose_key(const http::RequestHead& head, Admission& admission) {
  const Result<std::string_view> key = single_value(head.fields, "Egret-Key");
  if (!key) return Unexpected(key.error());
  if (head.fields.find("Egret-Key") == nullptr) return {};
  const std::vector<std::string>& sign = admission.rule->sign;
  if (std::ranges::find(sign, *key) == sign.end()) {
    return Unexpected(Reason::header_invalid,
                      "Egret-Key names " + text::printable(*key, 64) +
                          ", which is none of the keys that the rule signs with (sign).");
  }
  admission.key = *key;
  return {};
}

// Egret-Sensitive is a list of field names. What is none protects nothing, so it is not passed
// over.
Result<> check_sensitive(const http::RequestHead& head) {
  size_t names = 0;
  bool good = true;
  for (const http::Field& field : head.fields.all()) {
    if (!text::equals_ignore_case(field.name, "Egret-Sensitive")) continue;
    http::for_each_element(field.value, [&](std::string_view name) {
      ++names;
      good &= http::is_token(name);
    });
  }
  if (good && names <= http::kMaxFields) return {};
  return Unexpected(Reason::header_invalid, "Egret-Sensitive is a list of at most " +
                                                std::to_string(http::kMaxFields) + " field names.");
}

// A kept head has grown by what Egret has written into it.
Result<> check_limits(const policy::Rule& rule, const http::RequestHead& head, size_t head_size,
                      bool kept) {
  if (!kept && head_size > rule.limits.headers) {
    return Unexpected(Reason::request_headers_too_large,
                      "The request's head is over limits.headers (" +
                          std::to_string(rule.limits.headers) + " bytes).");
  }
  if (head.framing.kind == http::Framing::Kind::length &&
      head.framing.length > rule.limits.request_body) {
    return Unexpected(Reason::request_body_too_large,
                      "The request's content is over limits.request_body (" +
                          std::to_string(rule.limits.request_body) + " bytes).");
  }
  return {};
}

// Egret-Order-Key names a lane, and is kept as long as the lane is.
Result<> check_order_key(const policy::Rule& rule, const http::RequestHead& head) {
  constexpr size_t kLongest = 256;
  if (rule.delivery.order != policy::Order::key) return {};
  const Result<std::string_view> key = single_value(head.fields, "Egret-Order-Key");
  if (!key) return Unexpected(key.error());
  if (key->size() <= kLongest) return {};
  return Unexpected(Reason::header_invalid,
                    "Egret-Order-Key is over " + std::to_string(kLongest) + " bytes.");
}

void read_prefer(const http::Fields& fields, policy::Preferences& preferences) {
  for (const http::Field& field : fields.all()) {
    if (!text::equals_ignore_case(field.name, "Prefer")) continue;
    policy::read_preferences(field.value, preferences);
  }
}

}  // namespace

Result<Admission> admit(const Policy& policy, const http::RequestHead& head, size_t head_size,
                        policy::Caller caller, const Inside* inside, const std::string* kept_for,
                        std::string_view pseudonym, Record& record) {
  Admission admission;
  admission.connect = head.method == "CONNECT";
  record.method = head.method;
  record.tunnel = admission.connect;
  record.sender_label = policy.nobody;
  Result<> step = kept_for != nullptr ? identify_kept(policy, *kept_for, record)
                                      : identify(policy, head, caller, inside, record);
  if (!step) record.destination = loggable(head.target);
  if (step) step = parse_target(head, inside, admission, record);
  if (!step) return Unexpected(std::move(step.error()));

  if (admission.connect && head.framing.kind != http::Framing::Kind::none) {
    return Unexpected(Reason::request_malformed, "CONNECT has no content (RFC 9110 9.3.6).");
  }
  if (http::has_been_here(head.fields, pseudonym)) {
    return Unexpected(Reason::loop_detected,
                      "The request's Via names this Egret: it is being sent in a circle.");
  }
  const policy::Ask ask{.sender = record.sender,
                        .method = head.method,
                        .connect = admission.connect,
                        .scheme = admission.url.scheme,
                        .host = &admission.url.host,
                        .port = admission.url.port,
                        .path = admission.url.path};
  policy::Verdict verdict = policy.judge.judge(ask);
  admission.rule = verdict.rule;
  record.rule = verdict.rule->name;
  record.rule_label = policy.label(*verdict.rule);
  record.reported = std::move(verdict.reported);
  if (verdict.refusal) return Unexpected(std::move(*verdict.refusal));
  if (verdict.scheme != admission.url.scheme) {
    admission.http_port = admission.url.port;
    admission.url.scheme = verdict.scheme;
    admission.url.port = verdict.port;
    record.destination = admission.url.for_log();
  }
  if (inside != nullptr) step = refuse_websocket(head);
  if (step) step = check_limits(*admission.rule, head, head_size, kept_for != nullptr);
  // Nothing can be signed in an opaque tunnel, and the inner requests of another name their own.
  if (step && !admission.connect) step = choose_key(head, admission);
  if (step) step = check_sensitive(head);
  if (step) step = check_order_key(*admission.rule, head);
  if (head.fields.find("Prefer") != nullptr) read_prefer(head.fields, admission.preferences);
  if (!step) return Unexpected(std::move(step.error()));
  return admission;
}

}  // namespace egret::proxy
