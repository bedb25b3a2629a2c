#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/commands/admin_client.h"

namespace egret::commands {

constexpr int kFailed = 1;
constexpr int kUsage = 2;

// Which Egret is asked, and as whom.
struct AdminOptions {
  std::string url = "http://127.0.0.1:4751";
  std::string token_file;  // else EGRET_ADMIN_TOKEN
};

// One line on stderr, safe for a terminal. Returns `code`.
int complain(std::string_view why, int code = kFailed);

// A member of `json` as text that is safe for a terminal; empty when there is none.
std::string text_of(const nlohmann::ordered_json& json, std::string_view key);
// The whole of it on one line, safe for a terminal: ASCII only, the rest as \u escapes.
std::string line_of(const nlohmann::ordered_json& json);

// AdminApi asks a running Egret, for a command that complains and ends when it says no. Blocks.
class AdminApi {
 public:
  // False, after a complaint.
  bool open(const AdminOptions& options);
  // Null, after a complaint.
  nlohmann::ordered_json ask(std::string_view method, const std::string& target);

 private:
  std::optional<AdminClient> client_;
};

}  // namespace egret::commands
