// SPDX-License-Identifier: MIT
#include "ttt/nn/row_sums.hpp"

#include "nn/blocks.hpp"

using namespace ttt;
using numbers::Matrix;

TEST_CASE("sums over rows are those of fixed ranges added in order, whatever the threads") {
  const Index width = 7;
  for (const Index rows : {0, 1, 64, 65, 300}) {
    const Matrix<float> x(rows, width, "x"), before(1, width, "before");
    Matrix<float> expected = before;
    for (Index first = 0; first < rows; first += nn::detail::rows_per_range) {
      Matrix<float> partial(1, width);
      for (Index r = first; r < std::min(rows, first + nn::detail::rows_per_range); ++r)
        for (Index c = 0; c < width; ++c) partial(0, c) += x(r, c);
      for (Index c = 0; c < width; ++c) expected(0, c) += partial(0, c);
    }
    numbers::on_each_executor([&](Context& context) {
      Matrix<float> total = before;
      std::vector<int> visits(static_cast<std::size_t>(rows), 0);
      nn::detail::sum_over_rows(rows, total.vector(), context,
                                [&](Index first, Index count, VectorView<float> sums, Arena&) {
                                  for (Index r = first; r < first + count; ++r) {
                                    ++visits[static_cast<std::size_t>(r)];
                                    for (Index c = 0; c < width; ++c) sums[c] += x(r, c);
                                  }
                                });
      CHECK(numbers::same_bits(total, expected));
      for (const int visit : visits) CHECK(visit == 1);
    });
  }
}

TEST_CASE("rows are written, added or left out") {
  const Index rows = 5, width = 3;
  const Matrix<double> values(rows, width, "values"), before(rows, width, "before");
  const auto backward = [&](double* to, Index r) {
    if (to != nullptr) std::copy_n(values.row(r), width, to);
  };
  Arena arena;
  Matrix<double> assigned = before, added = before, sum = before;
  nn::detail::write_rows(1, 3, assigned.view(), false, arena, backward);
  nn::detail::write_rows(1, 3, added.view(), true, arena, backward);
  for (Index r = 1; r < 4; ++r)
    for (Index c = 0; c < width; ++c) sum(r, c) += values(r, c);
  CHECK(numbers::same_bits(assigned.view().rows(1, 3), values.view().rows(1, 3)));
  CHECK(numbers::same_bits(assigned.view().rows(0, 1), before.view().rows(0, 1)));
  CHECK(numbers::same_bits(assigned.view().rows(4, 1), before.view().rows(4, 1)));
  CHECK(numbers::same_bits(added, sum));
  Index calls = 0;
  nn::detail::write_rows(0, 5, MatrixView<double>(), true, arena,
                         [&](double* to, Index) { calls += to == nullptr ? 1 : 0; });
  CHECK(calls == 5);
}
