// SPDX-License-Identifier: MIT
/// @file
/// An Executor on the threads of OpenMP. Link `ttt::openmp`, which compiles with the compiler's OpenMP flag.
#pragma once

#ifndef _OPENMP
#error "ttt/interop/openmp.hpp needs OpenMP: link the CMake target ttt::openmp, or compile with -fopenmp"
#endif

#include <omp.h>

#include <algorithm>

#include "ttt/core/executor.hpp"

TTT_NAMESPACE_BEGIN

/// Every shared `run` is one parallel region of up to `workers` threads, by default as many as OpenMP would start. A
/// run called inside a parallel region, the library's or the program's own, stays on the calling thread. Fewer than 1
/// worker means 1.
class OpenMpExecutor final : public Executor {
 public:
  explicit OpenMpExecutor(Index workers = omp_get_max_threads()) : workers_(std::max<Index>(1, workers)) {}

  Index workers() const override { return workers_; }

  void run(Index count, Task task) override {
    if (workers_ <= 1 || detail::SharedRun::needless(count) || omp_in_parallel() != 0)
      return detail::run_here(*this, count, task);
    detail::SharedRun shared(*this, count, task);
    const auto threads = static_cast<int>(workers_);
#pragma omp parallel num_threads(threads)
    shared.work(static_cast<Index>(omp_get_thread_num()));
    shared.rethrow();
  }

 private:
  Index workers_;
};

TTT_NAMESPACE_END
