// SPDX-License-Identifier: MIT
#include "ttt/core/executor.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>

#include "support/catch.hpp"

using namespace ttt;

TEST_CASE("every task runs once, no worker is two threads at a time") {
  for (const Index workers : {1, 2, 3, 5}) {
    ThreadPool pool(workers);
    CHECK(pool.workers() == workers);
    for (const Index count : {0, 1, 2, 7, 500}) {
      std::vector<std::atomic<int>> visits(static_cast<std::size_t>(count));
      std::vector<std::atomic<int>> inside(static_cast<std::size_t>(workers));
      std::atomic<bool> shared = false, unknown = false;
      pool.run(count, [&](Index index, Index worker) {
        if (worker < 0 || worker >= workers) {
          unknown = true;
          return;
        }
        auto& busy = inside[static_cast<std::size_t>(worker)];
        if (busy.fetch_add(1) != 0) shared = true;
        ++visits[static_cast<std::size_t>(index)];
        --busy;
      });
      CHECK_FALSE(shared);
      CHECK_FALSE(unknown);
      for (const auto& visit : visits) CHECK(visit == 1);
    }
  }
}

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

TEST_CASE("the threads of a pool really work at the same time") {
  ThreadPool pool(3);
  std::atomic<int> arrived = 0;
  std::atomic<bool> late = false;
  pool.run(3, [&](Index, Index) {
    ++arrived;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (arrived < 3 && !late)
      if (std::chrono::steady_clock::now() > deadline) late = true;
  });
  CHECK_FALSE(late);
}

TEST_CASE("an exception of a task reaches the caller; the pool works on") {
  for (const Index workers : {1, 2, 4}) {
    ThreadPool pool(workers);
    for (int round = 0; round < 20; ++round) {
      std::atomic<int> finished = 0;
      std::string caught;
      try {
        pool.run(100, [&](Index index, Index) {
          if (index == 13) throw std::runtime_error("task 13");
          ++finished;
        });
      } catch (const std::runtime_error& error) {
        caught = error.what();
      }
      CHECK(caught == "task 13");
      CHECK(finished < 100);
      std::atomic<int> after = 0;
      pool.run(50, [&](Index, Index) { ++after; });
      CHECK(after == 50);
    }
  }
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
