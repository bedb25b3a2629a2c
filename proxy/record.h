#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "config/settings.h"
#include "policy/address.h"
#include "proxy/metrics.h"

namespace egret::proxy {

// What is known of one exchange or tunnel, filled in as it goes through the rooms, and turned into
// one log line and the counters when it ends.
struct Record {
  uint64_t id = 0;  // unlikely to repeat: random for the worker, then counted
  WallTime wall{};
  TimePoint began{};

  std::string_view listener;  // named by settings that outlive the exchange
  std::string_view sender;
  std::string_view rule;
  Labels::Id listener_label = 0;
  Labels::Id sender_label = 0;
  Labels::Id rule_label = 0;

  std::string method;
  std::string destination;                  // no query, no userinfo; as text that is safe to print
  std::optional<policy::Endpoint> address;  // that was connected to
  std::optional<Failure> failure;           // why it ended other than with the relayed answer
  std::optional<Failure> reported;          // what report mode let pass
  std::optional<Reason> tried;              // why what was kept had to be, if a reason has a name
  std::string tried_detail;                 // and in words; empty: it was not tried first
  bool admitted = false;                    // policy and addresses said yes
  bool tunnel = false;
  int attempts = 0;
  bool sent = false;        // of the request something may have reached a destination
  uint32_t tries = 0;       // of the schedule of what is kept, made already
  int redirects = 0;        // followed
  std::string webhook_id;   // of a request that was signed or kept
  std::string delivery;     // id in the queue: of a request that was kept
  Duration retry_after{};   // of a refusal that passes by itself; zero: not known
  bool successful = false;  // the answer's status is in the rule's `success`
  bool truncated = false;   // more content came than limits.response_body lets through
  int status = 0;           // sent to the sender; 0: none
  uint64_t bytes_up = 0;    // content from the sender
  uint64_t bytes_down = 0;  // content to the sender

  // Phases, in order. Zero: not entered. Of several attempts: their sum.
  Duration receive{};  // content that is needed whole, before anything is sent
  Duration resolve{};  // waiting for the name's addresses
  Duration connect{};  // waiting for a connection
  Duration tls{};      // the handshake with the destination, and before it with a parent proxy
  Duration send{};     // head and content on their way to the destination
  Duration wait{};     // for the head of the answer
  Duration backoff{};  // between attempts
  Duration relay{};    // the rest of the answer; a tunnel's life
  Duration total{};
};

// 16 hexadecimal digits.
std::string request_id(uint64_t id);

// One line without its newline: a JSON object, or `key=value` text.
std::string to_json(const Record& record);
std::string to_text(const Record& record);

// Where access-log lines go. Any thread.
using AccessLog = std::function<void(const std::string& line)>;

// Ends an exchange: counts it and writes its line. `access` may be empty (log.access: none).
void finish(Record& record, TimePoint now, config::LogFormat format, const AccessLog& access,
            Metrics& metrics);

}  // namespace egret::proxy
