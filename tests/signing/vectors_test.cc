// Published vectors: what others computed must come out here.

#include "base/text.h"
#include "proxy/signing/components.h"
#include "proxy/signing/primitives.h"
#include "tests/signing/support.h"

namespace egret::signing {
namespace {

using policy::SigningAlgorithm;
using policy::SigningScheme;

std::string hex(std::string_view bytes) {
  std::string out;
  append_hex(out, bytes);
  return out;
}

// RFC 4231 4.2, 4.3.
TEST(Vectors, HmacSha256) {
  const std::string_view first[] = {"Hi There"};
  EXPECT_EQ(hex(view(hmac_sha256(std::string(20, '\x0b'), first))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  const std::string_view pieces[] = {"what do ya ", "want ", "", "for nothing?"};
  EXPECT_EQ(hex(view(hmac_sha256("Jefe", pieces))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

// RFC 5869 A.3: no salt, no info.
TEST(Vectors, Hkdf) {
  EXPECT_EQ(hex(hkdf_sha256(std::string(22, '\x0b'), "", 42)),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

// The example of the Standard Webhooks specification's libraries.
TEST(Vectors, StandardWebhooks) {
  Request request;
  request.content = R"({"event_type":"ping","data":{"success":true}})";
  request.id = "msg_loFOjxBNrRLzqYUf";
  request.now = 1'731'705'121;
  const auto secret = text::from_base64("plJ3nmyCDGBKInavdOK15jsl");
  const auto lines = signed_lines({key_of(SigningScheme::standard_webhooks, {*secret})}, request);
  ASSERT_TRUE(lines);
  EXPECT_EQ(*lines,
            "webhook-id: msg_loFOjxBNrRLzqYUf\r\nwebhook-timestamp: 1731705121\r\n"
            "webhook-signature: v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=\r\n");
}

// docs.github.com: "Testing the webhook payload validation".
TEST(Vectors, GitHub) {
  Request request;
  request.content = "Hello, World!";
  const auto lines =
      signed_lines({key_of(SigningScheme::github, {"It's a Secret to Everybody"})}, request);
  ASSERT_TRUE(lines);
  EXPECT_EQ(value_of(fields_in(*lines), "X-Hub-Signature-256"),
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
}

// docs.slack.dev: "Verifying requests from Slack".
TEST(Vectors, Slack) {
  Request request;
  request.content =
      "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id="
      "G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-"
      "collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%"
      "2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121."
      "803a0bc887a14d10d2c447fce8b6703c";
  request.now = 1'531'420'618;
  const auto lines =
      signed_lines({key_of(SigningScheme::slack, {"8f742231b10e8888abcd99yyyzzz85a5"})}, request);
  ASSERT_TRUE(lines);
  EXPECT_EQ(value_of(fields_in(*lines), "X-Slack-Signature"),
            "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503");
  EXPECT_EQ(value_of(fields_in(*lines), "X-Slack-Request-Timestamp"), "1531420618");
}

// RFC 9421 appendix B: the request of B.2, the keys of B.1.
constexpr std::string_view kRsaPss =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2\n"
    "+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+\n"
    "oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq\n"
    "gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W\n"
    "Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4\n"
    "aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI\n"
    "2wIDAQAB\n"
    "-----END PUBLIC KEY-----\n";
constexpr std::string_view kEd25519Public =
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n"
    "-----END PUBLIC KEY-----\n";
constexpr std::string_view kEd25519Private =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n"
    "-----END PRIVATE KEY-----\n";
constexpr std::string_view kHmacSecret =
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";

struct Rfc9421 {
  policy::Url url = url_of("https://example.com/foo?param=Value&Pet=dog");
  std::vector<http::Field> fields = {
      {"Host", "example.com"},
      {"Date", "Tue, 20 Apr 2021 02:07:55 GMT"},
      {"Content-Type", "application/json"},
      {"Content-Digest",
       "sha-512=:WZDPaVn/"
       "7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"},
      {"Content-Length", "18"}};
  std::string content = R"({"hello": "world"})";
  Received received(std::string_view input, std::string_view signature) {
    fields.push_back({"Signature-Input", input});
    fields.push_back({"Signature", signature});
    return {"POST", url, fields, content, at(1'618'884'473), false};
  }
};

VerifyKey verify_key(SigningAlgorithm algorithm, std::string_view bytes) {
  VerifyKey key;
  key.scheme = SigningScheme::http_message_signatures;
  key.algorithm = algorithm;
  key.bytes = Secret(std::string(bytes));
  return key;
}

std::string outcome(const Result<>& result) { return result ? "ok" : result.error().detail; }

TEST(Vectors, Rfc9421HmacSha256) {  // B.2.5
  Rfc9421 example;
  const Received received = example.received(
      "sig-b25=(\"date\" \"@authority\" \"content-type\");created=1618884473"
      ";keyid=\"test-shared-secret\"",
      "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:");
  EXPECT_EQ(
      outcome(verify(verify_key(SigningAlgorithm::hmac_sha256, *text::from_base64(kHmacSecret)),
                     received)),
      "ok");
}

TEST(Vectors, Rfc9421Ed25519) {  // B.2.6
  constexpr std::string_view kInput =
      "sig-b26=(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\")"
      ";created=1618884473;keyid=\"test-key-ed25519\"";
  constexpr std::string_view kSignature =
      "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==";
  const std::string signature = "sig-b26=:" + std::string(kSignature) + ":";
  Rfc9421 example;
  const Received received = example.received(kInput, signature);
  EXPECT_EQ(outcome(verify(verify_key(SigningAlgorithm::ed25519, kEd25519Public), received)), "ok");
  // Ed25519 is deterministic: signing gives the same bytes.
  const auto members = parse_signature_input(kInput);
  ASSERT_TRUE(members);
  const auto base = signature_base((*members)[0].components, (*members)[0].params,
                                   {"POST", example.url, example.fields});
  ASSERT_TRUE(base);
  EXPECT_TRUE(
      base->starts_with("\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n"
                        "\"@path\": /foo\n\"@authority\": example.com\n"));
  Raw raw;
  const std::string_view parts[] = {*base};
  ASSERT_TRUE(make_primitive(SigningAlgorithm::ed25519, kEd25519Private)->sign(parts, raw));
  EXPECT_EQ(text::base64(raw.view()), kSignature);
}

TEST(Vectors, Rfc9421RsaPss) {  // B.2.1, B.2.2
  struct Case {
    std::string_view input;
    std::string_view signature;
  };
  const Case cases[] = {
      {"sig-b21=();created=1618884473;keyid=\"test-key-rsa-pss\";nonce=\"b3k2pp5k7z-50gnwp.yemd\"",
       "sig-b21=:d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it+"
       "+wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72r"
       "gFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/"
       "QEVPn"
       "P5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==:"},
      {"sig-b22=(\"@authority\" \"content-digest\" \"@query-param\";name=\"Pet\")"
       ";created=1618884473;keyid=\"test-key-rsa-pss\";tag=\"header-example\"",
       "sig-b22=:"
       "LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjv"
       "uJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/"
       "2YyFYXEu4TRJQzRw1rLEuEfY17S"
       "ARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/"
       "lankenQ99PZfB4jY3I5r"
       "SV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==:"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.input);
    Rfc9421 example;
    const Received received = example.received(each.input, each.signature);
    EXPECT_EQ(outcome(verify(verify_key(SigningAlgorithm::rsa_pss_sha512, kRsaPss), received)),
              "ok");
    Rfc9421 changed;
    changed.url = url_of("https://example.org/foo?param=Value&Pet=cat");
    if (each.input.find("()") == std::string_view::npos) {
      const Received wrong = changed.received(each.input, each.signature);
      EXPECT_NE(outcome(verify(verify_key(SigningAlgorithm::rsa_pss_sha512, kRsaPss), wrong)),
                "ok");
    }
  }
}

// RFC 7638 3.1 and RFC 8037 A.3: thumbprints.
TEST(Vectors, JwkOfEd25519) {
  auto key = key_of(SigningScheme::http_message_signatures, {std::string(kEd25519Private)},
                    SigningAlgorithm::ed25519);
  key.secrets[0].id = "test-key-ed25519";
  EXPECT_EQ(jwk(key, key.secrets[0]),
            R"({"crv":"Ed25519","kty":"OKP","x":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs",)"
            R"("kid":"test-key-ed25519","use":"sig","alg":"EdDSA"})");
}

}  // namespace
}  // namespace egret::signing
