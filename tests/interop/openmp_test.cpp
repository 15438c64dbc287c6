// SPDX-License-Identifier: MIT
#include "ttt/interop/openmp.hpp"

#include "interop/executors.hpp"

using namespace ttt;

TEST_CASE("OpenMpExecutor keeps the contract of Executor") {
  for (const Index workers : {1, 2, 3}) {
    OpenMpExecutor executor(workers);
    CHECK(executor.workers() == workers);
    testing::check_tasks(executor);
    testing::check_exceptions(executor);
    testing::check_callers(executor);
    if (workers > 1) testing::check_nesting(executor);
  }
  CHECK(OpenMpExecutor().workers() == omp_get_max_threads());
}

TEST_CASE("inside a parallel region of the program OpenMpExecutor stays on the calling thread") {
  OpenMpExecutor executor(2);
  int inside = 0;
#pragma omp parallel num_threads(2) reduction(+ : inside)
  inside += testing::stays_here(executor);
  CHECK(inside == 2);
}

TEST_CASE("a thread pool shared by a parallel region gives each thread its tasks") {
  ThreadPool pool(2);
  int wrong = 0;
#pragma omp parallel num_threads(3) reduction(+ : wrong)
  for (int round = 0; round < 100; ++round) {
    std::atomic<int> count = 0;
    pool.run(20, [&](Index, Index) { ++count; });
    wrong += count != 20;
  }
  CHECK(wrong == 0);
}

TEMPLATE_TEST_CASE("layers give the same bits on OpenMpExecutor, two threads and three", "", TttLinear<float>,
                   Attention<float>) {
  OpenMpExecutor two(2), three(3);
  testing::check_layer_bits<TestType>({&two, &three});
}
