#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/secret.h"
#include "policy/judge.h"
#include "policy/senders.h"
#include "policy/signing.h"

namespace egret::config {

// Where a listener or the admin API is bound.
struct ListenAddress {
  std::string name;                          // as written: "127.0.0.1:4750", "unix:/run/e.sock"
  std::optional<policy::Endpoint> endpoint;  // port 0: the kernel chooses
  std::string unix_path;                     // set when endpoint is not
  bool operator==(const ListenAddress&) const = default;
};

// TLS of a listener: an HTTPS proxy.
struct ListenerTls {
  policy::KeyPair certificate;
  std::string client_ca;  // PEM; empty: no client certificate is asked for
  std::string crl;        // PEM of revocation lists for client certificates
  // With client_ca: whether a sender without a certificate may go on, to be known by other means.
  bool client_certificate_required = true;
  bool operator==(const ListenerTls&) const = default;
};

struct Listener {
  ListenAddress address;
  std::optional<ListenerTls> tls;
  // A PROXY protocol header comes first; only from these networks.
  bool proxy_protocol = false;
  std::vector<policy::Prefix> proxy_protocol_from;
  uint32_t max_connections = 20000;  // open sender connections on this listener, all workers
  bool operator==(const Listener&) const = default;
};

struct Admin {
  ListenAddress address;
  std::optional<Secret> token;  // Bearer; required unless loopback or a Unix socket
};

struct Resolver {
  std::vector<policy::Endpoint> servers;  // empty: /etc/resolv.conf's
  Duration timeout = std::chrono::seconds(2);
  uint32_t tries = 2;
  bool hosts_file = false;
  uint32_t cache_entries = 10000;
  Duration min_ttl = std::chrono::seconds(1);
  Duration max_ttl = std::chrono::minutes(5);
  Duration negative_ttl = std::chrono::seconds(5);
  std::vector<policy::Prefix> nat64_prefixes;
  bool operator==(const Resolver&) const = default;
};

// What the process gives up at its start: what the kernel offers; that or no start; nothing.
enum class Sandbox : uint8_t { automatic, required, off };

enum class LogFormat : uint8_t { json, text };
enum class LogLevel : uint8_t { debug, info, warn, error };
enum class LogDetail : uint8_t { full, minimal };

struct Log {
  LogFormat format = LogFormat::json;
  LogLevel level = LogLevel::info;
  enum class Access : uint8_t { out, none, file } access = Access::out;
  std::string access_file;  // when access is file
  LogDetail detail = LogDetail::full;
  bool operator==(const Log&) const = default;
};

// The CA that makes certificates for `connect: intercept`.
struct Interception {
  policy::KeyPair ca;
  bool operator==(const Interception&) const = default;
};

// Where what senders leave to Egret is kept, and how much of it.
struct Queue {
  std::string path = {};                            // of an SQLite database; empty: PostgreSQL
  std::string postgres = {};                        // a URI without a password
  std::optional<Secret> password = {};              // of PostgreSQL
  uint64_t max_deliveries = 1'000'000;              // that are not over
  uint64_t max_size = uint64_t{10} << 30;           // bytes of all that is kept
  Duration delivered = std::chrono::hours(24 * 3);  // how long one is kept after its end
  Duration dead = std::chrono::hours(24 * 30);
  bool operator==(const Queue&) const = default;
};

// Everything a configuration says: one immutable value. Made by config::load, shared by
// `shared_ptr<const Settings>`; an exchange keeps the one it began with.
struct Settings {
  std::vector<Listener> listeners;
  Admin admin;
  uint32_t workers = 1;        // `auto` already turned into the number of cores
  uint64_t buffer_memory = 0;  // bytes; `auto` already turned into a part of the machine's memory
  policy::Mode mode = policy::Mode::enforce;
  Sandbox sandbox = Sandbox::automatic;
  Log log;
  Resolver resolver;
  std::optional<Interception> interception;
  policy::Senders senders;
  std::vector<policy::SigningKey> keys;
  std::optional<Queue> queue;
  policy::Rule defaults;
  std::vector<policy::Rule> rules;

  // The judge over these rules. `own` are the bound endpoints of Egret's listeners.
  [[nodiscard]] policy::Judge judge(std::vector<policy::Endpoint> own) const;
  // Whether something in it must not leave the process: a password, a token, a
  // private key.
  [[nodiscard]] bool holds_secrets() const;
};

}  // namespace egret::config
