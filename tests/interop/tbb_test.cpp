// SPDX-License-Identifier: MIT
#include "ttt/interop/tbb.hpp"

#include <oneapi/tbb/global_control.h>

#include "interop/layer_bits.hpp"
#include "suites/executor.hpp"

using namespace ttt;

namespace {

// So that three threads meet on a machine with fewer processors too.
using Control = oneapi::tbb::global_control;
const Control threads(Control::max_allowed_parallelism, 4);

}  // namespace

TEST_CASE("TbbExecutor keeps the contract of Executor") {
  for (const Index workers : {1, 2, 3}) {
    TbbExecutor executor(workers);
    CHECK(executor.workers() == workers);
    suites::check_executor(executor);
  }
  CHECK(TbbExecutor().workers() == oneapi::tbb::this_task_arena::max_concurrency());
}

TEST_CASE("TbbExecutor of no workers is the calling thread alone") { suites::check_fewest_workers<TbbExecutor>(); }

TEST_CASE("inside a task of the program TbbExecutor stays on the calling thread; in an arena of it, it shares") {
  TbbExecutor executor(2);
  std::atomic<int> inside = 0;
  oneapi::tbb::parallel_for(0, 8, [&](int) { inside += suites::stays_here(executor); });
  CHECK(inside == 8);
  oneapi::tbb::task_arena(2).execute([&] {
    std::atomic<Index> arrived = 0, met = 0;
    executor.run(2, [&](Index, Index) { met += suites::meet(arrived, 2); });
    CHECK(met == 2);
  });
}

TEST_CASE("layers give the same bits on TbbExecutor, two threads and three") {
  TbbExecutor two(2), three(3);
  testing::check_layer_bits({&two, &three});
}
