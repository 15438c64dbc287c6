// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "ttt/core/function_ref.hpp"

TTT_NAMESPACE_BEGIN

/// Runs independent tasks. The library never starts a thread unless the caller passes an executor that does.
///
/// `run(count, task)` calls `task(index, worker)` once for each index in [0, count), each worker on one thread at a
/// time, and returns when all are done; the first exception is rethrown. Results never depend on `workers()`.
class Executor {
 public:
  using Task = FunctionRef<void(Index index, Index worker)>;

  virtual ~Executor() = default;
  virtual Index workers() const = 0;
  virtual void run(Index count, Task task) = 0;
};

/// Everything on the calling thread.
class SerialExecutor final : public Executor {
 public:
  Index workers() const override { return 1; }
  void run(Index count, Task task) override {
    for (Index index = 0; index < count; ++index) task(index, 0);
  }
};

/// A fixed set of threads; the caller works along as worker 0. Not reentrant: a task must not call `run`.
class ThreadPool final : public Executor {
 public:
  explicit ThreadPool(Index workers) {
    for (Index worker = 1; worker < workers; ++worker) threads_.emplace_back([this, worker] { serve(worker); });
  }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  Index workers() const override { return static_cast<Index>(threads_.size()) + 1; }

  void run(Index count, Task task) override {
    if (threads_.empty() || count <= 1) return SerialExecutor().run(count, task);
    {
      const std::lock_guard lock(mutex_);
      task_ = &task;
      count_ = count;
      next_ = 0;
      active_ = static_cast<Index>(threads_.size());
      failure_ = nullptr;
      ++generation_;
    }
    wake_.notify_all();
    work(task, 0);
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return active_ == 0; });
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void serve(Index worker) {
    Index seen = 0;
    for (;;) {
      const Task* task = nullptr;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stop_ || generation_ != seen; });
        if (stop_) return;
        seen = generation_;
        task = task_;
      }
      work(*task, worker);
      const std::lock_guard lock(mutex_);
      if (--active_ == 0) done_.notify_one();
    }
  }

  void work(const Task& task, Index worker) {
    for (;;) {
      Index index = 0;
      {
        const std::lock_guard lock(mutex_);
        if (next_ >= count_ || failure_) return;
        index = next_++;
      }
      try {
        task(index, worker);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
      }
    }
  }

  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  const Task* task_ = nullptr;
  std::exception_ptr failure_;
  Index count_ = 0, next_ = 0, active_ = 0, generation_ = 0;
  bool stop_ = false;
};

TTT_NAMESPACE_END
