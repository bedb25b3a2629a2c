#include "proxy/queue/postgres_values.h"

#include <array>
#include <charconv>

namespace egret::queue::pg {
namespace {

// Of pg_type: the same in every version, and on the wire of its kin.
constexpr Oid kBytea = 17;
constexpr Oid kInt8 = 20;
constexpr Oid kText = 25;
constexpr Oid kInt8Array = 1016;
constexpr int kAsText = 0;
constexpr int kAsBytes = 1;

std::string big_endian(int64_t value) {
  std::string bytes(8, '\0');
  auto left = static_cast<uint64_t>(value);
  for (size_t i = 8; i > 0; --i) {
    bytes[i - 1] = static_cast<char>(left & 0xFF);
    left >>= 8;
  }
  return bytes;
}

}  // namespace

void Values::add(Oid type, std::optional<std::string> value, int format) {
  types_.push_back(type);
  values_.push_back(std::move(value));
  formats_.push_back(format);
}

void Values::put(int64_t value) { add(kInt8, big_endian(value), kAsBytes); }
void Values::put(const std::string& value) { add(kText, value, kAsBytes); }
void Values::put(Bytes value) { add(kBytea, std::string(value.bytes), kAsBytes); }

void Values::put(const std::vector<int64_t>& all) {
  std::string text = "{";
  for (const int64_t each : all) {
    if (text.size() > 1) text += ',';
    text += std::to_string(each);
  }
  add(kInt8Array, text + "}", kAsText);
}

void Values::put(const std::optional<WallTime>& value) {
  if (value) {
    put(*value);
  } else {
    add(kInt8, std::nullopt, kAsBytes);
  }
}

void Values::put(const std::optional<Bytes>& value) {
  if (value) {
    put(*value);
  } else {
    add(kBytea, std::nullopt, kAsBytes);
  }
}

const char* const* Values::pointers() {
  pointers_.clear();
  for (const auto& each : values_) pointers_.push_back(each ? each->data() : nullptr);
  return pointers_.data();
}

const int* Values::lengths() {
  lengths_.clear();
  for (const auto& each : values_) lengths_.push_back(each ? static_cast<int>(each->size()) : 0);
  return lengths_.data();
}

int64_t Answer::written() const {
  const std::string_view text = PQcmdTuples(result_.get());
  int64_t count = 0;
  std::from_chars(text.data(), text.data() + text.size(), count);
  return count;
}

int64_t Answer::number(int row, int column) const {
  if (is_null(row, column)) return 0;
  const char* bytes = PQgetvalue(result_.get(), row, column);
  const int size = PQgetlength(result_.get(), row, column);
  uint64_t value = 0;
  for (int i = 0; i < size; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  // Narrow ones are signed too.
  if (size == 2) return static_cast<int16_t>(value);
  if (size == 4) return static_cast<int32_t>(value);
  return static_cast<int64_t>(value);
}

std::string Answer::text(int row, int column) const {
  return {PQgetvalue(result_.get(), row, column),
          static_cast<size_t>(PQgetlength(result_.get(), row, column))};
}

}  // namespace egret::queue::pg
