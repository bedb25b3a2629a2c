#include "base/secret.h"

namespace egret {

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    wipe();
    bytes_ = std::move(other.bytes_);
    other.wipe();
  }
  return *this;
}

bool Secret::equals(std::string_view candidate) const {
  // The length is not hidden; the bytes are.
  if (candidate.size() != bytes_.size() || bytes_.empty()) return false;
  volatile unsigned char difference = 0;
  for (size_t i = 0; i < candidate.size(); ++i) {
    difference = static_cast<unsigned char>(difference | (candidate[i] ^ bytes_[i]));
  }
  return difference == 0;
}

void Secret::wipe() {
  volatile char* bytes = bytes_.data();
  for (size_t i = 0; i < bytes_.size(); ++i) bytes[i] = 0;
  bytes_.clear();
}

}  // namespace egret
