#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <libpq-fe.h>

#include "base/clock.h"

namespace egret::queue::pg {

// Milliseconds since 1970: how every time is kept.
inline WallTime from_ms(int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }
inline int64_t to_ms(WallTime time) {
  return std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

// Bytes of any kind, which text columns would refuse.
struct Bytes {
  std::string_view bytes;
};

// One statement of the program's. `name` is its own within a connection, which prepares it once.
struct Sql {
  const char* name;
  const char* text;
};

// The parameters of one statement: $1, $2, … They are copied.
class Values {
 public:
  template <typename... All>
  explicit Values(const All&... all) {
    (put(all), ...);
  }
  [[nodiscard]] int count() const { return static_cast<int>(types_.size()); }
  [[nodiscard]] const Oid* types() const { return types_.data(); }
  // As libpq takes them: valid until the next call, or the end of this.
  const char* const* pointers();
  const int* lengths();
  [[nodiscard]] const int* formats() const { return formats_.data(); }

 private:
  void add(Oid type, std::optional<std::string> value, int format);
  void put(int64_t value);
  void put(uint64_t value) { put(static_cast<int64_t>(value)); }
  void put(int value) { put(int64_t{value}); }
  void put(uint32_t value) { put(int64_t{value}); }
  void put(WallTime value) { put(to_ms(value)); }
  void put(const std::string& value);
  void put(Bytes value);
  void put(const std::vector<int64_t>& all);
  void put(const std::optional<WallTime>& value);
  void put(const std::optional<Bytes>& value);

  std::vector<Oid> types_;
  std::vector<std::optional<std::string>> values_;
  std::vector<int> formats_;
  std::vector<const char*> pointers_;
  std::vector<int> lengths_;
};

// What a statement has answered.
class Answer {
 public:
  Answer() = default;
  explicit Answer(PGresult* result) : result_(result) {}
  [[nodiscard]] int rows() const { return PQntuples(result_.get()); }
  // Rows that were written.
  [[nodiscard]] int64_t written() const;
  // COMMIT of a transaction that has failed answers well, and is a rollback.
  [[nodiscard]] bool committed() const {
    return std::string_view(PQcmdStatus(result_.get())) == "COMMIT";
  }
  [[nodiscard]] bool is_null(int row, int column) const {
    return PQgetisnull(result_.get(), row, column) != 0;
  }
  // Of any width; 0 for NULL.
  [[nodiscard]] int64_t number(int row, int column) const;
  [[nodiscard]] std::string text(int row, int column) const;
  [[nodiscard]] WallTime time(int row, int column) const { return from_ms(number(row, column)); }

 private:
  struct Clear {
    void operator()(PGresult* result) const { PQclear(result); }
  };
  std::unique_ptr<PGresult, Clear> result_;
};

}  // namespace egret::queue::pg
