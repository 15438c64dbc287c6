// SPDX-License-Identifier: MIT
#include "ttt/core/view.hpp"

#include <array>
#include <numeric>

#include "support/catch.hpp"

using namespace ttt;

TEST_CASE("a matrix view addresses rows by stride and columns by one") {
  std::array<float, 24> memory;
  std::iota(memory.begin(), memory.end(), 0.F);
  const MatrixView<float> all(memory.data(), 3, 5, 8);
  CHECK(all(2, 4) == 20);
  CHECK(all.row(1) == memory.data() + 8);
  const auto rows = all.rows(1, 2);
  const auto block = rows.columns(2, 3);
  CHECK((rows.rows() == 2 && rows.columns() == 5 && rows.stride() == 8));
  CHECK((block.rows() == 2 && block.columns() == 3 && block.stride() == 8));
  CHECK(block(1, 2) == 20);
  block(0, 0) = -1;
  CHECK(memory[10] == -1);
  const MatrixView<float> packed(memory.data(), 3, 5);
  CHECK(packed.stride() == 5);
}

TEST_CASE("views copy and assign as references; a mutable one reads as a constant one") {
  std::array<double, 6> memory{1, 2, 3, 4, 5, 6};
  MatrixView<double> a(memory.data(), 2, 3), b;
  CHECK(b.empty());
  b = a;
  const MatrixView<const double> read = b;
  CHECK(read.data() == memory.data());
  CHECK((read.rows() == 2 && read.columns() == 3 && read.stride() == 3));
  VectorView<double> v(memory.data(), 6), w = v;
  w[5] = 9;
  const VectorView<const double> read_vector = w;
  CHECK(read_vector[5] == 9);
  CHECK(std::accumulate(read_vector.begin(), read_vector.end(), 0.0) == 24);
  CHECK(VectorView<double>().empty());
  static_assert(std::is_trivially_copyable_v<MatrixView<float>>);
  static_assert(std::is_convertible_v<MatrixView<float>, MatrixView<const float>>);
  static_assert(!std::is_convertible_v<MatrixView<const float>, MatrixView<float>>);
  static_assert(!std::is_convertible_v<MatrixView<float>, MatrixView<const double>>);
  static_assert(!std::is_convertible_v<VectorView<const float>, VectorView<float>>);
}

TEST_CASE("copy and fill keep to the columns of a view") {
  std::array<float, 12> from, to;
  std::iota(from.begin(), from.end(), 1.F);
  to.fill(-1);
  const MatrixView<float> target(to.data(), 3, 2, 4);
  copy(MatrixView<float>(from.data(), 3, 2, 3), target);
  CHECK(to == std::array<float, 12>{1, 2, -1, -1, 4, 5, -1, -1, 7, 8, -1, -1});
  fill(target.rows(1, 1), 3);
  CHECK(to == std::array<float, 12>{1, 2, -1, -1, 3, 3, -1, -1, 7, 8, -1, -1});
  copy(MatrixView<const float>(from.data(), 0, 2), target.rows(0, 0));
  CHECK(to[0] == 1);
}
