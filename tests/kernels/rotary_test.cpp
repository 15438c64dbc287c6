// SPDX-License-Identifier: MIT
#include "ttt/kernels/rotary.hpp"

#include <cmath>
#include <string>

#include "kernels/golden.hpp"
#include "kernels/numbers.hpp"
#include "support/error_message.hpp"

using namespace ttt;
using kernels::RotaryPairs;
using kernels::RotaryTable;
using numbers::Matrix;

namespace {

// Channels of pair j, from the definition.
std::pair<Index, Index> pair_of(RotaryPairs pairs, Index head_width, Index j) {
  return pairs == RotaryPairs::interleaved ? std::pair{2 * j, 2 * j + 1} : std::pair{j, j + head_width / 2};
}

}  // namespace

TEST_CASE("a rotary table holds the cosines and sines of position times theta^(-2j/D)") {
  const RotaryTable<double> table(6, 5, 100.0);
  CHECK(table.head_width() == 6);
  CHECK(table.pairs() == 3);
  CHECK(table.positions() == 5);
  for (Index position = 0; position < 5; ++position)
    for (Index j = 0; j < 3; ++j) {
      const double angle = static_cast<double>(position) * std::pow(100.0, -static_cast<double>(j) / 3);
      CHECK(std::abs(table.cosines(position)[j] - std::cos(angle)) < 1e-15);
      CHECK(std::abs(table.sines(position)[j] - std::sin(angle)) < 1e-15);
    }
}

TEMPLATE_TEST_CASE("a row beyond a rotary table has the bits of a longer table", "", float, double) {
  const RotaryTable<TestType> shorter(10, 2, 10000.0), longer(10, 40, 10000.0);
  const RotaryTable<TestType> copied = shorter;
  for (Index position : {Index{0}, Index{1}, Index{2}, Index{39}}) {
    Matrix<TestType> row(2, 5);
    copied.row(position, row.row(0), row.row(1));
    for (Index j = 0; j < 5; ++j) {
      CHECK(row(0, j) == longer.cosines(position)[j]);
      CHECK(row(1, j) == longer.sines(position)[j]);
    }
    CHECK(row.gaps_untouched());
  }
}

TEST_CASE("a rotary table refuses widths that make no pairs, and names what it found") {
  CHECK_THROWS_AS(RotaryTable<float>(0, 3, 10000.0), Error);
  CHECK_THROWS_AS(RotaryTable<float>(8, 3, 0.0), Error);
  CHECK(testing::error_lacks([] { RotaryTable<float>(7, 3, 10000.0); }, {"head width", "even", "7"}) == "");
}

TEMPLATE_TEST_CASE("rotation turns each pair by its angle, in place as well", "", float, double) {
  for (const auto pairs : {RotaryPairs::interleaved, RotaryPairs::halves})
    for (Index head_width : {2, 6, 16, 22, 64, 70}) {
      const RotaryTable<TestType> table(head_width, 4, 10000.0);
      const Matrix<TestType> x(1, head_width, "x");
      const TestType *cosines = table.cosines(3), *sines = table.sines(3);
      Matrix<TestType> native(1, head_width), generic(1, head_width), in_place = x;
      kernels::rotate(cosines, sines, pairs, head_width, x.row(0), native.row(0));
      kernels::rotate<simd::Generic>(cosines, sines, pairs, head_width, x.row(0), generic.row(0));
      kernels::rotate(cosines, sines, pairs, head_width, in_place.row(0), in_place.row(0));
      Matrix<double> expected(1, head_width);
      for (Index j = 0; j < head_width / 2; ++j) {
        const auto [a, b] = pair_of(pairs, head_width, j);
        const double cosine = static_cast<double>(cosines[j]), sine = static_cast<double>(sines[j]);
        expected(0, a) = static_cast<double>(x(0, a)) * cosine - static_cast<double>(x(0, b)) * sine;
        expected(0, b) = static_cast<double>(x(0, b)) * cosine + static_cast<double>(x(0, a)) * sine;
      }
      // One product and one fused multiply-add of numbers below the largest input.
      const double bound = 2 * static_cast<double>(std::numeric_limits<TestType>::epsilon()) * numbers::largest(x);
      CHECK(numbers::difference(native, expected) <= bound);
      CHECK(numbers::same_bits(native, generic));
      CHECK(numbers::same_bits(native, in_place));
      CHECK(native.gaps_untouched());
    }
}

TEMPLATE_TEST_CASE("turning back is the inverse and the transpose of turning", "", float, double) {
  for (const auto pairs : {RotaryPairs::interleaved, RotaryPairs::halves})
    for (Index head_width : {2, 10, 16, 34}) {
      const RotaryTable<TestType> table(head_width, 8, 1000.0);
      const Matrix<TestType> x(1, head_width, "x"), d_y(1, head_width, "d_y");
      Matrix<TestType> y(1, head_width), back(1, head_width), d_x(1, head_width), generic(1, head_width);
      kernels::rotate(table.cosines(7), table.sines(7), pairs, head_width, x.row(0), y.row(0));
      kernels::rotate_back(table.cosines(7), table.sines(7), pairs, head_width, y.row(0), back.row(0));
      kernels::rotate_back(table.cosines(7), table.sines(7), pairs, head_width, d_y.row(0), d_x.row(0));
      kernels::rotate_back<simd::Generic>(table.cosines(7), table.sines(7), pairs, head_width, d_y.row(0),
                                          generic.row(0));
      CHECK(numbers::difference(back, x) <= numbers::rounding<TestType>(2, numbers::largest(x)));
      const double forward = numbers::inner_product(y.template as<double>(), d_y.template as<double>());
      const double backward = numbers::inner_product(x.template as<double>(), d_x.template as<double>());
      const double magnitude = numbers::largest(x) * numbers::largest(d_y) * static_cast<double>(head_width);
      CHECK(std::abs(forward - backward) <= numbers::rounding<TestType>(2, magnitude));
      CHECK(numbers::same_bits(d_x, generic));
    }
}

TEMPLATE_TEST_CASE("a row is turned head by head", "", float, double) {
  constexpr Index head_width = 10, heads = 3;
  const RotaryTable<TestType> table(head_width, 8, 100.0);
  const Matrix<TestType> x(1, heads * head_width, "x");
  for (const auto pairs : {RotaryPairs::interleaved, RotaryPairs::halves}) {
    Matrix<TestType> turned = x, back = x, expected = x, expected_back = x;
    const VectorView<TestType> row(turned.view().row(0), heads * head_width), row_back(back.view().row(0), row.size());
    kernels::rotate_heads(table.cosines(5), table.sines(5), pairs, kernels::RotaryTurn::forward, head_width, row);
    kernels::rotate_heads(table.cosines(5), table.sines(5), pairs, kernels::RotaryTurn::back, head_width, row_back);
    for (Index head = 0; head < heads; ++head) {
      TestType* const to = expected.view().row(0) + head * head_width;
      TestType* const to_back = expected_back.view().row(0) + head * head_width;
      kernels::rotate(table.cosines(5), table.sines(5), pairs, head_width, to, to);
      kernels::rotate_back(table.cosines(5), table.sines(5), pairs, head_width, to_back, to_back);
    }
    CHECK((numbers::same_bits(turned, expected) && numbers::same_bits(back, expected_back)));
  }
}

TEST_CASE("interleaved rotation gives the golden queries, keys and gradients, positions counted in the mini-batch") {
  const numbers::Golden golden("rope_minibatch");
  const auto position = golden.integers("position");
  const Index tokens = golden.tokens("xq");
  for (const std::string name : {"q", "k"}) {
    const auto x = golden.matrix("x" + name), d_y = golden.matrix("d_o" + name);
    const Index head_width = x.view().columns();
    const RotaryTable<double> table(head_width, 16, 10000.0);
    Matrix<double> y = x, d_x = d_y;
    for (Index r = 0; r < x.view().rows(); ++r) {
      const auto p = static_cast<Index>(position[static_cast<std::size_t>(r % tokens)]);
      REQUIRE(p == r % tokens % 16);
      kernels::rotate(table.cosines(p), table.sines(p), RotaryPairs::interleaved, head_width, x.row(r), y.row(r));
      kernels::rotate_back(table.cosines(p), table.sines(p), RotaryPairs::interleaved, head_width, d_y.row(r),
                           d_x.row(r));
    }
    golden.check_value("o" + name, y);
    golden.check_gradient("grad.x" + name, d_x);
  }
}
