// Which addresses a parent proxy may have.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "policy/judge.h"

namespace egret::policy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Judge judge_with(std::vector<Endpoint> own) {
  Rule defaults;
  defaults.name = "defaults";
  defaults.addresses.deny = {*Prefix::parse("0.0.0.0/0"), *Prefix::parse("::/0")};
  return {Mode::enforce, defaults, {}, {.nat64_prefixes = {}, .own_listeners = std::move(own)}};
}

Result<PermittedAddresses> permit(const Judge& judge, std::initializer_list<const char*> texts,
                                  uint16_t port = 3128) {
  Via via;
  via.host.text = "parent.internal";
  via.port = port;
  std::vector<Address> candidates;
  for (const char* text : texts) candidates.push_back(Address::parse(text).value());
  return judge.permit_parent(via, candidates);
}

std::vector<std::string> endpoints(const Result<PermittedAddresses>& result) {
  std::vector<std::string> out;
  if (!result) return out;
  for (const PermittedAddress& each : *result) out.push_back(each.endpoint().to_string());
  return out;
}

TEST(PermitParent, RefusesANameWithoutAnAddress) {
  const auto result = permit(judge_with({}), {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().reason, Reason::name_has_no_address);
  EXPECT_EQ(result.error().detail, "The parent proxy parent.internal has no address.");
}

TEST(PermitParent, RefusesEgretsOwnListenerInEveryForm) {
  const Judge judge =
      judge_with({{*Address::parse("127.0.0.1"), 3128}, {*Address::parse("10.0.0.5"), 3128}});
  for (const char* address : {"127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "10.0.0.5",
                              "::ffff:10.0.0.5", "64:ff9b::10.0.0.5", "::ffff:127.0.0.1"}) {
    SCOPED_TRACE(address);
    const auto result = permit(judge, {"192.0.2.1", address});
    ASSERT_FALSE(result) << "one that loops is one too many";
    EXPECT_EQ(result.error().reason, Reason::address_prohibited);
  }
  EXPECT_EQ(permit(judge, {"10.0.0.5"}).error().detail,
            "The parent proxy parent.internal is 10.0.0.5:3128, Egret's own listener.");
  EXPECT_THAT(endpoints(permit(judge, {"10.0.0.5"}, 3129)), ElementsAre("10.0.0.5:3129"));
}

TEST(PermitParent, AsksNeitherRegistriesNorRules) {
  EXPECT_THAT(endpoints(permit(judge_with({}), {"10.0.0.1", "fd00::1", "127.0.0.1", "10.0.0.1"})),
              ElementsAre("10.0.0.1:3128", "[fd00::1]:3128", "127.0.0.1:3128"))
      << "in order, each once";
  EXPECT_THAT(endpoints(permit(judge_with({}), {})), IsEmpty());
}

}  // namespace
}  // namespace egret::policy
