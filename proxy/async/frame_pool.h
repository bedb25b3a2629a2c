#pragma once

#include <cstddef>

namespace egret::async {

// Coroutine frames from a per-thread free list: a request makes the same few frames each time.
//   A frame must be freed on the thread that made it (Tasks never change threads). Keeps at most
//   kKeptPerClass free frames a size, so a burst's memory goes back. Under AddressSanitizer every
//   frame is malloc'ed, so that a use after free is seen.
void* allocate_frame(size_t size);
void free_frame(void* frame, size_t size) noexcept;

}  // namespace egret::async
