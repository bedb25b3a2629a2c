#include "proxy/queue/sqlite_database.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace egret::queue {
namespace {

Failure unusable(const std::string& path, const std::string& why) {
  return {Reason::queue_unavailable, "The queue's store " + path + " " + why + "."};
}

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

bool is_folder(const std::string& path) {
  struct stat found {};
  return stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

// Not one that may not be looked into.
bool is_no_folder(const std::string& path) {
  struct stat found {};
  if (stat(path.c_str(), &found) == 0) return !S_ISDIR(found.st_mode);
  return errno == ENOENT || errno == ENOTDIR;
}

// As errno says.
Failure cannot_be_made(const std::string& path) {
  const int error = errno;
  const std::string folder = folder_of(path);
  std::string why = "cannot be made: ";
  if (is_no_folder(folder)) {
    why += "there is no folder " + folder + "; make it, and let the user that Egret runs as write ";
    why += "in it";
  } else {
    why += std::strerror(error);
    if (error == EACCES || error == EROFS) why += "; Egret must be able to write in " + folder;
  }
  return unusable(path, why);
}

// There is no file yet: could one be made?
Result<Database> look_at_folder(const std::string& path) {
  if (access(folder_of(path).c_str(), W_OK | X_OK) == 0) return Database();
  return Unexpected(cannot_be_made(path));
}

// Without locks, and without the log and its index, which even a reader would make.
std::string as_immutable(const std::string& path) {
  std::string uri = "file:";
  for (const char each : path) {
    // What a URI gives a meaning.
    if (each == '%') {
      uri += "%25";
    } else if (each == '?') {
      uri += "%3f";
    } else if (each == '#') {
      uri += "%23";
    } else {
      uri += each;
    }
  }
  return uri + "?immutable=1";
}

}  // namespace

Failure sqlite_failure(sqlite3* handle) {
  const int code = sqlite3_errcode(handle);
  std::string sentence = "The queue's store: ";
  switch (code & 0xFF) {
    case SQLITE_FULL:
      sentence += "no space is left on its disk";
      break;
    case SQLITE_READONLY:
      sentence += "it is read-only";
      break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      sentence += "another process has it open; only one Egret may use it";
      break;
    case SQLITE_CORRUPT:
      sentence += "it is damaged (" + std::string(sqlite3_errmsg(handle)) +
                  "); move it away, and look at it with sqlite3's .recover";
      break;
    case SQLITE_NOTADB:
      sentence += "it is no SQLite database";
      break;
    case SQLITE_CANTOPEN:
      sentence += "it cannot be opened or made: is its folder there, and Egret's to write?";
      break;
    default:
      sentence += std::string(sqlite3_errmsg(handle)) + " (" +
                  std::to_string(sqlite3_extended_errcode(handle)) + ")";
  }
  return {Reason::queue_unavailable, sentence + "."};
}

Statement::Statement(sqlite3* database, std::string_view sql) {
  sqlite3_stmt* made = nullptr;
  const int code = sqlite3_prepare_v3(database, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &made, nullptr);
  statement_.reset(made);
  if (code != SQLITE_OK) throw std::runtime_error("SQL: " + std::string(sqlite3_errmsg(database)));
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    reset();
    return false;
  }
  Failure failure = sqlite_failure(sqlite3_db_handle(statement_.get()));
  reset();
  return Unexpected(std::move(failure));
}

Result<> Statement::run() {
  while (true) {
    const Result<bool> row = step();
    if (!row) return Unexpected(row.error());
    if (!*row) return {};
  }
}

std::string Statement::text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  if (bytes == nullptr || size <= 0) return {};
  return {static_cast<const char*>(bytes), static_cast<size_t>(size)};
}

Result<Database> Database::open(const std::string& path, Open how) {
  // Statistics of memory cost a lock at each allocation, and nobody asks for them.
  static const int once = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  static_cast<void>(once);
  if (is_folder(path)) {
    return Unexpected(
        unusable(path, "is a folder; name a file in it, as in sqlite:" + path + "/queue.db"));
  }
  const bool there = access(path.c_str(), F_OK) == 0;
  if (how == Open::look && !there) return look_at_folder(path);
  if (!there) {
    const int made = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (made < 0) return Unexpected(cannot_be_made(path));
    ::close(made);
  }
  Database database;
  sqlite3* made = nullptr;
  const int code =
      how == Open::make
          ? sqlite3_open_v2(path.c_str(), &made,
                            SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                            nullptr)
          : sqlite3_open_v2(as_immutable(path).c_str(), &made,
                            SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                                SQLITE_OPEN_URI,
                            nullptr);
  database.handle_.reset(made);
  if (made == nullptr) return Unexpected(Reason::queue_unavailable, "SQLite has no memory.");
  if (code != SQLITE_OK) return Unexpected(sqlite_failure(made));
  return database;
}

// Whoever has made or copied it may have let others read it; and SQLite gives its log the same
// mode. The sandbox does not let it be changed, so it is not changed without one either.
Result<> Database::look_at_mode(const std::string& path) {
  for (const std::string& file : {path, path + "-wal"}) {
    struct stat found {};
    if (stat(file.c_str(), &found) != 0 || (found.st_mode & S_IRWXO) == 0) continue;
    return Unexpected(
        unusable(file, "may be read by others than its owner; chmod 600 " + path + "*"));
  }
  return {};
}

Result<> Database::execute(const std::string& sql) {
  if (sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return Unexpected(sqlite_failure(handle_.get()));
}

Result<std::optional<int64_t>> Database::query(const std::string& sql) {
  sqlite3_stmt* made = nullptr;
  const int code =
      sqlite3_prepare_v2(handle_.get(), sql.c_str(), static_cast<int>(sql.size()), &made, nullptr);
  const std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)> statement(made,
                                                                             sqlite3_finalize);
  if (code != SQLITE_OK) return Unexpected(sqlite_failure(handle_.get()));
  const int stepped = sqlite3_step(made);
  if (stepped == SQLITE_DONE) return std::optional<int64_t>();
  if (stepped != SQLITE_ROW) return Unexpected(sqlite_failure(handle_.get()));
  if (sqlite3_column_type(made, 0) == SQLITE_NULL) return std::optional<int64_t>();
  return std::optional<int64_t>(sqlite3_column_int64(made, 0));
}

}  // namespace egret::queue
