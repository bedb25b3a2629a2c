#include "proxy/logging.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <mutex>

#include "base/text.h"

namespace egret::proxy {
namespace {

constexpr size_t kLinesWaiting = 16384;

spdlog::level::level_enum to_spdlog(config::LogLevel level) {
  switch (level) {
    case config::LogLevel::debug:
      return spdlog::level::debug;
    case config::LogLevel::info:
      return spdlog::level::info;
    case config::LogLevel::warn:
      return spdlog::level::warn;
    default:
      return spdlog::level::err;
  }
}

std::string_view name_of(config::LogLevel level) {
  switch (level) {
    case config::LogLevel::debug:
      return "debug";
    case config::LogLevel::info:
      return "info";
    case config::LogLevel::warn:
      return "warn";
    default:
      return "error";
  }
}

std::string event_line(config::LogFormat format, config::LogLevel level, std::string_view message) {
  const auto now = std::chrono::system_clock::now();
  const auto time =
      fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(now)));
  std::string safe;
  text::append_json(safe, message);
  if (format == config::LogFormat::json) {
    return fmt::format(R"({{"time":"{}","level":"{}","message":"{}"}})", time, name_of(level),
                       safe);
  }
  return fmt::format("{} {} {}", time, name_of(level), safe);
}

spdlog::sink_ptr make_sink(const config::Log& settings) {
  if (settings.access == config::Log::Access::file) {
    return std::make_shared<spdlog::sinks::basic_file_sink_mt>(settings.access_file);
  }
  return std::make_shared<spdlog::sinks::stdout_sink_mt>();
}

}  // namespace

struct Log::Parts {
  std::shared_ptr<spdlog::details::thread_pool> pool =
      std::make_shared<spdlog::details::thread_pool>(kLinesWaiting, 1);
  spdlog::logger events{"events", std::make_shared<spdlog::sinks::stderr_sink_mt>()};
  mutable std::mutex mutex;
  config::LogFormat format = config::LogFormat::json;  // guarded by mutex
  std::shared_ptr<spdlog::async_logger> access;        // guarded by mutex
};

Log::Log() : parts_(std::make_unique<Parts>()) {
  parts_->events.set_pattern("%v");
  parts_->events.flush_on(spdlog::level::trace);
}

Log::~Log() { flush(); }

Result<> Log::configure(const config::Log& settings) {
  std::shared_ptr<spdlog::async_logger> access;
  if (settings.access != config::Log::Access::none) {
    try {
      access =
          std::make_shared<spdlog::async_logger>("access", make_sink(settings), parts_->pool,
                                                 spdlog::async_overflow_policy::overrun_oldest);
    } catch (const spdlog::spdlog_ex& error) {
      return Unexpected(Reason::internal_error, error.what());
    }
    access->set_pattern("%v");
    access->flush_on(spdlog::level::trace);
  }
  const std::lock_guard lock(parts_->mutex);
  parts_->access = std::move(access);
  parts_->format = settings.format;
  parts_->events.set_level(to_spdlog(settings.level));
  return {};
}

AccessLog Log::access() const {
  const std::lock_guard lock(parts_->mutex);
  if (!parts_->access) return {};
  return [logger = parts_->access](const std::string& line) {
    logger->log(spdlog::level::info, spdlog::string_view_t(line));
  };
}

void Log::event(config::LogLevel level, std::string_view message) {
  config::LogFormat format;
  {
    const std::lock_guard lock(parts_->mutex);
    format = parts_->format;
  }
  parts_->events.log(to_spdlog(level), spdlog::string_view_t(event_line(format, level, message)));
}

void Log::flush() {
  const std::lock_guard lock(parts_->mutex);
  // Destroying the pool joins its thread after the queue is empty; a new one takes over.
  parts_->pool = std::make_shared<spdlog::details::thread_pool>(kLinesWaiting, 1);
  parts_->access.reset();
}

uint64_t Log::dropped() const {
  const std::lock_guard lock(parts_->mutex);
  return parts_->pool->overrun_counter();
}

}  // namespace egret::proxy
