// queue, and of a policy `delivery`: what is kept, and how it is delivered.
#include <algorithm>

#include "base/text.h"
#include "config/scalars.h"
#include "config/secrets.h"
#include "config/sections.h"

namespace egret::config {
namespace {

using policy::Delivery;
using policy::DeliveryMode;
using std::chrono::hours;
using std::chrono::milliseconds;

constexpr size_t kMostWaits = 100;
constexpr Duration kLongest = hours(24 * 365);
constexpr std::pair<std::string_view, DeliveryMode> kModes[] = {
    {"sync", DeliveryMode::sync},
    {"async", DeliveryMode::async},
    {"on-request", DeliveryMode::on_request},
    {"fallback", DeliveryMode::fallback}};

// Which of the two.
struct Place {
  std::string path;
  std::string postgres;
};

// The rest of a URI is for libpq to read (`egret check`).
std::optional<Place> parse_postgres(std::string_view text, std::string& why) {
  const std::string_view rest = text.substr(text.find("://") + 3);
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  const std::string_view user = authority.substr(0, authority.rfind('@') + 1);
  // It may be spelt in percents.
  const std::string query = text::to_lower(rest.substr(std::min(rest.size(), authority.size())));
  if (user.find(':') != std::string_view::npos || query.find("password=") != std::string::npos) {
    why =
        "a secret does not stand in the text; leave it out of the URI and write password: {file: "
        "path} beside store, or name a passfile";
    return std::nullopt;
  }
  if (rest.empty() || has_control_byte(text) || text.find(' ') != std::string_view::npos) {
    why = in_quotes(text) + " is no URI; write postgresql://user@host/database";
    return std::nullopt;
  }
  return Place{{}, std::string(text)};
}

std::optional<Place> parse_store(std::string_view text, std::string& why) {
  constexpr std::string_view kSqlite = "sqlite:";
  if (text.starts_with("postgresql://") || text.starts_with("postgres://")) {
    return parse_postgres(text, why);
  }
  const std::string_view path = text.substr(std::min(text.size(), kSqlite.size()));
  const bool good =
      text.starts_with(kSqlite) && !path.empty() && !path.ends_with('/') && !has_control_byte(path);
  if (good) return Place{std::string(path), {}};
  why = in_quotes(text) + " is no store; write sqlite: and the path of a file, as in " +
        "sqlite:/var/lib/egret/queue.db, or postgresql://user@host/database";
  return std::nullopt;
}

void read_retention(const Mapping& mapping, Queue& queue) {
  const auto time = between<Duration>(milliseconds(1000), kLongest, parse_duration, duration_text);
  mapping.scalar("delivered", queue.delivered, time);
  mapping.scalar("dead", queue.dead, time);
}

bool is_mode(const Node& node) {
  return node.kind == Node::Kind::scalar &&
         std::any_of(std::begin(kModes), std::end(kModes),
                     [&](const auto& mode) { return mode.first == node.text; });
}

bool keeps(const policy::Rule& rule) { return rule.delivery.mode != DeliveryMode::sync; }

}  // namespace

void read_queue(const Mapping& root, Settings& settings, SecretSource& secrets) {
  const auto mapping = root.mapping("queue");
  if (!mapping) return;
  Queue queue;
  if (!mapping->has("store") && mapping->is_mapping()) {
    mapping->error("store", "queue: a store is needed, as in sqlite:/var/lib/egret/queue.db");
  }
  Place place;
  const bool placed = mapping->scalar("store", place, parse_store);
  queue.path = std::move(place.path);
  queue.postgres = std::move(place.postgres);
  queue.password = read_secret(*mapping, "password", secrets);
  if (mapping->has("password") && placed && queue.postgres.empty()) {
    mapping->error("password", "password: only a postgresql:// store has one");
  }
  uint32_t most = 1'000'000;
  if (mapping->count("max_deliveries", most, 1, 100'000'000)) queue.max_deliveries = most;
  mapping->scalar("max_size", queue.max_size,
                  between<uint64_t>(1 << 20, uint64_t{1} << 50, parse_size, size_text));
  if (const auto retention = mapping->mapping("retention")) read_retention(*retention, queue);
  settings.queue = std::move(queue);
}

void read_delivery(const Mapping& root, const Mapping& mapping, Delivery& delivery) {
  const bool own = mapping.has("name");
  const Node* written = mapping.find("delivery");
  if (written != nullptr && is_mode(*written)) {
    const std::string_view mode = written->text;
    mapping.error("delivery", "delivery: expected a mapping of keys, found " + in_quotes(mode) +
                                  "; write {mode: " + std::string(mode) + "}");
    return;
  }
  const auto found = mapping.mapping("delivery");
  if (!found) return;
  const bool moded = found->choice<DeliveryMode>("mode", delivery.mode, kModes);
  found->sequence("schedule", delivery.schedule,
                  between<Duration>(milliseconds(1), kLongest, parse_duration, duration_text),
                  kMostWaits);
  found->scalar("jitter", delivery.jitter, parse_percent);
  found->choice<policy::Order>(
      "order", delivery.order,
      {{"none", policy::Order::none}, {"host", policy::Order::host}, {"key", policy::Order::key}});
  if (moded && delivery.mode != DeliveryMode::sync && !root.has("queue")) {
    found->error("mode",
                 "mode: to keep requests a store is needed; write queue: {store: "
                 "\"sqlite:/var/lib/egret/queue.db\"} at the top");
  }
  const bool overtakes =
      delivery.mode == DeliveryMode::fallback && delivery.order != policy::Order::none;
  if (overtakes && (moded || found->has("order"))) {
    found->warning(found->has("order") ? "order" : "mode",
                   "order: with mode: fallback each request is tried first, and may overtake those "
                   "that are kept; mode: async keeps them all in order");
  }
  if (!own || delivery.mode != DeliveryMode::sync) return;
  for (const std::string_view key : {"schedule", "jitter", "order"}) {
    if (!found->has(key)) continue;
    found->warning(key, std::string(key) +
                            ": nothing is kept while mode is sync; write mode: async, on-request "
                            "or fallback");
    return;
  }
}

// After an error a rule may lack the `delivery` that uses it.
void warn_unused_queue(const Mapping& root, const Settings& settings) {
  if (!root.has("queue") || keeps(settings.defaults) || root.diagnostics().has_errors()) return;
  if (std::any_of(settings.rules.begin(), settings.rules.end(), keeps)) return;
  root.warning("queue",
               "queue: nothing uses it; write delivery: {mode: async} (on-request, fallback) in a "
               "rule or in defaults");
}

}  // namespace egret::config
