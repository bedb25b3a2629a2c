// Every scheme: what it signs verifies, and nothing else does.

#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <functional>
#include <set>

#include "proxy/signing/components.h"
#include "proxy/signing/primitives.h"
#include "tests/signing/support.h"

namespace egret::signing {
namespace {

using policy::SigningAlgorithm;
using policy::SigningKey;
using policy::SigningScheme;

std::string private_pem(EVP_PKEY* key) {
  const std::unique_ptr<BIO, Freed<BIO_free_all>> bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &bytes);
  return {bytes, static_cast<size_t>(size)};
}

std::string new_pem(SigningAlgorithm algorithm) {
  const Pkey key(algorithm == SigningAlgorithm::ed25519
                     ? EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")
                 : algorithm == SigningAlgorithm::rsa_pss_sha512 ? EVP_RSA_gen(2048)
                                                                 : EVP_EC_gen("P-256"));
  return private_pem(key.get());
}

// Two keys of each scheme and algorithm, made once.
struct Pair {
  SigningKey right;
  SigningKey wrong;
};
const std::vector<Pair>& pairs() {
  static const std::vector<Pair> made = [] {
    std::vector<Pair> all;
    for (const SigningScheme scheme :
         {SigningScheme::standard_webhooks, SigningScheme::stripe, SigningScheme::github,
          SigningScheme::shopify, SigningScheme::slack, SigningScheme::standard_webhooks_ed25519,
          SigningScheme::http_message_signatures}) {
      all.push_back(
          {key_of(scheme, {std::string(32, 'r')}), key_of(scheme, {std::string(32, 'w')})});
    }
    for (const SigningAlgorithm algorithm :
         {SigningAlgorithm::ed25519, SigningAlgorithm::ecdsa_p256_sha256,
          SigningAlgorithm::rsa_pss_sha512}) {
      const auto scheme = SigningScheme::http_message_signatures;
      all.push_back({key_of(scheme, {new_pem(algorithm)}, algorithm),
                     key_of(scheme, {new_pem(algorithm)}, algorithm)});
    }
    return all;
  }();
  return made;
}

VerifyKey receivers(const SigningKey& key, size_t which = 0) {
  const Secret secret = receiver_secret(key, key.secrets[which]);
  Result<VerifyKey> parsed = parse_verify_key(secret.reveal(), key.scheme);
  if (!parsed) throw std::invalid_argument(parsed.error().detail);
  parsed->signature_header = key.signature_header;
  parsed->timestamp_header = key.timestamp_header;
  return std::move(*parsed);
}

bool has_time(SigningScheme scheme) {
  return scheme != SigningScheme::github && scheme != SigningScheme::shopify;
}

TEST(Schemes, WhatIsSignedVerifiesAndNothingElse) {
  for (const Pair& pair : pairs()) {
    SCOPED_TRACE(std::string(to_string(pair.right.scheme)) + " " +
                 std::string(to_string(pair.right.algorithm)));
    const Request request;
    const Result<std::string> lines = signed_lines({pair.right}, request);
    ASSERT_TRUE(lines) << lines.error().detail;
    const std::vector<http::Field> added = fields_in(*lines);
    const VerifyKey key = receivers(pair.right);
    EXPECT_EQ(verdict(key, request, added, request.now), "ok");
    EXPECT_EQ(value_of(added, "webhook-id"), "msg_1");

    EXPECT_NE(verdict(receivers(pair.wrong), request, added, request.now), "ok") << "wrong key";
    Request changed = request;
    changed.content += " ";
    EXPECT_NE(verdict(key, changed, added, request.now), "ok") << "changed content";
    changed.content.clear();
    EXPECT_NE(verdict(key, changed, added, request.now), "ok") << "no content";
    if (has_time(pair.right.scheme)) {
      EXPECT_EQ(verdict(key, request, added, request.now + 299), "ok");
      EXPECT_NE(verdict(key, request, added, request.now + 301), "ok") << "stale";
      EXPECT_NE(verdict(key, request, added, request.now - 301), "ok") << "in the future";
    }
  }
}

// Each field that signing adds is needed, once, and as it is.
TEST(Schemes, EveryFieldThatIsMissingTwiceOrChangedIsSeen) {
  for (const Pair& pair : pairs()) {
    const Request request;
    const Result<std::string> lines = signed_lines({pair.right}, request);
    ASSERT_TRUE(lines);
    const std::vector<http::Field> added = fields_in(*lines);
    const VerifyKey key = receivers(pair.right);
    const bool covers_id = pair.right.scheme == SigningScheme::standard_webhooks ||
                           pair.right.scheme == SigningScheme::standard_webhooks_ed25519 ||
                           pair.right.scheme == SigningScheme::http_message_signatures;
    for (size_t i = covers_id ? 0 : 1; i < added.size(); ++i) {
      SCOPED_TRACE(std::string(to_string(pair.right.scheme)) + " " + std::string(added[i].name));
      std::vector<http::Field> fields = added;
      fields.erase(fields.begin() + static_cast<ptrdiff_t>(i));
      EXPECT_NE(verdict(key, request, fields, request.now), "ok") << "missing";
      for (const std::string_view garbage :
           {"", " ", "x", "=", ",,,", "v1,", "v1,=", "v0=", "sha256=", "t=,v1=", "sig1=", "sig1=::",
            "sig1=();created=", "\"", "99999999999999999999", "-1", "sig1=(\"@method\"", "a=b;c"}) {
        fields = added;
        fields[i].value = garbage;
        EXPECT_NE(verdict(key, request, fields, request.now), "ok") << garbage;
      }
      fields = added;
      fields.push_back({added[i].name, "x"});
      EXPECT_NE(verdict(key, request, fields, request.now), "ok") << "twice";
    }
  }
}

TEST(Schemes, EveryByteOfASignatureCounts) {
  for (const Pair& pair : pairs()) {
    if (pair.right.algorithm == SigningAlgorithm::rsa_pss_sha512) continue;  // slow, and the same
    const Request request;
    const Result<std::string> lines = signed_lines({pair.right}, request);
    ASSERT_TRUE(lines);
    const std::vector<http::Field> added = fields_in(*lines);
    const VerifyKey key = receivers(pair.right);
    const std::string value = value_of(added, pair.right.signature_header);
    for (size_t i = 0; i < value.size(); ++i) {
      std::string changed = value;
      changed[i] = changed[i] == 'A' ? 'B' : 'A';
      std::vector<http::Field> fields = added;
      for (http::Field& field : fields) {
        if (field.name == pair.right.signature_header) field.value = changed;
      }
      EXPECT_NE(verdict(key, request, fields, request.now), "ok") << value << "\n" << changed;
    }
  }
}

TEST(Rotation, EverySecretThatIsValidSigns) {
  SigningKey key = key_of(SigningScheme::standard_webhooks,
                          {std::string(32, 'a'), std::string(32, 'b'), std::string(32, 'c')});
  key.secrets[1].not_after = at(1'700'000'000);   // ends exactly now
  key.secrets[2].not_before = at(1'700'000'000);  // begins exactly now
  const Request request;
  const Result<std::string> lines = signed_lines({key}, request);
  ASSERT_TRUE(lines);
  const std::vector<http::Field> added = fields_in(*lines);
  EXPECT_EQ(verdict(receivers(key, 0), request, added, request.now), "ok");
  EXPECT_NE(verdict(receivers(key, 1), request, added, request.now), "ok");
  EXPECT_EQ(verdict(receivers(key, 2), request, added, request.now), "ok");
}

TEST(Rotation, WithoutAValidSecretNothingIsSigned) {
  for (const SigningScheme scheme :
       {SigningScheme::standard_webhooks, SigningScheme::standard_webhooks_ed25519,
        SigningScheme::stripe, SigningScheme::github, SigningScheme::http_message_signatures}) {
    SigningKey key = key_of(scheme, {std::string(32, 'a')});
    key.secrets[0].not_after = at(1'600'000'000);
    const SigningKey other = key_of(SigningScheme::slack, {std::string(32, 'b')});
    const Result<std::string> lines = signed_lines({key, other}, Request());
    ASSERT_FALSE(lines);
    EXPECT_EQ(lines.error().reason, Reason::signing_failed);
    EXPECT_NE(lines.error().detail.find("partner"), std::string::npos) << lines.error().detail;
    EXPECT_EQ(lines.error().detail.find("aaaa"), std::string::npos);
  }
}

TEST(Keys, OfOneSchemeShareItsFields) {
  const SigningKey hmac = key_of(SigningScheme::standard_webhooks, {std::string(32, 'a')});
  const SigningKey pair = key_of(SigningScheme::standard_webhooks_ed25519, {std::string(32, 'b')});
  const SigningKey stripe = key_of(SigningScheme::stripe, {"s3cret-one"});
  const SigningKey stripe_too = key_of(SigningScheme::stripe, {"s3cret-two"});
  const SigningKey rfc = key_of(SigningScheme::http_message_signatures, {std::string(32, 'c')});
  SigningKey rfc_too = key_of(SigningScheme::http_message_signatures, {std::string(32, 'd')});
  rfc_too.label = "acme";
  rfc_too.tag = "hooks";
  rfc_too.expires = std::chrono::minutes(5);
  const std::vector<SigningKey> all = {hmac, pair, stripe, stripe_too, rfc, rfc_too};
  const Request request;
  const Result<std::string> lines = signed_lines(all, request);
  ASSERT_TRUE(lines);
  const std::vector<http::Field> added = fields_in(*lines);
  for (const SigningKey& key : all) {
    EXPECT_EQ(verdict(receivers(key), request, added, request.now), "ok") << to_string(key.scheme);
  }
  for (size_t i = 0; i < added.size(); ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_NE(added[i].name, added[j].name);
  }
  const std::string input = value_of(added, "Signature-Input");
  EXPECT_NE(input.find(", acme=("), std::string::npos) << input;
  EXPECT_NE(input.find(";expires=1700000300;keyid=\"partner\";alg=\"hmac-sha256\";tag=\"hooks\""),
            std::string::npos)
      << input;
}

TEST(Keys, ThatNeedOneFieldForThemselvesCannotBeTogether) {
  const SigningKey one = key_of(SigningScheme::github, {"s3cret-one"});
  SigningKey two = key_of(SigningScheme::github, {"s3cret-two"});
  EXPECT_FALSE(signed_lines({one, two}, Request()));
  SigningKey other = key_of(SigningScheme::stripe, {"s3cret-two"});
  other.signature_header = "x-hub-signature-256";
  EXPECT_FALSE(signed_lines({one, other}, Request()));
  two.signature_header = "X-Other";
  EXPECT_TRUE(signed_lines({one, two}, Request()));
}

TEST(Keys, MayWriteUnderOtherNames) {
  for (const Pair& pair : pairs()) {
    SigningKey key = pair.right;
    if (key.scheme == SigningScheme::http_message_signatures) continue;
    key.signature_header = "X-Acme-Signature";
    if (!key.timestamp_header.empty()) key.timestamp_header = "X-Acme-Time";
    const Request request;
    const Result<std::string> lines = signed_lines({key}, request);
    ASSERT_TRUE(lines);
    EXPECT_EQ(verdict(receivers(key), request, fields_in(*lines), request.now), "ok");
    EXPECT_EQ(lines->find("Hub"), std::string::npos);
  }
}

TEST(Derive, EachHostHasASecretOfItsOwn) {
  for (const Pair& pair : pairs()) {
    SigningKey key = pair.right;
    const bool can = key.algorithm == SigningAlgorithm::hmac_sha256 ||
                     key.scheme == SigningScheme::standard_webhooks_ed25519;
    if (!can) continue;
    key.derive = true;
    Request request;
    const Result<std::string> lines = signed_lines({key}, request);
    ASSERT_TRUE(lines);
    const std::vector<http::Field> added = fields_in(*lines);
    SigningKey mine = key;
    mine.secrets[0].bytes = derived(key, key.secrets[0].bytes, "hooks.acme.io");
    SigningKey theirs = key;
    theirs.secrets[0].bytes = derived(key, key.secrets[0].bytes, "other.acme.io");
    EXPECT_EQ(verdict(receivers(mine), request, added, request.now), "ok");
    EXPECT_NE(verdict(receivers(theirs), request, added, request.now), "ok");
    EXPECT_NE(verdict(receivers(key), request, added, request.now), "ok") << "not the master";
  }
}

TEST(MessageSignatures, CoverWhatTheKeySays) {
  SigningKey key = key_of(SigningScheme::http_message_signatures, {std::string(32, 'a')});
  key.components = {"@method", "@authority",      "@path",   "@query",
                    "@scheme", "@request-target", "x-event", "content-digest"};
  Request request;
  request.url = url_of("https://Hooks.Acme.io:8443/in?a=b");
  request.fields = {{"X-Event", "paid"}, {"x-event", "  twice "}};
  const Result<std::string> lines = signed_lines({key}, request);
  ASSERT_TRUE(lines) << lines.error().detail;
  const std::vector<http::Field> added = fields_in(*lines);
  EXPECT_EQ(value_of(added, "Signature-Input"),
            "sig1=(\"@method\" \"@authority\" \"@path\" \"@query\" \"@scheme\" \"@request-target\" "
            "\"x-event\" \"content-digest\");created=1700000000;keyid=\"partner\";"
            "alg=\"hmac-sha256\"");
  EXPECT_EQ(verdict(receivers(key), request, added, request.now), "ok");
  const Request original = request;
  for (const auto& change : std::vector<std::function<void(Request&)>>{
           [](Request& r) { r.method = "PUT"; },
           [](Request& r) { r.url = url_of("https://hooks.acme.io:8444/in?a=b"); },
           [](Request& r) { r.url = url_of("https://hooks.acme.io:8443/out?a=b"); },
           [](Request& r) { r.url = url_of("https://hooks.acme.io:8443/in?a=c"); },
           [](Request& r) { r.fields.pop_back(); },
           [](Request& r) { std::swap(r.fields[0], r.fields[1]); }}) {
    Request changed = original;
    change(changed);
    EXPECT_NE(verdict(receivers(key), changed, added, request.now), "ok");
  }
}

TEST(MessageSignatures, LeaveOutOnlyAnUsualContentType) {
  SigningKey key = key_of(SigningScheme::http_message_signatures, {std::string(32, 'a')});
  Request request;
  request.fields.clear();
  const Result<std::string> lines = signed_lines({key}, request);
  ASSERT_TRUE(lines);
  EXPECT_EQ(lines->find("content-type"), std::string::npos);
  EXPECT_EQ(verdict(receivers(key), request, fields_in(*lines), request.now), "ok");

  key.components = {"@method", "content-type"};
  const Result<std::string> refused = signed_lines({key}, request);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().detail.find("content-type"), std::string::npos);
}

TEST(MessageSignatures, AreNotBelievedForWhatTheyDoNotCover) {
  SigningKey key = key_of(SigningScheme::http_message_signatures, {std::string(32, 'a')});
  key.components = {"@method"};
  const Request request;
  const Result<std::string> lines = signed_lines({key}, request);
  ASSERT_TRUE(lines);
  EXPECT_EQ(lines->find("Content-Digest"), std::string::npos);
  EXPECT_NE(verdict(receivers(key), request, fields_in(*lines), request.now), "ok");
}

TEST(MessageSignatures, InputThatIsNotKnownIsRefused) {
  for (const std::string_view input :
       {"", "sig1", "sig1=", "sig1=(", "sig1=()x", "sig1=(\"a\"\"b\")", "sig1=(\"a\" \"a\")",
        "sig1=(\"a\";sf)", "sig1=(\"a\";bs)", "sig1=(\"a\";key=\"x\")", "sig1=(\"a\";req)",
        "sig1=(a)", "Sig1=()", "sig1=();created=1.5", "sig1=();created=99999999999999999",
        "sig1=(),", "sig1=(\"\\x\")", "sig1=();=1",
        "a=(),b=(),c=(),d=(),e=(),f=(),g=(),h=(),i=(),j=(),k=(),"
        "l=(),m=(),n=(),o=(),p=(),q=()"}) {
    EXPECT_FALSE(parse_signature_input(input)) << input;
  }
  EXPECT_TRUE(parse_signature_input("sig1=( \"a\"  \"b\" );created=1 ,\t b=()"));
}

TEST(Jwks, HasThePublicKeysOfWhatIsOrWillBeValid) {
  std::vector<SigningKey> keys;
  for (const Pair& pair : pairs()) keys.push_back(pair.right);
  keys.back().secrets[0].not_before = at(1'800'000'000);
  SigningKey over = pairs().back().wrong;
  over.secrets[0].not_after = at(1'600'000'000);
  over.secrets[0].id = "over";
  keys.push_back(over);
  const std::string text = jwks(keys, at(1'700'000'000));
  size_t count = 0;
  for (size_t at = text.find("\"kid\""); at != std::string::npos;
       at = text.find("\"kid\"", at + 1)) {
    ++count;
  }
  EXPECT_EQ(count, 4U) << text;  // Standard Webhooks' Ed25519, and three of RFC 9421
  for (const std::string_view part : {R"("kty":"OKP")", R"("kty":"EC")", R"("kty":"RSA")",
                                      R"("alg":"EdDSA")", R"("alg":"ES256")", R"("alg":"PS512")"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(text.find("over"), std::string::npos);
  EXPECT_EQ(text.find("\"d\""), std::string::npos) << "no private part";
}

TEST(Ids, AreUniqueAndWellFormed) {
  std::set<std::string> seen;
  for (int i = 0; i < 5000; ++i) {
    const std::string id = new_id();
    EXPECT_TRUE(is_well_formed_id(id)) << id;
    EXPECT_EQ(id.size(), 30U);
    EXPECT_TRUE(seen.insert(id).second);
  }
  for (const std::string_view bad : {"", "a b", "a,b", "a.b", "a\"b", "a\\b", "a\tb", "\xC3\xA9"}) {
    EXPECT_FALSE(is_well_formed_id(bad)) << bad;
  }
  EXPECT_FALSE(is_well_formed_id(std::string(257, 'a')));
}

TEST(VerifyKeys, AreReadAsTheyAreGivenOut) {
  EXPECT_FALSE(parse_verify_key("whsk_AAAA", std::nullopt)) << "a private key";
  EXPECT_FALSE(parse_verify_key(new_pem(SigningAlgorithm::ed25519), std::nullopt));
  EXPECT_FALSE(parse_verify_key("whsec_!", std::nullopt));
  EXPECT_FALSE(parse_verify_key("whpk_AAAA", std::nullopt));
  EXPECT_FALSE(parse_verify_key("plain", std::nullopt));
  EXPECT_FALSE(parse_verify_key("plain", SigningScheme::standard_webhooks));
  EXPECT_FALSE(parse_verify_key("", SigningScheme::github));
  EXPECT_FALSE(parse_verify_key("whsec_YWFhYQ==", SigningScheme::github));
  EXPECT_TRUE(parse_verify_key("plain\n", SigningScheme::github));
}

}  // namespace
}  // namespace egret::signing
