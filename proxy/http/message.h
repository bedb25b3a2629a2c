#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

namespace egret::http {

// One field line (RFC 9110 5). Views into the buffer that holds the head.
struct Field {
  std::string_view name;
  std::string_view value;  // without optional white space at both ends
};

// More fields than this is a head that is too large (the byte limit is the rule's).
inline constexpr size_t kMaxFields = 100;

static_assert(std::is_trivially_copyable_v<Field>);

class Fields {
 public:
  Fields() = default;
  Fields(const Fields& other) { *this = other; }
  Fields& operator=(const Fields& other) {
    count_ = other.count_;
    std::memcpy(storage_, other.storage_, count_ * sizeof(Field));
    return *this;
  }
  [[nodiscard]] std::span<const Field> all() const {
    return {reinterpret_cast<const Field*>(storage_), count_};
  }
  // False when full.
  bool add(Field field) {
    if (count_ == kMaxFields) return false;
    new (storage_ + count_++ * sizeof(Field)) Field(field);
    return true;
  }
  void clear() { count_ = 0; }
  // The first field of that name (any case), or nothing.
  [[nodiscard]] const Field* find(std::string_view name) const;
  [[nodiscard]] size_t count(std::string_view name) const;

 private:
  // Raw, because clearing 3 KiB a head that has ten fields is most of what a small head costs.
  // Field is trivially destructible.
  alignas(Field) std::byte storage_[kMaxFields * sizeof(Field)];
  size_t count_ = 0;
};

// How the content that follows a head ends (RFC 9112 6.3).
struct Framing {
  enum class Kind : uint8_t { none, length, chunked, until_close } kind = Kind::none;
  uint64_t length = 0;  // bytes, for Kind::length
};

// A parsed head: views, valid while the buffer is.
struct RequestHead {
  std::string_view method;
  std::string_view target;  // as sent: absolute-form, origin-form, authority-form or *
  int minor_version = 1;    // HTTP/1.x
  Fields fields;
  Framing framing;
  bool keep_alive = true;        // what the sender wants (RFC 9112 9.3)
  bool expect_continue = false;  // HTTP/1.1 and `Expect: 100-continue`
};

struct ResponseHead {
  int status = 0;
  std::string_view reason_phrase;
  int minor_version = 1;
  Fields fields;
  Framing framing;
  bool keep_alive = true;
};

}  // namespace egret::http
