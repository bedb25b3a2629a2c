// What a rule does on the sender's behalf: headers, sign, redirects, success and retry.
#include <algorithm>

#include "base/text.h"
#include "config/scalars.h"
#include "config/schema.h"
#include "config/secrets.h"
#include "config/sections.h"

namespace egret::config {
namespace {

using policy::Rule;
using policy::SigningKey;
using policy::SigningScheme;

constexpr size_t kMostFields = 50;  // of 100 that a head may have

// `own`: it stands in a rule, so nothing inherits it and makes sense of it.
void read_redirects(const Mapping& mapping, bool own, policy::Redirects& redirects) {
  using policy::Follow;
  mapping.choice<Follow>("follow", redirects.follow,
                         {{"never", Follow::never},
                          {"same-origin", Follow::same_origin},
                          {"same-host", Follow::same_host},
                          {"any", Follow::any}});
  mapping.count("max", redirects.max, 1, 20);
  if (own && mapping.has("max") && redirects.follow == Follow::never) {
    mapping.warning("max",
                    "max: no redirect is followed; write follow: same-origin, same-host or any");
  }
}

// A value that sounds like a credential does not stand in the text.
bool sounds_like_a_credential(std::string_view name) {
  const std::string lower = text::to_lower(name);
  for (const std::string_view word : {"authorization", "cookie", "token", "secret", "password",
                                      "api-key", "apikey", "api_key", "credential", "signature"}) {
    if (lower.find(word) != std::string::npos) return true;
  }
  return false;
}

std::optional<Secret> read_field_value(const Mapping& mapping, const std::string& name,
                                       const Node& node, SecretSource& source) {
  std::optional<Secret> value;
  if (node.kind == Node::Kind::scalar) {
    if (sounds_like_a_credential(name)) {
      mapping.diagnostics().error({node.span.line, node.span.column},
                                  "set: " + in_quotes(name) +
                                      " sounds like a credential, which does not stand in the "
                                      "text; write {file: path}, {env: NAME} or {command: [path]}");
      return std::nullopt;
    }
    value = Secret(node.text);
  } else {
    value = read_secret_node(node, name, source, mapping.diagnostics());
  }
  if (!value) return value;
  const bool spaced = value->reveal() != text::trim(value->reveal());
  if (spaced || has_control_byte(value->reveal()) || value->reveal().size() > 4096) {
    mapping.diagnostics().error(
        node.span, "set: the value of " + in_quotes(name) +
                       " is no field value (RFC 9110 5.5): no control bytes, no line ends, no "
                       "white space at its ends, at most 4096 bytes");
    return std::nullopt;
  }
  return value;
}

void read_set(const Mapping& mapping, policy::HeaderRules& headers, SecretSource& source) {
  const Node* set = mapping.find("set");
  if (set == nullptr || set->kind == Node::Kind::refused) return;
  if (set->kind != Node::Kind::mapping) {
    mapping.error("set", "set: expected a mapping of field names to values");
    return;
  }
  headers.set.clear();
  for (size_t i = 0; i < set->items.size(); ++i) {
    const Node& key = set->keys[i];
    std::string why;
    const std::optional<std::string> name =
        key.kind == Node::Kind::scalar ? parse_settable_field(key.text, why) : std::nullopt;
    if (!name) {
      mapping.diagnostics().error(key.span, "set: " + (why.empty() ? "a name is one word" : why));
      continue;
    }
    const bool twice = std::ranges::any_of(headers.set, [&](const policy::HeaderValue& each) {
      return text::equals_ignore_case(each.name, *name);
    });
    if (twice) mapping.diagnostics().error(key.span, "set: " + in_quotes(*name) + " is set twice");
    std::optional<Secret> value = read_field_value(mapping, *name, set->items[i], source);
    if (value) headers.set.push_back({*name, std::move(*value)});
  }
  if (headers.set.size() > kMostFields) {
    mapping.error("set", "set: more than " + std::to_string(kMostFields) + " fields");
  }
}

void read_headers(const Mapping& mapping, policy::HeaderRules& headers, SecretSource& source) {
  read_set(mapping, headers, source);
  std::vector<std::string> remove;
  if (!mapping.list("remove", remove, parse_settable_field)) return;
  for (std::string& name : remove) name = text::to_lower(name);
  headers.remove = std::move(remove);
}

void read_retry(const Mapping& mapping, bool own, policy::Retry& retry) {
  mapping.count("attempts", retry.attempts, 1, 20);
  std::vector<RetryOn> on;
  if (mapping.list("on", on, parse_retry_on)) {
    retry.on_connect = retry.on_timeout = retry.on_reset = false;
    std::vector<policy::StatusRange> statuses;
    for (const RetryOn& each : on) {
      retry.on_connect |= each.what == RetryOn::What::connect;
      retry.on_timeout |= each.what == RetryOn::What::timeout;
      retry.on_reset |= each.what == RetryOn::What::reset;
      if (each.what == RetryOn::What::status) statuses.push_back(each.status);
    }
    retry.on_status = policy::StatusSet(std::move(statuses));
  }
  if (const auto backoff = mapping.mapping("backoff")) {
    using std::chrono::milliseconds;
    const auto wait =
        between<Duration>(milliseconds(1), std::chrono::hours(1), parse_duration, duration_text);
    backoff->scalar("initial", retry.backoff.initial, wait);
    backoff->scalar("max", retry.backoff.max, wait);
    backoff->scalar("factor", retry.backoff.factor, parse_factor);
    backoff->scalar("jitter", retry.backoff.jitter, parse_percent);
    if (retry.backoff.initial > retry.backoff.max) {
      backoff->error("initial", "initial: " + duration_text(retry.backoff.initial) +
                                    " is more than max, " + duration_text(retry.backoff.max));
    }
  }
  if (mapping.has("attempts") && retry.attempts > 1 && mapping.has("on") && on.empty()) {
    mapping.warning("on",
                    "on: an empty list retries nothing; write attempts: 1, or what is retried");
  }
  if (own && retry.attempts == 1 && (mapping.has("on") || mapping.has("backoff"))) {
    mapping.warning(mapping.has("on") ? "on" : "backoff",
                    "retry: nothing is retried while attempts is 1; write attempts: 2 or more");
  }
}

bool share_a_field(const SigningKey& a, const SigningKey& b) {
  const auto is_standard = [](SigningScheme scheme) {
    return scheme == SigningScheme::standard_webhooks ||
           scheme == SigningScheme::standard_webhooks_ed25519;
  };
  if (is_standard(a.scheme) && is_standard(b.scheme)) return true;
  return a.scheme == b.scheme &&
         (a.scheme == SigningScheme::http_message_signatures || a.scheme == SigningScheme::stripe);
}

std::vector<std::string> names_written(const SigningKey& key) {
  std::vector<std::string> names = {text::to_lower(key.signature_header)};
  if (!key.timestamp_header.empty()) names.push_back(text::to_lower(key.timestamp_header));
  if (key.scheme == SigningScheme::http_message_signatures) {
    names.insert(names.end(), {"signature-input", "content-digest"});
  }
  return names;
}

// Two keys that write one field must have a form for two signatures in it, and then agree about all
// of their fields.
bool clash(const SigningKey& a, const SigningKey& b) {
  const std::vector<std::string> ours = names_written(a);
  const std::vector<std::string> theirs = names_written(b);
  const bool touch = std::ranges::any_of(ours, [&](const std::string& name) {
    return std::ranges::find(theirs, name) != theirs.end();
  });
  return touch && !(share_a_field(a, b) && ours == theirs);
}

const SigningKey* key_named(const std::vector<SigningKey>& keys, std::string_view name) {
  const auto found = std::ranges::find(keys, name, &SigningKey::name);
  return found == keys.end() ? nullptr : &*found;
}

void read_sign(const Mapping& mapping, const std::vector<SigningKey>& keys, Rule& rule) {
  std::vector<Span> spans;
  std::vector<std::string> sign;
  if (!mapping.list("sign", sign, parse_name, &spans)) return;
  std::vector<std::string_view> names;
  for (const SigningKey& key : keys) names.push_back(key.name);
  for (size_t i = 0; i < sign.size(); ++i) {
    const SigningKey* key = key_named(keys, sign[i]);
    if (key == nullptr) {
      const auto near = nearest(sign[i], names);
      mapping.diagnostics().error(
          spans[i], "sign: no key is called " + in_quotes(sign[i]) +
                        (near.empty() ? "" : "; did you mean " + in_quotes(near) + "?"));
      continue;
    }
    for (size_t j = 0; j < i; ++j) {
      const SigningKey* other = key_named(keys, sign[j]);
      if (other == nullptr || !clash(*key, *other)) continue;
      mapping.diagnostics().error(
          spans[i], "sign: " + in_quotes(sign[i]) + " and " + in_quotes(sign[j]) +
                        " write the same field, which has room for one of them; give one other "
                        "header names (headers)");
    }
  }
  rule.sign = std::move(sign);
}

// A field that signing writes is not the rule's to set or to remove.
void check_fields_of_signing(const Mapping& mapping, const std::vector<SigningKey>& keys,
                             const Rule& rule) {
  if (!mapping.has("sign") && !mapping.has("headers")) return;
  std::vector<std::string> written = {"webhook-id"};
  for (const std::string& name : rule.sign) {
    if (const SigningKey* key = key_named(keys, name)) {
      const std::vector<std::string> more = names_written(*key);
      written.insert(written.end(), more.begin(), more.end());
    }
  }
  if (rule.sign.empty()) return;
  for (const policy::HeaderValue& each : rule.headers.set) {
    if (std::ranges::find(written, text::to_lower(each.name)) == written.end()) continue;
    mapping.error("headers", "headers: " + in_quotes(each.name) +
                                 " is written by signing, and cannot be set too");
  }
}

}  // namespace

void read_outgoing(const Mapping& mapping, const std::vector<SigningKey>& keys, Rule& rule,
                   SecretSource& source) {
  const bool own = mapping.has("name");
  if (const auto redirects = mapping.mapping("redirects")) {
    read_redirects(*redirects, own, rule.redirects);
  }
  if (const auto headers = mapping.mapping("headers")) {
    read_headers(*headers, rule.headers, source);
  }
  read_sign(mapping, keys, rule);
  check_fields_of_signing(mapping, keys, rule);
  mapping.not_empty("success", "an empty list makes every answer a failure; leave the key out");
  std::vector<policy::StatusRange> success;
  if (mapping.list("success", success, parse_status)) {
    rule.success = policy::StatusSet(std::move(success));
  }
  if (const auto retry = mapping.mapping("retry")) read_retry(*retry, own, rule.retry);
}

}  // namespace egret::config
