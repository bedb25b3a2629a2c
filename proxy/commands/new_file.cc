#include "proxy/commands/new_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "proxy/net/socket.h"

namespace egret::commands {

std::string write_new(const std::string& path, std::string_view bytes, mode_t mode) {
  const auto why = [&path](int error) {
    if (error == EEXIST) return path + " is there already; nothing was overwritten";
    return "cannot write " + path + ": " + std::strerror(error);
  };
  const net::Fd file(
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!file.valid()) return why(errno);
  // Half a file would be in the way of the next attempt.
  const auto give_up = [&] {
    const int error = errno;
    unlink(path.c_str());
    return why(error);
  };
  fchmod(file.get(), mode);  // whatever the umask
  while (!bytes.empty()) {
    const ssize_t put = write(file.get(), bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return give_up();
    bytes.remove_prefix(static_cast<size_t>(put));
  }
  if (fsync(file.get()) != 0) return give_up();
  return {};
}

}  // namespace egret::commands
