#include "proxy/delivery_stream.h"

#include <algorithm>
#include <cstring>

namespace egret::proxy {

DeliveryStream::DeliveryStream(std::string head, std::string body)
    : head_(std::move(head)), body_(std::move(body)) {
  on_readable();
}

net::Io DeliveryStream::try_read(std::span<char> buffer) {
  size_t done = 0;
  const auto take = [&](std::string_view from) {
    const size_t bytes = std::min(from.size(), buffer.size() - done);
    if (bytes > 0) std::memcpy(buffer.data() + done, from.data(), bytes);
    done += bytes;
    read_ += bytes;
  };
  if (read_ < head_.size()) take(std::string_view(head_).substr(read_));
  if (read_ >= head_.size()) take(std::string_view(body_).substr(read_ - head_.size()));
  if (done == 0) return {.status = net::Io::Status::blocked};
  return {.status = net::Io::Status::ok, .error = 0, .bytes = done};
}

net::Io DeliveryStream::try_write(std::span<const iovec> pieces) {
  size_t all = 0;
  for (const iovec& piece : pieces) {
    all += piece.iov_len;
    const size_t room = kHeld - std::min(kHeld, written_.size());
    written_.append(static_cast<const char*>(piece.iov_base), std::min(room, piece.iov_len));
  }
  return {.status = net::Io::Status::ok, .error = 0, .bytes = all};
}

std::string_view DeliveryStream::answer() const {
  const size_t end = written_.find("\r\n\r\n");
  if (end == std::string::npos) return {};
  return std::string_view(written_).substr(end + 4, kAnswer);
}

}  // namespace egret::proxy
