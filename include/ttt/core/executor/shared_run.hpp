// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <exception>
#include <utility>

#include "ttt/core/denormals.hpp"
#include "ttt/core/function_ref.hpp"

TTT_NAMESPACE_BEGIN

class Executor;

namespace detail {

using ExecutorTask = FunctionRef<void(Index index, Index worker)>;

/// What the calling thread is working on together with others: the executor, null outside of any, and which worker of
/// it the thread is.
struct Sharing {
  const Executor* executor = nullptr;
  Index worker = 0;
};
inline thread_local constinit Sharing sharing{};

/// All tasks on the calling thread. It stays the worker it is, so that scratch of a worker never meets two threads.
inline void run_here(const Executor& executor, Index count, ExecutorTask task) {
  const Index worker = sharing.executor == &executor ? sharing.worker : 0;
  for (Index index = 0; index < count; ++index) task(index, worker);
}

/// The tasks of one `run`, taken one at a time by every thread that calls `work`: the core of an executor, whatever its
/// threads come from. All of them work in the floating-point mode of the thread that made it.
class SharedRun {
 public:
  SharedRun(const Executor& executor, Index count, ExecutorTask task)
      : executor_(&executor), task_(task), count_(count) {}

  /// Whether there is nothing to share: one task, or a thread that shares already, which must not bring in more
  /// threads.
  static bool needless(Index count) { return count <= 1 || sharing.executor != nullptr; }

  /// Works until no task is left to take.
  void work(Index worker) noexcept {
    const FloatingPointScope scope(mode_);
    const Sharing before = std::exchange(sharing, Sharing{executor_, worker});
    for (Index index; (index = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) try {
        task_(index, worker);
      } catch (...) {
        fail();
      }
    sharing = before;
  }

  /// After every `work` has returned: throws what a task threw first.
  void rethrow() {
    if (failure_) std::rethrow_exception(std::move(failure_));
  }

 private:
  void fail() {
    if (!failed_.exchange(true, std::memory_order_relaxed)) failure_ = std::current_exception();
    next_.store(count_, std::memory_order_relaxed);
  }

  const Executor* executor_;
  ExecutorTask task_;
  Index count_;
  FloatingPointMode mode_ = FloatingPointMode::current();
  std::exception_ptr failure_;
  std::atomic<bool> failed_ = false;
  alignas(64) std::atomic<Index> next_ = 0;  // a cache line of its own: every thread writes it, all read the others
};

}  // namespace detail

TTT_NAMESPACE_END
