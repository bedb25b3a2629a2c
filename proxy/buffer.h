#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace egret::proxy {

class BufferPool;

// Who asks for memory: a new request, a tunnel that is open, the answer of a request under way.
enum class MemoryFor : uint8_t { request, tunnel, answer };

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
  // Makes the capacity at least `capacity`; views are void afterwards. False, and nothing changes,
  // when that part of the budget has nothing left for it.
  [[nodiscard]] bool grow(size_t capacity, MemoryFor whose);

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

// BufferBudget is the memory that the buffers of all workers may take together, so that a crowd of
// slow peers meets a refusal and not the kernel's out-of-memory killer. Any thread.
//   New requests with their heads may use half of it, so that whoever only begins cannot stop what
//   is under way; tunnels up to three quarters; answers all of it. An answer gets one buffer in any
//   case, since its request holds one already, and more for a longer head while there is some.
class BufferBudget {
 public:
  explicit BufferBudget(uint64_t most = UINT64_MAX) : most_(most) {}
  // A reload may change it; what is lent stays.
  void set_most(uint64_t bytes) { most_.store(bytes, std::memory_order_relaxed); }
  [[nodiscard]] uint64_t most() const { return most_.load(std::memory_order_relaxed); }
  // What the pools have set aside.
  [[nodiscard]] uint64_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  friend class BufferPool;
  void take(uint64_t bytes) { used_.fetch_add(bytes, std::memory_order_relaxed); }
  // False when this part of the budget has not so much left.
  bool take_if_left(uint64_t bytes, MemoryFor whose);
  void give_back(uint64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  std::atomic<uint64_t> most_;
  std::atomic<uint64_t> used_ = 0;
};

// BufferPool keeps a worker's buffers. Outlives what it lent. One thread.
//   Sets memory of the budget aside in larger steps than it lends it, so that the budget's line is
//   not touched for every request.
class BufferPool {
 public:
  // Holds an ordinary head with a small webhook's content, so that both leave in one write.
  static constexpr size_t kBytes = 16 * 1024;
  static constexpr size_t kKept = 256;  // free ones; more than these go back to the allocator

  static constexpr size_t kStep = 16 * kBytes;  // of what is set aside

  // Without a budget of its own: no limit.
  BufferPool();
  explicit BufferPool(BufferBudget& budget) : budget_(&budget) {}
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  // For an answer, whose request holds a buffer.
  Buffer take();
  // Nothing when that part of the budget is in use.
  std::optional<Buffer> take_if_left(MemoryFor whose);
  [[nodiscard]] size_t lent() const { return lent_; }
  [[nodiscard]] size_t lent_bytes() const { return lent_bytes_; }

 private:
  friend class Buffer;
  Buffer lend();
  bool charge(size_t bytes, MemoryFor whose);
  void uncharge(size_t bytes);
  void give_back(char* data, size_t capacity);
  BufferBudget* budget_;
  std::vector<char*> free_;
  size_t lent_ = 0;
  size_t lent_bytes_ = 0;
  size_t set_aside_ = 0;  // of the budget
};

}  // namespace egret::proxy
