#include "proxy/net/ares_resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "policy/judge.h"
#include "policy/url.h"
#include "proxy/async/loop.h"
#include "proxy/async/task_set.h"
#include "proxy/net/resolver_cache.h"
#include "tests/support/dns_server.h"

namespace egret::net {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using test::DnsAnswer;
using test::DnsAnswers;
using test::DnsMode;
using test::DnsRecord;
using test::DnsServer;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

DnsRecord a(const std::string& address, uint32_t ttl = 60) {
  return {.type = "A", .value = address, .ttl = ttl, .owner = {}, .raw = {}};
}
DnsRecord aaaa(const std::string& address, uint32_t ttl = 60) {
  return {.type = "AAAA", .value = address, .ttl = ttl, .owner = {}, .raw = {}};
}
DnsAnswer records(std::vector<DnsRecord> rows) {
  return {.records = std::move(rows), .delay = 0ms};
}
DnsAnswer mode(DnsMode what, std::vector<DnsRecord> rows = {}) {
  return {.mode = what, .records = std::move(rows), .delay = 0ms};
}

size_t open_descriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

class AresResolverTest : public testing::Test {
 protected:
  static AresOptions options(const DnsServer& server, Duration timeout = 5s) {
    return {.servers = {server.endpoint()}, .timeout = timeout, .tries = 2, .hosts_file = false};
  }
  [[nodiscard]] Deadline in(Duration after) { return clock_.now() + after; }

  Result<Answer> wait(async::Task<Result<Answer>> task) {
    task.start();
    while (!task.done()) loop_.turn(true);
    return task.result();
  }
  Result<Answer> resolve(Resolver& resolver, const std::string& name, Duration patience = 5s) {
    return wait(resolver.resolve(name, in(patience)));
  }
  Result<Answer> resolve(const std::string& name, Duration timeout = 5s) {
    AresResolver resolver(loop_, options(server_, timeout));
    return resolve(resolver, name, 30s);
  }

  // One try's wait where no answer will come.
  static constexpr Duration kShort = 60ms;

  SystemClock clock_;
  async::Loop loop_{clock_};
  DnsServer server_;
};

std::vector<std::string> texts(const Result<Answer>& answer) {
  if (!answer) return {std::string(name(answer.error().reason)) + ": " + answer.error().detail};
  std::vector<std::string> out;
  for (const policy::Address& address : answer->addresses) out.push_back(address.to_string());
  return out;
}

struct Bad {
  const char* what;
  DnsAnswer ipv4;
  DnsAnswer ipv6;
  Reason reason;
  const char* detail;
};

TEST_F(AresResolverTest, FailsClosedWhateverTheServerDoes) {
  const DnsAnswer good4 = records({a("8.8.8.8")});
  const DnsAnswer good6 = records({aaaa("2001:4860::1")});
  const DnsAnswer none = mode(DnsMode::nodata);
  const Bad rows[] = {
      {"NXDOMAIN", mode(DnsMode::nxdomain), mode(DnsMode::nxdomain), Reason::name_not_found,
       "NXDOMAIN"},
      {"NODATA", none, none, Reason::name_has_no_address, "neither"},
      {"NXDOMAIN, NODATA", mode(DnsMode::nxdomain), none, Reason::name_has_no_address, "neither"},
      {"SERVFAIL", mode(DnsMode::servfail), mode(DnsMode::servfail), Reason::dns_error, "SERVFAIL"},
      {"SERVFAIL for AAAA", good4, mode(DnsMode::servfail), Reason::dns_error, "SERVFAIL"},
      {"SERVFAIL for A", mode(DnsMode::servfail), good6, Reason::dns_error, "SERVFAIL"},
      {"REFUSED", mode(DnsMode::refused), mode(DnsMode::refused), Reason::dns_error, "REFUSED"},
      {"REFUSED for AAAA", good4, mode(DnsMode::refused), Reason::dns_error, "REFUSED"},
      {"NOTIMP for AAAA", good4, mode(DnsMode::notimp), Reason::dns_error, "NOTIMP"},
      {"FORMERR for AAAA", good4, mode(DnsMode::formerr), Reason::dns_error, "FORMERR"},
      {"silence", mode(DnsMode::silence), mode(DnsMode::silence), Reason::dns_timeout, "no answer"},
      {"silence about AAAA", good4, mode(DnsMode::silence), Reason::dns_timeout, "no answer"},
      {"silence about A", mode(DnsMode::silence), good6, Reason::dns_timeout, "no answer"},
      {"garbage", mode(DnsMode::garbage), mode(DnsMode::garbage), Reason::dns_timeout, "no answer"},
      {"garbage for AAAA", good4, mode(DnsMode::garbage), Reason::dns_timeout, "no answer"},
      {"empty packets", mode(DnsMode::empty_packet), good6, Reason::dns_timeout, "no answer"},
      {"garbage after the question", mode(DnsMode::garbage_body), good6, Reason::dns_error,
       "record"},
      {"wrong id", mode(DnsMode::wrong_id, {a("8.8.8.8")}), none, Reason::dns_timeout, "no answer"},
      {"wrong question", mode(DnsMode::wrong_question, {a("8.8.8.8")}), none, Reason::dns_timeout,
       "no answer"},
      {"wrong source", mode(DnsMode::wrong_source, {a("8.8.8.8")}), none, Reason::dns_timeout,
       "no answer"},
      {"compression loop", mode(DnsMode::compression_loop), good6, Reason::dns_error, "malformed"},
      {"A with 16 octets",
       records({{.type = "A", .value = {}, .ttl = 1, .owner = {}, .raw = std::string(16, 'x')}}),
       good6, Reason::dns_error, "wrong length"},
      {"another owner",
       records({{.type = "A", .value = "8.8.8.8", .ttl = 1, .owner = "b.test", .raw = {}}}), none,
       Reason::dns_error, "other names"},
      {"CNAME loop",
       records({{.type = "CNAME", .value = "hook.test", .ttl = 1, .owner = {}, .raw = {}}}), good6,
       Reason::dns_error, "CNAME loop"},
      {"TC over TCP too", mode(DnsMode::always_truncated), good6, Reason::dns_error, "truncated"},
      {"TC, then TCP closes", mode(DnsMode::tcp_hangs_up), good6, Reason::dns_error, ""},
  };
  for (const Bad& row : rows) {
    SCOPED_TRACE(row.what);
    server_.script("hook.test", "A", {row.ipv4});
    server_.script("hook.test", "AAAA", {row.ipv6});
    const TimePoint before = clock_.now();
    const Result<Answer> answer =
        resolve("hook.test", row.reason == Reason::dns_timeout ? kShort : 5s);
    EXPECT_LT(clock_.now() - before, 4s);
    ASSERT_FALSE(answer) << testing::PrintToString(texts(answer));
    EXPECT_EQ(answer.error().reason, row.reason) << testing::PrintToString(texts(answer));
    EXPECT_THAT(answer.error().detail, HasSubstr(row.detail));
    EXPECT_THAT(answer.error().detail, HasSubstr("hook.test"));
    EXPECT_THAT(answer.error().detail, HasSubstr(server_.endpoint().to_string()));
  }
}

TEST_F(AresResolverTest, GivesTheUnionOfBothTypes) {
  server_.script("both.test", {records({a("8.8.8.8", 9), a("8.8.4.4"), aaaa("2001:4860::1", 7)})});
  server_.script("four.test", {records({a("8.8.8.8", 0)})});
  server_.script("six.test", "AAAA", {records({aaaa("2001:4860::1")})});  // A: NXDOMAIN
  const Result<Answer> both = resolve("both.test");
  EXPECT_THAT(texts(both), ElementsAre("8.8.8.8", "8.8.4.4", "2001:4860::1"));
  EXPECT_EQ(both->ttl, 7s);
  const Result<Answer> four = resolve("four.test");
  EXPECT_THAT(texts(four), ElementsAre("8.8.8.8"));
  EXPECT_EQ(four->ttl, 0s);
  EXPECT_THAT(texts(resolve("six.test")), ElementsAre("2001:4860::1"));
}

TEST_F(AresResolverTest, TruncatedAnswersComeByTcp) {
  server_.script("cut.test", {mode(DnsMode::truncated, {a("8.8.8.8"), aaaa("2001:4860::1")})});
  EXPECT_THAT(texts(resolve("cut.test")), ElementsAre("8.8.8.8", "2001:4860::1"));
  std::vector<DnsRecord> hundred;
  for (int i = 0; i < 100; ++i) hundred.push_back(a("8.8.4." + std::to_string(i)));
  hundred.push_back(a("10.0.0.1"));
  server_.script("hundred.test", {records(hundred)});
  const Result<Answer> answer = resolve("hundred.test");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->addresses.size(), 101U);
  EXPECT_EQ(answer->addresses.back().to_string(), "10.0.0.1");
}

TEST_F(AresResolverTest, AThousandAddressesAreRefused) {
  std::vector<DnsRecord> rows;
  for (int i = 0; i < 1000; ++i) {
    rows.push_back(a("8.8." + std::to_string(i / 250) + "." + std::to_string(i % 250)));
  }
  server_.script("huge.test", {records(rows)});
  EXPECT_THAT(resolve("huge.test").error().detail, HasSubstr("more than 256 addresses"));
}

TEST_F(AresResolverTest, ALateAnswerIsWaitedForAndOneTooLateIsAskedAgain) {
  DnsAnswer late = records({a("8.8.8.8")});
  late.delay = 80ms;
  server_.script("late.test", {late});
  EXPECT_THAT(texts(resolve("late.test")), ElementsAre("8.8.8.8"));
  server_.script("lost.test", {mode(DnsMode::silence), records({a("8.8.8.8")})});
  EXPECT_THAT(texts(resolve("lost.test", 200ms)), ElementsAre("8.8.8.8"));
  EXPECT_GE(server_.count("lost.test", "A"), 2U);
}

TEST_F(AresResolverTest, TheDeadlineEndsIt) {
  server_.script("slow.test", {mode(DnsMode::silence)});
  AresOptions patient = options(server_);
  patient.timeout = 30s;
  AresResolver resolver(loop_, patient);
  const TimePoint before = clock_.now();
  const Result<Answer> answer = resolve(resolver, "slow.test", 50ms);
  EXPECT_EQ(answer.error().reason, Reason::dns_timeout);
  EXPECT_GE(clock_.now() - before, 50ms);
  EXPECT_LT(clock_.now() - before, 5s);
}

TEST_F(AresResolverTest, AsksTheNextServerWhenOneIsOfNoUse) {
  DnsServer other;
  other.script("hook.test", {records({a("8.8.8.8")})});
  for (const DnsMode useless : {DnsMode::servfail, DnsMode::refused, DnsMode::silence}) {
    server_.script("hook.test", {mode(useless)});
    AresOptions two = options(server_, useless == DnsMode::silence ? 200ms : 5s);
    two.servers.push_back(other.endpoint());
    AresResolver resolver(loop_, two);
    EXPECT_THAT(texts(resolve(resolver, "hook.test")), ElementsAre("8.8.8.8"));
  }
}

TEST_F(AresResolverTest, NobodyListens) {
  policy::Endpoint closed;
  {
    const DnsServer gone;
    closed = gone.endpoint();
  }
  AresOptions deaf = options(server_);
  deaf.servers = {closed};
  AresResolver resolver(loop_, deaf);
  const Result<Answer> answer = resolve(resolver, "hook.test");
  EXPECT_EQ(answer.error().reason, Reason::dns_error);
  EXPECT_EQ(answer.error().detail,
            "hook.test: Connection refused (asked " + closed.to_string() + ")");
}

TEST_F(AresResolverTest, AsksOnceForEachTypeAndForNothingElse) {
  // What could make c-ares ask for other names.
  setenv("LOCALDOMAIN", "corp.test", 1);
  setenv("RES_OPTIONS", "ndots:5 retrans:1 retry:9 rotate", 1);
  const std::string aliases = testing::TempDir() + "/egret_host_aliases";
  std::ofstream(aliases) << "intranet intranet.corp.test\n";
  setenv("HOSTALIASES", aliases.c_str(), 1);
  server_.script("hook.test", {records({a("8.8.8.8")})});
  server_.script("intranet.corp.test", {records({a("10.0.0.9")})});
  AresResolver resolver(loop_, options(server_));
  EXPECT_TRUE(resolve(resolver, "hook.test"));
  EXPECT_EQ(resolve(resolver, "intranet").error().reason, Reason::name_not_found);
  for (const char* variable : {"LOCALDOMAIN", "RES_OPTIONS", "HOSTALIASES"}) unsetenv(variable);
  std::vector<std::string> asked;
  for (const test::DnsQuery& query : server_.queries())
    asked.push_back(query.name + " " + query.type);
  EXPECT_THAT(asked,
              UnorderedElementsAre("hook.test A", "hook.test AAAA", "intranet A", "intranet AAAA"));
}

TEST_F(AresResolverTest, NamesThatAreNoNamesNeverReachTheServer) {
  server_.script("*", {records({a("8.8.8.8")})});
  for (const char* name : {"010.0.0.1", "127.1", "1.2.3.4", "::1", "localhost", "foo.localhost", "",
                           "a\\.b.test", "a..b", "hook.test."}) {
    EXPECT_EQ(resolve(name).error().reason, Reason::dns_error) << name;
  }
  EXPECT_THAT(server_.queries(), testing::IsEmpty());
}

TEST_F(AresResolverTest, EachLookupHasASourcePortOfItsOwn) {
  server_.script("hook.test", {records({a("8.8.8.8")})});
  std::set<uint16_t> ports;
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(resolve("hook.test"));
  for (const test::DnsQuery& query : server_.queries()) ports.insert(query.source_port);
  EXPECT_GE(ports.size(), 6U);
}

TEST_F(AresResolverTest, HostsFileOnlyWhenAsked) {
  // /etc/hosts of whoever runs this is the only one that c-ares reads; use a name it has, if any.
  std::ifstream hosts("/etc/hosts");
  std::string wanted;
  for (std::string line; std::getline(hosts, line) && wanted.empty();) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string word;
    words >> word;
    while (words >> word) {
      if (word.find("localhost") == std::string::npos && word.find('.') == std::string::npos &&
          !word.empty() && !isdigit(static_cast<unsigned char>(word[0]))) {
        wanted = word;
      }
    }
  }
  if (wanted.empty()) GTEST_SKIP() << "no name in /etc/hosts";
  server_.script("*", {records({a("8.8.8.8")})});
  EXPECT_THAT(texts(resolve(wanted)), ElementsAre("8.8.8.8"));
  const size_t before = server_.queries().size();
  AresOptions with_hosts = options(server_);
  with_hosts.hosts_file = true;
  AresResolver resolver(loop_, with_hosts);
  const Result<Answer> answer = resolve(resolver, wanted);
  ASSERT_TRUE(answer);
  EXPECT_NE(texts(answer), std::vector<std::string>{"8.8.8.8"});
  EXPECT_EQ(server_.queries().size(), before);
  EXPECT_THAT(texts(resolve(resolver, "hook.test")), ElementsAre("8.8.8.8"));
}

// Destroyed after any number of turns, a lookup leaves no descriptor, timer or memory.
TEST_F(AresResolverTest, CancelledAtAnyTurnLeavesNothing) {
  for (const DnsMode how : {DnsMode::records, DnsMode::truncated, DnsMode::silence,
                            DnsMode::tcp_hangs_up, DnsMode::servfail}) {
    server_.script("hook.test", {mode(how, {a("8.8.8.8")})});
    AresResolver resolver(loop_, options(server_));
    for (int turns = 0; turns < 12; ++turns) {
      const size_t before = open_descriptors();
      async::Task<Result<Answer>> task = resolver.resolve("hook.test", in(5s));
      task.start();
      for (int i = 0; i < turns && !task.done(); ++i) loop_.turn(true);
      task.reset();
      EXPECT_EQ(loop_.scheduler().timers().size(), 0U);
      EXPECT_TRUE(loop_.scheduler().ready().empty());
      // The server's own end of a TCP connection may take a moment.
      for (int i = 0; i < 1000 && open_descriptors() != before; ++i) {
        std::this_thread::sleep_for(1ms);
      }
      EXPECT_EQ(open_descriptors(), before) << turns;
    }
  }
}

TEST_F(AresResolverTest, ATaskThatNeverStartedIsNothing) {
  AresResolver resolver(loop_, options(server_));
  { const async::Task<Result<Answer>> task = resolver.resolve("hook.test", kNever); }
  EXPECT_THAT(server_.queries(), testing::IsEmpty());
}

async::Task<void> count_answer(Resolver& resolver, std::string name, Deadline deadline, int& good,
                               int& done) {
  const Result<Answer> answer = co_await resolver.resolve(name, deadline);
  if (answer) ++good;
  ++done;
}

TEST_F(AresResolverTest, ManyAtOnceShareOneQueryThroughTheCache) {
  DnsAnswer late = records({a("8.8.8.8", 60)});
  late.delay = 30ms;
  server_.script("hook.test", {late});
  AresResolver upstream(loop_, options(server_));
  CachingResolver resolver(upstream, {});
  int good = 0;
  int done = 0;
  async::TaskSet tasks;
  for (int i = 0; i < 100; ++i) {
    tasks.spawn(count_answer(resolver, "hook.test", in(5s), good, done));
  }
  while (done < 100) loop_.turn(true);
  EXPECT_EQ(good, 100);
  EXPECT_EQ(server_.count("hook.test", "A"), 1U);
  EXPECT_EQ(server_.count("hook.test", "AAAA"), 1U);
}

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
