#include "policy/address_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "policy/inside_address.h"

namespace egret::policy {
namespace {

using testing::HasSubstr;

std::vector<Prefix> prefixes(const std::vector<std::string>& texts) {
  std::vector<Prefix> out;
  for (const auto& text : texts) {
    const auto prefix = Prefix::parse(text);
    EXPECT_TRUE(prefix) << text;
    if (prefix) out.push_back(*prefix);
  }
  return out;
}

struct Setting {
  std::vector<std::string> allow = {};
  std::vector<std::string> deny = {};
  std::vector<std::string> nat64 = {};
  std::vector<Endpoint> own = {};
};

Classification judge(const std::string& address, const Setting& setting = {}, uint16_t port = 443) {
  const AddressPolicy policy{prefixes(setting.allow), prefixes(setting.deny), Mixed::deny};
  const AddressContext context{prefixes(setting.nat64), setting.own};
  const Endpoint endpoint{Address::parse(address).value(), port};
  const auto found = classify(endpoint, policy, context);
  EXPECT_EQ(found.permitted, is_permitted(endpoint, policy, context)) << address;
  return found;
}

bool permitted(const std::string& address, const Setting& setting = {}) {
  return judge(address, setting).permitted;
}

// --- the table against the registries it was made from -------------------------------------

// RFC 4180 records: quoted fields may hold commas, line breaks and doubled quotes.
std::vector<std::vector<std::string>> read_csv(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::vector<std::string>> rows(1, std::vector<std::string>(1));
  bool quoted = false;
  for (char c = 0; file.get(c);) {
    std::string& field = rows.back().back();
    if (c == '"') {
      if (quoted && file.peek() == '"') {
        field += static_cast<char>(file.get());
      } else {
        quoted = !quoted;
      }
    } else if (c == ',' && !quoted) {
      rows.back().emplace_back();
    } else if (c == '\n' && !quoted) {
      rows.emplace_back(1);
    } else if (c != '\r') {
      field += c;
    }
  }
  if (rows.back().size() < 2) rows.pop_back();
  return rows;
}

// Without footnote marks "[1]" and surrounding space; runs of space become one.
std::string tidy(std::string text) {
  const auto note = text.find(" [");
  if (note != std::string::npos && note + 3 < text.size() && text[note + 3] == ']') {
    text.resize(note);
  }
  std::istringstream words(text);
  std::string out;
  for (std::string word; words >> word;) out += (out.empty() ? "" : " ") + word;
  return out;
}

Effect effect_of(const std::string& block, const std::string& globally_reachable) {
  // Sockets take IPv4-mapped for the IPv4 inside; NAT64 is reachable if the IPv4 inside is.
  if (block == "::ffff:0:0/96" || block == "64:ff9b::/96") return Effect::inside;
  return globally_reachable == "True" ? Effect::permit : Effect::deny;
}

void compare_with(const std::string& file, std::string_view registry) {
  const auto rows = read_csv(std::string(EGRET_TEST_DATA) + "/iana/" + file);
  ASSERT_GT(rows.size(), 20U);
  ASSERT_EQ(rows[0][8], "Globally Reachable");
  size_t blocks = 0;
  for (size_t i = 1; i < rows.size(); ++i) {
    ASSERT_EQ(rows[i].size(), 10U) << rows[i][0];
    std::istringstream list(rows[i][0]);
    for (std::string block; std::getline(list, block, ',');) {
      block = tidy(block);
      ++blocks;
      const auto entries = builtin_entries();
      const auto* entry =
          std::find_if(entries.data(), entries.data() + entries.size(),
                       [&](const auto& e) { return e.prefix == block && e.registry == registry; });
      ASSERT_NE(entry, entries.data() + entries.size()) << block << " is missing";
      EXPECT_EQ(entry->name, tidy(rows[i][1])) << block;
      EXPECT_EQ(entry->reference, tidy(rows[i][2])) << block;
      EXPECT_EQ(entry->effect, effect_of(block, tidy(rows[i][8]))) << block;
    }
  }
  const auto ours = std::count_if(builtin_entries().begin(), builtin_entries().end(),
                                  [&](const auto& e) { return e.registry == registry; });
  EXPECT_EQ(static_cast<size_t>(ours), blocks) << "an entry that the registry does not have";
}

TEST(AddressRegistry, AgreesWithIanaIpv4RowByRow) {
  compare_with("iana-ipv4-special-registry-1.csv", "IANA IPv4 special-purpose");
}

TEST(AddressRegistry, AgreesWithIanaIpv6RowByRow) {
  compare_with("iana-ipv6-special-registry-1.csv", "IANA IPv6 special-purpose");
}

TEST(AddressRegistry, EveryEntryParsesAndStandsOnce) {
  std::vector<std::string> seen;
  for (const auto& entry : builtin_entries()) {
    const auto prefix = Prefix::parse(entry.prefix);
    ASSERT_TRUE(prefix) << entry.prefix;
    EXPECT_EQ(std::count(seen.begin(), seen.end(), entry.prefix), 0) << entry.prefix;
    seen.emplace_back(entry.prefix);
  }
}

TEST(AddressRegistry, JudgesTheEdgesOfEveryEntryByThatEntryOrALongerOne) {
  for (const auto& entry : builtin_entries()) {
    const auto prefix = *Prefix::parse(entry.prefix);
    auto bytes = prefix.base.bytes();
    const size_t bits = prefix.base.is_v4() ? 32 : 128;
    for (size_t bit = prefix.length; bit < bits; ++bit) {
      bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] | 0x80 >> bit % 8);
    }
    const auto last = prefix.base.is_v4() ? Address::v4({bytes[0], bytes[1], bytes[2], bytes[3]})
                                          : Address::v6(bytes);
    for (const auto& edge : {prefix.base, last}) {
      const auto found = judge(edge.to_string());
      if (entry.effect == Effect::deny && found.inside.empty()) {
        EXPECT_TRUE(!found.permitted || found.entry != entry.prefix) << edge.to_string();
      }
      if (!found.entry.empty() && found.inside.empty()) {
        EXPECT_GE(Prefix::parse(found.entry)->length, prefix.length) << edge.to_string();
      }
    }
  }
}

// --- operators' entries ----------------------------------------------------------------------

TEST(AddressPolicy, LongestPrefixWins) {
  const Setting setting{.allow = {"10.0.0.0/8", "10.1.2.0/24"}, .deny = {"10.1.0.0/16"}};
  EXPECT_TRUE(permitted("10.0.0.1", setting));
  EXPECT_FALSE(permitted("10.1.0.1", setting));
  EXPECT_TRUE(permitted("10.1.2.1", setting));
  EXPECT_EQ(judge("10.1.0.1", setting).entry, "10.1.0.0/16");
  EXPECT_EQ(judge("10.1.0.1", setting).source, "addresses.deny");
}

TEST(AddressPolicy, DenyWinsATie) {
  EXPECT_FALSE(permitted("10.0.0.1", {.allow = {"10.0.0.0/8"}, .deny = {"10.0.0.0/8"}}));
  EXPECT_FALSE(permitted("8.8.8.8", {.allow = {"8.8.8.8"}, .deny = {"8.8.8.8/32"}}));
}

TEST(AddressPolicy, AnEntryAsLongAsTheBuiltInOneReplacesIt) {
  EXPECT_TRUE(permitted("10.0.0.1", {.allow = {"10.0.0.0/8"}}));
  EXPECT_TRUE(permitted("::1", {.allow = {"::1"}}));
  EXPECT_TRUE(permitted("127.0.0.1", {.allow = {"127.0.0.1/32"}}));
  EXPECT_FALSE(permitted("127.0.0.2", {.allow = {"127.0.0.1/32"}}));
}

TEST(AddressPolicy, AShorterAllowNeverOpensABuiltInRange) {
  const Setting everything{.allow = {"0.0.0.0/0", "::/0"}};
  for (const char* address : {"10.0.0.1", "127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1",
                              "::1", "fc00::1", "fe80::1", "::ffff:10.0.0.1", "ff02::1"}) {
    EXPECT_FALSE(permitted(address, everything)) << address;
  }
}

TEST(AddressPolicy, DenyOfEverythingMeansEverything) {
  const Setting only_one{.allow = {"8.8.8.8"}, .deny = {"0.0.0.0/0", "::/0"}};
  EXPECT_TRUE(permitted("8.8.8.8", only_one));
  for (const char* address : {"8.8.4.4", "192.0.0.9", "2606:4700:4700::1111", "2001:4:112::1",
                              "64:ff9b::808:808", "::ffff:8.8.8.8"}) {
    EXPECT_FALSE(permitted(address, only_one)) << address;
  }
}

TEST(AddressPolicy, CloudMetadataYieldsOnlyToItsExactAddress) {
  EXPECT_FALSE(permitted("169.254.169.254", {.allow = {"169.254.0.0/16", "169.254.169.252/30"}}));
  EXPECT_TRUE(permitted("169.254.0.1", {.allow = {"169.254.0.0/16"}}));
  EXPECT_TRUE(permitted("169.254.169.254", {.allow = {"169.254.169.254"}}));
  EXPECT_FALSE(permitted("168.63.129.16", {.allow = {"168.63.129.0/24"}}));
  EXPECT_FALSE(permitted("100.100.100.200", {.allow = {"100.64.0.0/10"}}));
  EXPECT_FALSE(permitted("fd00:ec2::254", {.allow = {"fd00::/8", "fd00:ec2::/64"}}));
  EXPECT_TRUE(permitted("fd00:ec2::254", {.allow = {"fd00:ec2::254"}}));
  EXPECT_THAT(judge("169.254.169.254").source, HasSubstr("cloud-metadata"));
}

// --- IPv4 inside IPv6 --------------------------------------------------------------------------

TEST(InsideAddress, DecidesForMappedAndNat64) {
  for (const char* public_one : {"::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2600:abcd::5efe:808:808"}) {
    EXPECT_TRUE(permitted(public_one)) << public_one;
    EXPECT_FALSE(permitted(public_one, {.deny = {"8.8.8.0/24"}})) << public_one;
  }
  const auto mapped = judge("::ffff:10.0.0.1");
  EXPECT_FALSE(mapped.permitted);
  EXPECT_EQ(mapped.inside, "10.0.0.1 (IPv4-mapped)");
  EXPECT_EQ(mapped.entry, "10.0.0.0/8");
  EXPECT_EQ(mapped.source, "Private-Use [RFC1918] (IANA IPv4 special-purpose)");
  EXPECT_EQ(judge("64:ff9b::a9fe:a9fe").inside, "169.254.169.254 (NAT64)");
}

TEST(InsideAddress, OuterFormsThatAreDeniedStayDeniedForPublicIpv4) {
  for (const char* address :
       {"::8.8.8.8", "::ffff:0:8.8.8.8", "2002:808:808::1", "2001:0:808:808::f7f7:f7f7",
        "64:ff9b:1::808:808", "fe80::5efe:808:808"}) {
    EXPECT_FALSE(permitted(address)) << address;
  }
}

TEST(InsideAddress, AllowOfTheIpv4OpensTheFormsThatLeadToTheSameHost) {
  const Setting setting{.allow = {"10.0.0.0/8"}};
  EXPECT_TRUE(permitted("::ffff:10.0.0.1", setting));
  EXPECT_TRUE(permitted("64:ff9b::10.0.0.1", setting));
  EXPECT_TRUE(permitted("2600:abcd::5efe:a00:1", setting));
  EXPECT_FALSE(permitted("::10.0.0.1", setting));
  EXPECT_FALSE(permitted("2002:a00:1::1", setting));
  EXPECT_EQ(judge("::ffff:10.0.0.1", setting).source, "addresses.allow");
}

TEST(InsideAddress, AllowOfTheOuterFormNeverOpensThePrivateIpv4Inside) {
  EXPECT_FALSE(permitted("::ffff:10.0.0.1", {.allow = {"::ffff:10.0.0.1"}}));
  EXPECT_FALSE(permitted("64:ff9b::10.0.0.1", {.allow = {"64:ff9b::/96"}}));
  EXPECT_FALSE(permitted("2002:7f00:1::1", {.allow = {"2002::/16"}}));
  EXPECT_FALSE(permitted("fd00::5efe:7f00:1", {.allow = {"fd00::/8"}}));
  EXPECT_TRUE(permitted("2002:808:808::1", {.allow = {"2002::/16"}}));
}

TEST(InsideAddress, TeredoIsJudgedByServerAndClient) {
  const Setting teredo{.allow = {"2001::/32"}};
  EXPECT_TRUE(permitted("2001:0:808:808:0:0:f7f7:f7f7", teredo));
  EXPECT_EQ(judge("2001:0:a00:1::f7f7:f7f7", teredo).inside, "10.0.0.1 (Teredo server)");
  EXPECT_EQ(judge("2001:0:808:808::f5ff:fffe", teredo).inside, "10.0.0.1 (Teredo client)");
}

TEST(InsideAddress, IsatapIsSeenUnderAnyPrefix) {
  for (const char* address :
       {"2600:abcd::5efe:7f00:1", "2600:abcd::200:5efe:a00:1", "2a00:1:2:3:0:5efe:c0a8:1"}) {
    EXPECT_FALSE(permitted(address)) << address;
    EXPECT_THAT(judge(address).inside, HasSubstr("ISATAP")) << address;
  }
  EXPECT_TRUE(permitted("2600:abcd::100:5efe:7f00:1"));  // no ISATAP identifier
}

// RFC 6052 2.4 gives 192.0.2.33 under 2001:db8:100::/40 and so on; here with a private address
// and a public one.
TEST(InsideAddress, Nat64IsDecodedInEveryRfc6052Length) {
  const struct {
    const char* prefix;
    const char* with_10_1_2_33;
    const char* with_8_8_8_8;
  } cases[] = {
      {"2001:db8::/32", "2001:db8:a01:221::", "2001:db8:808:808::"},
      {"2001:db8:100::/40", "2001:db8:10a:102:21::", "2001:db8:108:808:8::"},
      {"2001:db8:122::/48", "2001:db8:122:a01:2:2100::", "2001:db8:122:808:8:800::"},
      {"2001:db8:122:300::/56", "2001:db8:122:30a:1:221::", "2001:db8:122:308:8:808::"},
      {"2001:db8:122:344::/64", "2001:db8:122:344:a:102:2100::", "2001:db8:122:344:8:808:800::"},
      {"2001:db8:122:344::/96", "2001:db8:122:344::a01:221", "2001:db8:122:344::808:808"},
  };
  for (const auto& c : cases) {
    const Setting setting{.nat64 = {c.prefix}};
    const auto found = judge(c.with_10_1_2_33, setting);
    EXPECT_FALSE(found.permitted) << c.prefix;
    EXPECT_EQ(found.inside, "10.1.2.33 (NAT64)") << c.prefix;
    EXPECT_TRUE(permitted(c.with_8_8_8_8, setting)) << c.prefix;
    EXPECT_FALSE(permitted(c.with_8_8_8_8)) << "documentation space unless configured";
  }
}

TEST(InsideAddress, Nat64WithItsReservedOctetSetIsDenied) {
  const Setting setting{.nat64 = {"2001:db8:122::/48"}};
  EXPECT_TRUE(permitted("2001:db8:122:808:8:800::", setting));
  const auto found = judge("2001:db8:122:808:108:800::", setting);
  EXPECT_FALSE(found.permitted);
  EXPECT_THAT(found.source, HasSubstr("reserved octet"));
}

TEST(InsideAddress, LocalUseNat64IsOpenedByNamingItsPrefixOnly) {
  EXPECT_FALSE(permitted("64:ff9b:1::808:808", {.allow = {"64:ff9b:1::/48"}}));
  EXPECT_TRUE(permitted("64:ff9b:1::808:808", {.nat64 = {"64:ff9b:1::/96"}}));
  EXPECT_FALSE(permitted("64:ff9b:1::a00:1", {.nat64 = {"64:ff9b:1::/96"}}));
  EXPECT_FALSE(permitted("64:ff9b:1:1::808:808", {.nat64 = {"64:ff9b:1::/96"}}));
  EXPECT_TRUE(permitted("64:ff9b:1:808:8:800::", {.nat64 = {"64:ff9b:1::/48"}}));
  EXPECT_THAT(judge("64:ff9b:1::808:808").remedy, HasSubstr("resolver.nat64_prefixes"));
}

TEST(InsideAddress, LoopbackAndUnspecifiedCarryNothing) {
  EXPECT_TRUE(addresses_inside(*Address::parse("::1"), {}).empty());
  EXPECT_TRUE(addresses_inside(*Address::parse("::"), {}).empty());
  EXPECT_EQ(addresses_inside(*Address::parse("::2"), {}).size(), 1U);
  EXPECT_TRUE(addresses_inside(*Address::parse("10.0.0.1"), {}).empty());
}

// --- Egret's own listeners -----------------------------------------------------------------------

TEST(OwnListener, IsDeniedWhateverAllowSays) {
  Setting setting{
      .allow = {"127.0.0.0/8", "::1", "0.0.0.0", "::", "10.0.0.0/8"},
      .nat64 = {"64:ff9b::/96"},
      .own = {{*Address::parse("127.0.0.1"), 4750}, {*Address::parse("10.0.0.5"), 4750}}};
  for (const char* address :
       {"127.0.0.1", "127.0.0.2", "::1", "0.0.0.0", "::", "10.0.0.5", "::ffff:127.0.0.1",
        "::ffff:10.0.0.5", "64:ff9b::10.0.0.5", "64:ff9b::127.0.0.1"}) {
    EXPECT_FALSE(judge(address, setting, 4750).permitted) << address;
  }
  EXPECT_EQ(judge("10.0.0.5", setting, 4750).source, "Egret's own listener");
  EXPECT_EQ(judge("10.0.0.5", setting, 4750).remedy, "");
  EXPECT_TRUE(judge("127.0.0.1", setting, 80).permitted);
  EXPECT_TRUE(judge("10.0.0.6", setting, 4750).permitted);
}

TEST(OwnListener, OnAPublicAddressIsDeniedToo) {
  const Setting setting{.own = {{*Address::parse("8.8.8.8"), 4750}}};
  EXPECT_FALSE(judge("8.8.8.8", setting, 4750).permitted);
  EXPECT_FALSE(judge("::ffff:8.8.8.8", setting, 4750).permitted);
  EXPECT_TRUE(judge("8.8.8.8", setting, 443).permitted);
}

}  // namespace
}  // namespace egret::policy
