// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/executor/shared_run.hpp"

TTT_NAMESPACE_BEGIN

/// Runs independent tasks. The library never starts a thread unless the caller passes an executor that does.
///
/// `run(count, task)` calls `task(index, worker)` once for each index in [0, count), each worker of this run on one
/// thread at a time, and returns when all are done; the first exception is rethrown, and tasks not yet begun are left
/// out. Results never depend on `workers()`, which is at least 1: the executors of the library take any smaller number
/// for 1.
///
/// Tasks compute in the floating-point mode of the thread that calls `run` (see FlushDenormals), whatever that of their
/// own thread is: numbers do not depend on where a task runs.
///
/// Any thread may call `run`, several at once too, each a run of its own. One called from inside a task that a thread
/// pool, OpenMpExecutor or TbbExecutor shares out runs on the calling thread alone, as the same worker: threads do not
/// multiply.
class Executor {
 public:
  using Task = detail::ExecutorTask;

  virtual ~Executor() = default;
  virtual Index workers() const = 0;
  virtual void run(Index count, Task task) = 0;
};

/// Everything on the calling thread.
class SerialExecutor final : public Executor {
 public:
  Index workers() const override { return 1; }
  void run(Index count, Task task) override { detail::run_here(*this, count, task); }
};

TTT_NAMESPACE_END
