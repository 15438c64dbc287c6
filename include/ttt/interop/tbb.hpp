// SPDX-License-Identifier: MIT
/// @file
/// An Executor on the threads of oneTBB. Link `ttt::tbb`.
#pragma once

#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/partitioner.h>
#include <oneapi/tbb/task.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>

#include "ttt/core/executor.hpp"

TTT_NAMESPACE_BEGIN

/// Every shared `run` works in an arena of up to `workers` threads, by default as many as oneTBB would use, which keeps
/// a thread that waits for the others from taking up a task of the program in the meantime. A run called inside a task
/// of oneTBB, the library's or the program's own, stays on the calling thread. Fewer than 1 worker means 1.
class TbbExecutor final : public Executor {
 public:
  explicit TbbExecutor(Index workers = oneapi::tbb::this_task_arena::max_concurrency())
      : workers_(std::max<Index>(1, workers)), arena_(static_cast<int>(workers_)) {}

  Index workers() const override { return workers_; }

  void run(Index count, Task task) override {
    if (workers_ <= 1 || detail::SharedRun::needless(count) || oneapi::tbb::task::current_context() != nullptr)
      return detail::run_here(*this, count, task);
    detail::SharedRun shared(*this, count, task);
    arena_.execute([&] {
      oneapi::tbb::parallel_for(
          Index{0}, workers_, [&](Index worker) { shared.work(worker); }, oneapi::tbb::static_partitioner());
    });
    shared.rethrow();
  }

 private:
  Index workers_;
  oneapi::tbb::task_arena arena_;
};

TTT_NAMESPACE_END
