#include "proxy/buffer.h"

namespace egret::proxy {

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

void Buffer::grow(size_t capacity) {
  if (capacity <= capacity_) return;
  char* larger = new char[capacity];
  std::memcpy(larger, data_ + begin_, size());
  if (capacity_ == BufferPool::kBytes) {
    pool_->give_back(data_, capacity_);
    ++pool_->lent_;
  } else {
    delete[] data_;
  }
  data_ = larger;
  end_ -= begin_;
  begin_ = 0;
  capacity_ = capacity;
}

BufferPool::~BufferPool() {
  for (char* data : free_) delete[] data;
}

Buffer BufferPool::take() {
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

void BufferPool::give_back(char* data, size_t capacity) {
  --lent_;
  if (capacity == kBytes && free_.size() < kKept) {
    free_.push_back(data);
  } else {
    delete[] data;
  }
}

}  // namespace egret::proxy
