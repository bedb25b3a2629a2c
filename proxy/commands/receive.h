#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace egret::commands {

struct ReceiveOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 9000;           // 0: the kernel chooses
  std::vector<std::string> keys;  // files with what receivers verify by
  std::string scheme;             // of those whose text does not say; empty: none
  int status = 0;                 // 0: 200, or 503 for those that `fail` counts
  std::string delay;              // before each answer: "2s"
  int fail = 0;                   // so many requests fail first; 0: with `status`, all do
  std::string redirect;           // Location of every answer
};

// `egret receive`: a receiver for trying things out. Prints each webhook, and whether its signature
// verifies, until SIGINT or SIGTERM. What it prints of a request cannot disturb a terminal.
//   0, or 2 when an option is wrong or the address cannot be had.
int receive(const ReceiveOptions& options);

}  // namespace egret::commands
