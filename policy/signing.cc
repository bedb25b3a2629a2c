#include "policy/signing.h"

#include <algorithm>
#include <array>
#include <utility>

namespace egret::policy {
namespace {

constexpr std::array kSchemes = std::to_array<std::pair<std::string_view, SigningScheme>>(
    {{"standard-webhooks", SigningScheme::standard_webhooks},
     {"standard-webhooks-ed25519", SigningScheme::standard_webhooks_ed25519},
     {"http-message-signatures", SigningScheme::http_message_signatures},
     {"stripe", SigningScheme::stripe},
     {"github", SigningScheme::github},
     {"shopify", SigningScheme::shopify},
     {"slack", SigningScheme::slack}});

constexpr std::array kAlgorithms = std::to_array<std::pair<std::string_view, SigningAlgorithm>>(
    {{"hmac-sha256", SigningAlgorithm::hmac_sha256},
     {"ed25519", SigningAlgorithm::ed25519},
     {"ecdsa-p256-sha256", SigningAlgorithm::ecdsa_p256_sha256},
     {"rsa-pss-sha512", SigningAlgorithm::rsa_pss_sha512}});

template <typename Words, typename Value>
std::string_view word_of(const Words& words, Value value) {
  const auto found = std::ranges::find_if(words, [&](const auto& e) { return e.second == value; });
  return found == words.end() ? std::string_view() : found->first;
}

template <typename Words>
auto value_of(const Words& words, std::string_view word)
    -> std::optional<typename Words::value_type::second_type> {
  const auto found = std::ranges::find_if(words, [&](const auto& e) { return e.first == word; });
  if (found == words.end()) return std::nullopt;
  return found->second;
}

}  // namespace

std::span<const std::pair<std::string_view, SigningScheme>> signing_schemes() { return kSchemes; }

std::span<const std::pair<std::string_view, SigningAlgorithm>> signing_algorithms() {
  return kAlgorithms;
}

std::string_view to_string(SigningScheme scheme) { return word_of(kSchemes, scheme); }

std::optional<SigningScheme> parse_signing_scheme(std::string_view word) {
  return value_of(kSchemes, word);
}

std::string_view to_string(SigningAlgorithm algorithm) { return word_of(kAlgorithms, algorithm); }

std::optional<SigningAlgorithm> parse_signing_algorithm(std::string_view word) {
  return value_of(kAlgorithms, word);
}

SigningHeaders usual_headers(SigningScheme scheme) {
  switch (scheme) {
    case SigningScheme::standard_webhooks:
    case SigningScheme::standard_webhooks_ed25519:
      return {"webhook-signature", "webhook-timestamp"};
    case SigningScheme::http_message_signatures:
      return {"Signature", ""};
    case SigningScheme::stripe:
      return {"Stripe-Signature", ""};
    case SigningScheme::github:
      return {"X-Hub-Signature-256", ""};
    case SigningScheme::shopify:
      return {"X-Shopify-Hmac-Sha256", ""};
    case SigningScheme::slack:
      return {"X-Slack-Signature", "X-Slack-Request-Timestamp"};
  }
  return {};
}

std::vector<std::string> usual_components() {
  return {"@method", "@target-uri", "content-digest", "content-type", "webhook-id"};
}

}  // namespace egret::policy
