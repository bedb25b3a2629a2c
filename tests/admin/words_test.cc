#include "proxy/admin/words.h"

#include <gtest/gtest.h>

#include "proxy/admin/filter.h"

namespace egret::admin {
namespace {

TEST(Times, AreReadOrRefused) {
  for (const char* good : {"1970-01-01T00:00:00Z", "2026-02-28T23:59:59Z", "2024-02-29T00:00:00Z",
                           "2200-12-31T23:59:59.999Z"}) {
    const std::optional<WallTime> time = parse_rfc3339(good);
    ASSERT_TRUE(time) << good;
    EXPECT_EQ(to_rfc3339(*time).substr(0, 19), std::string(good).substr(0, 19));
  }
  // The last four would not be the time that they say, or overflow.
  for (const char* bad : {"", "yesterday", "2026-12-31", "2026-12-31T23:59:59",
                          "2026-12-31T23:59:59+01:00", "2026-13-01T00:00:00Z",
                          "2026-02-30T00:00:00Z", "2026-12-31T23:59:59.x", "0000-01-01T00:00:00Z",
                          "1969-12-31T23:59:59Z", "2201-01-01T00:00:00Z", "9999-12-31T00:00:00Z"}) {
    EXPECT_FALSE(parse_rfc3339(bad)) << bad;
  }
}

TEST(Hosts, AreCanonicalAndAlone) {
  const std::pair<const char*, const char*> all[] = {
      {"hooks.example", "hooks.example"},
      {"Hooks.Example.", "hooks.example"},
      {"b\xc3\xbc"
       "cher.example",
       "xn--bcher-kva.example"},
      {"127.0.0.1", "127.0.0.1"},
      {"2001:DB8::1", "2001:db8::1"},
      {"[2001:db8::1]", "2001:db8::1"},
  };
  for (const auto& [written, wanted] : all) {
    const Result<std::string> host = parse_host_name(written);
    ASSERT_TRUE(host) << written << host.error().detail;
    EXPECT_EQ(*host, wanted);
  }
  const std::pair<const char*, const char*> more[] = {
      {"127.0.0.1:19000", "without a port: 127.0.0.1"},
      {"hooks.example:443", "without a port: hooks.example"},
      {"b\xc3\xbc"
       "cher.example:443",
       "without a port: xn--bcher-kva.example"},
      {"[2001:db8::1]:443", "without a port: 2001:db8::1"},
      {"https://hooks.example/a", "without a port: hooks.example"},
      {"not a host", "host: "},
      {"", "host: "},
  };
  for (const auto& [written, wanted] : more) {
    const Result<std::string> host = parse_host_name(written);
    ASSERT_FALSE(host) << written;
    EXPECT_NE(host.error().detail.find(wanted), std::string::npos) << host.error().detail;
  }
}

TEST(Filter, IsReadOrRefused) {
  const Result<queue::Filter> filter =
      parse_filter("status=dead&host=Hooks.Example&sender=a%20b&limit=7&cursor=9");
  ASSERT_TRUE(filter);
  EXPECT_EQ(filter->state, queue::State::dead);
  EXPECT_EQ(filter->host, "hooks.example");
  EXPECT_EQ(filter->sender, "a b");
  EXPECT_EQ(filter->limit, 7U);
  EXPECT_EQ(filter->before, 9);
  // An empty one would find everything: no script with an unset variable means that.
  for (const char* bad :
       {"host=", "sender=", "status=", "since=", "limit=", "cursor=", "limit=0", "limit=1001",
        "cursor=-1", "status=gone", "nope=1", "since=9999-12-31T00:00:00Z", "host=h%3A80"}) {
    EXPECT_FALSE(parse_filter(bad)) << bad;
  }
}

}  // namespace
}  // namespace egret::admin
