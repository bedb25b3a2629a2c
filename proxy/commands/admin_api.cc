#include "proxy/commands/admin_api.h"

#include <cstdlib>
#include <iostream>

#include "base/text.h"
#include "config/files.h"

namespace egret::commands {
namespace {

using nlohmann::ordered_json;

constexpr size_t kMostToken = 4096;
constexpr size_t kMostOfALine = 2000;

}  // namespace

int complain(std::string_view why, int code) {
  std::cerr << "egret: " << text::printable(why, kMostOfALine) << "\n";
  return code;
}

std::string text_of(const ordered_json& json, std::string_view key) {
  const auto found = json.find(key);
  if (found == json.end()) return "";
  if (!found->is_string()) return line_of(*found);
  return text::printable(found->get<std::string>(), kMostOfALine);
}

std::string line_of(const ordered_json& json) {
  return json.dump(-1, ' ', true, ordered_json::error_handler_t::replace);
}

bool AdminApi::open(const AdminOptions& options) {
  std::string token;
  if (!options.token_file.empty()) {
    std::string error;
    const auto text = config::read_whole(options.token_file, kMostToken, error);
    if (!text) return complain("--token-file: " + error, kUsage) == 0;
    token = text->substr(0, text->find_first_of("\r\n"));
  } else if (const char* variable = std::getenv("EGRET_ADMIN_TOKEN")) {
    token = variable;
  }
  Result<AdminClient> made = AdminClient::make(options.url, std::move(token));
  if (!made) return complain(made.error().detail, kUsage) == 0;
  client_ = std::move(*made);
  return true;
}

ordered_json AdminApi::ask(std::string_view method, const std::string& target) {
  const Result<AdminClient::Answer> answer = client_->ask(method, target);
  if (!answer) {
    complain(answer.error().detail);
    return nullptr;
  }
  if (answer->status != 200) {
    complain(std::string_view(answer->content).substr(0, answer->content.find('\n')));
    return nullptr;
  }
  ordered_json json = ordered_json::parse(answer->content, nullptr, false);
  if (!json.is_discarded()) return json;
  complain("that is no answer of Egret's");
  return nullptr;
}

}  // namespace egret::commands
