#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <sqlite3.h>

#include "base/clock.h"
#include "base/result.h"

namespace egret::queue {

// Bytes that are bound as a blob, not as text.
struct Blob {
  std::string_view bytes;
};

// A prepared statement, kept for its database's life. Use: bind(…), then step() until it is false;
// it is ready for the next bind() then, or after reset().
class Statement {
 public:
  Statement() = default;
  Statement(sqlite3* database, std::string_view sql);  // throws std::runtime_error: it is ours

  template <typename... Values>
  Statement& bind(const Values&... values) {
    reset();
    int index = 0;
    (put(++index, values), ...);
    return *this;
  }
  // True: a row is there. Errors: queue_unavailable.
  Result<bool> step();
  // Errors as step(); rows are passed over.
  Result<> run();
  void reset() { sqlite3_reset(statement_.get()); }

  [[nodiscard]] int64_t number(int column) const {
    return sqlite3_column_int64(statement_.get(), column);
  }
  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] bool is_null(int column) const {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
  }
  [[nodiscard]] WallTime time(int column) const { return from_ms(number(column)); }

  static WallTime from_ms(int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }
  static int64_t to_ms(WallTime time) {
    return std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
  }

 private:
  void put(int index, int64_t value) { sqlite3_bind_int64(statement_.get(), index, value); }
  void put(int index, uint64_t value) { put(index, static_cast<int64_t>(value)); }
  void put(int index, int value) { put(index, static_cast<int64_t>(value)); }
  void put(int index, uint32_t value) { put(index, static_cast<int64_t>(value)); }
  void put(int index, WallTime value) { put(index, to_ms(value)); }
  // The bytes must outlive the step.
  void put(int index, std::string_view value) {
    sqlite3_bind_text(statement_.get(), index, value.data(), static_cast<int>(value.size()),
                      SQLITE_STATIC);
  }
  void put(int index, const std::string& value) { put(index, std::string_view(value)); }
  void put(int index, Blob value) {
    sqlite3_bind_blob64(statement_.get(), index, value.bytes.empty() ? "" : value.bytes.data(),
                        value.bytes.size(), SQLITE_STATIC);
  }
  template <typename T>
  void put(int index, const std::optional<T>& value) {
    value ? put(index, *value) : static_cast<void>(sqlite3_bind_null(statement_.get(), index));
  }

  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// One connection to one database file, which nobody else may have open meanwhile.
class Database {
 public:
  // Errors: queue_unavailable, with the path and what is wrong with it.
  //   make: when there is none, as a file that only its owner may read. look: nothing is made or
  //   changed, and what is in the log only is not seen; where there is none, its folder must be
  //   writable.
  enum class Open : uint8_t { make, look };
  static Result<Database> open(const std::string& path, Open how);

  // That the file and its log are not anybody's to read. Errors: queue_unavailable.
  static Result<> look_at_mode(const std::string& path);
  Result<> execute(const std::string& sql);
  // One number; nothing for NULL or no row.
  Result<std::optional<int64_t>> query(const std::string& sql);
  [[nodiscard]] Statement prepare(std::string_view sql) const { return {handle_.get(), sql}; }
  [[nodiscard]] int64_t last_row() const { return sqlite3_last_insert_rowid(handle_.get()); }
  [[nodiscard]] bool is_open() const { return handle_ != nullptr; }
  [[nodiscard]] bool in_transaction() const { return sqlite3_get_autocommit(handle_.get()) == 0; }

 private:
  struct Close {
    void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
  };
  std::unique_ptr<sqlite3, Close> handle_;
};

// What SQLite says, for an operator.
Failure sqlite_failure(sqlite3* handle);

}  // namespace egret::queue
