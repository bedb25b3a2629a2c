#include "proxy/commands/deliveries.h"

#include <fmt/format.h>

#include <iostream>

#include "base/text.h"

namespace egret::commands {
namespace {

using nlohmann::ordered_json;

constexpr int kOfAPage = 1000;

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

// The filter as it was written, for a sentence.
std::string filter_text(const DeliveriesOptions& options) {
  std::string text;
  const std::pair<std::string_view, const std::string&> all[] = {{"status", options.status},
                                                                 {"host", options.host},
                                                                 {"sender", options.sender},
                                                                 {"since", options.since}};
  for (const auto& [name, value] : all) {
    if (!value.empty()) text += fmt::format(" --{} {}", name, text::printable(value));
  }
  return text;
}

// Calls `take` with each delivery of the filter, newest first, `most` at most (0: all). False after
// a complaint. `hint`: why there were none, where Egret knows.
template <typename Take>
bool each_delivery(AdminApi& api, const DeliveriesOptions& options, int most, std::string& hint,
                   Take take) {
  std::string query = query_of(options);
  query += query.empty() ? '?' : '&';
  std::string cursor;
  int left = most == 0 ? INT32_MAX : most;
  while (left > 0) {
    const std::string page_query =
        query + fmt::format("limit={}", std::min(left, kOfAPage)) + cursor;
    const ordered_json page = api.ask("GET", "/v1/deliveries" + page_query);
    if (page.is_null()) return false;
    hint = text_of(page, "hint");
    for (const ordered_json& each : page["deliveries"]) {
      if (!take(each)) return false;
      --left;
    }
    if (page["next"].is_null()) return true;
    cursor = "&cursor=" + page["next"].get<std::string>();
  }
  return true;
}

void print_attempt(const ordered_json& attempt) {
  const std::string reason = text_of(attempt, "reason");
  std::cout << fmt::format(
      "  {}  {}  {} ms (resolve {}, connect {}, tls {}, wait {})", text_of(attempt, "time"),
      reason.empty() ? text_of(attempt, "status") : reason, text_of(attempt, "total_ms"),
      text_of(attempt, "resolve_ms"), text_of(attempt, "connect_ms"), text_of(attempt, "tls_ms"),
      text_of(attempt, "wait_ms"));
  for (const std::string_view key : {"address", "detail", "answer"}) {
    const std::string value = text_of(attempt, key);
    if (!value.empty()) std::cout << "\n      " << key << ": " << value;
  }
  std::cout << "\n";
}

std::string path_of(const std::string& id) { return "/v1/deliveries/" + percent_encoded(id); }

}  // namespace

int deliveries_list(const DeliveriesOptions& options) {
  constexpr std::string_view kRow = "{:39}  {:9}  {:>5}  {:24}  {:24}  {}\n";
  constexpr int kUsual = 100;
  AdminApi api;
  if (!api.open(options.admin)) return kUsage;
  const int most = options.limit == 0 ? kUsual : options.limit;
  int count = 0;
  std::string hint;
  // One more than is listed: whether there is any.
  const bool whole = each_delivery(api, options, most + 1, hint, [&](const ordered_json& each) {
    if (++count > most) return true;
    if (options.json) {
      std::cout << line_of(each) << "\n";
      return true;
    }
    if (count == 1) {
      std::cout << fmt::format(kRow, "ID", "STATUS", "TRIED", "ACCEPTED", "DUE", "DESTINATION");
    }
    const std::string due = text_of(each, "due");
    std::cout << fmt::format(kRow, text_of(each, "id"), text_of(each, "status"),
                             text_of(each, "attempts"), text_of(each, "accepted"),
                             due.empty() ? "-" : due, text_of(each, "destination"));
    return true;
  });
  if (!whole) return kFailed;
  if (count > most) {
    std::cout << std::flush;
    std::cerr << fmt::format(
        "egret: there are more than these {}; --limit {} lists more, export all\n", most,
        int64_t{most} * 10);
  }
  if (count == 0 && !options.json) {
    std::cout << "no deliveries" << filter_text(options) << (hint.empty() ? "" : ": ") << hint
              << "\n";
  }
  return 0;
}

int deliveries_show(const DeliveriesOptions& options) {
  AdminApi api;
  if (!api.open(options.admin)) return kUsage;
  const ordered_json shown = api.ask("GET", path_of(options.id));
  if (shown.is_null()) return kFailed;
  if (options.json) {
    std::cout << line_of(shown) << "\n";
    return 0;
  }
  for (const auto& [key, value] : shown.items()) {
    if (key != "tried") std::cout << fmt::format("{:12} {}\n", key, text_of(shown, key));
  }
  for (const ordered_json& each : shown["tried"]) print_attempt(each);
  if (!shown["tried"].empty() && !shown["tried"][0].contains("answer")) {
    std::cout << "  what was answered is told with admin.token, or on a Unix socket\n";
  }
  return 0;
}

int deliveries_replay(const DeliveriesOptions& options) {
  const std::string query = query_of(options);
  if (options.id.empty() == query.empty()) {
    return complain(query.empty()
                        ? "deliveries replay: give an id, or a filter such as --status dead"
                        : "deliveries replay: give an id or a filter, not both",
                    kUsage);
  }
  AdminApi api;
  if (!api.open(options.admin)) return kUsage;
  if (!options.id.empty()) {
    if (api.ask("POST", path_of(options.id) + "/replay").is_null()) return kFailed;
    std::cout << options.id << " is queued again\n";
    return 0;
  }
  const ordered_json done = api.ask("POST", "/v1/deliveries/replay" + query);
  if (done.is_null()) return kFailed;
  const std::string status = options.status.empty() ? "dead" : text::printable(options.status);
  const std::string hint = text_of(done, "hint");
  std::cout << text_of(done, "replayed") << " " << status << " deliveries are queued again"
            << (hint.empty() ? "" : ": ") << hint << "\n";
  if (done.contains("switched_off")) {
    std::cout
        << "those for a host or URL that is switched off become dead again: egret endpoints list\n";
  }
  return 0;
}

int deliveries_cancel(const DeliveriesOptions& options) {
  AdminApi api;
  if (!api.open(options.admin)) return kUsage;
  if (api.ask("POST", path_of(options.id) + "/cancel").is_null()) return kFailed;
  std::cout << options.id << " is cancelled\n";
  return 0;
}

int deliveries_export(const DeliveriesOptions& options) {
  AdminApi api;
  if (!api.open(options.admin)) return kUsage;
  std::string hint;
  const bool whole =
      each_delivery(api, options, options.limit, hint, [&](const ordered_json& each) {
        const std::string path = path_of(each["id"].get<std::string>());
        ordered_json all = api.ask("GET", path);
        if (all.is_null()) return false;
        if (options.content) {
          const ordered_json content = api.ask("GET", path + "/content");
          if (content.is_null()) return false;
          all["content"] = content;
        }
        std::cout << line_of(all) << "\n";
        return true;
      });
  return whole ? 0 : kFailed;
}

}  // namespace egret::commands
