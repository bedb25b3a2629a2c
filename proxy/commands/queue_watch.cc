#include "proxy/commands/queue_watch.h"

#include <fmt/format.h>

#include "proxy/admin/words.h"

namespace egret::commands {
namespace {

using config::LogLevel;

std::string_view hosts(uint64_t count) { return count == 1 ? "host is" : "hosts are"; }

}  // namespace

std::string summary_of(const queue::Stats& stats) {
  std::string text = fmt::format(
      "queue: {} queued, {} delivered, {} dead, {} cancelled, {} {} switched off", stats.queued,
      stats.delivered, stats.dead, stats.cancelled, stats.disabled, hosts(stats.disabled));
  if (stats.oldest) text += "; the oldest queued is of " + admin::to_rfc3339(*stats.oldest);
  return text;
}

QueueWatch::QueueWatch(const queue::Queue& queue, proxy::Log& log) : queue_(queue), log_(log) {
  log_.event(LogLevel::info, summary_of(queue.stats()));
}

void QueueWatch::look() {
  const uint64_t before = disabled_;
  disabled_ = queue_.stats().disabled;
  if (disabled_ <= before) return;
  log_.event(LogLevel::warn,
             fmt::format("queue: {} {} switched off, where nothing is delivered: egret endpoints "
                         "list says which and why, egret endpoints enable HOST switches one on",
                         disabled_, hosts(disabled_)));
}

}  // namespace egret::commands
