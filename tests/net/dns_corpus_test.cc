// tests/data/dns.jsonl: what must come of a name when a name server answers so.
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "policy/judge.h"
#include "policy/url.h"
#include "proxy/net/resolver_cache.h"
#include "tests/net/resolver_fixture.h"

namespace egret::net {
namespace {

// Every row of the corpus: the name is judged as a request's would be, resolved by the real
// resolver, and its addresses are judged. Nothing is ever dialled.
class Corpus : public AresResolverTest {
 protected:
  // "bad", "deny", "error" or "allow".
  std::string outcome(Resolver& resolver, const std::string& host_text) {
    const auto host = policy::parse_url("http://" + host_text + "/");
    if (!host) return "bad";
    const policy::Judge judge(policy::Mode::enforce, policy::Rule{}, {}, {});
    const policy::Verdict verdict =
        judge.judge({.sender = {}, .method = "POST", .host = &host->host, .port = 80, .path = "/"});
    if (!verdict.allowed()) return "deny";
    std::vector<policy::Address> candidates;
    const auto local = policy::localhost_addresses(host->host);
    candidates.assign(local.begin(), local.end());
    if (candidates.empty()) {
      const Result<Answer> answer = resolve(resolver, host->host.text);
      if (!answer) return "error";
      candidates = answer->addresses;
    }
    return judge.permit(*verdict.rule, 80, candidates) ? "allow" : "deny";
  }
};

TEST_F(Corpus, EveryRowComesOutAsItMust) {
  // What a row expects, as the set of outcomes that will do; several outcomes are one a request.
  const std::map<std::string, std::vector<std::set<std::string>>> meanings{
      {"allow", {{"allow"}}},
      {"deny", {{"deny"}}},
      {"error", {{"error"}}},
      {"bad", {{"bad"}}},
      {"allow-or-deny", {{"allow", "deny"}}},
      {"allow-or-error", {{"allow", "error"}}},
      {"allow-pinned", {{"allow"}}},
      {"allow-then-deny", {{"allow"}, {"deny"}}},
      {"policy", {{"allow"}, {"deny"}}},  // a lookup of its own for each connection
  };
  std::ifstream rows(EGRET_TEST_DATA "/dns.jsonl");
  ASSERT_TRUE(rows.good());
  size_t count = 0;
  for (std::string line; std::getline(rows, line); ++count) {
    const auto row = nlohmann::json::parse(line);
    SCOPED_TRACE(row.at("id").get<std::string>());
    DnsServer server;
    server.load_zone(row.at("zone").dump());
    AresResolver resolver(loop_, options(server, row.at("expect") == "error" ? kShort : 5s));
    const auto host = row.at("host").get<std::string>();
    const auto& wanted = meanings.at(row.at("expect").get<std::string>());
    for (const std::set<std::string>& will_do : wanted) {
      const std::string came = outcome(resolver, host);
      EXPECT_TRUE(will_do.contains(came)) << came;
    }
    const auto asked = server.queries();
    EXPECT_TRUE(host != "foo.localhost" || asked.empty());
    for (const test::DnsQuery& query : asked) EXPECT_EQ(query.name, "hook.test");
    if (row.at("expect") != "error") {
      EXPECT_LE(server.count("hook.test", "A"), wanted.size() * 2);  // UDP, and TCP when cut
    }
  }
  EXPECT_GE(count, 43U);
}

// DNS-reb1 to reb7: an answer is used for as long as it lives, and asked again after.
TEST_F(Corpus, RebindingFindsTheFirstAnswerUntilItsTtlIsOver) {
  server_.script("hook.test", {records({a("203.0.114.10", 0)}), records({a("127.0.0.1", 0)})});
  AresResolver upstream(loop_, options(server_));
  CachingResolver resolver(upstream, {.min_ttl = 100ms});
  EXPECT_EQ(outcome(resolver, "hook.test"), "allow");
  EXPECT_EQ(outcome(resolver, "hook.test"), "allow");
  EXPECT_EQ(server_.count("hook.test", "A"), 1U);
  std::this_thread::sleep_for(120ms);
  loop_.turn(false);
  EXPECT_EQ(outcome(resolver, "hook.test"), "deny");
  EXPECT_EQ(server_.count("hook.test", "A"), 2U);
}

}  // namespace
}  // namespace egret::net
