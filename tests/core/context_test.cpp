// SPDX-License-Identifier: MIT
#include "ttt/core/context.hpp"

#include <atomic>
#include <latch>
#include <thread>
#include <vector>

#include "support/allocation_hook.hpp"
#include "support/catch.hpp"

using namespace ttt;

TEST_CASE("a context without an executor works on the calling thread") {
  Context context;
  CHECK(context.workers() == 1);
  CHECK(context.statistics == nullptr);
  CHECK(context.cancellation == nullptr);
  std::vector<Index> order;
  context.parallel(3, [&](Index index, Arena& arena) {
    CHECK(&arena == &context.scratch());
    order.push_back(index);
  });
  CHECK(order == std::vector<Index>{0, 1, 2});
}

TEST_CASE("ranges cover everything once, none longer than the grain") {
  ThreadPool pool(3);
  Context context(pool);
  CHECK(context.workers() == 3);
  for (const Index count : {0, 1, 6, 7, 8, 100})
    for (const Index grain : {1, 7, 200}) {
      std::vector<std::atomic<int>> visits(static_cast<std::size_t>(count));
      std::atomic<bool> wrong = false;
      context.parallel_ranges(count, grain, [&](Index first, Index size, Arena&) {
        if (size < 1 || size > grain || first % grain != 0) wrong = true;
        for (Index i = first; i < first + size; ++i) ++visits[static_cast<std::size_t>(i)];
      });
      CHECK_FALSE(wrong);
      for (const auto& visit : visits) CHECK(visit == 1);
    }
}

TEST_CASE("each worker has scratch of its own, given back after each task, which takes no new memory") {
  ThreadPool pool(3);
  Context context(pool);
  std::atomic<bool> spoiled = false;
  const auto work = [&] {
    context.parallel(64, [&](Index index, Arena& arena) {
      const auto values = arena.vector<Index>(10000);
      for (Index& value : values) value = index;
      for (const Index value : values)
        if (value != index) spoiled = true;
    });
  };
  // A sanitizer allocates on each thread as it starts, which may be later than its pool: meet them all first.
  std::latch started(context.workers());
  context.parallel(context.workers(), [&](Index, Arena&) { started.arrive_and_wait(); });
  const auto before = testing::allocations();
  work();
  CHECK(testing::allocations() == before);
  CHECK_FALSE(spoiled);
}

TEST_CASE("what the caller holds in scratch survives the tasks of its own thread") {
  Context context;
  const Arena::Frame frame(context.scratch());
  const auto mine = context.scratch().vector<Index>(100);
  for (Index& value : mine) value = -1;
  context.parallel(5, [](Index index, Arena& arena) {
    for (Index& value : arena.vector<Index>(100)) value = index;
  });
  for (const Index value : mine) CHECK(value == -1);
}

TEST_CASE("too little work stays on the calling thread, more is shared") {
  ThreadPool pool(2);
  Context context(pool);
  CHECK(context.shares(Context::worth_sharing - 1) == 1);
  CHECK(context.shares(Context::worth_sharing) == 2);
  const auto caller = std::this_thread::get_id();
  context.parallel(200, Context::worth_sharing - 1, [&](Index, Arena& arena) {
    CHECK(std::this_thread::get_id() == caller);
    CHECK(&arena == &context.scratch());
  });
  std::latch both(2);  // never opens on one thread
  context.parallel(2, Context::worth_sharing, [&](Index, Arena&) { both.arrive_and_wait(); });
}

TEST_CASE("tasks inside a task use the scratch of its worker") {
  ThreadPool pool(3);
  Context context(pool);
  std::atomic<int> foreign = 0;
  std::latch everybody(3);
  context.parallel(3, [&](Index, Arena& outer) {
    everybody.arrive_and_wait();
    const auto inside = [&](Index, Arena& inner) { foreign += &inner != &outer; };
    context.parallel(4, inside);
    context.parallel(4, Index{1}, inside);
  });
  CHECK(foreign == 0);
}

TEST_CASE("what a task calls works alone, in the arena of the task, with the kernels of the whole and no statistics") {
  struct Sink final : StatisticsSink {
    void inner_loss(const InnerLoss&) override {}
  } sink;
  const KernelTable table{};
  const std::atomic<bool> cancelled = false;
  ThreadPool pool(3);
  Context context(pool);
  context.kernels = &table;
  context.statistics = &sink;
  context.cancellation = &cancelled;
  context.block = 7;
  std::atomic<int> wrong = 0;
  context.parallel(12, [&](Index, Arena& arena) {
    Context own = context.alone(arena);
    wrong += own.workers() != 1 || &own.scratch() != &arena;
    wrong += own.kernels != &table || own.cancellation != &cancelled || own.block != 7 || own.statistics != nullptr;
    const auto caller = std::this_thread::get_id();
    own.parallel(5, [&](Index, Arena& inner) { wrong += &inner != &arena || std::this_thread::get_id() != caller; });
  });
  CHECK(wrong == 0);
}
