// SPDX-License-Identifier: MIT
#include "ttt/core/executor.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <latch>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>

#include "suites/executor.hpp"
#include "support/allocation_hook.hpp"
#include "support/catch.hpp"
#include "support/error_message.hpp"

using namespace ttt;

TEST_CASE("a pool keeps the contract of Executor") {
  for (const Index workers : {1, 2, 3, 5}) {
    ThreadPool pool(workers);
    CHECK(pool.workers() == workers);
    suites::check_executor(pool);
    for (int round = 0; round < 20; ++round) suites::check_exceptions(pool);
  }
}

TEST_CASE("a pool of no workers is the calling thread alone") { suites::check_fewest_workers<ThreadPool>(); }

TEST_CASE("more workers than a pool has are an Error that names the limit, and the most it has work") {
  for (const Index workers : {ThreadPool::most_workers + 1, Index{100'000}, std::numeric_limits<Index>::max()})
    CHECK(testing::error_message([&] { ThreadPool pool(workers); }) ==
          "thread pool: expected at most 1024 workers, found " + std::to_string(workers));
  ThreadPool pool(ThreadPool::most_workers);
  CHECK(pool.workers() == ThreadPool::most_workers);
  std::atomic<int> done = 0;
  pool.run(5000, [&](Index, Index) { ++done; });
  CHECK(done == 5000);
}

// The sanitizers end a process that has no memory for a thread.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("threads that the system does not start are an Error, and those before them end") {
  const pid_t child = ::fork();
  if (child == 0) {
    // Room for a few stacks.
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlim_t memory = pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + (rlim_t{64} << 20);
    const rlimit limit{memory, memory};
    ::setrlimit(RLIMIT_AS, &limit);
    const std::string message = testing::error_message([] { ThreadPool pool(1000); });
    ::_exit(testing::contains(message, "thread pool: cannot start more than", "threads: Resource") ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
}
#endif

TEST_CASE("the calling thread works along as worker 0, alone when there is one task") {
  ThreadPool pool(3);
  const auto caller = std::this_thread::get_id();
  pool.run(1, [&](Index, Index worker) {
    CHECK(worker == 0);
    CHECK(std::this_thread::get_id() == caller);
  });
  std::atomic<bool> mixed = false;
  pool.run(200, [&](Index, Index worker) {
    if ((worker == 0) != (std::this_thread::get_id() == caller)) mixed = true;
  });
  CHECK_FALSE(mixed);
}

TEST_CASE("when every task throws, one exception arrives") {
  ThreadPool pool(4);
  CHECK_THROWS_AS(pool.run(40, [](Index index, Index) { throw std::out_of_range(std::to_string(index)); }),
                  std::out_of_range);
}

TEST_CASE("the serial executor runs in order on the calling thread and stops at an exception") {
  SerialExecutor serial;
  std::vector<Index> order;
  CHECK(serial.workers() == 1);
  serial.run(4, [&](Index index, Index worker) {
    CHECK(worker == 0);
    order.push_back(index);
  });
  CHECK(order == std::vector<Index>{0, 1, 2, 3});
  CHECK_THROWS_AS(serial.run(4,
                             [&](Index index, Index) {
                               order.push_back(index);
                               if (index == 1) throw std::runtime_error("stop");
                             }),
                  std::runtime_error);
  CHECK(order.size() == 6);
}

TEST_CASE("many small runs and pools come and go") {
  for (int round = 0; round < 20; ++round) {
    auto pool = std::make_unique<ThreadPool>(3);
    std::atomic<Index> sum = 0;
    for (Index run = 0; run < 100; ++run) pool->run(3, [&](Index index, Index) { sum += index; });
    CHECK(sum == 300);
  }
}

TEST_CASE("threads that sleep wake up again, and a pool that sleeps comes to an end") {
  ThreadPool pool(3);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::latch everybody(3);
    pool.run(3, [&](Index, Index) { everybody.arrive_and_wait(); });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

TEST_CASE("a run inside a task stays on its thread, as the same worker of the same pool, as worker 0 of another") {
  ThreadPool pool(3), other(2);
  SerialExecutor serial;
  std::atomic<Index> same = 0, foreign = 0;
  std::latch everybody(3);
  pool.run(3, [&](Index, Index worker) {
    everybody.arrive_and_wait();  // three threads, so that the pools below cannot be free by luck
    const auto thread = std::this_thread::get_id();
    const auto here = [&](Executor& executor, Index expected, std::atomic<Index>& count) {
      executor.run(20, [&](Index, Index inner) {
        if (inner == expected && std::this_thread::get_id() == thread) ++count;
      });
    };
    here(pool, worker, same);
    other.run(4, [&](Index, Index) { here(pool, worker, same); });
    serial.run(1, [&](Index, Index) { here(pool, worker, same); });
    here(other, 0, foreign);
  });
  CHECK(same == 3 * (20 + 4 * 20 + 20));
  CHECK(foreign == 3 * 20);
}

TEST_CASE("a run inside tasks that are not shared is shared itself") {
  ThreadPool pool(2);
  SerialExecutor serial;
  const auto meets = [&](Executor& outer) {
    outer.run(1, [&](Index, Index) {
      std::latch both(2);
      pool.run(2, [&](Index, Index) { both.arrive_and_wait(); });
    });
  };
  meets(serial);
  meets(pool);
}

TEST_CASE("an exception leaves a run inside a task and the run around it") {
  ThreadPool pool(3);
  for (int round = 0; round < 20; ++round) {
    CHECK_THROWS_AS(pool.run(30,
                             [&](Index outer, Index) {
                               pool.run(3, [&](Index inner, Index) {
                                 if (outer == 7 && inner == 1) throw std::runtime_error("inner");
                               });
                             }),
                    std::runtime_error);
    std::latch everybody(3);  // nobody still believes to be inside
    pool.run(3, [&](Index, Index) { everybody.arrive_and_wait(); });
  }
}

TEST_CASE("while a pool works for one thread, another's run is its own affair and ends first") {
  ThreadPool pool(2);
  std::latch both(2), busy(1), finished(1);
  std::thread first([&] {
    pool.run(2, [&](Index, Index worker) {
      both.arrive_and_wait();
      if (worker == 0) busy.count_down();
      finished.wait();
    });
  });
  busy.wait();
  const auto caller = std::this_thread::get_id();
  pool.run(20, [&](Index, Index worker) {
    CHECK(worker == 0);
    CHECK(std::this_thread::get_id() == caller);
  });
  finished.count_down();
  first.join();
}

TEST_CASE("a run allocates nothing") {
  ThreadPool pool(3);
  std::latch everybody(3);  // sanitizers allocate on each thread as it starts
  pool.run(3, [&](Index, Index) { everybody.arrive_and_wait(); });
  std::atomic<Index> sum = 0;
  const auto before = testing::allocations();
  for (Index round = 0; round < 100; ++round) pool.run(10, [&](Index index, Index) { sum += index; });
  CHECK(testing::allocations() == before);
  CHECK(sum == 4500);
}
