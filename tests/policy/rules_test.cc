#include "policy/rules.h"

#include <gtest/gtest.h>

namespace egret::policy {
namespace {

TEST(HostPattern, RefusesWhatCouldNeverMatch) {
  for (const char* text : {"", "**", "*example.com", "a.*.example.com", "*.", "*.*", "*.10.0.0.1",
                           "http://example.com", "example.com/", "127.1"}) {
    EXPECT_FALSE(HostPattern::parse(text)) << text;
  }
}

TEST(HostPattern, MatchesExactlyBelowOrAnything) {
  const struct {
    const char* pattern;
    const char* host;
    bool matches;
  } cases[] = {
      {"example.com", "example.com", true},
      {"EXAMPLE.com.", "example.com", true},
      {"example.com", "www.example.com", false},
      {"example.com", "notexample.com", false},
      {"*.example.com", "example.com", false},
      {"*.example.com", "a.example.com", true},
      {"*.example.com", "a.b.example.com", true},
      {"*.example.com", "notexample.com", false},
      {"*.example.com", "example.com.evil.test", false},
      {"*.com", "example.com", true},
      {"*", "example.com", true},
      {"*", "::1", true},
      {"10.0.0.1", "10.0.0.1", true},
      {"[::0001]", "::1", true},
      {"*.b\xc3\xbc"
       "cher.example",
       "a.xn--bcher-kva.example", true},
  };
  for (const auto& c : cases) {
    const auto pattern = HostPattern::parse(c.pattern);
    ASSERT_TRUE(pattern) << c.pattern;
    EXPECT_EQ(pattern->matches(c.host), c.matches) << c.pattern << " " << c.host;
  }
  EXPECT_EQ(HostPattern::parse("*.Example.com")->text(), "*.example.com");
  EXPECT_FALSE(HostPattern::parse("*")->names_hosts());
  EXPECT_TRUE(HostPattern::parse("*.test")->names_hosts());
}

TEST(PathMatches, StarStandsForAnyRunOfBytes) {
  const struct {
    const char* pattern;
    const char* path;
    bool matches;
  } cases[] = {
      {"/hooks", "/hooks", true},
      {"/hooks", "/hooks/", false},
      {"/hooks", "/hook", false},
      {"/hooks/*", "/hooks/", true},
      {"/hooks/*", "/hooks/a/b", true},
      {"/hooks/*", "/hooks", false},
      {"/hooks/*", "/x/hooks/a", false},
      {"*", "", true},
      {"*", "/", true},
      {"", "", true},
      {"", "/", false},
      {"/*/x", "/a/x", true},
      {"/*/x", "/a/b/x", true},
      {"/*/x", "/x", false},
      {"/a*a", "/a", false},
      {"/a*a", "/aa", true},
      {"*ab*ab", "ab", false},
      {"*ab*ab", "abab", true},
      {"/a**b", "/ab", true},
      {"/v?/x", "/v1/x", false},
      {"/A", "/a", false},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(path_matches(c.pattern, c.path), c.matches) << c.pattern << " " << c.path;
  }
}

TEST(PathMatches, DoesNotBacktrackOnHostilePaths) {
  std::string pattern;
  for (int i = 0; i < 50; ++i) pattern += "*a";
  pattern += "*b";
  const std::string path(100000, 'a');
  EXPECT_FALSE(path_matches(pattern, path));  // with backtracking: not in this life
}

TEST(NormalizedPath, IsThePathThatTheDestinationWillSee) {
  const struct {
    const char* path;
    const char* plain;
  } cases[] = {
      {"/", "/"},
      {"/a/b", "/a/b"},
      {"/a/", "/a/"},
      {"//a", "//a"},
      {"/a/./b", "/a/b"},
      {"/a/../b", "/b"},
      {"/hooks/../admin", "/admin"},
      {"/hooks/%2e%2E/admin", "/admin"},
      {"/hooks/.%2e/admin", "/admin"},
      {"/a/b/..", "/a/"},
      {"/a/.", "/a/"},
      {"/../../x", "/x"},
      {"/..", "/"},
      {"/a/.../b", "/a/.../b"},
      {"/a/..b/c", "/a/..b/c"},
      {"/a/..;/b", "/a/..;/b"},
      {"/%2", "/%2"},
      {"/%61dmin/%7Ex", "/admin/~x"},
      {"/a%2fb%20c", "/a%2fb%20c"},
      {"/%2561", "/%2561"},
  };
  for (const auto& c : cases) EXPECT_EQ(normalized_path(c.path), c.plain) << c.path;
}

TEST(AmbiguousPath, IsOneThatServersReadInDifferentWays) {
  for (const char* path :
       {"//a", "/a//b", "/a/%2fb", "/a/..%2Fb", "/a%5Cb", "/a%00", "/%", "/%4", "/%zz"}) {
    EXPECT_TRUE(is_ambiguous_path(path)) << path;
  }
  for (const char* path : {"/", "/a/b/", "/%61", "/a%20b", "/%252f", "/a/../b"}) {
    EXPECT_FALSE(is_ambiguous_path(path)) << path;
  }
}

TEST(Match, MatchesEverythingOnlyWithoutConditions) {
  Match match;
  EXPECT_TRUE(match.matches_everything());
  match.hosts.push_back(*HostPattern::parse("example.com"));
  EXPECT_FALSE(match.matches_everything());
  match.hosts.push_back(*HostPattern::parse("*"));
  EXPECT_TRUE(match.matches_everything());
  match.paths = {"*"};  // not CONNECT, which has no path
  EXPECT_FALSE(match.matches_everything());
}

}  // namespace
}  // namespace egret::policy
