#pragma once

#include <string>
#include <string_view>

#include "proxy/net/stream.h"

namespace egret::proxy {

// DeliveryStream stands where a sender's connection would: a kept request is read from it, and the
// answer goes into it, of which the beginning is held. Nobody ever hangs up. One thread.
class DeliveryStream final : public net::Stream {
 public:
  static constexpr size_t kHeld = 64 * 1024;  // of the answer: a head, and the first of its content
  static constexpr size_t kAnswer = 1024;     // of the content, for an operator to look at

  DeliveryStream(std::string head, std::string body);
  net::Io try_read(std::span<char> buffer) override;
  net::Io try_write(std::span<const iovec> pieces) override;
  void shutdown_write() override {}
  void abort_on_close() override {}
  bool looks_alive() override { return true; }

  // The first bytes of the answer's content.
  [[nodiscard]] std::string_view answer() const;

 private:
  std::string head_;
  std::string body_;
  size_t read_ = 0;  // of both
  std::string written_;
};

}  // namespace egret::proxy
