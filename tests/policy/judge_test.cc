#include "policy/judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <type_traits>

namespace egret::policy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Only Judge may vouch for an address.
static_assert(!std::is_default_constructible_v<PermittedAddress>);
static_assert(!std::is_constructible_v<PermittedAddress, Endpoint>);
static_assert(!std::is_aggregate_v<PermittedAddress>);

Rule named(std::string name) {
  Rule rule;
  rule.name = std::move(name);
  return rule;
}

Judge judge_of(std::vector<Rule> rules = {}, Mode mode = Mode::enforce) {
  return {mode, named("defaults"), std::move(rules), {}};
}

std::vector<Address> addresses(std::initializer_list<const char*> texts) {
  std::vector<Address> out;
  for (const char* text : texts) out.push_back(Address::parse(text).value());
  return out;
}

Failure refusal(const Judge& judge, const Rule& rule, std::initializer_list<const char*> texts) {
  auto permitted = judge.permit(rule, 443, addresses(texts));
  EXPECT_FALSE(permitted);
  return permitted ? Failure{} : permitted.error();
}

TEST(Permit, NothingIsPermittedOfNothing) {
  EXPECT_EQ(refusal(judge_of(), named("r"), {}).reason, Reason::name_has_no_address);
}

TEST(Permit, SaysWhatWasRefusedByWhatAndWhatToChange) {
  const Judge judge = judge_of();
  EXPECT_EQ(refusal(judge, named("partners"), {"10.0.0.1"}).detail,
            "The address 10.0.0.1 is refused by 10.0.0.0/8 Private-Use [RFC1918] (IANA IPv4 "
            "special-purpose); to permit it, add 10.0.0.1 to addresses.allow (rule \"partners\").");
  EXPECT_EQ(refusal(judge, named("defaults"), {"64:ff9b::7f00:1"}).detail,
            "The address 64:ff9b::7f00:1 is refused for the 127.0.0.1 (NAT64) inside it by "
            "127.0.0.0/8 Loopback [RFC1122], Section 3.2.1.3 (IANA IPv4 special-purpose); to "
            "permit it, add 127.0.0.1 to addresses.allow (the defaults).");
  Rule strict = named("strict");
  strict.addresses.deny = {*Prefix::parse("8.8.8.0/24")};
  EXPECT_EQ(refusal(judge, strict, {"8.8.8.8"}).detail,
            "The address 8.8.8.8 is refused by 8.8.8.0/24 addresses.deny; to permit it, remove "
            "that entry from addresses.deny (rule \"strict\").");
}

TEST(Permit, AnOwnListenerHasNoRemedy) {
  Rule open = named("open");
  open.addresses.allow = {*Prefix::parse("127.0.0.1")};
  const Judge judge(Mode::report, named("defaults"), {},
                    {{}, {{Address::v4({127, 0, 0, 1}), 443}}});
  EXPECT_EQ(refusal(judge, open, {"127.0.0.1"}).detail,
            "The address 127.0.0.1 is refused by Egret's own listener, which no rule can permit.");
}

TEST(Permit, OneRefusedAddressRefusesTheName) {
  const auto failure = refusal(judge_of(), named("r"), {"8.8.8.8", "10.0.0.1", "::1"});
  EXPECT_EQ(failure.reason, Reason::addresses_mixed);
  EXPECT_THAT(failure.detail, HasSubstr("10.0.0.1 is refused by"));
  EXPECT_EQ(refusal(judge_of(), named("r"), {"10.0.0.1", "::1"}).reason,
            Reason::address_prohibited);
}

TEST(Permit, FilterKeepsThePermittedInTheirOrder) {
  Rule rule = named("r");
  rule.addresses.mixed = Mixed::filter;
  const auto permitted = judge_of().permit(
      rule, 8443,
      addresses({"10.0.0.1", "2606:4700:4700::1111", "8.8.8.8", "2606:4700:4700::1111"}));
  ASSERT_TRUE(permitted);
  std::vector<std::string> texts;
  for (const auto& address : permitted.value()) texts.push_back(address.endpoint().to_string());
  EXPECT_THAT(texts, ElementsAre("[2606:4700:4700::1111]:8443", "8.8.8.8:8443"));
  EXPECT_EQ(refusal(judge_of(), rule, {"10.0.0.1"}).reason, Reason::address_prohibited);
}

TEST(Permit, ReportModeNeverPermitsAnAddress) {
  EXPECT_EQ(refusal(judge_of({}, Mode::report), named("r"), {"10.0.0.1"}).reason,
            Reason::address_prohibited);
}

TEST(Permit, TracesEachAddressWithItsEntry) {
  Rule rule = named("r");
  rule.addresses.allow = {*Prefix::parse("10.0.0.0/8")};
  Trace trace;
  const auto permitted = judge_of().permit(
      rule, 443, addresses({"8.8.8.8", "10.0.0.1", "::ffff:10.0.0.2", "127.0.0.1"}), &trace);
  EXPECT_FALSE(permitted);
  ASSERT_EQ(trace.size(), 4U);
  EXPECT_EQ(trace[0].detail, "8.8.8.8 is permitted: no registry entry");
  EXPECT_EQ(trace[1].detail, "10.0.0.1 is permitted: 10.0.0.0/8 addresses.allow");
  EXPECT_EQ(trace[2].detail,
            "::ffff:10.0.0.2 is permitted for the 10.0.0.2 (IPv4-mapped) inside it: 10.0.0.0/8 "
            "addresses.allow");
  EXPECT_EQ(trace[3].outcome, "denied");
  EXPECT_THAT(trace[3].detail, HasSubstr("127.0.0.0/8 Loopback"));
}

Verdict ask(const Judge& judge, std::string_view host, Trace* trace = nullptr,
            std::string_view method = "POST", uint16_t port = 443) {
  static Host parsed;
  parsed = canonical_host(host).value();
  return judge.judge({.sender = "", .method = method, .host = &parsed, .port = port, .path = "/"},
                     trace);
}

TEST(JudgeNames, CloudMetadataNamesYieldToNoRule) {
  Rule rule = named("metadata");
  rule.match.hosts = {*HostPattern::parse("metadata.google.internal"),
                      *HostPattern::parse("*.internal"), *HostPattern::parse("metadata.goog")};
  for (const Mode mode : {Mode::enforce, Mode::report}) {
    for (const char* host : {"metadata.google.internal", "METADATA.google.internal.",
                             "x.metadata.google.internal", "metadata.goog"}) {
      const auto verdict = ask(judge_of({rule}, mode), host);
      ASSERT_TRUE(verdict.refusal) << host;
      EXPECT_EQ(verdict.refusal->reason, Reason::host_prohibited);
      EXPECT_THAT(verdict.refusal->detail, HasSubstr("which no rule can permit"));
    }
  }
}

TEST(JudgeNames, SpecialUseNamesNeedARuleThatNamesThem) {
  Rule star = named("star");
  star.match.hosts = {*HostPattern::parse("*")};
  Rule below = named("below");
  below.match.hosts = {*HostPattern::parse("*.corp.internal"), *HostPattern::parse("redis")};
  for (const char* host : {"api.corp.internal", "printer.local", "x.invalid", "y.onion", "svc",
                           "api.default.svc.cluster.local", "kubernetes.default", "router.lan",
                           "host.docker.internal", "localhost6", "broadcasthost", "a.home.arpa"}) {
    for (const auto& judge : {judge_of(), judge_of({star}), judge_of({}, Mode::report)}) {
      const auto verdict = ask(judge, host);
      ASSERT_TRUE(verdict.refusal) << host;
      EXPECT_EQ(verdict.refusal->reason, Reason::host_prohibited) << host;
    }
  }
  EXPECT_TRUE(ask(judge_of({below}), "api.corp.internal").allowed());
  EXPECT_FALSE(ask(judge_of({below}), "api.other.internal").allowed());
  EXPECT_TRUE(ask(judge_of({below}), "redis").allowed());
}

TEST(JudgeNames, ANameOfOneLabelHasNoSingleMeaning) {
  for (const char* host : {"redis", "intranet1", "test", "example"}) {
    const auto verdict = ask(judge_of(), host);
    ASSERT_TRUE(verdict.refusal) << host;
    EXPECT_EQ(verdict.refusal->reason, Reason::host_not_canonical) << host;
  }
}

TEST(JudgeNames, OrdinaryNamesAreNotTakenForSpecialOnes) {
  for (const char* host :
       {"example.com", "hook.test", "foo.example", "localhost.example.com", "localhost-evil.com",
        "metadata.example.com", "metadata.google.internal.example.com", "notlocal.com",
        "internal.example.com", "mylocal.net", "foo.xlocal", "1337.net", "svc.example.org",
        "127.0.0.1", "::1", "localhost", "foo.localhost"}) {
    EXPECT_TRUE(ask(judge_of(), host).allowed()) << host;
  }
}

TEST(JudgeNames, LocalhostIsTheLoopbackAddressAndNeverAskedOfDns) {
  const auto loopback = Address::v4({127, 0, 0, 1});
  for (const char* host : {"localhost", "LOCALHOST.", "a.b.localhost"}) {
    EXPECT_THAT(localhost_addresses(canonical_host(host).value()), ElementsAre(loopback)) << host;
  }
  for (const char* host : {"localhost.example.com", "notlocalhost.test", "127.0.0.1"}) {
    EXPECT_TRUE(localhost_addresses(canonical_host(host).value()).empty()) << host;
  }
}

TEST(JudgeRules, ReportModeLetsPassAndKeepsTheFirstReason) {
  Rule closed = named("closed");
  closed.action = Action::deny;
  Trace trace;
  const auto verdict = ask(judge_of({closed}, Mode::report), "example.com", &trace, "TRACE", 22);
  EXPECT_TRUE(verdict.allowed());
  ASSERT_TRUE(verdict.reported);
  EXPECT_EQ(verdict.reported->reason, Reason::rule_denied);
  std::vector<std::string> steps;
  for (const auto& step : trace) steps.push_back(step.name + " " + step.outcome);
  EXPECT_THAT(steps, ElementsAre("rule ok", "action reported", "method reported", "port reported",
                                 "host ok"));
}

TEST(JudgeRules, TheVerdictAlwaysHasItsRule) {
  Rule closed = named("closed");
  closed.match.hosts = {*HostPattern::parse("closed.test")};
  closed.action = Action::deny;
  const Judge judge = judge_of({closed});
  const auto denied = ask(judge, "closed.test");
  EXPECT_EQ(denied.rule, &judge.rules()[0]);
  EXPECT_EQ(denied.refusal->detail,
            "The request is refused by rule \"closed\" (action: deny); to let it pass, add an "
            "earlier rule that takes it.");
  EXPECT_EQ(ask(judge, "open.test").rule, &judge.defaults());
}

TEST(JudgeRules, AnInterceptedTunnelIsAllowedAsAnyTunnelIs) {
  const Host host = canonical_host("a.test").value();
  const std::pair<ConnectMode, std::string> cases[] = {
      {ConnectMode::tunnel, "connect tunnel"},
      {ConnectMode::intercept, "connect intercept"},
      {ConnectMode::deny, ""}};
  for (const auto& [mode, step] : cases) {
    Rule rule = named("r");
    rule.methods = {"POST"};
    rule.connect = mode;
    Trace trace;
    const Judge judge = judge_of({rule});
    const auto verdict = judge.judge({.sender = "",
                                      .method = "CONNECT",
                                      .connect = true,
                                      .host = &host,
                                      .port = 443,
                                      .path = ""},
                                     &trace);
    EXPECT_EQ(verdict.allowed(), !step.empty());
    if (step.empty()) {
      EXPECT_EQ(verdict.refusal->reason, Reason::connect_prohibited);
      continue;
    }
    const bool said = std::any_of(trace.begin(), trace.end(), [&](const auto& one) {
      return one.name == "connect" && one.detail == "rule \"r\": " + step;
    });
    EXPECT_TRUE(said) << step;
  }
}

TEST(Ways, WithoutCredentialsAreStillTheSame) {
  Way a;
  a.via = Via{.host = canonical_host("proxy.test").value(), .port = 3128, .authorization = {}};
  Way b = a;
  EXPECT_EQ(a, b);
  b.via->authorization = Secret("Basic eDp5");
  EXPECT_NE(a, b);
  a.via->authorization = Secret("Basic eDp6");
  EXPECT_NE(a, b);
}

TEST(JudgeRules, RefusalsSayWhatIsListed) {
  Rule rule = named("narrow");
  rule.ports = {{443, 443}, {8000, 8999}};
  rule.methods = {"POST"};
  EXPECT_EQ(ask(judge_of({rule}), "a.test", nullptr, "POST", 80).refusal->detail,
            "Port 80 is refused by rule \"narrow\", whose ports are 443, 8000-8999; add it there.");
  EXPECT_EQ(ask(judge_of({rule}), "a.test", nullptr, "get").refusal->detail,
            "The method \"get\" is refused by rule \"narrow\", whose methods are POST; add it "
            "there.");
}

}  // namespace
}  // namespace egret::policy
