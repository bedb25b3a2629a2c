#include "policy/redirect.h"

#include <gtest/gtest.h>

namespace egret::policy {
namespace {

Url url_of(std::string_view text) {
  Result<Url> url = parse_url(text);
  if (!url) throw std::invalid_argument(std::string(text));
  return *url;
}

std::string text_of(const Url& url) {
  return std::string(to_string(url.scheme)) + "://" + url.host_header() + url.origin_form();
}

// Where it leads, "answer", or the reason.
std::string outcome(const Redirects& rule, std::string_view from, std::string_view to,
                    int status = 307, std::string_view method = "POST") {
  Trail trail;
  const Url url = url_of(from);
  const std::string_view locations[] = {to};
  const Result<std::optional<Hop>> hop = trail.follow(rule, {status, locations, method, url});
  if (!hop) return std::string(name(hop.error().reason));
  return *hop ? text_of((*hop)->url) : "answer";
}

constexpr Redirects kAny{Follow::any, 3};

// RFC 3986 5.4, whose base has no fragment of its own here.
TEST(References, AreResolvedAsRfc3986Says) {
  constexpr std::string_view kBase = "http://a.example/b/c/d;p?q";
  struct Case {
    std::string_view reference;
    std::string_view target;
  };
  const Case cases[] = {
      {"g", "http://a.example/b/c/g"},
      {"./g", "http://a.example/b/c/g"},
      {"g/", "http://a.example/b/c/g/"},
      {"/g", "http://a.example/g"},
      {"//g.example", "http://g.example/"},
      {"?y", "http://a.example/b/c/d;p?y"},
      {"g?y", "http://a.example/b/c/g?y"},
      {"g#s", "http://a.example/b/c/g"},
      {"g?y#s", "http://a.example/b/c/g?y"},
      {";x", "http://a.example/b/c/;x"},
      {"g;x?y#s", "http://a.example/b/c/g;x?y"},
      {".", "http://a.example/b/c/"},
      {"./", "http://a.example/b/c/"},
      {"..", "http://a.example/b/"},
      {"../", "http://a.example/b/"},
      {"../g", "http://a.example/b/g"},
      {"../..", "http://a.example/"},
      {"../../", "http://a.example/"},
      {"../../g", "http://a.example/g"},
      {"../../../g", "http://a.example/g"},
      {"../../../../g", "http://a.example/g"},
      {"/./g", "http://a.example/g"},
      {"/../g", "http://a.example/g"},
      {"g.", "http://a.example/b/c/g."},
      {".g", "http://a.example/b/c/.g"},
      {"g..", "http://a.example/b/c/g.."},
      {"..g", "http://a.example/b/c/..g"},
      {"./../g", "http://a.example/b/g"},
      {"./g/.", "http://a.example/b/c/g/"},
      {"g/./h", "http://a.example/b/c/g/h"},
      {"g/../h", "http://a.example/b/c/h"},
      {"g;x=1/./y", "http://a.example/b/c/g;x=1/y"},
      {"g;x=1/../y", "http://a.example/b/c/y"},
      {"g?y/./x", "http://a.example/b/c/g?y/./x"},
      {"g?y/../x", "http://a.example/b/c/g?y/../x"},
      {"http://other.example/x/../y", "http://other.example/x/../y"},
      {"HTTP://Other.Example", "http://other.example/"},
      {"https://other.example:8443/", "https://other.example:8443/"},
      {"g//h", "http://a.example/b/c/g//h"},
      {"g:h/i", "redirect_scheme_unsupported"},
      {"./g:h", "http://a.example/b/c/g:h"},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(outcome(kAny, kBase, each.reference), each.target) << each.reference;
  }
}

TEST(Redirect, ToWhatIsNoUrlHasOutcomesOfItsOwn) {
  struct Case {
    std::string_view location;
    std::string_view outcome;
  };
  using std::string_view_literals::operator""sv;
  const Case cases[] = {
      {"http:foo", "redirect_malformed"},
      {"http:/foo", "redirect_malformed"},
      {"http:", "redirect_malformed"},
      {"http://", "redirect_malformed"},
      {"http:///x", "redirect_malformed"},
      {"//", "redirect_malformed"},
      {"///host/x", "redirect_malformed"},
      {"//user@other.example/", "redirect_malformed"},
      {"http://user:pw@other.example/", "redirect_malformed"},
      {"http://other.example:99999/", "redirect_malformed"},
      {"http://other.example:port/", "redirect_malformed"},
      {"http://127.1/", "redirect_malformed"},
      {"http://%31.example/", "redirect_malformed"},
      {"/a b", "redirect_malformed"},
      {"/a\tb", "redirect_malformed"},
      {"/\xC3\xA9", "redirect_malformed"},
      {"\\\\other.example\\x", "redirect_malformed"},
      {"/\\other.example", "redirect_malformed"},
      {"/a\0b"sv, "redirect_malformed"},
      {"file:///etc/passwd", "redirect_scheme_unsupported"},
      {"ftp://other.example/", "redirect_scheme_unsupported"},
      {"javascript:alert(1)", "redirect_scheme_unsupported"},
      {"ws://other.example/", "redirect_scheme_unsupported"},
      {"httpx://other.example/", "redirect_scheme_unsupported"},
      {"localhost:80/x", "redirect_scheme_unsupported"},
      {"", "redirect_loop"},
      {"#part", "redirect_loop"},
      {"?q", "redirect_loop"},
      {"//a.example/in?q#x", "redirect_loop"},
      {"http://A.example.:80/in?q", "redirect_loop"},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(outcome(kAny, "http://a.example/in?q", each.location), each.outcome) << each.location;
  }
  EXPECT_EQ(outcome(kAny, "http://a.example/", "/" + std::string(9000, 'x')).size(), 9017U);
}

TEST(Redirect, FollowsOnlyStatusesThatKeepTheMethod) {
  struct Case {
    int status;
    bool post;
    bool get;
  };
  const Case cases[] = {{300, false, false}, {301, false, true},  {302, false, true},
                        {303, false, true},  {304, false, false}, {305, false, false},
                        {306, false, false}, {307, true, true},   {308, true, true},
                        {309, false, false}, {200, false, false}, {201, false, false}};
  for (const Case& each : cases) {
    for (const std::string_view method :
         {"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "GET", "HEAD"}) {
      const bool safe = method == "GET" || method == "HEAD";
      EXPECT_EQ(outcome(kAny, "http://a.example/", "/x", each.status, method),
                (safe ? each.get : each.post) ? "http://a.example/x" : "answer")
          << each.status << " " << method;
    }
  }
}

TEST(Redirect, GoesNoFurtherThanTheRule) {
  struct Case {
    std::string_view to;
    bool origin;
    bool host;
  };
  const Case cases[] = {
      {"/x", true, true},
      {"http://a.example:80/x", true, true},
      {"http://A.EXAMPLE./x", true, true},
      {"https://a.example/x", false, true},
      {"http://a.example:8080/x", false, true},
      {"http://b.example/x", false, false},
      {"http://a.example.b.example/x", false, false},
      {"http://sub.a.example/x", false, false},
  };
  for (const Case& each : cases) {
    const auto followed = [&](Follow follow) {
      return outcome({follow, 3}, "http://a.example/", each.to) != "answer";
    };
    EXPECT_FALSE(followed(Follow::never)) << each.to;
    EXPECT_EQ(followed(Follow::same_origin), each.origin) << each.to;
    EXPECT_EQ(followed(Follow::same_host), each.host) << each.to;
    EXPECT_TRUE(followed(Follow::any)) << each.to;
  }
}

TEST(Redirect, NeverFallsToHttp) {
  for (const std::string_view to :
       {"http://a.example/", "http://b.example/", "http://a.example:443/"}) {
    EXPECT_EQ(outcome(kAny, "https://a.example/", to), "redirect_downgrade") << to;
  }
  EXPECT_EQ(outcome({Follow::same_host, 3}, "https://a.example/", "http://a.example/"),
            "redirect_downgrade");
  // It would not be followed in any case: the sender's answer.
  EXPECT_EQ(outcome({Follow::same_origin, 3}, "https://a.example/", "http://a.example/"), "answer");
  EXPECT_EQ(outcome({Follow::same_host, 3}, "https://a.example/", "http://b.example/"), "answer");
}

TEST(Redirect, WithoutOneLocationIsNotGuessedAt) {
  Trail trail;
  const Url url = url_of("http://a.example/");
  const Result<std::optional<Hop>> none = trail.follow(kAny, {307, {}, "POST", url});
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  const std::string_view same[] = {"/x", "/x"};
  EXPECT_TRUE(trail.follow(kAny, {307, same, "POST", url}));
  const std::string_view differ[] = {"/x", "/y"};
  const Result<std::optional<Hop>> two = trail.follow(kAny, {307, differ, "POST", url});
  ASSERT_FALSE(two);
  EXPECT_EQ(two.error().reason, Reason::redirect_malformed);
}

TEST(Redirect, EndsInALoopOrAtTheMost) {
  const auto walk = [](uint32_t max, std::initializer_list<std::string_view> locations) {
    Trail trail;
    Url url = url_of("http://a.example/0");
    std::string last;
    for (const std::string_view location : locations) {
      const std::string_view one[] = {location};
      Result<std::optional<Hop>> hop = trail.follow({Follow::any, max}, {308, one, "POST", url});
      if (!hop)
        return std::string(name(hop.error().reason)) + " after " + std::to_string(trail.hops());
      url = (*hop)->url;
    }
    return text_of(url);
  };
  EXPECT_EQ(walk(3, {"/1", "/2", "/3"}), "http://a.example/3");
  EXPECT_EQ(walk(3, {"/1", "/2", "/3", "/4"}), "redirect_limit after 3");
  EXPECT_EQ(walk(1, {"/1", "/2"}), "redirect_limit after 1");
  EXPECT_EQ(walk(3, {"/1", "/0"}), "redirect_loop after 1");
  EXPECT_EQ(walk(3, {"http://b.example/", "http://a.example/0"}), "redirect_loop after 1");
  EXPECT_EQ(walk(3, {"/1", "/1#again"}), "redirect_loop after 1");
  EXPECT_EQ(walk(3, {"/1", "/1?q"}), "http://a.example/1?q");
}

TEST(Redirect, KnowsWhetherTheOriginWasLeft) {
  const auto same = [](std::string_view from, std::string_view to) {
    Trail trail;
    const Url url = url_of(from);
    const std::string_view one[] = {to};
    return trail.follow(kAny, {307, one, "POST", url})->value().same_origin;
  };
  EXPECT_TRUE(same("http://a.example/", "/x"));
  EXPECT_FALSE(same("http://a.example/", "https://a.example/"));
  EXPECT_FALSE(same("http://a.example/", "http://a.example:81/"));
  EXPECT_FALSE(same("http://a.example/", "http://b.example/"));
}

}  // namespace
}  // namespace egret::policy
