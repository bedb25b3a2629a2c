#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "config/settings.h"
#include "proxy/record.h"

namespace egret::proxy {

// Log writes what operators read: events to stderr at once, access-log lines to their place by a
// thread of its own, so that no worker waits for a disk. When lines come faster than they can be
// written, the oldest are dropped and counted. Any thread.
class Log {
 public:
  Log();
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // Takes the settings' format, level and access-log place; opens the file anew, so that a rotated
  // one is let go. Errors: internal_error with a sentence, and what was before stays.
  Result<> configure(const config::Log& settings);

  // For Services: empty when access lines are not wanted. Valid after later configure() calls too,
  // but then writes to the place before.
  [[nodiscard]] AccessLog access() const;

  void event(config::LogLevel level, std::string_view message);
  // Waits until everything handed over so far is written.
  void flush();
  [[nodiscard]] uint64_t dropped() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace egret::proxy
