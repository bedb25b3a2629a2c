#include "proxy/commands/deliveries.h"

#include <fmt/format.h>

#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "config/files.h"
#include "proxy/commands/admin_client.h"

namespace egret::commands {
namespace {

using nlohmann::ordered_json;

constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr size_t kMostToken = 4096;
constexpr int kOfAPage = 1000;

int complain(const std::string& why, int code = kFailed) {
  std::cerr << "egret: " << why << "\n";
  return code;
}

// The admin API of a running Egret.
class Api {
 public:
  // False, after a complaint.
  bool open(const DeliveriesOptions& options) {
    std::string token;
    if (!options.token_file.empty()) {
      std::string error;
      const auto text = config::read_whole(options.token_file, kMostToken, error);
      if (!text) return complain("--token-file: " + error, kUsage) == 0;
      token = text->substr(0, text->find_first_of("\r\n"));
    } else if (const char* variable = std::getenv("EGRET_ADMIN_TOKEN")) {
      token = variable;
    }
    Result<AdminClient> made = AdminClient::make(options.admin, std::move(token));
    if (!made) return complain(made.error().detail, kUsage) == 0;
    client_ = std::move(*made);
    return true;
  }
  // Null, after a complaint.
  ordered_json ask(std::string_view method, const std::string& target) {
    const Result<AdminClient::Answer> answer = client_->ask(method, target);
    if (!answer) {
      complain(answer.error().detail);
      return nullptr;
    }
    if (answer->status != 200) {
      complain(answer->content.substr(0, answer->content.find('\n')));
      return nullptr;
    }
    ordered_json json = ordered_json::parse(answer->content, nullptr, false);
    if (!json.is_discarded()) return json;
    complain("that is no answer of Egret's");
    return nullptr;
  }

 private:
  std::optional<AdminClient> client_;
};

std::string query_of(const DeliveriesOptions& options) {
  std::string query;
  const auto add = [&query](std::string_view name, const std::string& value) {
    if (value.empty()) return;
    query += query.empty() ? '?' : '&';
    query.append(name).append("=").append(percent_encoded(value));
  };
  add("status", options.status);
  add("host", options.host);
  add("sender", options.sender);
  add("since", options.since);
  return query;
}

// Calls `take` with each delivery of the filter, newest first, `most` at most (0: all). False after
// a complaint.
template <typename Take>
bool each_delivery(Api& api, const DeliveriesOptions& options, int most, Take take) {
  std::string query = query_of(options);
  query += query.empty() ? '?' : '&';
  std::string cursor;
  int left = most == 0 ? INT32_MAX : most;
  while (left > 0) {
    const std::string page_query =
        query + fmt::format("limit={}", std::min(left, kOfAPage)) + cursor;
    const ordered_json page = api.ask("GET", "/v1/deliveries" + page_query);
    if (page.is_null()) return false;
    for (const ordered_json& each : page["deliveries"]) {
      if (!take(each)) return false;
      --left;
    }
    if (page["next"].is_null()) return true;
    cursor = "&cursor=" + page["next"].get<std::string>();
  }
  return true;
}

std::string text_of(const ordered_json& json, std::string_view key) {
  const auto found = json.find(key);
  if (found == json.end()) return "";
  return found->is_string() ? text::printable(found->get<std::string>(), 2000) : found->dump();
}

void print_attempt(const ordered_json& attempt) {
  const std::string reason = text_of(attempt, "reason");
  std::cout << fmt::format("  {}  {}  {} ms", text_of(attempt, "time"),
                           reason.empty() ? text_of(attempt, "status") : reason,
                           text_of(attempt, "total_ms"));
  for (const std::string_view key : {"address", "detail", "answer"}) {
    const std::string value = text_of(attempt, key);
    if (!value.empty()) std::cout << "\n      " << key << ": " << value;
  }
  std::cout << "\n";
}

std::string path_of(const std::string& id) { return "/v1/deliveries/" + percent_encoded(id); }

}  // namespace

int deliveries_list(const DeliveriesOptions& options) {
  constexpr std::string_view kRow = "{:30}  {:9}  {:>5}  {:24}  {:24}  {}\n";
  constexpr int kUsual = 100;
  Api api;
  if (!api.open(options)) return kUsage;
  const int most = options.limit == 0 ? kUsual : options.limit;
  int count = 0;
  const bool whole = each_delivery(api, options, most, [&](const ordered_json& each) {
    if (options.json) {
      std::cout << each.dump() << "\n";
      return true;
    }
    if (count++ == 0) {
      std::cout << fmt::format(kRow, "ID", "STATUS", "TRIED", "ACCEPTED", "DUE", "DESTINATION");
    }
    const std::string due = text_of(each, "due");
    std::cout << fmt::format(kRow, text_of(each, "id"), text_of(each, "status"),
                             text_of(each, "attempts"), text_of(each, "accepted"),
                             due.empty() ? "-" : due, text_of(each, "destination"));
    return true;
  });
  if (!whole) return kFailed;
  if (count == 0 && !options.json) std::cout << "no deliveries\n";
  return 0;
}

int deliveries_show(const DeliveriesOptions& options) {
  Api api;
  if (!api.open(options)) return kUsage;
  const ordered_json shown = api.ask("GET", path_of(options.id));
  if (shown.is_null()) return kFailed;
  if (options.json) {
    std::cout << shown.dump() << "\n";
    return 0;
  }
  for (const auto& [key, value] : shown.items()) {
    if (key != "tried") std::cout << fmt::format("{:12} {}\n", key, text_of(shown, key));
  }
  for (const ordered_json& each : shown["tried"]) print_attempt(each);
  return 0;
}

int deliveries_replay(const DeliveriesOptions& options) {
  const std::string query = query_of(options);
  if (options.id.empty() == query.empty()) {
    return complain("deliveries replay: give an id, or a filter such as --status dead", kUsage);
  }
  Api api;
  if (!api.open(options)) return kUsage;
  if (!options.id.empty()) {
    if (api.ask("POST", path_of(options.id) + "/replay").is_null()) return kFailed;
    std::cout << options.id << " is queued again\n";
    return 0;
  }
  const ordered_json done = api.ask("POST", "/v1/deliveries/replay" + query);
  if (done.is_null()) return kFailed;
  std::cout << text_of(done, "replayed") << " deliveries are queued again\n";
  return 0;
}

int deliveries_cancel(const DeliveriesOptions& options) {
  Api api;
  if (!api.open(options)) return kUsage;
  if (api.ask("POST", path_of(options.id) + "/cancel").is_null()) return kFailed;
  std::cout << options.id << " is cancelled\n";
  return 0;
}

int deliveries_export(const DeliveriesOptions& options) {
  Api api;
  if (!api.open(options)) return kUsage;
  const bool whole = each_delivery(api, options, options.limit, [&](const ordered_json& each) {
    const std::string path = path_of(each["id"].get<std::string>());
    ordered_json all = api.ask("GET", path);
    if (all.is_null()) return false;
    if (options.content) {
      const ordered_json content = api.ask("GET", path + "/content");
      if (content.is_null()) return false;
      all["content"] = content;
    }
    std::cout << all.dump() << "\n";
    return true;
  });
  return whole ? 0 : kFailed;
}

}  // namespace egret::commands
