#pragma once

#include <string_view>
#include <vector>

#include "config/load.h"
#include "config/pem_files.h"
#include "config/reader.h"
#include "config/settings.h"

namespace egret::config {

// The sections of a configuration, each a translation of one part of the text into one part of
// Settings. Called in this order: a later one may refer to what an earlier one has read.
void read_listeners(const Mapping& root, Settings& settings, PemFiles& pem);
void read_admin(const Mapping& root, Settings& settings, SecretSource& secrets);
// workers, buffer_memory, mode, sandbox, log
void read_process(const Mapping& root, Settings& settings);
void read_queue(const Mapping& root, Settings& settings, SecretSource& secrets);
void read_resolver(const Mapping& root, Settings& settings);
void read_senders(const Mapping& root, Settings& settings, SecretSource& secrets);
void read_interception(const Mapping& root, Settings& settings, PemFiles& pem);
// Where each key's name stands, for warn_unused_keys.
struct NamedSpan {
  std::string name;
  Span where;
};
std::vector<NamedSpan> read_keys(const Mapping& root, Settings& settings, SecretSource& source);
// defaults too
void read_rules(const Mapping& root, Settings& settings, SecretSource& secrets, PemFiles& pem);

// The keys that defaults and rules share: each that is there replaces the one in `rule`.
void read_policy(const Mapping& mapping, policy::Rule& rule, SecretSource& secrets, PemFiles& pem);
// Of those headers, sign, redirects, success and retry.
void read_outgoing(const Mapping& mapping, const std::vector<policy::SigningKey>& keys,
                   policy::Rule& rule, SecretSource& secrets);
// Of those breaker, rate and disable. `root`: where a queue is asked for.
void read_isolation(const Mapping& root, const Mapping& mapping, policy::Rule& rule);
// Of those consent. `root`: where a queue is asked for.
void read_consent(const Mapping& root, const Mapping& mapping, policy::Rule& rule);
// Of those delivery. `root`: where a queue is asked for.
void read_delivery(const Mapping& root, const Mapping& mapping, policy::Delivery& delivery);
// Of those tls, via and source.
void read_way(const Mapping& mapping, policy::Way& way, SecretSource& secrets, PemFiles& pem);

// Warnings about what can never take effect.
void warn_unused_keys(const std::vector<NamedSpan>& keys, const Settings& settings,
                      Diagnostics& diagnostics);
void warn_unused_queue(const Mapping& root, const Settings& settings);
// Senders are told apart, and yet each may operate the others' deliveries.
void warn_open_admin(const Mapping& root, const Settings& settings);
// Of delivery, rate and disable in `defaults`: what neither they nor a rule give what it needs. The
// built-in values may be written down.
void warn_idle_defaults(const Mapping& root, const Mapping& defaults, const Settings& settings);
// `names` is where each rule's or sender's name stands.
void warn_unreachable_rules(const std::vector<policy::Rule>& rules, const std::vector<Span>& names,
                            Diagnostics& diagnostics);
void warn_unreachable_senders(const std::vector<policy::Sender>& senders,
                              const std::vector<Span>& names, Diagnostics& diagnostics);

// Cores that this process may run on, 1 to 256: what `workers: auto` means.
uint32_t cores();
// A quarter of the memory that this process may use, the machine's or its control group's, at least
// what `workers` need: what `buffer_memory: auto` means.
uint64_t buffer_memory_for(uint32_t workers);

}  // namespace egret::config
