#include "policy/address.h"

#include <gtest/gtest.h>

namespace egret::policy {
namespace {

TEST(Address, RefusesEveryLooseSpelling) {
  for (const char* text : {"",
                           "127.1",
                           "0x7f000001",
                           "2130706433",
                           "010.0.0.1",
                           "1.2.3.04",
                           "1.2.3.256",
                           "1.2.3",
                           "1.2.3.4.5",
                           "1.2.3.4.",
                           ".1.2.3.4",
                           "1..2.3",
                           "1.2.3.4 ",
                           " 1.2.3.4",
                           "1.2.3.+4",
                           "1.2.3.0004",
                           "0x1.2.3.4",
                           "1.2.3.4/32",
                           "[::1]",
                           "::1%lo",
                           ":",
                           ":::",
                           "::1::",
                           "1::2::3",
                           "1:2:3:4:5:6:7",
                           "12345::",
                           "g::",
                           "1:2:3:4:5:6:7:8:9",
                           "1:2:3:4:5:6:7:8::",
                           "::1:2:3:4:5:6:7:8",
                           "1:2:3:4::5:6:7:8",
                           "::1.2.3",
                           "::1.2.3.4.5",
                           "::1.2.3.256",
                           "::01.2.3.4",
                           "1.2.3.4::",
                           "::1.2.3.4:5",
                           "1:2:3:4:5:6:7:1.2.3.4",
                           "1:",
                           ":1",
                           "::ffff:",
                           "1:2:3:4:5:6:7:",
                           "fe80::1%25eth0",
                           "::-1",
                           "::1\n"}) {
    EXPECT_FALSE(Address::parse(text)) << text;
  }
  EXPECT_FALSE(Address::parse(std::string_view("1.2.3.4\0", 8)));
}

TEST(Address, WritesRfc5952) {
  const struct {
    const char* written;
    const char* canonical;
  } cases[] = {
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"::", "::"},
      {"0:0:0:0:0:0:0:0", "::"},
      {"0:0::0:01", "::1"},
      {"1::", "1::"},
      {"2001:DB8::0A:0b", "2001:db8::a:b"},
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},     // the first of equal runs
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},           // the longest run
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},  // one group is not shortened
      {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
      {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
      {"::ffff:7f00:1", "::ffff:127.0.0.1"},
      {"::FFFF:127.0.0.1", "::ffff:127.0.0.1"},
      {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
      {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
  };
  for (const auto& c : cases) {
    const auto address = Address::parse(c.written);
    ASSERT_TRUE(address) << c.written;
    EXPECT_EQ(address->to_string(), c.canonical);
    EXPECT_EQ(Address::parse(c.canonical), address);
  }
}

TEST(Prefix, RefusesHostBitsAndLooseLengths) {
  for (const char* text :
       {"10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/-1", "10.0.0.0/8/8",
        "10/8", "::1/127", "2001:db8::/129", "/8", "::/+1", "example.com/8", "10.0.0.0/ 8"}) {
    EXPECT_FALSE(Prefix::parse(text)) << text;
  }
}

TEST(Prefix, ContainsItsOwnFamilyOnly) {
  const auto prefix = Prefix::parse("172.16.0.0/12");
  ASSERT_TRUE(prefix);
  EXPECT_TRUE(prefix->contains(*Address::parse("172.31.255.255")));
  EXPECT_FALSE(prefix->contains(*Address::parse("172.32.0.0")));
  EXPECT_FALSE(prefix->contains(*Address::parse("172.15.255.255")));
  EXPECT_FALSE(prefix->contains(*Address::parse("ac10::")));
  EXPECT_TRUE(Prefix::parse("0.0.0.0/0")->contains(*Address::parse("8.8.8.8")));
  EXPECT_FALSE(Prefix::parse("0.0.0.0/0")->contains(*Address::parse("::")));
  EXPECT_TRUE(Prefix::parse("fe80::/10")->contains(*Address::parse("febf::1")));
  EXPECT_FALSE(Prefix::parse("fe80::/10")->contains(*Address::parse("fec0::1")));
}

// One bit changed: inside when it is behind the prefix, outside when it is within.
TEST(Prefix, ContainsWhatDiffersOnlyBehindItsLength) {
  for (const std::string_view text : {"203.0.113.77", "2001:db8:89ab:cdef:123:4567:89ab:cdef"}) {
    const Address address = *Address::parse(text);
    const unsigned bits = address.is_v4() ? 32 : 128;
    for (unsigned length = 0; length <= bits; ++length) {
      auto base = address.bytes();
      for (unsigned bit = length; bit < bits; ++bit)
        base[bit / 8] &= static_cast<uint8_t>(~(0x80U >> bit % 8));
      const Prefix prefix{
          address.is_v4() ? Address::v4({base[0], base[1], base[2], base[3]}) : Address::v6(base),
          static_cast<uint8_t>(length)};
      EXPECT_TRUE(prefix.contains(address)) << prefix.to_string();
      for (unsigned bit = 0; bit < bits; ++bit) {
        auto bytes = address.bytes();
        bytes[bit / 8] ^= static_cast<uint8_t>(0x80U >> bit % 8);
        const Address other = address.is_v4()
                                  ? Address::v4({bytes[0], bytes[1], bytes[2], bytes[3]})
                                  : Address::v6(bytes);
        EXPECT_EQ(prefix.contains(other), bit >= length) << prefix.to_string() << " " << bit;
      }
    }
  }
}

TEST(Prefix, IsWrittenWithItsLength) {
  EXPECT_EQ(Prefix::parse("::1")->to_string(), "::1/128");
  EXPECT_TRUE(Prefix::parse("::1")->is_single());
  EXPECT_EQ(Prefix::parse("10.0.0.0/8")->to_string(), "10.0.0.0/8");
  EXPECT_FALSE(Prefix::parse("10.0.0.0/8")->is_single());
}

TEST(Endpoint, PutsIpv6InBrackets) {
  EXPECT_EQ((Endpoint{*Address::parse("192.0.2.1"), 80}.to_string()), "192.0.2.1:80");
  EXPECT_EQ((Endpoint{*Address::parse("2001:db8::1"), 80}.to_string()), "[2001:db8::1]:80");
}

}  // namespace
}  // namespace egret::policy
