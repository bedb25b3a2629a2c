// What the interception CA signs, and what it does not.

#include "proxy/tls/authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/tls/certificates.h"

namespace egret::tls {
namespace {

using namespace std::chrono_literals;
using std::chrono::days;
using test::certificate_of;
using test::extension;
using test::kNow;
using test::printed;
using test::subject;
using test::time_of;
using testing::HasSubstr;
using testing::StartsWith;

policy::Host host(std::string_view text) { return *policy::canonical_host(text); }

std::shared_ptr<Authority> authority(const CaOptions& options = {}, WallTime made = kNow) {
  return *Authority::load(*make_ca(options, made));
}

// Labels of 63 letters, 253 bytes in all: the longest name that DNS has.
std::string longest_name() {
  const std::string label(63, 'a');
  return label + "." + label + "." + label + "." + std::string(61, 'b');
}

WallTime from(const Leaf& leaf) { return time_of(X509_get0_notBefore(leaf.certificate.get())); }
WallTime until(const Leaf& leaf) { return time_of(X509_get0_notAfter(leaf.certificate.get())); }

Result<Leaf> leaf_of(const policy::KeyPair& ca, std::string_view name) {
  // The Authority ends with this function: for errors, and for nothing else.
  const Result<std::shared_ptr<Authority>> loaded = Authority::load(ca);
  if (!loaded) return Unexpected(loaded.error());
  return (*loaded)->leaf(host(name), kNow);
}

// ---- what cannot be loaded

TEST(AuthorityLoad, RefusesWhatIsNoCaWithItsKey) {
  const policy::KeyPair good = *make_ca({}, kNow);
  const policy::KeyPair other = *make_ca({}, kNow);
  const std::string half = good.certificate.substr(0, good.certificate.size() / 2);
  const policy::KeyPair no_ca = test::custom_ca({.basic_constraints = "critical,CA:FALSE"});
  const policy::KeyPair no_signer = test::custom_ca({.key_usage = "critical,digitalSignature"});
  const std::pair<const char*, policy::KeyPair> cases[] = {
      {"nothing", {}},
      {"no certificate", {"", good.private_key}},
      {"no key", {good.certificate, {}}},
      {"garbage", {"garbage", Secret("garbage")}},
      {"a NUL", {std::string("\0", 1), good.private_key}},
      {"half a certificate", {half, good.private_key}},
      {"another's key", {good.certificate, other.private_key}},
      {"a certificate for a key", {good.certificate, Secret(good.certificate)}},
      {"one that is no CA", no_ca},
      {"one that may not sign", no_signer},
  };
  for (const auto& [name, pair] : cases) {
    SCOPED_TRACE(name);
    const Result<std::shared_ptr<Authority>> loaded = Authority::load(pair);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().reason, Reason::internal_error);
    EXPECT_THAT(loaded.error().detail, StartsWith("the CA's certificate and key: "));
    EXPECT_EQ(loaded.error().detail.find("PRIVATE"), std::string::npos);
  }
}

// ---- what it will not vouch for

struct Constrained {
  std::vector<std::string> dns;
  std::vector<std::string> ips;
  const char* host;
  bool good;
};

TEST(AuthorityLeaf, StaysWithinTheNameConstraints) {
  const Constrained cases[] = {
      {{"example.com"}, {}, "example.com", true},
      {{"example.com"}, {}, "a.b.example.com", true},
      {{"example.com"}, {}, "notexample.com", false},
      {{"example.com"}, {}, "example.com.evil.example", false},
      {{"example.com"}, {}, "com", false},
      {{"example.com"}, {}, "192.0.2.1", false},
      {{"example.com"}, {}, "2001:db8::1", false},
      {{"example.com", "b.example"}, {}, "x.b.example", true},
      {{"example.com", "b.example"}, {}, "a.example", false},
      {{"xn--mller-kva.example"}, {}, "xn--mller-kva.example", true},
      {{"example.com"}, {}, "xn--mller-kva.example", false},
      {{}, {"192.0.2.0/24"}, "192.0.2.1", true},
      {{}, {"192.0.2.0/24"}, "192.0.3.1", false},
      {{}, {"192.0.2.0/24"}, "2001:db8::1", false},
      {{}, {"192.0.2.0/24"}, "example.com", false},
      {{}, {"192.0.2.0/24"}, "localhost", false},
      {{}, {"192.0.2.7/32"}, "192.0.2.7", true},
      {{}, {"192.0.2.7/32"}, "192.0.2.6", false},
      {{}, {"0.0.0.0/0"}, "203.0.113.9", true},
      {{}, {"2001:db8::/33"}, "2001:db8:7fff::1", true},
      {{}, {"2001:db8::/33"}, "2001:db8:8000::1", false},
      {{}, {"2001:db8::/33"}, "192.0.2.1", false},
      {{"example.com"}, {"192.0.2.0/24", "2001:db8::/32"}, "example.com", true},
      {{"example.com"}, {"192.0.2.0/24", "2001:db8::/32"}, "192.0.2.1", true},
      {{"example.com"}, {"192.0.2.0/24", "2001:db8::/32"}, "2001:db8::1", true},
      {{"example.com"}, {"192.0.2.0/24", "2001:db8::/32"}, "example.org", false},
      {{"example.com"}, {"192.0.2.0/24", "2001:db8::/32"}, "198.51.100.1", false},
      {{"example.com"}, {"192.0.2.0/24", "2001:db8::/32"}, "2001:db9::1", false},
  };
  for (const Constrained& each : cases) {
    CaOptions options{.permitted_dns = each.dns};
    for (const std::string& ip : each.ips) {
      options.permitted_ips.push_back(*policy::Prefix::parse(ip));
    }
    SCOPED_TRACE(testing::Message() << each.host << " by " << testing::PrintToString(each.dns)
                                    << " and " << testing::PrintToString(each.ips));
    const auto by = authority(options);
    const Result<Leaf> leaf = by->leaf(host(each.host), kNow);
    EXPECT_EQ(leaf.has_value(), each.good) << (leaf ? "" : leaf.error().detail);
    EXPECT_EQ(by->minted(), each.good ? 1u : 0u);
    if (leaf) continue;
    EXPECT_EQ(leaf.error().reason, Reason::interception_failed);
    EXPECT_THAT(leaf.error().detail, HasSubstr(each.host));
    EXPECT_THAT(leaf.error().detail, HasSubstr("name constraint"));
  }
}

TEST(AuthorityLeaf, IsNotMadeByACaThatNoSenderBelieves) {
  const auto by = authority({.days = 1});
  const std::pair<WallTime, const char*> cases[] = {
      {kNow - 61min, "it is not valid yet"},
      {kNow + days(1) + 1s, "it has expired"},
      {kNow + days(4000), "it has expired"},
  };
  for (const auto& [now, why] : cases) {
    const Result<Leaf> leaf = by->leaf(host("a.example"), now);
    ASSERT_FALSE(leaf) << why;
    EXPECT_EQ(leaf.error().reason, Reason::interception_failed);
    EXPECT_EQ(leaf.error().detail,
              std::string("The interception CA cannot vouch for a.example: ") + why + ".");
  }

  const Result<Leaf> mail = leaf_of(test::custom_ca({.usage = "emailProtection"}), "a.example");
  ASSERT_FALSE(mail);
  EXPECT_EQ(mail.error().reason, Reason::interception_failed);
}

TEST(AuthorityLeaf, IsNotKeptBeyondTheCa) {
  const auto by = authority({.days = 1});
  const WallTime end = kNow + days(1);
  ASSERT_TRUE(by->leaf(host("a.example"), end - 1h));
  EXPECT_TRUE(by->leaf(host("a.example"), end - 1s));

  const Result<Leaf> late = by->leaf(host("a.example"), end + 1s);

  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().reason, Reason::interception_failed);
  EXPECT_THAT(late.error().detail, HasSubstr("it has expired"));
}

// ---- what it makes

TEST(AuthorityLeaf, IsForItsHostAlone) {
  struct Case {
    std::string host;
    std::string subject;
    std::string alternative;
  };
  const std::string longest = longest_name();
  const std::string of_64 = std::string(60, 'a') + ".com";
  const std::string of_65 = std::string(61, 'a') + ".com";
  const Case cases[] = {
      {"hooks.example", "CN=hooks.example", "DNS:hooks.example"},
      {"localhost", "CN=localhost", "DNS:localhost"},
      {"_dmarc.a_b.example", "CN=_dmarc.a_b.example", "DNS:_dmarc.a_b.example"},
      {"xn--mller-kva.example", "CN=xn--mller-kva.example", "DNS:xn--mller-kva.example"},
      {of_64, "CN=" + of_64, "DNS:" + of_64},
      {of_65, "", "critical DNS:" + of_65},
      {longest, "", "critical DNS:" + longest},
      {"192.0.2.1", "", "critical IP Address:192.0.2.1"},
      {"2001:db8::1", "", "critical IP Address:2001:DB8:0:0:0:0:0:1"},
      {"::1", "", "critical IP Address:0:0:0:0:0:0:0:1"},
  };
  const auto by = authority();
  for (const Case& each : cases) {
    SCOPED_TRACE(each.host);
    const Result<Leaf> leaf = by->leaf(host(each.host), kNow);
    ASSERT_TRUE(leaf) << leaf.error().detail;
    EXPECT_EQ(subject(leaf->certificate.get()), each.subject);
    EXPECT_EQ(extension(leaf->certificate.get(), NID_subject_alt_name), each.alternative);
  }
}

TEST(AuthorityLeaf, IsAServersCertificateOfADay) {
  const policy::KeyPair ca = *make_ca({.name = "The CA"}, kNow);
  const auto by = *Authority::load(ca);
  const Leaf leaf = by->leaf(host("a.example"), kNow).value();

  const X509* made = leaf.certificate.get();
  EXPECT_EQ(X509_get_version(made), 2);
  EXPECT_EQ(extension(made, NID_basic_constraints), "critical CA:FALSE");
  EXPECT_EQ(extension(made, NID_key_usage), "critical Digital Signature");
  EXPECT_EQ(extension(made, NID_ext_key_usage), "TLS Web Server Authentication");
  const Certificate issuer = certificate_of(ca.certificate);
  EXPECT_EQ(printed([&](BIO* out) {
              X509_NAME_print_ex(out, X509_get_issuer_name(made), 0, XN_FLAG_RFC2253);
            }),
            "CN=The CA");
  EXPECT_THAT(extension(made, NID_authority_key_identifier),
              HasSubstr(extension(issuer.get(), NID_subject_key_identifier)));
  EXPECT_NE(extension(made, NID_subject_key_identifier), "");
  EXPECT_EQ(from(leaf), kNow - 1h);
  EXPECT_EQ(until(leaf), kNow + 24h);
  EXPECT_EQ(X509_check_private_key(made, leaf.key.get()), 1);
  EXPECT_EQ(EVP_PKEY_get_bits(leaf.key.get()), 256);
}

TEST(AuthorityLeaf, HasASerialOfItsOwnAndTheKeyOfAll) {
  const auto by = authority();
  const Leaf one = by->leaf(host("a.example"), kNow).value();
  const Leaf two = by->leaf(host("b.example"), kNow).value();

  const ASN1_INTEGER* first = X509_get0_serialNumber(one.certificate.get());
  EXPECT_NE(ASN1_INTEGER_cmp(first, X509_get0_serialNumber(two.certificate.get())), 0);
  // RFC 5280 4.1.2.2: positive, 20 octets at most.
  EXPECT_EQ(ASN1_STRING_type(first), V_ASN1_INTEGER);
  EXPECT_EQ(ASN1_STRING_length(first), 20);
  EXPECT_EQ(one.key.get(), two.key.get());
  EXPECT_NE(authority()->leaf(host("a.example"), kNow)->key.get(), one.key.get());
}

TEST(AuthorityLeaf, IsMadeByWhateverKeyTheCaHas) {
  for (const char* key : {"P-256", "P-384", "RSA", "ED25519"}) {
    SCOPED_TRACE(key);
    const Result<Leaf> leaf = leaf_of(test::custom_ca({.key = key}), "a.example");
    EXPECT_TRUE(leaf) << leaf.error().detail;
  }
}

TEST(AuthorityLeaf, IsMadeByACaWithoutAKeyIdentifier) {
  const auto by = *Authority::load(test::custom_ca({.key_identifier = false}));
  const Result<Leaf> leaf = by->leaf(host("a.example"), kNow);
  ASSERT_TRUE(leaf) << leaf.error().detail;
  EXPECT_EQ(extension(leaf->certificate.get(), NID_authority_key_identifier), "");
}

TEST(AuthorityLeaf, ComesWithoutTheRoot) {
  EXPECT_EQ(authority()->leaf(host("a.example"), kNow)->issuers, nullptr);
}

TEST(AuthorityLeaf, ComesWithWhatIsBetweenItAndTheRoot) {
  policy::KeyPair ca = test::custom_ca({.issuer = "above"});
  ca.certificate += make_ca({.name = "above"}, kNow)->certificate;

  const auto by = *Authority::load(ca);
  const Result<Leaf> leaf = by->leaf(host("a.example"), kNow);

  ASSERT_TRUE(leaf) << leaf.error().detail;
  ASSERT_EQ(sk_X509_num(leaf->issuers), 2);
  EXPECT_EQ(subject(sk_X509_value(leaf->issuers, 0)), "CN=Custom");
  EXPECT_EQ(subject(sk_X509_value(leaf->issuers, 1)), "CN=above");
}

// ---- how long it is kept

TEST(AuthorityCache, MakesALeafAnewWhenAQuarterOfItsLifeIsLeft) {
  const auto by = authority();
  const WallTime end = until(*by->leaf(host("a.example"), kNow));

  EXPECT_EQ(until(*by->leaf(host("a.example"), kNow + 18h - 1s)), end);
  EXPECT_EQ(by->minted(), 1u);
  EXPECT_EQ(by->cached(), 1u);
  EXPECT_EQ(until(*by->leaf(host("a.example"), kNow + 18h)), kNow + 42h);
  EXPECT_EQ(by->minted(), 2u);
  EXPECT_EQ(by->cached(), 1u);
}

TEST(AuthorityCache, MakesALeafAnewWhenTheClockWasSetBack) {
  const auto by = authority();
  EXPECT_TRUE(by->leaf(host("a.example"), kNow + days(30)));

  const Leaf leaf = by->leaf(host("a.example"), kNow).value();

  EXPECT_EQ(from(leaf), kNow - 1h);
  EXPECT_EQ(by->minted(), 2u);
}

TEST(AuthorityCache, EndsALeafNoLaterThanTheCa) {
  const auto by = authority({.days = 2});
  const WallTime end = kNow + days(2);
  EXPECT_EQ(until(*by->leaf(host("a.example"), end - 4h)), end);
  EXPECT_TRUE(by->leaf(host("a.example"), end - 1s));
  EXPECT_EQ(by->minted(), 1u);
}

// A handshake may still want it: its sender was slow to take the 200.
TEST(AuthorityCache, LeavesALeafToWhoHasIt) {
  const auto by = authority();
  const Leaf leaf = by->leaf(host("a.example"), kNow).value();

  EXPECT_TRUE(by->leaf(host("a.example"), kNow + 20h));

  EXPECT_EQ(until(leaf), kNow + 24h);
  EXPECT_EQ(subject(leaf.certificate.get()), "CN=a.example");
}

TEST(AuthorityCache, KeepsALeafOfACaWithoutAnEnd) {
  const auto by = *Authority::load(test::custom_ca({.until = "99991231235959Z"}));
  const Result<Leaf> leaf = by->leaf(host("a.example"), kNow);
  ASSERT_TRUE(leaf);
  EXPECT_EQ(until(*leaf), kNow + 24h);
  EXPECT_TRUE(by->leaf(host("a.example"), kNow + 1h));
  EXPECT_EQ(by->minted(), 1u);
}

TEST(AuthorityCache, ForgetsWhatWasNotAskedForLongest) {
  const auto by = authority();
  const auto name = [](size_t n) { return host("h" + std::to_string(n) + ".example"); };
  for (size_t n = 0; n < Authority::kMostLeafs; ++n) {
    ASSERT_TRUE(by->leaf(name(n), kNow));
  }
  EXPECT_TRUE(by->leaf(name(0), kNow));
  ASSERT_EQ(by->minted(), Authority::kMostLeafs);
  ASSERT_EQ(by->cached(), 1u);

  EXPECT_TRUE(by->leaf(host("one-more.example"), kNow));

  EXPECT_TRUE(by->leaf(name(0), kNow));
  EXPECT_TRUE(by->leaf(name(2), kNow));
  EXPECT_EQ(by->minted(), Authority::kMostLeafs + 1);
  EXPECT_TRUE(by->leaf(name(1), kNow));
  EXPECT_EQ(by->minted(), Authority::kMostLeafs + 2);
}

TEST(AuthorityCache, TakesAWholeTurnOfRenewals) {
  const auto by = authority();
  for (const Duration after : {0h, 20h, 40h, 60h}) {
    for (const char* name : {"a.example", "b.example", "192.0.2.1"}) {
      const Result<Leaf> leaf = by->leaf(host(name), kNow + after);
      ASSERT_TRUE(leaf);
      EXPECT_EQ(until(*leaf), kNow + after + 24h);
    }
  }
  EXPECT_EQ(by->minted(), 12u);
}

}  // namespace
}  // namespace egret::tls
