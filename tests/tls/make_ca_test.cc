// A CA that `egret ca init` makes, and what `egret ca show` says of one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/tls/authority.h"
#include "proxy/tls/description.h"
#include "tests/tls/certificates.h"

namespace egret::tls {
namespace {

using namespace std::chrono_literals;
using std::chrono::days;
using test::certificate_of;
using test::extension;
using test::kNow;
using test::time_of;
using testing::HasSubstr;
using testing::StartsWith;

TEST(MakeCa, MakesWhatSendersTakeForACa) {
  const policy::KeyPair pair = *make_ca({.name = "Ä CA, of \"ours\"", .days = 30}, kNow);

  const Certificate ca = certificate_of(pair.certificate);
  ASSERT_TRUE(ca);
  EXPECT_EQ(X509_get_version(ca.get()), 2);
  EXPECT_EQ(extension(ca.get(), NID_basic_constraints), "critical CA:TRUE, pathlen:0");
  EXPECT_EQ(extension(ca.get(), NID_key_usage), "critical Certificate Sign, CRL Sign");
  EXPECT_NE(extension(ca.get(), NID_subject_key_identifier), "");
  EXPECT_EQ(extension(ca.get(), NID_name_constraints), "");
  EXPECT_EQ(time_of(X509_get0_notBefore(ca.get())), kNow - 1h);
  EXPECT_EQ(time_of(X509_get0_notAfter(ca.get())), kNow + days(30));
  EXPECT_EQ(X509_verify(ca.get(), X509_get0_pubkey(ca.get())), 1);
  EXPECT_THAT(std::string(pair.private_key.reveal()), StartsWith("-----BEGIN PRIVATE KEY-----\n"));
}

TEST(MakeCa, ReachesBeyond2049) {
  const Certificate ca = certificate_of(make_ca({.days = 36500}, kNow)->certificate);
  EXPECT_EQ(time_of(X509_get0_notAfter(ca.get())), kNow + days(36500));
}

TEST(DescribeCa, SaysWhatAPersonComparesBeforeTrustingIt) {
  const CaOptions options{.name = "The CA",
                          .days = 30,
                          .permitted_dns = {"example.com"},
                          .permitted_ips = {*policy::Prefix::parse("192.0.2.0/24")}};
  const policy::KeyPair pair = *make_ca(options, kNow);

  const Result<Description> said = describe_ca(pair.certificate);

  ASSERT_TRUE(said);
  EXPECT_EQ(said->subject, "CN=The CA");
  EXPECT_THAT(said->fingerprint, testing::MatchesRegex("([0-9A-F]{2}:){31}[0-9A-F]{2}"));
  EXPECT_EQ(said->from, "Nov 25 11:00:00 2026 GMT");
  EXPECT_EQ(said->until, "Dec 25 12:00:00 2026 GMT");
  EXPECT_THAT(said->constraints, HasSubstr("DNS:example.com"));
  EXPECT_THAT(said->constraints, HasSubstr("IP:192.0.2.0/255.255.255.0"));
}

TEST(DescribeCa, RefusesWhatIsNoCa) {
  const policy::KeyPair pair = *make_ca({}, kNow);
  const policy::KeyPair no_ca = test::custom_ca({.basic_constraints = "critical,CA:FALSE"});
  for (const std::string_view text :
       {std::string_view(), std::string_view("garbage"), pair.private_key.reveal(),
        std::string_view(no_ca.certificate)}) {
    const Result<Description> said = describe_ca(text);
    ASSERT_FALSE(said);
    EXPECT_EQ(said.error().reason, Reason::internal_error);
  }
}

}  // namespace
}  // namespace egret::tls
