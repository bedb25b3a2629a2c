#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "proxy/async/frame_pool.h"
#include "proxy/async/scheduler.h"

namespace egret::async {

// What every coroutine's promise has: it can be posted, and it knows whom to post when it is done.
class PromiseBase : public ReadyNode {
 public:
  PromiseBase() : ReadyNode(&PromiseBase::resume) {}

  static void* operator new(size_t size) { return allocate_frame(size); }
  static void operator delete(void* frame, size_t size) noexcept { free_frame(frame, size); }

  std::suspend_always initial_suspend() noexcept { return {}; }
  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <typename Promise>
    void await_suspend(std::coroutine_handle<Promise> handle) noexcept {
      PromiseBase& promise = handle.promise();
      if (promise.awaiter_ != nullptr) Scheduler::current().ready().post(*promise.awaiter_);
    }
    void await_resume() noexcept {}
  };
  FinalAwaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() { exception_ = std::current_exception(); }

 protected:
  template <typename T>
  friend class Task;
  static void resume(ReadyNode& node) { static_cast<PromiseBase&>(node).self_.resume(); }
  void rethrow() {
    if (exception_) std::rethrow_exception(exception_);
  }
  std::coroutine_handle<> self_;
  ReadyNode* awaiter_ = nullptr;
  std::exception_ptr exception_;
};

// Task<T> is a piece of work that starts when it is awaited (or start()ed) and is cancelled by
// destroying it: every object in its frame is destroyed, innermost first, and whatever it waited
// for is told to forget it.
//   One owner, one awaiter, one thread. An exception leaves it through the await.
//   A child that finishes without waiting lets its awaiter go on at once; one that finishes later
//   posts its awaiter. So the stack is as deep as the calls are, however many awaits are ready,
//   and nothing depends on the compiler's tail calls (docs/design/0002-coroutines.md).
template <typename T = void>
class [[nodiscard]] Task {
 public:
  class promise_type;
  using Handle = std::coroutine_handle<promise_type>;

  Task() = default;
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      reset();
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  ~Task() { reset(); }

  [[nodiscard]] bool valid() const { return static_cast<bool>(handle_); }
  [[nodiscard]] bool done() const { return handle_.done(); }
  // Runs it up to its first wait. Once only.
  void start() { handle_.resume(); }
  // Posts `node` when it is done; for a task that is not done yet.
  void notify(ReadyNode& node) { handle_.promise().awaiter_ = &node; }
  // The value, or the exception, of a task that is done.
  T result() { return handle_.promise().take(); }
  void reset() {
    if (handle_) std::exchange(handle_, {}).destroy();
  }

  struct Awaiter {
    Handle child;
    bool await_ready() const noexcept { return false; }
    template <typename Promise>
    bool await_suspend(std::coroutine_handle<Promise> parent) {
      child.resume();
      if (child.done()) return false;
      child.promise().awaiter_ = &parent.promise();
      return true;
    }
    T await_resume() { return child.promise().take(); }
  };
  Awaiter operator co_await() && noexcept { return Awaiter{handle_}; }

 private:
  explicit Task(Handle handle) : handle_(handle) {}
  Handle handle_;
};

template <typename T>
class Task<T>::promise_type : public PromiseBase {
 public:
  Task get_return_object() {
    const Handle handle = Handle::from_promise(*this);
    self_ = handle;
    return Task(handle);
  }
  template <typename U>
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  T take() {
    rethrow();
    return std::move(*value_);
  }

 private:
  friend class Task;
  std::optional<T> value_;
};

template <>
class Task<void>::promise_type : public PromiseBase {
 public:
  Task get_return_object() {
    const Handle handle = Handle::from_promise(*this);
    self_ = handle;
    return Task(handle);
  }
  void return_void() {}
  void take() { rethrow(); }

 private:
  friend class Task;
};

}  // namespace egret::async
