// The interception CA: what it vouches for, for how long, and what it refuses to.

#include "proxy/tls/authority.h"

#include <gtest/gtest.h>

#include "proxy/tls/description.h"
#include "tests/support/tls_peer.h"

namespace egret::tls {
namespace {

using namespace std::chrono_literals;

const WallTime kNow = std::chrono::system_clock::now();

policy::Host host(std::string_view text) { return *policy::canonical_host(text); }

std::shared_ptr<Authority> authority(const CaOptions& options = {}, WallTime made = kNow) {
  return *Authority::load(*make_ca(options, made));
}

struct Named {
  std::string_view host;
  std::string_view san;  // as OpenSSL prints it
};

std::string printed_san(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  const int at = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
  X509V3_EXT_print(bio.get(), X509_get_ext(certificate, at), 0, 0);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

TEST(Authority, VouchesForTheHostAndNothingElse) {
  const std::string label(63, 'a');
  const std::string longest =
      label + "." + label + "." + label + "." + std::string(57, 'b') + ".de";
  const Named cases[] = {
      {"hooks.acme.io", "DNS:hooks.acme.io"},
      {"xn--bcher-kva.example", "DNS:xn--bcher-kva.example"},
      {"192.0.2.1", "IP Address:192.0.2.1"},
      {"2001:db8::1", "IP Address:2001:DB8:0:0:0:0:0:1"},
      {"_sip.acme.io", "DNS:_sip.acme.io"},
  };
  const auto ca = authority();
  for (const Named& each : cases) {
    SCOPED_TRACE(each.host);
    const Result<Leaf> leaf = ca->leaf(host(each.host), kNow);
    ASSERT_TRUE(leaf) << leaf.error().detail;
    EXPECT_EQ(printed_san(leaf->certificate.get()), each.san);
    EXPECT_EQ(X509_check_ca(leaf->certificate.get()), 0);
    EXPECT_EQ(X509_check_purpose(leaf->certificate.get(), X509_PURPOSE_SSL_SERVER, 0), 1);
    EXPECT_NE(X509_check_purpose(leaf->certificate.get(), X509_PURPOSE_SSL_CLIENT, 0), 1);
    EXPECT_EQ(X509_check_private_key(leaf->certificate.get(), leaf->key.get()), 1);
    EXPECT_EQ(leaf->issuers, nullptr) << "a root is not sent";
  }
  const Result<Leaf> leaf = ca->leaf(host(longest), kNow);
  ASSERT_TRUE(leaf) << leaf.error().detail;
  EXPECT_EQ(printed_san(leaf->certificate.get()), "DNS:" + longest) << "too long for a common name";
}

struct Constrained {
  CaOptions options;
  std::string_view host;
  bool good;
};

TEST(Authority, RefusesWhatItsConstraintsExclude) {
  const CaOptions domain{.permitted_dns = {"acme.io"}};
  const CaOptions network{.permitted_ips = {*policy::Prefix::parse("192.0.2.0/24")}};
  const CaOptions both{.permitted_dns = {"acme.io"},
                       .permitted_ips = {*policy::Prefix::parse("2001:db8::/32")}};
  const Constrained cases[] = {
      {domain, "acme.io", true},         {domain, "hooks.acme.io", true},
      {domain, "acme.io.evil", false},   {domain, "notacme.io", false},
      {domain, "192.0.2.1", false},      {domain, "2001:db8::1", false},
      {network, "192.0.2.1", true},      {network, "192.0.3.1", false},
      {network, "hooks.acme.io", false}, {both, "hooks.acme.io", true},
      {both, "2001:db8::1", true},       {both, "2001:db9::1", false},
  };
  for (const Constrained& each : cases) {
    SCOPED_TRACE(each.host);
    const Result<Leaf> leaf = authority(each.options)->leaf(host(each.host), kNow);
    EXPECT_EQ(leaf.has_value(), each.good);
    if (leaf) continue;
    EXPECT_EQ(leaf.error().reason, Reason::interception_failed);
    EXPECT_NE(leaf.error().detail.find("name constraint"), std::string::npos)
        << leaf.error().detail;
  }
}

TEST(Authority, MakesACertificateOnceAndAnewBeforeItEnds) {
  const auto ca = authority();
  const Result<Leaf> once = ca->leaf(host("hooks.acme.io"), kNow);
  const X509* first = once->certificate.get();
  EXPECT_EQ(ca->leaf(host("hooks.acme.io"), kNow + 17h)->certificate.get(), first);
  EXPECT_EQ(ca->minted(), 1U);
  EXPECT_EQ(ca->cached(), 1U);
  (void)ca->leaf(host("hooks.acme.io"), kNow + 19h);
  EXPECT_EQ(ca->minted(), 2U);
}

TEST(Authority, NeverVouchesForLongerThanItLastsItself) {
  const auto ca = authority({.days = 1}, kNow - 20h);
  const Result<Leaf> leaf = ca->leaf(host("hooks.acme.io"), kNow);
  ASSERT_TRUE(leaf);
  int days = 0;
  int seconds = 0;
  ASN1_TIME_diff(&days, &seconds, nullptr, X509_get0_notAfter(leaf->certificate.get()));
  EXPECT_LE(days * 86400 + seconds, 4 * 3600);
  const Result<Leaf> late = ca->leaf(host("other.acme.io"), kNow + 5h);
  ASSERT_FALSE(late);
  EXPECT_NE(late.error().detail.find("expired"), std::string::npos) << late.error().detail;
  const Result<Leaf> kept = ca->leaf(host("hooks.acme.io"), kNow + 5h);
  EXPECT_FALSE(kept) << "not from memory either";
}

TEST(Authority, ForgetsTheOneUnusedLongest) {
  const auto ca = authority();
  (void)ca->leaf(host("first.acme.io"), kNow);
  const Result<Leaf> held = ca->leaf(host("second.acme.io"), kNow);
  for (size_t i = 0; i < Authority::kMostLeafs - 2; ++i) {
    ASSERT_TRUE(ca->leaf(host("h" + std::to_string(i) + ".acme.io"), kNow));
  }
  (void)ca->leaf(host("first.acme.io"), kNow);
  (void)ca->leaf(host("one-more.acme.io"), kNow);
  const uint64_t minted = ca->minted();
  (void)ca->leaf(host("first.acme.io"), kNow);
  EXPECT_EQ(ca->minted(), minted);
  (void)ca->leaf(host("second.acme.io"), kNow);
  EXPECT_EQ(ca->minted(), minted + 1);
  EXPECT_EQ(printed_san(held->certificate.get()), "DNS:second.acme.io")
      << "whoever has it keeps it";
}

TEST(Authority, IsNotMadeOfWhatIsNoCaWithItsKey) {
  const policy::KeyPair good = *make_ca({}, kNow);
  const policy::KeyPair other = *make_ca({}, kNow);
  const policy::KeyPair cases[] = {{"", Secret()},
                                   {good.certificate, Secret()},
                                   {"nonsense", good.private_key},
                                   {good.certificate, other.private_key}};
  for (const policy::KeyPair& each : cases) {
    const auto made = Authority::load(each);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().detail.find("PRIVATE"), std::string::npos);
  }
}

TEST(Description, TellsWhatAPersonComparesAndNoKey) {
  const policy::KeyPair pair = *make_ca({.name = "Acme hooks", .permitted_dns = {"acme.io"}}, kNow);
  const Result<Description> ca = describe_ca(pair.certificate);
  ASSERT_TRUE(ca);
  EXPECT_EQ(ca->subject, "CN=Acme hooks");
  EXPECT_EQ(ca->fingerprint.size(), 32U * 3 - 1);
  EXPECT_NE(ca->constraints.find("acme.io"), std::string::npos);
  EXPECT_FALSE(describe_ca(pair.private_key.reveal()));
  EXPECT_FALSE(describe_ca(test::TestCa::get().certify("hooks.acme.io").certificate));
}

}  // namespace
}  // namespace egret::tls
