#include "config/scalars.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace egret::config {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// Texts that a parser must refuse, each with a reason.
template <typename Parse>
void refuses_all(Parse parse, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    std::string why;
    EXPECT_FALSE(parse(text, why)) << '"' << text << '"';
    EXPECT_NE(why, "") << '"' << text << '"';
  }
}

TEST(Duration, RefusesWhatHasNoOneUnit) {
  refuses_all(parse_duration, {"",
                               "5",
                               "0",
                               "s",
                               "ms",
                               "5 s",
                               " 5s",
                               "5s ",
                               "5S",
                               "1.5s",
                               "-1s",
                               "+1s",
                               "1h30m",
                               "5sec",
                               "5us",
                               "5w",
                               "366d",
                               "18446744073709551616ms",
                               "99999999999999999999d",
                               "0x5s",
                               "1e3s",
                               "5s\n",
                               "none",
                               "auto"});
}

TEST(Duration, ReadsEachUnit) {
  const std::pair<const char*, Duration> cases[] = {
      {"250ms", milliseconds(250)},
      {"5s", seconds(5)},
      {"10m", minutes(10)},
      {"2h", hours(2)},
      {"3d", hours(72)},
      {"0s", seconds(0)},
      {"007s", seconds(7)},
      {"365d", hours(8760)},
  };
  for (const auto& [text, expected] : cases) {
    std::string why;
    EXPECT_EQ(parse_duration(text, why), expected) << text;
  }
}

TEST(Duration, IsWrittenAsItIsRead) {
  for (const std::string text : {"250ms", "5s", "10m", "2h", "3d"}) {
    std::string why;
    const auto parsed = parse_duration(text, why);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(duration_text(*parsed), text);
  }
  EXPECT_EQ(duration_text(milliseconds(1500)), "1500ms");
  EXPECT_EQ(duration_text(Duration::max()), "none");
}

TEST(Size, RefusesWhatHasNoOneUnit) {
  refuses_all(parse_size, {"", "64", "0", "KiB", "64KB", "64kib", "64K", "64k", "1.5MiB", "-1B",
                           "1 MiB", "1PiB", "1025TiB", "18446744073709551615TiB", "none"});
}

TEST(Size, ReadsEachUnit) {
  const std::pair<const char*, uint64_t> cases[] = {
      {"0B", 0},         {"512B", 512},          {"64KiB", 64 << 10},
      {"1MiB", 1 << 20}, {"10GiB", 10ULL << 30}, {"1024TiB", 1ULL << 50},
  };
  for (const auto& [text, expected] : cases) {
    std::string why;
    EXPECT_EQ(parse_size(text, why), expected) << text;
  }
  EXPECT_EQ(size_text(64 << 10), "64KiB");
  EXPECT_EQ(size_text(1500), "1500B");
  EXPECT_EQ(byte_rate_text(2048), "2KiB/s");
}

TEST(Count, IsDigitsOnly) {
  refuses_all(parse_count,
              {"", "010", "0x10", "1_000", "1e3", "-1", "+1", " 1", "1.0", "18446744073709551616"});
  std::string why;
  EXPECT_EQ(parse_count("0", why), 0U);
  EXPECT_EQ(parse_count("20000", why), 20000U);
}

TEST(Ports, RefusesWhatIsNoPortOrRange) {
  refuses_all(parse_ports, {"", "0", "65536", "-", "80-", "-80", "90-80", "0-80", "80-65536", "080",
                            "80-90-100", "80 - 90", "http", "443/tcp"});
  std::string why;
  EXPECT_EQ(parse_ports("443", why), (policy::PortRange{443, 443}));
  EXPECT_EQ(parse_ports("8000-8999", why), (policy::PortRange{8000, 8999}));
  EXPECT_EQ(parse_ports("1-65535", why), (policy::PortRange{1, 65535}));
}

TEST(Prefix, RefusesWhatIsNoNetwork) {
  refuses_all(parse_prefix,
              {"", "10", "10.0.0/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8 ",
               "::/129", "example.com", "[::1]", "fe80::1%eth0", "010.0.0.0/8"});
}

TEST(Prefix, NamesTheNetworkOfAHost) {
  std::string why;
  EXPECT_FALSE(parse_prefix("10.1.2.3/16", why));
  EXPECT_NE(why.find("\"10.1.0.0/16\""), std::string::npos) << why;
  EXPECT_FALSE(parse_prefix("2001:db8::1/33", why));
  EXPECT_NE(why.find("\"2001:db8::/33\""), std::string::npos) << why;
}

TEST(Prefix, OneAddressIsANetworkOfItself) {
  std::string why;
  const auto v4 = parse_prefix("192.0.2.1", why);
  const auto v6 = parse_prefix("2001:db8::1", why);
  ASSERT_TRUE(v4 && v6);
  EXPECT_EQ(v4->length, 32);
  EXPECT_EQ(v6->length, 128);
}

TEST(ListenAddressText, RefusesNamesAndHalves) {
  refuses_all(parse_listen_address, {"",
                                     "4750",
                                     ":4750",
                                     "*:4750",
                                     "localhost:4750",
                                     "127.0.0.1",
                                     "127.0.0.1:",
                                     "127.0.0.1:65536",
                                     "127.0.0.1:04750",
                                     "127.0.0.1:+1",
                                     "127.1:80",
                                     "::1:80",
                                     "[::1]",
                                     "[::1]:",
                                     "[::1]80",
                                     "[127.0.0.1]:80",
                                     "[::1%lo]:80",
                                     "unix:",
                                     "unix:e.sock",
                                     "unix:./e.sock",
                                     "unix:/run/",
                                     "unix:/" + std::string(107, 'x'),
                                     "tcp:127.0.0.1:80"});
}

TEST(ListenAddressText, ReadsTcpAndUnix) {
  std::string why;
  const auto v4 = parse_listen_address("127.0.0.1:4750", why);
  ASSERT_TRUE(v4 && v4->endpoint);
  EXPECT_EQ(v4->name, "127.0.0.1:4750");
  EXPECT_EQ(v4->endpoint->port, 4750);
  const auto v6 = parse_listen_address("[::1]:0", why);
  ASSERT_TRUE(v6 && v6->endpoint);
  EXPECT_EQ(v6->endpoint->to_string(), "[::1]:0");
  const std::string longest = "/" + std::string(106, 'x');
  const auto socket = parse_listen_address("unix:" + longest, why);
  ASSERT_TRUE(socket);
  EXPECT_FALSE(socket->endpoint);
  EXPECT_EQ(socket->unix_path, longest);
}

TEST(Server, HasPort53UnlessItSaysOtherwise) {
  refuses_all(parse_server, {"", "dns.example", "127.0.0.1:0", "[::1]", "127.0.0.1:http", "53"});
  std::string why;
  const auto text = [&](std::string_view server) {
    const auto endpoint = parse_server(server, why);
    return endpoint ? endpoint->to_string() : why;
  };
  EXPECT_EQ(text("192.0.2.53"), "192.0.2.53:53");
  EXPECT_EQ(text("192.0.2.53:5353"), "192.0.2.53:5353");
  EXPECT_EQ(text("2001:db8::53"), "[2001:db8::53]:53");
  EXPECT_EQ(text("[2001:db8::53]:5353"), "[2001:db8::53]:5353");
}

TEST(Words, NamesMethodsAndPaths) {
  refuses_all(parse_name, {"", "-a", ".a", "a b", "a/b", "\xC3\xA9", std::string(65, 'a'), "a\n"});
  refuses_all(parse_username, {"", "a:b", "a\nb", std::string("a\0b", 3), std::string(257, 'a')});
  refuses_all(parse_method, {"", "get", "Post", "B D", "GET,", "G\xC3\x89T", std::string(33, 'A')});
  refuses_all(parse_path_pattern,
              {"", "hooks", "*/x", "/a?b", "/a#b", "/a b", "/\xC3\xA9", "/a\\b",
               "https://a.example/", "/%61dmin/*", "/a/../b", "/a//b", "/a%2fb", "/100%"});
  refuses_all(parse_host_pattern,
              {"", "https://a.example/", "a..b", "*.", "*a.example", "a.*.example", "10.0.0.0/8",
               "a.example:443", "127.1", "user@a.example"});
  std::string why;
  EXPECT_TRUE(parse_name("partner-1.v2_x", why));
  EXPECT_TRUE(
      parse_username("b\xC3\xBC"
                     "cher",
                     why));
  EXPECT_TRUE(parse_method("PROPFIND", why));
  EXPECT_TRUE(parse_method("M-SEARCH", why));
  EXPECT_TRUE(parse_path_pattern("/hooks/*/in", why));
  EXPECT_TRUE(parse_path_pattern("*", why));
  EXPECT_TRUE(parse_path_pattern("/a%20b/*.json", why));
  EXPECT_EQ(parse_host_pattern("*.B\xC3\xBC"
                               "cher.Example.",
                               why)
                ->text(),
            "*.xn--bcher-kva.example");
}

TEST(Token68, IsRfc6750) {
  for (const std::string bad : {"", "=", "a b", "a=b", "a\n", "a\"b", "a:b"}) {
    EXPECT_FALSE(is_token68(bad)) << bad;
  }
  for (const std::string good : {"a", "abc==", "A-Z._~+/09"}) EXPECT_TRUE(is_token68(good)) << good;
}

}  // namespace
}  // namespace egret::config
