#include "proxy/net/ares_resolver.h"

#include <sys/resource.h>

#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>

#include "proxy/async/task_set.h"
#include "proxy/net/resolver_cache.h"
#include "tests/net/resolver_fixture.h"

namespace egret::net {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

size_t open_descriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
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
    for (int turns = 0; turns < 12; ++turns) {
      const size_t before = open_descriptors();
      // One a lookup, gone when they are counted: its own end of a TCP connection, which its thread
      // opens and closes when it comes to it, is no descriptor of ours.
      auto server = std::make_unique<DnsServer>();
      server->script("hook.test", {mode(how, {a("8.8.8.8")})});
      AresResolver resolver(loop_, options(*server, kShort));
      async::Task<Result<Answer>> task = resolver.resolve("hook.test", in(5s));
      task.start();
      for (int i = 0; i < turns && !task.done(); ++i) loop_.turn(true);
      task.reset();
      EXPECT_EQ(loop_.scheduler().timers().size(), 0U);
      EXPECT_TRUE(loop_.scheduler().ready().empty());
      server.reset();
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

TEST_F(AresResolverTest, WithoutADescriptorItSaysSo) {
  AresResolver resolver(loop_, options(server_));
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  const Result<Answer> answer = resolve(resolver, "hook.test");
  setrlimit(RLIMIT_NOFILE, &before);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().reason, Reason::dns_error);
  EXPECT_THAT(answer.error().detail, HasSubstr("Too many open files"));
}

}  // namespace
}  // namespace egret::net
