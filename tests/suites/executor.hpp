// SPDX-License-Identifier: MIT
/// @file
/// What every Executor is held to, whosever threads are behind it.
#pragma once

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/denormals.hpp"
#include "ttt/core/context.hpp"

namespace ttt::suites {

/// Waits until `count` threads are here at once; false if they never are.
inline bool meet(std::atomic<Index>& arrived, Index count) {
  ++arrived;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (arrived < count)
    if (std::chrono::steady_clock::now() > deadline) return false;
  return true;
}

/// Whether all tasks of a run come to the calling thread.
inline bool stays_here(Executor& executor) {
  const auto caller = std::this_thread::get_id();
  std::atomic<int> here = 0;
  executor.run(50, [&](Index, Index worker) { here += std::this_thread::get_id() == caller && worker == 0; });
  return here == 50;
}

/// Every task once, each worker on one thread at a time.
inline void check_tasks(Executor& executor) {
  const auto workers = executor.workers();
  for (const Index count : {0, 1, 2, 7, 500}) {
    std::vector<std::atomic<int>> visits(static_cast<std::size_t>(count)), inside(static_cast<std::size_t>(workers));
    std::atomic<bool> wrong = false;
    executor.run(count, [&](Index index, Index worker) {
      if (worker < 0 || worker >= workers) {
        wrong = true;
        return;
      }
      auto& busy = inside[static_cast<std::size_t>(worker)];
      if (busy.fetch_add(1) != 0) wrong = true;
      ++visits[static_cast<std::size_t>(index)];
      --busy;
    });
    CHECK_FALSE(wrong);
    for (const auto& visit : visits) CHECK(visit == 1);
  }
}

/// An exception arrives, what is left is not begun (it would take hours), and the executor works on.
inline void check_exceptions(Executor& executor) {
  std::string caught;
  try {
    executor.run(Index{1} << 40, [&](Index index, Index) {
      if (index == 13) throw std::runtime_error("task 13");
    });
  } catch (const std::runtime_error& error) {
    caught = error.what();
  }
  CHECK(caught == "task 13");
  check_tasks(executor);
}

/// A run inside a task of this executor or another's stays on its thread, whichever is the outer one.
inline void check_nesting(Executor& executor) {
  ThreadPool pool(2);
  const auto check_inside = [](Executor& outer, Executor& inner) {
    std::atomic<Index> arrived = 0;
    std::atomic<int> inside = 0, met = 0;
    outer.run(2, [&](Index, Index) {
      met += meet(arrived, 2);
      inside += stays_here(inner);
    });
    CHECK(met == 2);
    CHECK(inside == 2);
  };
  check_inside(executor, pool);
  check_inside(pool, executor);
  std::atomic<Index> arrived = 0, same = 0;
  executor.run(2, [&](Index, Index worker) {
    meet(arrived, 2);
    executor.run(50, [&](Index, Index inner) { same += inner == worker; });
  });
  CHECK(same == 100);
}

/// Several threads run on one executor at once, each its own tasks.
inline void check_callers(Executor& executor) {
  std::atomic<int> wrong = 0;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller)
    callers.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        std::vector<std::atomic<int>> visits(17), inside(static_cast<std::size_t>(executor.workers()));
        executor.run(17, [&](Index index, Index worker) {
          wrong += inside[static_cast<std::size_t>(worker)].fetch_add(1) != 0;
          ++visits[static_cast<std::size_t>(index)];
          --inside[static_cast<std::size_t>(worker)];
        });
        for (const auto& visit : visits) wrong += visit != 1;
      }
    });
  for (auto& caller : callers) caller.join();
  CHECK(wrong == 0);
}

/// Tasks compute as the caller of the run does, on whichever thread, and leave their thread as it was.
inline void check_floating_point_mode(Executor& executor) {
  const Index count = std::min<Index>(executor.workers(), 2);
  const auto flushing_tasks = [&] {
    std::atomic<Index> arrived = 0, flushing = 0, met = 0;
    executor.run(count, [&](Index, Index) {
      met += meet(arrived, count);
      flushing += testing::flushes_denormals();
    });
    CHECK(met == count);
    return flushing.load();
  };
  CHECK(flushing_tasks() == 0);
  {
    const FlushDenormals flush;
    CHECK(flushing_tasks() == (FlushDenormals::is_supported ? count : 0));
  }
  CHECK(flushing_tasks() == 0);
}

/// The whole contract.
inline void check_executor(Executor& executor) {
  check_tasks(executor);
  check_exceptions(executor);
  check_callers(executor);
  check_floating_point_mode(executor);
  if (executor.workers() > 1) check_nesting(executor);
}

/// An executor of no workers, or of fewer, has one: the calling thread, for which a Context has scratch.
template <class Kind>
void check_fewest_workers() {
  for (const Index workers : {-3, 0, 1}) {
    INFO("asked for " << workers << " workers");
    Kind executor(workers);
    REQUIRE(executor.workers() == 1);
    check_executor(executor);
    CHECK(stays_here(executor));
    Context context(executor);
    Index sum = 0;
    context.parallel(5, [&](Index index, Arena& arena) { sum += *new (arena.allocate<Index>(1)) Index(index); });
    CHECK(sum == 10);
    context.scratch().template allocate<float>(1)[0] = 1;
  }
}

}  // namespace ttt::suites
