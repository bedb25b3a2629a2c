#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace egret {

// Secret holds bytes that are never printed or logged: it has no operator<<, no conversion to
// text and no fmt formatter, and its memory is wiped when it dies.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string bytes) : bytes_(std::move(bytes)) {}
  Secret(const Secret&) = default;
  Secret& operator=(const Secret&) = default;
  Secret(Secret&& other) noexcept : bytes_(std::move(other.bytes_)) { other.wipe(); }
  Secret& operator=(Secret&& other) noexcept;
  ~Secret() { wipe(); }

  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  // True when `candidate` is these bytes. Takes the same time for every candidate of one length,
  // so that an attacker cannot find the bytes one at a time.
  [[nodiscard]] bool equals(std::string_view candidate) const;
  // The same for two secrets, of which both may be empty.
  bool operator==(const Secret& other) const {
    return (empty() && other.empty()) || equals(other.bytes_);
  }
  // For the code that must feed the bytes to a primitive; the name is there to be searched for.
  [[nodiscard]] std::string_view reveal() const { return bytes_; }

 private:
  void wipe();
  std::string bytes_;
};

}  // namespace egret
