#pragma once

#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace egret::proxy {

class BufferPool;

// Buffer holds bytes read and not yet used. Borrowed from a worker's pool while bytes are in
// flight, and given back when it dies. May grow, up to what a head may need.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Buffer();

  [[nodiscard]] std::string_view view() const { return {data_ + begin_, end_ - begin_}; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  [[nodiscard]] size_t size() const { return end_ - begin_; }
  [[nodiscard]] size_t capacity() const { return capacity_; }

  // Where to read into: never empty, the bytes held are moved to the front when need be. Views
  // into the buffer are void afterwards. When the buffer is full: see grow.
  std::span<char> space();
  void commit(size_t bytes) { end_ += bytes; }
  void consume(size_t bytes) {
    begin_ += bytes;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  [[nodiscard]] bool full() const { return size() == capacity_; }
  // Makes the capacity at least `capacity`. Views are void afterwards.
  void grow(size_t capacity);

 private:
  friend class BufferPool;
  void swap(Buffer& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(data_, other.data_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
    std::swap(capacity_, other.capacity_);
  }
  BufferPool* pool_ = nullptr;
  char* data_ = nullptr;
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t capacity_ = 0;
};

// BufferPool keeps a worker's buffers. Outlives what it lent. One thread.
class BufferPool {
 public:
  // Holds an ordinary head with a small webhook's content, so that both leave in one write.
  static constexpr size_t kBytes = 16 * 1024;
  static constexpr size_t kKept = 256;  // free ones; more than these go back to the allocator

  BufferPool() = default;
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  Buffer take();
  [[nodiscard]] size_t lent() const { return lent_; }

 private:
  friend class Buffer;
  void give_back(char* data, size_t capacity);
  std::vector<char*> free_;
  size_t lent_ = 0;
};

}  // namespace egret::proxy
