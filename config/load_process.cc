// workers, buffer_memory, mode, sandbox, log and resolver: how the process runs.
#include <sched.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "config/memory.h"
#include "config/scalars.h"
#include "config/sections.h"

namespace egret::config {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

constexpr uint32_t kMostWorkers = 256;
constexpr uint64_t kLeastMemoryAWorker = uint64_t{1} << 20;  // it sets aside in steps of 256 KiB

void read_workers(const Mapping& root, Settings& settings) {
  settings.workers = cores();
  const Node* node = root.find("workers");
  if (node == nullptr || (node->kind == Node::Kind::scalar && node->text == "auto")) return;
  if (node->kind == Node::Kind::scalar && node->text.find_first_of("0123456789") != 0) {
    root.error("workers", "workers: " + in_quotes(node->text) + " is neither auto nor a number");
    return;
  }
  root.count("workers", settings.workers, 1, kMostWorkers);
}

void read_buffer_memory(const Mapping& root, Settings& settings) {
  settings.buffer_memory = buffer_memory_for(settings.workers);
  const Node* node = root.find("buffer_memory");
  if (node == nullptr || (node->kind == Node::Kind::scalar && node->text == "auto")) return;
  const uint64_t least = kLeastMemoryAWorker * settings.workers;
  const auto parse = [](std::string_view text, std::string& why) {
    const std::optional<uint64_t> size = parse_size(text, why);
    const bool number = !text.empty() && text::is_digit(text.front());
    if (!size && !number) {
      why = in_quotes(text) + " is neither auto nor a size; write 64MiB or 10GiB";
    }
    return size;
  };
  uint64_t bytes = 0;
  if (!root.scalar("buffer_memory", bytes, parse)) return;
  if (bytes < least) {
    root.error("buffer_memory", "buffer_memory: " + in_quotes(node->text) + " is too little for " +
                                    std::to_string(settings.workers) + " workers; at least " +
                                    size_text(least));
    return;
  }
  settings.buffer_memory = bytes;
}

void read_log(const Mapping& mapping, Log& log) {
  mapping.choice<LogFormat>("format", log.format,
                            {{"json", LogFormat::json}, {"text", LogFormat::text}});
  mapping.choice<LogLevel>("level", log.level,
                           {{"debug", LogLevel::debug},
                            {"info", LogLevel::info},
                            {"warn", LogLevel::warn},
                            {"error", LogLevel::error}});
  mapping.choice<LogDetail>("detail", log.detail,
                            {{"full", LogDetail::full}, {"minimal", LogDetail::minimal}});
  std::string access;
  const auto parse = [](std::string_view text, std::string& why) -> std::optional<std::string> {
    // A slash is asked for so that a misspelt word does not become a file.
    const bool path = text.find('/') != std::string_view::npos && !text.ends_with('/') &&
                      text.find('\0') == std::string_view::npos;
    if (text == "stdout" || text == "none" || path) return std::string(text);
    why = in_quotes(text) +
          " is neither stdout, none nor the path of a file; a path has a \"/\": " + "./access.log";
    return std::nullopt;
  };
  if (!mapping.scalar("access", access, parse)) return;
  log.access = access == "stdout" ? Log::Access::out
               : access == "none" ? Log::Access::none
                                  : Log::Access::file;
  if (log.access == Log::Access::file) log.access_file = access;
}

std::optional<policy::Prefix> parse_nat64(std::string_view text, std::string& why) {
  static constexpr std::array<uint8_t, 6> kLengths = {32, 40, 48, 56, 64, 96};  // RFC 6052 2.2
  auto prefix = parse_prefix(text, why);
  if (!prefix) return std::nullopt;
  const bool good = !prefix->base.is_v4() &&
                    std::find(kLengths.begin(), kLengths.end(), prefix->length) != kLengths.end();
  if (good) return prefix;
  why = in_quotes(text) + " is not a NAT64 prefix; it is IPv6 of length 32, 40, 48, 56, 64 or 96";
  return std::nullopt;
}

void read_cache(const Mapping& mapping, Resolver& resolver) {
  const auto ttl = between<Duration>(Duration(0), hours(24 * 7), parse_duration, duration_text);
  mapping.count("entries", resolver.cache_entries, 1, 10'000'000);
  const bool least = mapping.scalar("min_ttl", resolver.min_ttl, ttl);
  mapping.scalar("max_ttl", resolver.max_ttl, ttl);
  mapping.scalar("negative_ttl", resolver.negative_ttl, ttl);
  if (resolver.min_ttl > resolver.max_ttl) {
    mapping.error(least ? "min_ttl" : "max_ttl",
                  "cache: min_ttl (" + duration_text(resolver.min_ttl) + ") is above max_ttl (" +
                      duration_text(resolver.max_ttl) + ")");
  }
}

}  // namespace

uint32_t cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::clamp(static_cast<uint32_t>(CPU_COUNT(&set)), 1U, kMostWorkers);
}

uint64_t buffer_memory_for(uint32_t workers) {
  return std::max(usable_memory() / 4, kLeastMemoryAWorker * workers);
}

void read_process(const Mapping& root, Settings& settings) {
  read_workers(root, settings);
  read_buffer_memory(root, settings);
  root.choice<policy::Mode>("mode", settings.mode,
                            {{"enforce", policy::Mode::enforce}, {"report", policy::Mode::report}});
  root.choice<Sandbox>(
      "sandbox", settings.sandbox,
      {{"auto", Sandbox::automatic}, {"required", Sandbox::required}, {"off", Sandbox::off}});
  if (const auto mapping = root.mapping("log")) read_log(*mapping, settings.log);
}

void read_resolver(const Mapping& root, Settings& settings) {
  const auto mapping = root.mapping("resolver");
  if (!mapping) return;
  Resolver& resolver = settings.resolver;
  mapping->list("servers", resolver.servers, parse_server);
  mapping->scalar("timeout", resolver.timeout,
                  between<Duration>(milliseconds(1), minutes(5), parse_duration, duration_text));
  mapping->count("tries", resolver.tries, 1, 10);
  mapping->boolean("hosts_file", resolver.hosts_file);
  mapping->list("nat64_prefixes", resolver.nat64_prefixes, parse_nat64);
  if (const auto cache = mapping->mapping("cache")) read_cache(*cache, resolver);
}

}  // namespace egret::config
