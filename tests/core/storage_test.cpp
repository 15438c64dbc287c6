// SPDX-License-Identifier: MIT
#include "ttt/core/storage.hpp"

#include <cstdint>
#include <limits>

#include "support/allocation_hook.hpp"
#include "support/catch.hpp"

using namespace ttt;

namespace {

bool aligned(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer) % alignment == 0; }

}  // namespace

TEST_CASE("aligned sizes are whole units of 128 bytes") {
  CHECK(aligned_size<float>(0) == 0);
  CHECK(aligned_size<float>(1) == 32);
  CHECK(aligned_size<float>(32) == 32);
  CHECK(aligned_size<double>(33) == 48);
  CHECK(aligned_size<std::byte>(129) == 256);
}

TEST_CASE("a buffer is aligned, starts at zero and is a value") {
  Buffer<float> a(5);
  CHECK(aligned(a.data()));
  CHECK(a.bytes() == 20);
  for (Index i = 0; i < 5; ++i) CHECK(a[i] == 0);
  a[3] = 2;
  Buffer<float> b = a;
  CHECK(b == a);
  CHECK(b.data() != a.data());
  b[3] = 4;
  CHECK(a[3] == 2);
  CHECK_FALSE(b == a);
  const float* memory = b.data();
  Buffer<float> c = std::move(b);
  CHECK(c.data() == memory);
  CHECK((b.size() == 0 && b.data() == nullptr));
  c.clear();
  CHECK(c == Buffer<float>(5));
  CHECK_FALSE(Buffer<float>(4) == Buffer<float>(5));
  CHECK(Buffer<float>() == Buffer<float>(0));
}

TEST_CASE("assignment of a buffer of the same size keeps the memory; of another size it does not") {
  Buffer<double> a(7), b(7);
  b[6] = 1;
  const double* memory = a.data();
  const auto before = testing::allocations();
  a = b;
  CHECK(testing::allocations() == before);
  CHECK((a.data() == memory && a == b));
  a = Buffer<double>(3);
  CHECK(a.size() == 3);
  const Buffer<double>& self = b;
  b = self;
  CHECK(b[6] == 1);
}

TEST_CASE("buffers compare bits: signed zeros differ, a NaN equals itself") {
  Buffer<float> a(1), b(1);
  b[0] = -0.0F;
  CHECK_FALSE(a == b);
  a[0] = b[0] = std::numeric_limits<float>::quiet_NaN();
  CHECK(a == b);
}

TEST_CASE("an arena hands out aligned memory that does not overlap and survives growth") {
  Arena arena;
  float* parts[6];
  for (Index i = 0; i < 6; ++i) {
    const Index count = 5 + 1000 * i;
    parts[i] = arena.allocate<float>(count);
    CHECK(aligned(parts[i]));
    std::fill_n(parts[i], count, static_cast<float>(i));
  }
  for (Index i = 0; i < 6; ++i)
    for (Index k = 0; k < 5 + 1000 * i; ++k)
      if (parts[i][k] != static_cast<float>(i)) FAIL("part " << i << " was written over");
  const auto zeros = arena.zeros<double>(3, 7);
  CHECK((zeros.rows() == 3 && zeros.columns() == 7 && zeros(2, 6) == 0));
  CHECK(arena.vector<double>(9).size() == 9);
  CHECK(arena.matrix<float>(2, 3).stride() == 3);
  const auto rows = arena.aligned_rows<float>(3, 33);
  CHECK((rows.rows() == 3 && rows.columns() == 33 && rows.stride() == 64));
  fill(rows, 1.0F);
  CHECK((aligned(rows.row(1)) && aligned(rows.row(2)) && aligned(arena.allocate<float>(1))));
  CHECK(arena.allocate<float>(1) >= rows.row(2) + 64);
}

TEST_CASE("a frame gives back what was taken in it, and the same work allocates once") {
  Arena arena(256);
  const auto work = [&] {
    const Arena::Frame outer(arena);
    float* first = arena.allocate<float>(10);
    *first = 42;
    float* inside = nullptr;
    {
      const Arena::Frame inner(arena);
      inside = arena.allocate<float>(100);
      arena.allocate<float>(5000);
      inside[0] = 1;
    }
    {
      const Arena::Frame inner(arena);
      CHECK(arena.allocate<float>(100) == inside);
    }
    CHECK(*first == 42);
    return first;
  };
  float* first = work();
  const std::size_t bytes = arena.bytes();
  const auto before = testing::allocations();
  float* again = nullptr;
  for (int repetition = 0; repetition < 3; ++repetition) {
    const Arena::Frame frame(arena);
    again = arena.allocate<float>(10);
    arena.allocate<float>(100);
    arena.allocate<float>(5000);
  }
  CHECK(testing::allocations() == before);
  CHECK(again == first);
  CHECK(arena.bytes() == bytes);
  arena.reset();
  CHECK(arena.allocate<float>(1) == first);
}

TEST_CASE("a frame inside a block leaves what was there before it") {
  Arena arena(4096);
  float* before = arena.allocate<float>(10);
  float* inside = nullptr;
  {
    const Arena::Frame frame(arena);
    inside = arena.allocate<float>(10);
  }
  CHECK(inside == before + aligned_size<float>(10));
  CHECK(arena.allocate<float>(10) == inside);
}

TEST_CASE("a reserved arena needs no more memory") {
  Arena arena;
  arena.reserve(100000);
  const auto before = testing::allocations();
  arena.allocate<std::byte>(50000);
  arena.allocate<std::byte>(40000);
  CHECK(testing::allocations() == before);
  Arena moved = std::move(arena);
  CHECK(moved.bytes() >= 100000);
  CHECK(arena.bytes() == 0);
  arena.allocate<float>(1);
  CHECK(arena.bytes() > 0);  // memory of its own, not what moved has
}

TEST_CASE("an arena tells what a layout takes without taking it, and then takes no more") {
  struct Parts {
    float* numbers;
    MatrixView<double> matrix;
  };
  Index rows = 10;
  const auto lay_out = [&](Arena& arena) { return Parts{arena.allocate<float>(3), arena.matrix<double>(rows, 7)}; };
  const auto before = testing::allocations();
  const Index needed = Arena::count(lay_out);
  CHECK(testing::allocations() == before);
  CHECK(needed == aligned_size<std::byte>(3 * 4) + aligned_size<std::byte>(70 * 8));
  CHECK(Arena::count([&](Arena& counting) {
          const Parts parts = lay_out(counting);
          CHECK((!parts.numbers && !parts.matrix.data() && parts.matrix.rows() == 10));
        }) == needed);

  Arena arena;
  const Parts first = arena.lay_out_anew(lay_out);
  CHECK(static_cast<Index>(arena.bytes()) == needed);
  first.matrix(9, 6) = first.numbers[2] = 1;
  const auto laid_out = testing::allocations();
  const Parts again = arena.lay_out_anew(lay_out);
  CHECK((again.numbers == first.numbers && again.matrix.data() == first.matrix.data()));
  rows = 5;
  arena.lay_out_anew(lay_out);
  CHECK(testing::allocations() == laid_out);
  CHECK(static_cast<Index>(arena.bytes()) == needed);
  rows = 20;
  arena.lay_out_anew(lay_out);
  CHECK(static_cast<Index>(arena.bytes()) == Arena::count(lay_out));
}
