// Signing a webhook of 1 KiB: the whole of it, beside the primitive alone.
#include <benchmark/benchmark.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "proxy/signing/generate.h"
#include "proxy/signing/primitives.h"
#include "proxy/signing/signing.h"

namespace egret::signing {
namespace {

using policy::SigningAlgorithm;
using policy::SigningScheme;

const std::string kContent(1024, 'x');

policy::SigningKey key_of(SigningScheme scheme, SigningAlgorithm algorithm) {
  policy::SigningKey key;
  key.name = "bench";
  key.scheme = scheme;
  key.algorithm = algorithm;
  const policy::SigningHeaders usual = policy::usual_headers(scheme);
  key.signature_header = usual.signature;
  key.timestamp_header = usual.timestamp;
  policy::SigningSecret secret;
  const bool pem = scheme == SigningScheme::http_message_signatures &&
                   algorithm != SigningAlgorithm::hmac_sha256;
  secret.bytes = pem ? generate(scheme, algorithm).secret : Secret(std::string(32, 's'));
  key.secrets.push_back(secret);
  return key;
}

void sign(benchmark::State& state, SigningScheme scheme, SigningAlgorithm algorithm) {
  const policy::SigningKey key = key_of(scheme, algorithm);
  const policy::SigningKey* keys[] = {&key};
  const auto signer = make_signer(keys);
  const auto url = policy::parse_url("https://hooks.acme.io/in");
  const http::Field fields[] = {{"Content-Type", "application/json"}};
  std::string out;
  for (auto each : state) {
    out.clear();
    const std::string id = new_id();
    const Result<> appended =
        (*signer)->append(out, {"POST", *url, fields, kContent, id, WallTime(Duration(1))});
    if (!appended) state.SkipWithError("not signed");
    benchmark::DoNotOptimize(out);
  }
}
BENCHMARK_CAPTURE(sign, standard_webhooks, SigningScheme::standard_webhooks,
                  SigningAlgorithm::hmac_sha256);
BENCHMARK_CAPTURE(sign, github, SigningScheme::github, SigningAlgorithm::hmac_sha256);
BENCHMARK_CAPTURE(sign, standard_webhooks_ed25519, SigningScheme::standard_webhooks_ed25519,
                  SigningAlgorithm::ed25519);
BENCHMARK_CAPTURE(sign, rfc9421_hmac, SigningScheme::http_message_signatures,
                  SigningAlgorithm::hmac_sha256);
BENCHMARK_CAPTURE(sign, rfc9421_ed25519, SigningScheme::http_message_signatures,
                  SigningAlgorithm::ed25519);
BENCHMARK_CAPTURE(sign, rfc9421_ecdsa_p256, SigningScheme::http_message_signatures,
                  SigningAlgorithm::ecdsa_p256_sha256);
BENCHMARK_CAPTURE(sign, rfc9421_rsa_pss, SigningScheme::http_message_signatures,
                  SigningAlgorithm::rsa_pss_sha512);

// What OpenSSL alone takes.
void primitive(benchmark::State& state, SigningScheme scheme, SigningAlgorithm algorithm) {
  const policy::SigningKey key = key_of(scheme, algorithm);
  const auto made = make_primitive(algorithm, key.secrets[0].bytes.reveal());
  const std::string_view parts[] = {kContent};
  Raw raw;
  for (auto each : state) {
    if (!made->sign(parts, raw)) state.SkipWithError("not signed");
    benchmark::DoNotOptimize(raw);
  }
}
BENCHMARK_CAPTURE(primitive, hmac_sha256, SigningScheme::standard_webhooks,
                  SigningAlgorithm::hmac_sha256);
BENCHMARK_CAPTURE(primitive, ed25519, SigningScheme::standard_webhooks_ed25519,
                  SigningAlgorithm::ed25519);
BENCHMARK_CAPTURE(primitive, ecdsa_p256, SigningScheme::http_message_signatures,
                  SigningAlgorithm::ecdsa_p256_sha256);
BENCHMARK_CAPTURE(primitive, rsa_pss, SigningScheme::http_message_signatures,
                  SigningAlgorithm::rsa_pss_sha512);

}  // namespace
}  // namespace egret::signing
