#include "proxy/buffer.h"

#include <cstring>
#include <memory>

namespace egret::proxy {
namespace {

size_t whole_steps(size_t bytes) {
  return (bytes + BufferPool::kStep - 1) / BufferPool::kStep * BufferPool::kStep;
}

BufferBudget& unlimited() {
  static BufferBudget budget;
  return budget;
}

}  // namespace

Buffer::~Buffer() {
  if (data_ != nullptr) pool_->give_back(data_, capacity_);
}

std::span<char> Buffer::space() {
  if (end_ == capacity_ && begin_ > 0) {
    std::memmove(data_, data_ + begin_, size());
    end_ -= begin_;
    begin_ = 0;
  }
  return {data_ + end_, capacity_ - end_};
}

bool Buffer::grow(size_t capacity, MemoryFor whose) {
  if (capacity <= capacity_) return true;
  auto larger =
      std::make_unique_for_overwrite<char[]>(capacity);  // before it is charged: may throw
  if (!pool_->charge(capacity, whose)) return false;
  std::memcpy(larger.get(), data_ + begin_, size());
  pool_->give_back(data_, capacity_);
  ++pool_->lent_;
  data_ = larger.release();
  end_ -= begin_;
  begin_ = 0;
  capacity_ = capacity;
  return true;
}

bool BufferBudget::take_if_left(uint64_t bytes, MemoryFor whose) {
  const uint64_t limit = whose == MemoryFor::answer   ? most()
                         : whose == MemoryFor::tunnel ? most() / 4 * 3
                                                      : most() / 2;
  const uint64_t before = used_.fetch_add(bytes, std::memory_order_relaxed);
  if (before + bytes <= limit) return true;
  give_back(bytes);
  return false;
}

BufferPool::BufferPool() : BufferPool(unlimited()) {}

BufferPool::~BufferPool() {
  for (char* data : free_) delete[] data;
  budget_->give_back(set_aside_);
}

Buffer BufferPool::take() {
  lent_bytes_ += kBytes;
  if (lent_bytes_ > set_aside_) {
    budget_->take(kStep);
    set_aside_ += kStep;
  }
  return lend();
}

std::optional<Buffer> BufferPool::take_if_left(MemoryFor whose) {
  if (!charge(kBytes, whose)) return std::nullopt;
  return lend();
}

Buffer BufferPool::lend() {
  Buffer buffer;
  buffer.pool_ = this;
  buffer.capacity_ = kBytes;
  if (free_.empty()) {
    buffer.data_ = new char[kBytes];
  } else {
    buffer.data_ = free_.back();
    free_.pop_back();
  }
  ++lent_;
  return buffer;
}

bool BufferPool::charge(size_t bytes, MemoryFor whose) {
  if (lent_bytes_ + bytes > set_aside_) {
    const size_t step = whole_steps(lent_bytes_ + bytes - set_aside_);
    if (!budget_->take_if_left(step, whose)) return false;
    set_aside_ += step;
  }
  lent_bytes_ += bytes;
  return true;
}

// Keeps a step in hand, so that one request more or less does not go to the budget each time.
void BufferPool::uncharge(size_t bytes) {
  lent_bytes_ -= bytes;
  const size_t enough = whole_steps(lent_bytes_) + kStep;
  if (set_aside_ <= enough) return;
  budget_->give_back(set_aside_ - enough);
  set_aside_ = enough;
}

void BufferPool::give_back(char* data, size_t capacity) {
  --lent_;
  uncharge(capacity);
  if (capacity == kBytes && free_.size() < kKept) {
    free_.push_back(data);
  } else {
    delete[] data;
  }
}

}  // namespace egret::proxy
