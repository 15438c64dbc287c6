// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "ttt/core/executor.hpp"
#include "ttt/core/kernel_table.hpp"
#include "ttt/core/large_products.hpp"
#include "ttt/core/statistics.hpp"
#include "ttt/core/storage.hpp"

TTT_NAMESPACE_BEGIN

/// What every call needs besides its data: an executor, scratch memory for each of its workers, and, when wanted,
/// kernels of another instruction set, a sink for inner-loop statistics and a flag that stops the work. One Context
/// serves one thread of calls at a time.
class Context {
 public:
  /// Scratch that every worker starts with: enough to decode one token of any layer up to a width of several thousand,
  /// so that decoding never allocates.
  static constexpr Index initial_scratch_bytes = Index{1} << 20;

  /// Multiply-adds that keep one thread busy for some ten times as long as it takes to share them out.
  static constexpr Index worth_sharing = Index{1} << 17;

  Context() : Context(serial()) {}
  explicit Context(Executor& executor) : executor_(&executor) {
    TTT_ASSERT(executor.workers() >= 1, "an executor has the calling thread at least");
    for (Index worker = 0; worker < executor.workers(); ++worker) owned_.emplace_back(initial_scratch_bytes);
    scratch_ = owned_.data();
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  /// A Context for what one task of `parallel` calls: all on the calling thread, with the task's arena as scratch. It
  /// has no sink for statistics, which takes calls of one thread only.
  Context alone(Arena& arena) const { return Context(*this, arena); }

  /// Runs `task(index, arena)` for each index, the arena being the worker's own scratch inside a Frame.
  template <class Task>
  void parallel(Index count, Task&& task) {
    executor_->run(count, in_frame(task));
  }
  /// The same for tasks that together take about `work` multiply-adds, or as many loads of scalars: too little of it
  /// stays on the calling thread, because waking another would take longer.
  template <class Task>
  void parallel(Index count, Index work, Task&& task) {
    if (work < worth_sharing)
      detail::run_here(*executor_, count, in_frame(task));
    else
      parallel(count, task);
  }
  /// Splits [0, count) into ranges of at most `grain` and runs `task(first, size, arena)` on each.
  template <class Task>
  void parallel_ranges(Index count, Index grain, Task&& task) {
    parallel((count + grain - 1) / grain, [&](Index range, Arena& arena) {
      const Index first = range * grain;
      task(first, std::min(grain, count - first), arena);
    });
  }

  /// Runs `Kernel(arguments…)`, or the kernel of that name for Scalar in `kernels` when there are some; `InTable` is
  /// the type of the latter where it takes other, convertible, parameters.
  template <KernelId id, class Scalar, auto Kernel, class InTable = decltype(Kernel), class... Arguments>
  auto call(Arguments&&... arguments) const {
    if constexpr (detail::has_kernel_table<Scalar>)
      if (kernels)
        return detail::KernelCall<InTable>::through(kernels->entries[detail::table_row<Scalar>][static_cast<int>(id)],
                                                    std::forward<Arguments>(arguments)...);
    return Kernel(std::forward<Arguments>(arguments)...);
  }

  /// Scratch of the calling thread.
  Arena& scratch() { return *scratch_; }
  Executor& executor() const { return *executor_; }
  Index workers() const { return executor_->workers(); }
  /// Into how many equal shares to cut about `work` multiply-adds: one for each worker, or one if they are too few.
  Index shares(Index work) const { return work < worth_sharing ? 1 : workers(); }

  /// Kernels compiled for an instruction set that is chosen at run time (see ttt/dispatch/kernels.hpp); null (the
  /// default) runs those compiled with the caller's own flags.
  const KernelTable* kernels = nullptr;
  /// Receives inner-loop statistics; null (the default) computes none.
  StatisticsSink* statistics = nullptr;
  /// Takes large products elsewhere (BlasProducts, Bfloat16Products), at the price it names; null (the default) keeps
  /// all of them.
  LargeProducts* large_products = nullptr;
  /// When it becomes true, models and trainers stop between layers or steps by throwing `Cancelled`.
  const std::atomic<bool>* cancellation = nullptr;
  /// Called by a Stack with the index of a layer whose gradients a backward has added the last to, from the last layer
  /// to the first: they can be sent to others meanwhile. Null (the default): nobody asks.
  const std::function<void(std::size_t layer)>* gradients_final = nullptr;
  /// Index of the block that is running, set by models, for statistics.
  Index block = 0;

 private:
  Context(const Context& whole, Arena& arena)
      : kernels(whole.kernels),
        large_products(whole.large_products),
        cancellation(whole.cancellation),
        block(whole.block),
        executor_(&serial()),
        scratch_(&arena) {}

  static Executor& serial() {
    static SerialExecutor executor;  // has no state, so sharing it between threads is safe
    return executor;
  }

  template <class Task>
  auto in_frame(Task& task) {
    return [&](Index index, Index worker) {
      Arena& arena = scratch_[worker];
      const Arena::Frame frame(arena);
      task(index, arena);
    };
  }

  Executor* executor_;
  std::vector<Arena> owned_;
  Arena* scratch_ = nullptr;  // of each worker
};

TTT_NAMESPACE_END
