#include "base/text.h"

#include <gtest/gtest.h>

#include <string>

namespace egret::text {
namespace {

// Eight bytes are compared at once: every pair of bytes, at every place, in every length around
// that.
TEST(EqualsIgnoreCase, IsTheSameForEveryByteAtEveryPlace) {
  for (size_t size = 1; size <= 17; ++size) {
    for (size_t at = 0; at < size; ++at) {
      std::string a(size, 'k');
      std::string b(size, 'K');
      for (int one = 0; one < 256; ++one) {
        for (const int other : {one, one ^ 0x20, one ^ 0x80, (one + 1) & 255}) {
          a[at] = static_cast<char>(one);
          b[at] = static_cast<char>(other);
          EXPECT_EQ(equals_ignore_case(a, b), lower(a[at]) == lower(b[at]))
              << size << " " << at << " " << one << " " << other;
        }
      }
    }
  }
}

TEST(EqualsIgnoreCase, NeedsTheSameLength) {
  EXPECT_TRUE(equals_ignore_case("", ""));
  EXPECT_FALSE(equals_ignore_case("content-length", "content-lengt"));
  EXPECT_FALSE(equals_ignore_case("", "a"));
}

TEST(Trim, TakesSpacesAndTabsAtBothEnds) {
  struct Case {
    std::string_view text;
    std::string_view trimmed;
  };
  const Case cases[] = {
      {"", ""},    {" \t ", ""}, {"a", "a"},     {"\t a b \t", "a b"},
      {" a", "a"}, {"a\t", "a"}, {"\na", "\na"},
  };
  for (const Case& each : cases) EXPECT_EQ(trim(each.text), each.trimmed);
}

TEST(Text, WritesNumbersBehindWhatIsThere) {
  std::string out = "n=";
  append_decimal(out, 0);
  append_decimal(out, 18'446'744'073'709'551'615U);
  EXPECT_EQ(out, "n=018446744073709551615");
}

}  // namespace
}  // namespace egret::text
