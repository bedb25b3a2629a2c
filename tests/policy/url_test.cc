#include "policy/url.h"

#include <gtest/gtest.h>

namespace egret::policy {
namespace {

std::string outcome(const Result<Url>& url) {
  return url ? url->for_log() : std::string(name(url.error().reason));
}

TEST(ParseUrl, RefusesWhatHasNoSingleReading) {
  const struct {
    std::string_view text;
    Reason reason;
  } cases[] = {
      {"", Reason::url_malformed},
      {"/", Reason::url_malformed},
      {"*", Reason::url_malformed},
      {"example.com", Reason::url_malformed},
      {"example.com:80", Reason::url_malformed},
      {"//example.com/", Reason::url_malformed},
      {"ftp://example.com/", Reason::url_malformed},
      {"httpx://example.com/", Reason::url_malformed},
      {" http://example.com/", Reason::url_malformed},
      {"http:example.com/", Reason::url_malformed},
      {"http:/example.com/", Reason::url_malformed},
      {"http:///example.com/", Reason::url_malformed},
      {"http://", Reason::url_malformed},
      {"http://?q", Reason::url_malformed},
      {"http://:80/", Reason::url_malformed},
      {"http://user@example.com/", Reason::url_malformed},
      {"http://user:pw@example.com/", Reason::url_malformed},
      {"http://@example.com/", Reason::url_malformed},
      {"http://example.com\\@127.0.0.1/", Reason::url_malformed},
      {"http://example.com/a\\b", Reason::url_malformed},
      {"http://example.com/a b", Reason::url_malformed},
      {"http://example.com/?a b", Reason::url_malformed},
      {"http://example.com/\t", Reason::url_malformed},
      {"http://example.com/\r\nX: y", Reason::url_malformed},
      {"http://example.com/\x7f", Reason::url_malformed},
      {"http://example.com/\xc3\xa9", Reason::url_malformed},
      {"http://b\xc3\xbc"
       "cher.example/",
       Reason::url_malformed},
      {std::string_view("http://example.com\0.evil.example/", 33), Reason::url_malformed},
      {"http://example.com/#top", Reason::url_malformed},
      {"http://example.com:0/", Reason::url_malformed},
      {"http://example.com:00080/", Reason::url_malformed},
      {"http://example.com:65536/", Reason::url_malformed},
      {"http://example.com:4294967376/", Reason::url_malformed},
      {"http://example.com:18446744073709551696/", Reason::url_malformed},
      {"http://example.com:80a/", Reason::url_malformed},
      {"http://example.com:+80/", Reason::url_malformed},
      {"http://example.com:-80/", Reason::url_malformed},
      {"http://[::1]:x/", Reason::url_malformed},
      {"http://example.com:80:80/", Reason::host_not_canonical},
      {"http://::1/", Reason::host_not_canonical},
      {"http://[::1/", Reason::host_not_canonical},
      {"http://::1]/", Reason::host_not_canonical},
      {"http://[::1]x/", Reason::host_not_canonical},
      {"http://x[::1]/", Reason::host_not_canonical},
      {"http://[[::1]]/", Reason::host_not_canonical},
      {"http://[]/", Reason::host_not_canonical},
      {"http://[127.0.0.1]/", Reason::host_not_canonical},
      {"http://[example.com]/", Reason::host_not_canonical},
      {"http://[v1.x]/", Reason::host_not_canonical},
      {"http://[fe80::1%25eth0]/", Reason::host_not_canonical},
      {"http://[fe80::1%eth0]/", Reason::host_not_canonical},
      {"http://ex%61mple.com/", Reason::host_not_canonical},
      {"http://example.com%2f.evil.example/", Reason::host_not_canonical},
      {"http://127.0.0.1%00/", Reason::host_not_canonical},
      {"http://./", Reason::host_not_canonical},
      {"http://../", Reason::host_not_canonical},
      {"http://.example.com/", Reason::host_not_canonical},
      {"http://example..com/", Reason::host_not_canonical},
      {"http://example.com../", Reason::host_not_canonical},
      {"http://-a.example.com/", Reason::host_not_canonical},
      {"http://a-.example.com/", Reason::host_not_canonical},
      {"http://a+b.example.com/", Reason::host_not_canonical},
      {"http://a,b.example.com/", Reason::host_not_canonical},
      {"http://*.example.com/", Reason::host_not_canonical},
      {"http://$(id).example.com/", Reason::host_not_canonical},
      {"http://xn--/", Reason::host_not_canonical},
      {"http://xn--a.example.com/", Reason::host_not_canonical},
      {"http://xn--localhost-.example/", Reason::host_not_canonical},
      {"http://xn--a-ecp.ru/", Reason::host_not_canonical},
      {"http://xn--zzzzzzzzz.example/", Reason::host_not_canonical},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(outcome(parse_url(c.text)), name(c.reason)) << c.text;
  }
}

TEST(ParseUrl, RefusesNumbersThatSomebodyReadsAsAnAddress) {
  for (const char* host : {"0",
                           "1",
                           "2130706433",
                           "0x7f000001",
                           "0X7F000001",
                           "017700000001",
                           "127.1",
                           "127.0.1",
                           "127.0.0.01",
                           "0177.0.0.1",
                           "0x7f.0.0.1",
                           "1.2.3.256",
                           "1.2.3.4.5",
                           "127.0.0.1.",
                           "2130706433.",
                           "1.2.3.",
                           "foo.1.2.3.4",
                           "foo.0x4",
                           "foo.09",
                           "foo.0x",
                           "1e3",
                           "0x7f.1.0x1x",
                           "4294967296",
                           "127.0.0.0x1",
                           "example.1com",
                           "a.0",
                           "999999999999999999999",
                           "0b1.0.0.1b"}) {
    const auto url = parse_url("http://" + std::string(host) + "/");
    EXPECT_EQ(outcome(url), "host_not_canonical") << host;
  }
}

TEST(ParseUrl, HoldsLabelsToSixtyThreeBytesAndNamesToTwoHundredFiftyThree) {
  const std::string label(63, 'a');
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'b');
  ASSERT_EQ(longest.size(), 253U);
  EXPECT_TRUE(parse_url("http://" + longest + "/"));
  EXPECT_TRUE(parse_url("http://" + longest + "./"));
  EXPECT_EQ(outcome(parse_url("http://" + longest + "b/")), "host_not_canonical");
  EXPECT_TRUE(parse_url("http://" + label + ".example/"));
  EXPECT_EQ(outcome(parse_url("http://" + label + "a.example/")), "host_not_canonical");
}

TEST(ParseUrl, CanonicalisesSchemeHostPortAndPath) {
  const struct {
    const char* text;
    const char* log;
    const char* host_header;
    const char* origin_form;
    int port;
  } cases[] = {
      {"http://example.com", "http://example.com/", "example.com", "/", 80},
      {"HTTP://EXAMPLE.Com./A?B", "http://example.com/A", "example.com", "/A?B", 80},
      {"https://example.com:/x", "https://example.com/x", "example.com", "/x", 443},
      {"https://example.com:80/", "https://example.com:80/", "example.com:80", "/", 80},
      {"http://example.com:80/", "http://example.com/", "example.com", "/", 80},
      {"http://example.com:65535/", "http://example.com:65535/", "example.com:65535", "/", 65535},
      {"http://example.com?q=1", "http://example.com/", "example.com", "/?q=1", 80},
      {"http://example.com/?", "http://example.com/", "example.com", "/?", 80},
      {"http://example.com?@127.0.0.1/", "http://example.com/", "example.com", "/?@127.0.0.1/", 80},
      {"http://example.com/@127.0.0.1/", "http://example.com/@127.0.0.1/", "example.com",
       "/@127.0.0.1/", 80},
      {"http://example.com/%zz/../;a//b", "http://example.com/%zz/../;a//b", "example.com",
       "/%zz/../;a//b", 80},
      {"http://foo_bar.example.com/", "http://foo_bar.example.com/", "foo_bar.example.com", "/",
       80},
      {"http://r3---sn-a.example.com/", "http://r3---sn-a.example.com/", "r3---sn-a.example.com",
       "/", 80},
      {"http://1337.net/", "http://1337.net/", "1337.net", "/", 80},
      {"http://0x7f.example.com/", "http://0x7f.example.com/", "0x7f.example.com", "/", 80},
      {"http://XN--fiqs8s.example/", "http://xn--fiqs8s.example/", "xn--fiqs8s.example", "/", 80},
      {"http://xn--fa-hia.de/", "http://xn--fa-hia.de/", "xn--fa-hia.de", "/", 80},
      {"http://192.0.2.1:8080/", "http://192.0.2.1:8080/", "192.0.2.1:8080", "/", 8080},
      {"http://[2001:DB8:0::1]:8080/", "http://[2001:db8::1]:8080/", "[2001:db8::1]:8080", "/",
       8080},
      {"http://[::FFFF:7f00:1]/", "http://[::ffff:127.0.0.1]/", "[::ffff:127.0.0.1]", "/", 80},
  };
  for (const auto& c : cases) {
    const auto url = parse_url(c.text);
    ASSERT_TRUE(url) << c.text << ": " << url.error().detail;
    EXPECT_EQ(url->for_log(), c.log);
    EXPECT_EQ(url->host_header(), c.host_header);
    EXPECT_EQ(url->origin_form(), c.origin_form);
    EXPECT_EQ(url->port, c.port);
  }
}

TEST(ParseUrl, DropsTheFragmentOfATypedUrlBeforeItLooksForTheHost) {
  const auto url = parse_url("http://example.com#@127.0.0.1/?x", Fragment::drop);
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host.text, "example.com");
  EXPECT_EQ(url->origin_form(), "/");
  EXPECT_FALSE(parse_url("http://example.com/#\xff", Fragment::drop));
}

TEST(ParseUrl, KnowsALiteralFromAName) {
  EXPECT_EQ(parse_url("http://127.0.0.1/")->host.literal, Address::parse("127.0.0.1"));
  EXPECT_EQ(parse_url("http://[::1]/")->host.text, "::1");
  EXPECT_EQ(parse_url("http://[::1]/")->host.literal, Address::parse("::1"));
  EXPECT_FALSE(parse_url("http://localhost/")->host.literal);
}

TEST(ParseUrl, SaysWhatIsWrongAndNeverPrintsRawBytes) {
  EXPECT_EQ(parse_url("http://127.1/").error().detail,
            "The host \"127.1\" ends in a number and is not an IPv4 address in dotted decimal; "
            "programs disagree about what it means.");
  EXPECT_EQ(parse_url("http://a\n/").error().detail,
            "The URL has the byte 0x0a, which a URL can only hold %-escaped.");
}

TEST(ParseAuthority, TakesHostAndPortAndNothingElse) {
  for (const char* text : {"",
                           ":443",
                           "example.com",
                           "example.com:",
                           "example.com:0",
                           "example.com:65536",
                           "example.com:0443",
                           "example.com:443/",
                           "example.com:443/path",
                           "http://example.com:443",
                           "user@example.com:443",
                           "example.com:443@127.0.0.1:80",
                           "example.com:443 ",
                           "[::1]",
                           "::1:443",
                           "[::1]:",
                           "[example.com]:443",
                           "[127.0.0.1]:443",
                           "*",
                           "/",
                           "127.1:443",
                           "example.com:443#x",
                           "example.com:443?x",
                           "example.com:https"}) {
    EXPECT_FALSE(parse_authority(text)) << text;
  }
  const auto name = parse_authority("Example.NET.:443");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->to_string(), "example.net:443");
  const auto v6 = parse_authority("[2001:DB8::1]:8443");
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->to_string(), "[2001:db8::1]:8443");
}

TEST(ParseHostHeader, PortIsZeroWhenItIsNotGiven) {
  for (const char* text : {"", "a b", "u@h", "a/b", "a,b", "::1", "[::1", "h:99999", ":80"}) {
    EXPECT_FALSE(parse_host_header(text)) << text;
  }
  EXPECT_EQ(parse_host_header("Example.com")->port, 0);
  EXPECT_EQ(parse_host_header("example.com:")->port, 0);
  EXPECT_EQ(parse_host_header("example.com:8080")->port, 8080);
  EXPECT_EQ(parse_host_header("[::1]:81")->host.text, "::1");
}

TEST(CanonicalHost, RefusesWhatIsNoHost) {
  for (const char* text : {"", ".", "exa mple.com", "example.com:80", "http://example.com", "127.1",
                           "[example.com]", "*.example.com",
                           "a\xe2\x88\x95"
                           "b.example",                                   // division slash
                           "\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1",  // full-width 127
                           "\xff.example", "xn--a.example"}) {
    EXPECT_FALSE(canonical_host(text)) << text;
  }
}

TEST(CanonicalHost, WritesLettersAsALabels) {
  const struct {
    const char* text;
    const char* canonical;
  } cases[] = {
      {"Example.COM.", "example.com"},
      {"b\xc3\xbc"
       "cher.example",
       "xn--bcher-kva.example"},
      {"B\xc3\x9c"
       "CHER.example",
       "xn--bcher-kva.example"},
      {"fa\xc3\x9f.de", "xn--fa-hia.de"},  // non-transitional: sharp s stays
      {"\xe4\xbe\x8b\xe3\x81\x88.\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88", "xn--r8jz45g.xn--zckzah"},
      {"xn--bcher-kva.example", "xn--bcher-kva.example"},
      {"127.0.0.1", "127.0.0.1"},
      {"::1", "::1"},
      {"[2001:DB8::1]", "2001:db8::1"},
  };
  for (const auto& c : cases) {
    const auto host = canonical_host(c.text);
    ASSERT_TRUE(host) << c.text << ": " << host.error().detail;
    EXPECT_EQ(host->text, c.canonical);
  }
}

}  // namespace
}  // namespace egret::policy
