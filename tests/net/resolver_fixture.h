#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "proxy/async/loop.h"
#include "proxy/net/ares_resolver.h"
#include "tests/support/dns_server.h"

namespace egret::net {

using namespace std::chrono_literals;
using test::DnsAnswer;
using test::DnsMode;
using test::DnsRecord;
using test::DnsServer;

inline DnsRecord a(const std::string& address, uint32_t ttl = 60) {
  return {.type = "A", .value = address, .ttl = ttl, .owner = {}, .raw = {}};
}
inline DnsRecord aaaa(const std::string& address, uint32_t ttl = 60) {
  return {.type = "AAAA", .value = address, .ttl = ttl, .owner = {}, .raw = {}};
}
inline DnsAnswer records(std::vector<DnsRecord> rows) {
  return {.records = std::move(rows), .delay = 0ms};
}
inline DnsAnswer mode(DnsMode what, std::vector<DnsRecord> rows = {}) {
  return {.mode = what, .records = std::move(rows), .delay = 0ms};
}

inline std::vector<std::string> texts(const Result<Answer>& answer) {
  if (!answer) return {std::string(name(answer.error().reason)) + ": " + answer.error().detail};
  std::vector<std::string> out;
  for (const policy::Address& address : answer->addresses) out.push_back(address.to_string());
  return out;
}

// The real resolver on a real loop, and a name server that lies.
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

}  // namespace egret::net
