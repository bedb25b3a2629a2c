#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "policy/address.h"

namespace egret::test {

// One record of a scripted answer.
struct DnsRecord {
  std::string type;   // "A", "AAAA", "CNAME", "TXT"
  std::string value;  // an address, or a name
  uint32_t ttl = 60;
  std::string owner{};  // empty: the name that was asked
  std::string raw{};    // when not empty: these bytes instead of `value`, as they are
};

enum class DnsMode : uint8_t {
  records,
  nxdomain,
  servfail,
  refused,
  notimp,
  formerr,
  nodata,
  silence,
  truncated,         // TC over UDP, the records over TCP
  always_truncated,  // TC over TCP too
  tcp_hangs_up,      // TC over UDP, and TCP closes without a word
  garbage,           // 40 times 0xff
  garbage_body,      // the right id and question, then rubbish where the records should be
  wrong_id,
  wrong_question,
  wrong_source,      // the right answer from another port
  compression_loop,  // an owner that is a pointer to itself
  empty_packet,
};

struct DnsAnswer {
  DnsMode mode = DnsMode::records;
  std::vector<DnsRecord> records{};
  std::chrono::milliseconds delay{0};  // over UDP
};
using DnsAnswers = std::vector<DnsAnswer>;  // one a query; the last repeats

struct DnsQuery {
  std::string name;
  std::string type;
  bool tcp = false;
  uint16_t source_port = 0;
  bool operator==(const DnsQuery&) const = default;
};

// DnsServer is a name server that lies as it is told, over UDP and TCP on a port of 127.0.0.1 that
// the kernel chose, on a thread of its own. It remembers every question. Names without a script do
// not exist.
//   Any thread may call it.
class DnsServer {
 public:
  DnsServer();
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  [[nodiscard]] policy::Endpoint endpoint() const { return endpoint_; }

  // What to answer for `name`; A and AAAA each begin at the first.
  void script(const std::string& name, DnsAnswers answers);
  // For one type only: goes before the above.
  void script(const std::string& name, const std::string& type, DnsAnswers answers);
  // A JSON object as in tests/data/dns.jsonl: {"name": [[record, …], next answer, …]} or
  // {"name": "NXDOMAIN" | "SERVFAIL" | "REFUSED" | "NODATA" | "TIMEOUT" | "TRUNC" | "GARBAGE" |
  // "WRONGID"}. Throws when it is not.
  void load_zone(std::string_view json);

  // Every question so far, in order.
  [[nodiscard]] std::vector<DnsQuery> queries() const;
  [[nodiscard]] size_t count(const std::string& name, const std::string& type) const;

 private:
  struct Late;
  void serve();
  void serve_udp(std::vector<Late>& late);
  void serve_tcp() const;
  // The reply's bytes; nothing to say nothing.
  std::string answer(std::string_view packet, bool tcp, uint16_t source_port,
                     DnsAnswer& chosen) const;
  DnsAnswer choose(const DnsQuery& query) const;

  int udp_ = -1;
  int other_udp_ = -1;
  int tcp_ = -1;
  int stop_ = -1;
  policy::Endpoint endpoint_;
  mutable std::mutex mutex_;
  using Key = std::pair<std::string, std::string>;  // name, type or ""
  std::map<Key, DnsAnswers> scripts_;               // guarded by mutex_
  mutable std::map<Key, size_t> asked_;             // guarded by mutex_
  mutable std::vector<DnsQuery> queries_;           // guarded by mutex_
  std::thread thread_;
};

}  // namespace egret::test
