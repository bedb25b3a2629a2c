#include "policy/senders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace egret::policy {
namespace {

using testing::HasSubstr;

constexpr const char* kBilling = "YmlsbGluZzpzM2NyZXQ=";  // billing:s3cret

Sender with_basic(std::string name, std::string credentials) {
  Sender sender;
  sender.name = std::move(name);
  sender.scheme = Sender::Scheme::basic;
  sender.credentials = Secret(std::move(credentials));
  return sender;
}

Sender with_network(std::string name, const char* network) {
  Sender sender;
  sender.name = std::move(name);
  sender.networks = {*Prefix::parse(network)};
  return sender;
}

// The name of the sender, the reason of the refusal, or "anyone".
std::string identify(const std::vector<Sender>& senders, const char* address,
                     std::optional<std::string_view> authorization = std::nullopt,
                     std::string_view listener = "127.0.0.1:4750") {
  const Senders all(senders);
  const auto found = all.identify(
      {address == nullptr ? std::nullopt : Address::parse(address), listener, authorization});
  if (!found) return std::string(name(found.error().reason));
  return *found == nullptr ? "anyone" : (*found)->name;
}

TEST(Senders, WrongCredentialsNeverFallBackToTheNetwork) {
  const std::vector<Sender> senders = {with_network("crm", "10.1.0.0/16"),
                                       with_basic("billing", kBilling)};
  EXPECT_EQ(identify(senders, "10.1.0.1"), "crm");
  for (const std::string& wrong : std::vector<std::string>{
           "Basic YmlsbGluZzpndWVzcw==", "Basic", "", "Basic ", "Bearer " + std::string(kBilling),
           "Digest username=billing", "Basic " + std::string(kBilling) + "x", "garbage"}) {
    EXPECT_EQ(identify(senders, "10.1.0.1", wrong), "credentials_wrong") << wrong;
  }
  EXPECT_EQ(identify({with_network("crm", "10.1.0.0/16")}, "10.1.0.1", "Basic eDp5"),
            "credentials_wrong");
}

TEST(Senders, CredentialsAreAskedForOnlyWhereTheyWouldHelp) {
  Sender inside = with_basic("billing", kBilling);
  inside.networks = {*Prefix::parse("10.0.0.0/8")};
  EXPECT_EQ(identify({inside}, "10.0.0.1"), "credentials_missing");
  EXPECT_EQ(identify({inside}, "192.0.2.1"), "sender_unknown");
  EXPECT_EQ(identify({with_network("crm", "10.1.0.0/16")}, "192.0.2.1"), "sender_unknown");
}

TEST(Senders, RightCredentialsFromTheWrongPlaceLookLikeWrongOnes) {
  Sender inside = with_basic("billing", kBilling);
  inside.networks = {*Prefix::parse("10.0.0.0/8")};
  EXPECT_EQ(identify({inside}, "192.0.2.1", "Basic " + std::string(kBilling)), "credentials_wrong");
  EXPECT_EQ(identify({inside}, "192.0.2.1", "Basic eDp5"), "credentials_wrong");
  EXPECT_EQ(identify({inside}, nullptr, "Basic " + std::string(kBilling)), "credentials_wrong");
}

TEST(Senders, ASenderWithoutASecretIsNobody) {
  EXPECT_EQ(identify({with_basic("empty", "")}, "10.0.0.1", "Basic "), "credentials_wrong");
}

TEST(Senders, EveryStatedKindMustHold) {
  Sender sender = with_basic("billing", kBilling);
  sender.networks = {*Prefix::parse("10.0.0.0/8"), *Prefix::parse("fd00::/8")};
  sender.listeners = {"unix:/run/egret.sock", "127.0.0.1:4750"};
  const std::string right = "Basic " + std::string(kBilling);
  EXPECT_EQ(identify({sender}, "10.0.0.1", right), "billing");
  EXPECT_EQ(identify({sender}, "fd00::1", right), "billing");
  EXPECT_EQ(identify({sender}, "10.0.0.1", right, "127.0.0.1:4760"), "credentials_wrong");
  EXPECT_EQ(identify({sender}, "11.0.0.1", right), "credentials_wrong");
}

TEST(Senders, ACertificateHasOneOfTheNamesExactly) {
  Sender sender;
  sender.name = "billing";
  sender.certificates = {"spiffe://corp/billing", "billing.corp.test"};
  const auto with = [&](std::vector<std::string> names) {
    const Senders all({sender});
    const auto found = all.identify({.address = Address::parse("10.0.0.1"),
                                     .listener = "127.0.0.1:4750",
                                     .certificate_names = names});
    return found ? (*found)->name : std::string(name(found.error().reason));
  };
  EXPECT_EQ(with({}), "sender_unknown");
  EXPECT_EQ(with({""}), "sender_unknown");
  EXPECT_EQ(with({"spiffe://corp/billing2"}), "sender_unknown");
  EXPECT_EQ(with({"spiffe://corp/Billing"}), "sender_unknown");
  EXPECT_EQ(with({"*.corp.test", "corp.test"}), "sender_unknown");
  EXPECT_EQ(with({"other", "billing.corp.test"}), "billing");
  EXPECT_EQ(with({"spiffe://corp/billing"}), "billing");
}

TEST(Senders, ACertificateIsOneKindAmongTheOthers) {
  Sender sender = with_basic("billing", kBilling);
  sender.certificates = {"billing"};
  sender.networks = {*Prefix::parse("10.0.0.0/8")};
  const Senders all({sender, with_network("crm", "10.0.0.0/8")});
  const std::vector<std::string> right = {"billing"};
  const std::vector<std::string> wrong = {"crm"};
  const auto who = [&](const char* address, std::span<const std::string> names, bool credentials) {
    Caller caller{.address = Address::parse(address), .listener = "", .certificate_names = names};
    const std::string header = "Basic " + std::string(kBilling);
    if (credentials) caller.proxy_authorization = header;
    const auto found = all.identify(caller);
    return found ? (*found)->name : std::string(name(found.error().reason));
  };
  EXPECT_EQ(who("10.0.0.1", right, true), "billing");
  EXPECT_EQ(who("::ffff:10.0.0.1", right, true), "billing");
  EXPECT_EQ(who("10.0.0.1", wrong, true), "credentials_wrong");
  EXPECT_EQ(who("10.0.0.1", {}, true), "credentials_wrong");
  EXPECT_EQ(who("10.0.0.1", right, false), "crm");
  EXPECT_EQ(who("192.0.2.1", right, false), "sender_unknown");
}

TEST(Senders, ARefusalNamesTheCertificateHarmlessly) {
  const std::vector<std::string> names = {"evil\nname", "second"};
  const auto refused = Senders({with_network("crm", "10.0.0.0/8")})
                           .identify({.address = Address::parse("192.0.2.1"),
                                      .listener = "127.0.0.1:4750",
                                      .certificate_names = names});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, HasSubstr("with a certificate for evil\\x0aname; add"));
}

TEST(Senders, AUnixSocketIsKnownByItsListener) {
  Sender sidecar;
  sidecar.name = "sidecar";
  sidecar.listeners = {"unix:/run/egret.sock"};
  EXPECT_EQ(identify({sidecar}, nullptr, std::nullopt, "unix:/run/egret.sock"), "sidecar");
  EXPECT_EQ(identify({sidecar}, nullptr, std::nullopt, "unix:/run/other.sock"), "sender_unknown");
}

TEST(Senders, ThePeerOfADualStackListenerIsJudgedByItsIpv4) {
  EXPECT_EQ(identify({with_network("crm", "10.1.0.0/16")}, "::ffff:10.1.0.1"), "crm");
  EXPECT_EQ(identify({with_network("crm", "10.1.0.0/16")}, "::10.1.0.1"), "sender_unknown");
}

TEST(Senders, TheFirstThatHoldsIsTaken) {
  const std::string token = "Bearer tok-2";
  Sender bearer;
  bearer.name = "bearer";
  bearer.scheme = Sender::Scheme::bearer;
  bearer.credentials = Secret("tok-2");
  const std::vector<Sender> senders = {with_basic("billing", kBilling), bearer,
                                       with_network("any", "0.0.0.0/0")};
  EXPECT_EQ(identify(senders, "8.8.8.8", token), "bearer");
  EXPECT_EQ(identify(senders, "8.8.8.8", "bearer   tok-2 "), "bearer");
  EXPECT_EQ(identify(senders, "8.8.8.8", "BASIC " + std::string(kBilling)), "billing");
  EXPECT_EQ(identify(senders, "8.8.8.8"), "any");
}

TEST(Senders, WithoutSendersAnyoneMaySend) {
  EXPECT_EQ(identify({}, "8.8.8.8"), "anyone");
  EXPECT_EQ(identify({}, nullptr, "Basic eDp5"), "anyone");
}

TEST(Senders, ARefusalNeverHoldsTheCredentials) {
  const Senders senders({with_basic("billing", kBilling)});
  const auto refused =
      senders.identify({Address::parse("10.0.0.1"), "127.0.0.1:4750", "Basic c2VjcmV0OnRyeQ=="});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().detail.find("c2VjcmV0"), std::string::npos);
  EXPECT_THAT(refused.error().detail, HasSubstr("10.0.0.1"));
}

}  // namespace
}  // namespace egret::policy
