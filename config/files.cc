#include "config/files.h"
#include "config/command.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "config/diagnostics.h"
#include "config/load.h"

namespace egret::config {
namespace {

constexpr size_t kLargestSecret = 64 << 10;
constexpr size_t kLargestList = 4 << 20;

std::string system_error(const std::string& path, int number) {
  return "cannot read " + in_quotes(path) + ": " + std::generic_category().message(number);
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

std::string without_line_end(const std::string& path, size_t most, std::string& error) {
  auto bytes = read_whole(path, most, error);
  if (!bytes) return {};
  if (bytes->ends_with('\n')) bytes->pop_back();
  if (bytes->ends_with('\r')) bytes->pop_back();
  return std::move(*bytes);
}

class SystemSecrets final : public SecretSource {
 public:
  std::string read_file(const std::string& path, std::string& error) override {
    return without_line_end(path, kLargestSecret, error);
  }

  std::string read_list(const std::string& path, std::string& error) override {
    return without_line_end(path, kLargestList, error);
  }

  std::string read_env(const std::string& name, std::string& error) override {
    const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): at start-up
    if (value != nullptr) return value;
    error = "the environment variable " + in_quotes(name) + " is not set";
    return {};
  }

  std::string read_command(const std::vector<std::string>& arguments, std::string& error) override {
    return command_runner()(arguments, error);
  }

  std::string file_warning(const std::string& path) override {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0 || (status.st_mode & S_IROTH) == 0) return {};
    return "every user of this machine can read " + in_quotes(path) + "; chmod o-r it";
  }
};

}  // namespace

std::optional<std::string> read_whole(const std::string& path, size_t most, std::string& error) {
  if (path.find('\0') != std::string::npos) {
    error = "cannot read " + in_quotes(path) + ": no path has a NUL byte";
    return std::nullopt;
  }
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) {
    error = system_error(path, errno);
    return std::nullopt;
  }
  std::string bytes;
  std::array<char, 16384> buffer;
  while (bytes.size() <= most) {
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got == 0) return bytes;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      error = system_error(path, errno);
      return std::nullopt;
    }
    bytes.append(buffer.data(), static_cast<size_t>(got));
  }
  error = in_quotes(path) + " is larger than " + std::to_string(most >> 10) + " KiB";
  return std::nullopt;
}

SecretSource& system_secrets() {
  static SystemSecrets secrets;
  return secrets;
}

}  // namespace egret::config
