#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/signing/signing.h"
#include "proxy/signing/verify.h"

namespace egret::signing {

inline WallTime at(int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }

inline policy::Url url_of(std::string_view text) {
  Result<policy::Url> url = policy::parse_url(text);
  if (!url) throw std::invalid_argument(std::string(text));
  return *url;
}

// A key of `scheme` with these secrets, as loading makes it.
inline policy::SigningKey key_of(
    policy::SigningScheme scheme, std::vector<std::string> secrets,
    policy::SigningAlgorithm algorithm = policy::SigningAlgorithm::hmac_sha256) {
  policy::SigningKey key;
  key.name = "partner";
  key.scheme = scheme;
  key.algorithm = scheme == policy::SigningScheme::standard_webhooks_ed25519
                      ? policy::SigningAlgorithm::ed25519
                      : algorithm;
  for (std::string& secret : secrets) key.secrets.push_back({Secret(std::move(secret)), "", {}});
  for (policy::SigningSecret& secret : key.secrets) secret.not_before = WallTime::min();
  const policy::SigningHeaders usual = policy::usual_headers(scheme);
  key.signature_header = usual.signature;
  key.timestamp_header = usual.timestamp;
  return key;
}

struct Request {
  std::string method = "POST";
  policy::Url url = url_of("https://hooks.acme.io/in?a=b");
  std::vector<http::Field> fields = {{"Content-Type", "application/json"}};
  std::string content = R"({"event":"paid"})";
  std::string id = "msg_1";
  int64_t now = 1'700'000'000;
};

// The fields that signing adds, as lines.
inline Result<std::string> signed_lines(const std::vector<policy::SigningKey>& keys,
                                        const Request& request) {
  std::vector<const policy::SigningKey*> pointers;
  for (const policy::SigningKey& key : keys) pointers.push_back(&key);
  Result<std::unique_ptr<Signer>> signer = make_signer(pointers);
  if (!signer) return Unexpected(std::move(signer.error()));
  std::string lines;
  Result<> appended = (*signer)->append(lines, {request.method, request.url, request.fields,
                                                request.content, request.id, at(request.now)});
  if (!appended) return Unexpected(std::move(appended.error()));
  return lines;
}

// "Name: value" lines as fields; views into `lines`.
inline std::vector<http::Field> fields_in(std::string_view lines) {
  std::vector<http::Field> fields;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find("\r\n"));
    lines.remove_prefix(line.size() + 2);
    const size_t colon = line.find(": ");
    fields.push_back({line.substr(0, colon), line.substr(colon + 2)});
  }
  return fields;
}

inline std::string value_of(const std::vector<http::Field>& fields, std::string_view name) {
  for (const http::Field& field : fields) {
    if (field.name == name) return std::string(field.value);
  }
  return "";
}

// "ok", or what is wrong.
inline std::string verdict(const VerifyKey& key, const Request& request,
                           const std::vector<http::Field>& added, int64_t now) {
  std::vector<http::Field> fields = request.fields;
  fields.insert(fields.end(), added.begin(), added.end());
  const Result<> verified =
      verify(key, {request.method, request.url, fields, request.content, at(now)});
  return verified ? "ok" : verified.error().detail;
}

}  // namespace egret::signing
