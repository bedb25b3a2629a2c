#include "config/pem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/config/certificates.h"

namespace egret::config::pem {
namespace {

using testing::HasSubstr;

const Issued& leaf() {
  static const Issued issued = issue({});
  return issued;
}

const Issued& authority() {
  static const Issued issued = issue({.authority = true});
  return issued;
}

std::string without_end(const std::string& text) { return text.substr(0, text.size() - 40); }

// A block of the right name around bytes that are nothing.
std::string block(const std::string& name, const std::string& body = "AAAA") {
  return "-----BEGIN " + name + "-----\n" + body + "\n-----END " + name + "-----\n";
}

TEST(PemChain, SaysWhatIsWrong) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "has no certificate in PEM form"},
      {"s3cret", "has no certificate in PEM form"},
      {without_end(leaf().certificate), "damaged or cut short"},
      {leaf().certificate + without_end(leaf().certificate), "damaged or cut short"},
      {block("CERTIFICATE", "not base64!"), "damaged or cut short"},
      {block("CERTIFICATE"), "block 1 that is no certificate"},
      {leaf().certificate + block("CERTIFICATE"), "block 2 that is no certificate"},
      {leaf().certificate + leaf().private_key, "has \"PRIVATE KEY\" as its block 2"},
      {revocation_list(authority()), "has \"X509 CRL\" as its block 1"},
  };
  for (const auto& [text, error] : cases) {
    EXPECT_THAT(check_chain(text, Owner::peer).error, HasSubstr(error)) << text;
    EXPECT_THAT(check_authorities(text).error, HasSubstr(error)) << text;
  }
}

TEST(PemChain, IsTakenWithWordsBetweenAndWithoutALastLineEnd) {
  std::string text = "# our chain\n" + leaf().certificate + "issuer:\n" + authority().certificate;
  text.pop_back();
  for (const std::string& one : {text, leaf().certificate}) {
    EXPECT_EQ(check_chain(one, Owner::peer).error, "");
    EXPECT_EQ(check_chain(one, Owner::peer).warning, "");
    EXPECT_EQ(check_authorities(one).error, "");
  }
}

TEST(PemChain, OutOfDateIsAWarningAndOfACaAnError) {
  const Wanted past{.authority = true, .not_after = "20210203000000Z"};
  const std::string expired = issue(past).certificate;
  EXPECT_EQ(check_chain(expired, Owner::peer).error, "");
  EXPECT_EQ(check_chain(expired, Owner::peer).warning, "has expired, on 2021-02-03");
  EXPECT_EQ(check_chain(expired, Owner::authority).error, "has expired, on 2021-02-03");
  const std::string early = issue({.authority = true, .not_before = "20990102000000Z"}).certificate;
  for (const Owner owner : {Owner::peer, Owner::authority}) {
    EXPECT_EQ(check_chain(early, owner).error, "");
    EXPECT_EQ(check_chain(early, owner).warning, "is not valid before 2099-01-02");
  }
}

TEST(PemChain, OnlyACaIsAnAuthority) {
  EXPECT_THAT(check_chain(leaf().certificate, Owner::authority).error, HasSubstr("CA:TRUE"));
  EXPECT_EQ(check_chain(authority().certificate, Owner::authority).error, "");
}

TEST(PemChain, AWeakKeyIsRefusedBeforeTlsRefusesIt) {
  EXPECT_THAT(check_chain(issue({.rsa_bits = 1024}).certificate, Owner::peer).error,
              HasSubstr("too weak"));
  EXPECT_EQ(check_chain(issue({.rsa_bits = 2048}).certificate, Owner::peer).error, "");
}

TEST(PemLists, SayWhatIsWrong) {
  const std::string list = revocation_list(authority());
  EXPECT_EQ(check_revocation_lists(list + list).error, "");
  EXPECT_EQ(check_revocation_lists(list + list).warning, "");
  EXPECT_EQ(check_revocation_lists("").error, "has no revocation list in PEM form");
  EXPECT_THAT(check_revocation_lists(list + without_end(list)).error, HasSubstr("cut short"));
  EXPECT_THAT(check_revocation_lists(block("X509 CRL")).error, HasSubstr("no revocation list"));
  EXPECT_THAT(check_revocation_lists(list + leaf().certificate).error,
              HasSubstr("has \"CERTIFICATE\" as its block 2"));
  EXPECT_THAT(check_revocation_lists(revocation_list(authority(), "20210203000000Z")).warning,
              HasSubstr("due on 2021-02-03"));
}

TEST(PemKey, SaysWhatIsWrong) {
  const std::string& key = leaf().private_key;
  const std::pair<std::string, const char*> cases[] = {
      {"", "no private key"},
      {leaf().certificate, "no private key"},
      {without_end(key), "damaged or cut short"},
      {key + key, "2 private keys"},
      {block("PRIVATE KEY"), "cannot be read"},
      {block("EC PRIVATE KEY"), "cannot be read"},
      {leaf().encrypted_key, "is encrypted"},
      {leaf().traditional_encrypted, "is encrypted"},
  };
  for (const auto& [text, error] : cases) {
    EXPECT_THAT(check_private_key(text).error, HasSubstr(error)) << text;
  }
}

TEST(PemKey, IsThatOfTheFirstCertificate) {
  const std::string& key = leaf().private_key;
  const std::string chain = leaf().certificate + authority().certificate;
  EXPECT_EQ(check_private_key(key).error, "");
  EXPECT_EQ(check_private_key(chain + key).error, "");
  EXPECT_TRUE(belongs(key, chain));
  EXPECT_TRUE(belongs(key.substr(0, key.size() - 1), chain));
  EXPECT_FALSE(belongs(key, authority().certificate + leaf().certificate));
  EXPECT_FALSE(belongs(authority().private_key, chain));
  EXPECT_FALSE(belongs("", chain));
  EXPECT_FALSE(belongs(key, ""));
}

}  // namespace
}  // namespace egret::config::pem
