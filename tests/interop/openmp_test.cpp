// SPDX-License-Identifier: MIT
#include "ttt/interop/openmp.hpp"

#include "interop/layer_bits.hpp"
#include "suites/executor.hpp"

using namespace ttt;

TEST_CASE("OpenMpExecutor keeps the contract of Executor") {
  for (const Index workers : {1, 2, 3}) {
    OpenMpExecutor executor(workers);
    CHECK(executor.workers() == workers);
    suites::check_executor(executor);
  }
  CHECK(OpenMpExecutor().workers() == omp_get_max_threads());
}

TEST_CASE("OpenMpExecutor of no workers is the calling thread alone") {
  suites::check_fewest_workers<OpenMpExecutor>();
}

TEST_CASE("inside a parallel region of the program OpenMpExecutor stays on the calling thread") {
  OpenMpExecutor executor(2);
  int inside = 0;
#pragma omp parallel num_threads(2) reduction(+ : inside)
  inside += suites::stays_here(executor);
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

TEST_CASE("layers give the same bits on OpenMpExecutor, two threads and three") {
  OpenMpExecutor two(2), three(3);
  testing::check_layer_bits({&two, &three});
}
