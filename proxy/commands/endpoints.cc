#include "proxy/commands/endpoints.h"

#include <fmt/format.h>

#include <iostream>

#include "base/text.h"

namespace egret::commands {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kRow = "{:40}  {:8}  {:24}  {}\n";

void print_row(std::string_view host, std::string_view status, std::string_view since,
               std::string_view why) {
  std::cout << fmt::format(kRow, host, status, since, why);
}

void print_endpoint(const ordered_json& each) {
  const bool off = each.contains("disabled");
  print_row(text_of(each, each.contains("url") ? "url" : "host"), off ? "disabled" : "failing",
            text_of(each, off ? "disabled" : "failing_since"),
            off ? text_of(each, "why") : "no queued delivery has succeeded since then");
}

void print_breaker(const ordered_json& each) {
  const std::string scheme = text_of(each, "scheme");
  print_row(text_of(each, "host"), "breaker", "-",
            scheme + ", port " + text_of(each, "port") + ": it failed, and is left alone");
}

std::string path_of(const std::string& host, std::string_view act) {
  return "/v1/endpoints/" + percent_encoded(host) + "/" + std::string(act);
}

}  // namespace

int endpoints_list(const EndpointsOptions& options) {
  AdminApi api;
  if (!api.open(options.admin)) return kUsage;
  const ordered_json all = api.ask("GET", "/v1/endpoints");
  if (all.is_null()) return kFailed;
  if (options.json) {
    std::cout << line_of(all) << "\n";
    return 0;
  }
  if (all["endpoints"].empty() && all["breakers"].empty()) {
    std::cout << "no endpoint fails or is switched off\n";
    return 0;
  }
  print_row("HOST OR URL", "STATUS", "SINCE", "WHY");
  for (const ordered_json& each : all["endpoints"]) print_endpoint(each);
  for (const ordered_json& each : all["breakers"]) print_breaker(each);
  return 0;
}

int endpoints_enable(const EndpointsOptions& options) {
  AdminApi api;
  if (!api.open(options.admin)) return kUsage;
  const ordered_json done = api.ask("POST", path_of(options.host, "enable"));
  if (done.is_null()) return kFailed;
  const bool was_off = done["was_disabled"] == true;
  std::cout << fmt::format("{} is on{}; breakers closed: {}\n", text::printable(options.host),
                           was_off ? "" : " (it was not switched off)",
                           text_of(done, "breakers_closed"));
  if (was_off) {
    std::cout << "what became dead while it was off comes back by egret deliveries replay --host "
              << text::printable(options.host) << "\n";
  }
  return 0;
}

int endpoints_disable(const EndpointsOptions& options) {
  AdminApi api;
  if (!api.open(options.admin)) return kUsage;
  if (api.ask("POST", path_of(options.host, "disable")).is_null()) return kFailed;
  std::cout << text::printable(options.host)
            << " is switched off for queued deliveries: those that wait become dead\n";
  return 0;
}

}  // namespace egret::commands
