#include "proxy/async/frame_pool.h"

#include <array>
#include <new>

namespace egret::async {

#if defined(__SANITIZE_ADDRESS__)

void* allocate_frame(size_t size) { return ::operator new(size); }
void free_frame(void* frame, size_t size) noexcept { ::operator delete(frame, size); }

#else

namespace {

constexpr size_t kClassBytes = 64;
constexpr size_t kClasses = 256;  // frames up to 16 KiB: one that holds an Exchange is above 8
constexpr size_t kKeptPerClass = 512;

struct FreeFrame {
  FreeFrame* next;
};

struct FreeLists {
  struct List {
    FreeFrame* first = nullptr;
    size_t count = 0;
  };
  std::array<List, kClasses> lists;
  ~FreeLists() {
    for (List& list : lists) {
      while (list.first != nullptr) {
        FreeFrame* frame = list.first;
        list.first = frame->next;
        ::operator delete(frame);
      }
    }
  }
};
thread_local FreeLists free_lists;

}  // namespace

void* allocate_frame(size_t size) {
  const size_t index = (size - 1) / kClassBytes;
  if (index >= kClasses) return ::operator new(size);
  FreeLists::List& list = free_lists.lists[index];
  if (list.first == nullptr) return ::operator new((index + 1) * kClassBytes);
  FreeFrame* frame = list.first;
  list.first = frame->next;
  --list.count;
  return frame;
}

void free_frame(void* frame, size_t size) noexcept {
  const size_t index = (size - 1) / kClassBytes;
  if (index >= kClasses || free_lists.lists[index].count >= kKeptPerClass) {
    ::operator delete(frame);
    return;
  }
  FreeLists::List& list = free_lists.lists[index];
  auto* free = static_cast<FreeFrame*>(frame);
  free->next = list.first;
  list.first = free;
  ++list.count;
}

#endif

}  // namespace egret::async
