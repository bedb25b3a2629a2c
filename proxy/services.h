#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "config/settings.h"
#include "policy/judge.h"
#include "proxy/buffer.h"
#include "proxy/destinations.h"
#include "proxy/metrics.h"
#include "proxy/net/connector.h"
#include "proxy/net/resolver_cache.h"
#include "proxy/outgoing.h"
#include "proxy/queue/client.h"
#include "proxy/record.h"
#include "proxy/upstream_pool.h"
#include "proxy/ways.h"

namespace egret::proxy {

class ConsentDesk;

// The settings in force and what is derived from them. Immutable. Each worker makes its own, so
// that counting its users touches no line of another core; an exchange keeps the one it began with.
struct Policy {
  Policy(std::shared_ptr<const config::Settings> from, std::vector<policy::Endpoint> own,
         Labels& labels, const TlsRoots& roots = {});

  std::shared_ptr<const config::Settings> settings;
  policy::Judge judge;
  Ways ways;
  size_t largest_head = 0;  // the largest limits.headers of any rule
  Labels::Id nobody = 0;    // the label of no sender

  [[nodiscard]] Labels::Id label(const policy::Rule& rule) const;
  [[nodiscard]] const ReadyWay& way(const policy::Rule& rule) const;
  [[nodiscard]] const Outgoing& outgoing(const policy::Rule& rule) const;
  [[nodiscard]] Labels::Id label(const policy::Sender& sender) const;

 private:
  // 0: the defaults; then the rules.
  [[nodiscard]] size_t position(const policy::Rule& rule) const;
  Labels::Id defaults_label_ = 0;
  std::vector<Labels::Id> rule_labels_;
  std::vector<Labels::Id> sender_labels_;
  std::vector<std::unique_ptr<Outgoing>> outgoing_;
};

// What an exchange works with: a worker's parts, by the narrow doors that tests can stand in for.
// Owner: the worker. One thread.
struct Services {
  const Clock& clock;
  std::shared_ptr<net::CachingResolver> resolver;  // replaced on reload; kept by who waits for it
  net::Connector& connector;
  UpstreamPool& pool;
  BufferPool& buffers;
  Destinations& destinations;  // shared by all workers
  Metrics& metrics;
  AccessLog access_log;
  std::string pseudonym;                 // of this process in Via (RFC 9110 7.6.3)
  std::shared_ptr<const Policy> policy;  // replaced on reload
  queue::Client* queue = nullptr;        // null: nothing is kept
  ConsentDesk* consent = nullptr;        // set before the first exchange
  uint64_t next_request_id = 0;
  std::mt19937_64 dice = {};  // for jitter; never for what must not be guessed
  bool draining = false;
};

}  // namespace egret::proxy
