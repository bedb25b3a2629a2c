#pragma once

#include <string>
#include <utility>
#include <variant>

#include "base/reason.h"

namespace egret {

// Failure is why something did not happen: the one reason, and a sentence for a person.
//   `detail` never holds a secret; it may hold an address or a host, so `log.detail: minimal`
//   keeps it out of answers.
struct Failure {
  Reason reason = Reason::internal_error;
  std::string detail;
};

// Tag in std::unexpect's spelling: `return Unexpected(Reason::dns_timeout, "…")`.
class Unexpected {
 public:
  explicit Unexpected(Reason reason, std::string detail = {})
      : failure_{reason, std::move(detail)} {}
  explicit Unexpected(Failure failure) : failure_(std::move(failure)) {}
  Failure& failure() { return failure_; }

 private:
  Failure failure_;
};

struct Unit {};

// Result<T> is std::expected<T, Failure> in C++20: has a value or says why not.
//   `Result<void>` is spelled `Result<>`.
template <typename T = Unit>
class [[nodiscard]] Result {
 public:
  Result() requires std::is_default_constructible_v<T> : state_(std::in_place_index<0>) {}
  // NOLINTNEXTLINE(google-explicit-constructor): std::expected converts too.
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(Unexpected unexpected) : state_(std::in_place_index<1>, std::move(unexpected.failure())) {}

  [[nodiscard]] bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  // Undefined unless has_value().
  T& value() & { return *std::get_if<0>(&state_); }
  const T& value() const& { return *std::get_if<0>(&state_); }
  T&& value() && { return std::move(*std::get_if<0>(&state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // Undefined if has_value().
  Failure& error() & { return *std::get_if<1>(&state_); }
  const Failure& error() const& { return *std::get_if<1>(&state_); }
  Failure&& error() && { return std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<T, Failure> state_;
};

}  // namespace egret
