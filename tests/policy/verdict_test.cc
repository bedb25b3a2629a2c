// Runs tests/data/policy/*.verdicts: what each set of rules says of a request. The rules of a file
// are built below under the file's name; a case is a line, and needs no C++:
//
//   allow  RULE    [sender=NAME] METHOD URL [-> ADDRESS,ADDRESS]  # comment
//   deny   REASON  …                      URL of CONNECT: host:port
//   report REASON  …                      let pass, in report mode
//
// "->" gives what DNS answers for a name; without it a name is judged without its addresses.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "policy/judge.h"

namespace egret::policy {
namespace {

Rule rule(std::string name, std::vector<std::string> hosts = {}) {
  Rule out;
  out.name = std::move(name);
  for (const auto& host : hosts) out.match.hosts.push_back(HostPattern::parse(host).value());
  return out;
}

std::vector<Prefix> prefixes(const std::vector<std::string>& texts) {
  std::vector<Prefix> out;
  for (const auto& text : texts) out.push_back(Prefix::parse(text).value());
  return out;
}

Rule deny_all(std::string name) {
  Rule out = rule(std::move(name));
  out.action = Action::deny;
  return out;
}

Judge defaults() { return {Mode::enforce, rule("defaults"), {}, {prefixes({"64:ff9b::/96"}), {}}}; }

// rules:
//   - {name: partners, match: {senders: [billing], hosts: ["*.partner.example"], ports: [443],
//                              methods: [POST], paths: ["/hooks/*"]}}
//   - {name: tunnels, match: {hosts: [tunnel.example]}, ports: [8000-8999]}
//   - {name: no-tunnels, match: {hosts: [plain.example]}, connect: deny}
//   - {name: nothing-else, action: deny}
Judge partners() {
  Rule first = rule("partners", {"*.partner.example"});
  first.match.senders = {"billing"};
  first.match.ports = {{443, 443}};
  first.match.methods = {"POST"};
  first.match.paths = {"/hooks/*"};
  Rule tunnels = rule("tunnels", {"tunnel.example"});
  tunnels.ports = {{8000, 8999}};
  Rule plain = rule("no-tunnels", {"plain.example"});
  plain.connect = ConnectMode::deny;
  return {Mode::enforce, rule("defaults"), {first, tunnels, plain, deny_all("nothing-else")}, {}};
}

// rules:
//   - {name: inside, match: {hosts: [api.corp.internal, redis, localhost]},
//      addresses: {allow: [10.1.0.0/16, 127.0.0.1], deny: [10.1.9.0/24]}}
//   - {name: filtered, match: {hosts: [cdn.example]}, addresses: {mixed: filter}}
//   - {name: only-one, match: {hosts: [one.example]},
//      addresses: {allow: [203.0.112.7], deny: [0.0.0.0/0, "::/0"]}}
Judge internal() {
  Rule inside = rule("inside", {"api.corp.internal", "redis", "localhost"});
  inside.addresses.allow = prefixes({"10.1.0.0/16", "127.0.0.1"});
  inside.addresses.deny = prefixes({"10.1.9.0/24"});
  Rule filtered = rule("filtered", {"cdn.example"});
  filtered.addresses.mixed = Mixed::filter;
  Rule only_one = rule("only-one", {"one.example"});
  only_one.addresses.allow = prefixes({"203.0.112.7"});
  only_one.addresses.deny = prefixes({"0.0.0.0/0", "::/0"});
  return {Mode::enforce,
          rule("defaults"),
          {inside, filtered, only_one},
          {prefixes({"64:ff9b::/96"}), {{Address::v4({127, 0, 0, 1}), 80}}}};
}

// mode: report, and partners' rules.
Judge report() { return {Mode::report, rule("defaults"), partners().rules(), {}}; }

struct Case {
  std::string verdict, expected, sender, method, target;
  std::vector<Address> answers;
};

Case parse_case(const std::string& line) {
  Case out;
  std::istringstream words(line);
  words >> out.verdict >> out.expected;
  std::string word;
  words >> word;
  if (word.starts_with("sender=")) {
    out.sender = word.substr(7);
    words >> word;
  }
  out.method = word;
  words >> out.target >> word;
  if (word != "->") return out;
  words >> word;
  std::istringstream list(word);
  for (std::string address; std::getline(list, address, ',');) {
    out.answers.push_back(Address::parse(address).value());
  }
  return out;
}

std::string refused(const Failure& failure) { return "deny " + std::string(name(failure.reason)); }

// The line's first two words as they should read.
std::string run(const Judge& judge, const Case& c) {
  const bool connect = c.method == "CONNECT";
  Url url;
  if (connect) {
    const auto authority = parse_authority(c.target);
    if (!authority) return refused(authority.error());
    url.host = authority->host;
    url.port = authority->port;
  } else {
    const auto parsed = parse_url(c.target);
    if (!parsed) return refused(parsed.error());
    url = *parsed;
  }
  const auto verdict = judge.judge({.sender = c.sender,
                                    .method = c.method,
                                    .connect = connect,
                                    .host = &url.host,
                                    .port = url.port,
                                    .path = url.path});
  if (verdict.refusal) return refused(*verdict.refusal);
  std::vector<Address> candidates = c.answers;
  if (url.host.literal) candidates = {*url.host.literal};
  const auto loopback = localhost_addresses(url.host);
  if (!loopback.empty()) candidates.assign(loopback.begin(), loopback.end());
  if (!candidates.empty()) {
    const auto permitted = judge.permit(*verdict.rule, url.port, candidates);
    if (!permitted) return refused(permitted.error());
  }
  if (verdict.reported) return "report " + std::string(name(verdict.reported->reason));
  return "allow " + verdict.rule->name;
}

TEST(Verdicts, EveryLineOfEveryFileHolds) {
  const std::map<std::string, std::function<Judge()>> rules = {
      {"defaults", defaults}, {"partners", partners}, {"internal", internal}, {"report", report}};
  size_t files = 0;
  for (const auto& file :
       std::filesystem::directory_iterator(std::string(EGRET_TEST_DATA) + "/policy")) {
    if (file.path().extension() != ".verdicts") continue;
    ++files;
    ASSERT_TRUE(rules.contains(file.path().stem())) << file.path() << " has no rules";
    const Judge judge = rules.at(file.path().stem())();
    std::ifstream lines(file.path());
    size_t number = 0;
    for (std::string line; std::getline(lines, line);) {
      ++number;
      line.resize(std::min(line.find(" #"), line.size()));
      if (line.empty() || line.front() == '#') continue;
      const Case c = parse_case(line);
      EXPECT_EQ(run(judge, c), c.verdict + " " + c.expected)
          << file.path().filename() << ":" << number << ": " << line;
    }
  }
  EXPECT_EQ(files, rules.size());
}

}  // namespace
}  // namespace egret::policy
