// What a receiver reads of signatures: never crashes, and verifies nothing that was not signed.
// The lines of the input are values of Signature-Input, Signature, Content-Digest and the others.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/signing/components.h"
#include "proxy/signing/verify.h"

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace egret;
  static constexpr std::string_view kNames[] = {"Signature-Input",          "Signature",
                                                "Content-Digest",           "webhook-signature",
                                                "webhook-timestamp",        "webhook-id",
                                                "Stripe-Signature",         "X-Hub-Signature-256",
                                                "X-Slack-Signature",        "X-Shopify-Hmac-Sha256",
                                                "X-Slack-Request-Timestamp"};
  static const auto url = policy::parse_url("https://hooks.acme.io/in?a=b");
  std::string text(data, data + size);
  for (char& c : text) {
    if (c == '\r' || c == '\0') c = ' ';  // no head has these
  }
  std::vector<http::Field> fields;
  std::string_view rest = text;
  for (const std::string_view name : kNames) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (!line.empty()) fields.push_back({name, line});
  }
  const signing::Received message{"POST", *url, fields, rest,
                                  WallTime(std::chrono::seconds(1'700'000'000))};
  using policy::SigningScheme;
  for (const SigningScheme scheme :
       {SigningScheme::standard_webhooks, SigningScheme::http_message_signatures,
        SigningScheme::stripe, SigningScheme::github, SigningScheme::shopify,
        SigningScheme::slack}) {
    signing::VerifyKey key;
    key.scheme = scheme;
    key.bytes = Secret("a key that no input was signed with");
    check(!signing::verify(key, message));
  }
  if (const auto members = signing::parse_signature_input(text.substr(0, text.find('\n')))) {
    check(!members->empty() && members->size() <= 16);
    for (const signing::SignatureInput& member : *members) {
      for (const signing::Component& component : member.components) {
        check(component.identifier().find('\n') == std::string::npos);
      }
    }
  }
  return 0;
}
