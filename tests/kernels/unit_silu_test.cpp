// SPDX-License-Identifier: MIT
#include "ttt/kernels/unit_silu.hpp"

#include <cmath>

#include "kernels/numbers.hpp"

using namespace ttt;
using numbers::Matrix;

namespace {

constexpr double epsilon = 1e-2;  // one that is seen
constexpr Index heads = 3;

Matrix<double> by_formula(const Matrix<double>& x, const Matrix<double>& maps, Index width) {
  Matrix<double> y = x;
  for (Index r = 0; r < x.view().rows(); ++r)
    for (Index first = 0; first < x.view().columns(); first += width) {
      double squares = 0;
      for (Index c = first; c < first + width; ++c) {
        const double z = maps(0, c) * x(r, c) + maps(1, c), u = z / (1 + std::exp(-z));
        y(r, c) = u;
        squares += u * u;
      }
      for (Index c = first; c < first + width; ++c) y(r, c) /= std::sqrt(squares) + epsilon;
    }
  return y;
}

template <class Scalar>
VectorView<const Scalar> row_of(const Matrix<Scalar>& maps, Index r) {
  return {maps.view().row(r), maps.view().columns()};
}

}  // namespace

TEMPLATE_TEST_CASE("silu of scaled and shifted channels, of unit length in each head, is its definition", "", float,
                   double) {
  for (const Index width : {1, 2, 7, 8, 16, 21, 33}) {
    const Index rows = 3;
    const auto eps = static_cast<TestType>(epsilon);
    const Matrix<TestType> x(rows, heads * width, "x", 2), maps(2, heads * width, "maps");
    Matrix<TestType> native(rows, heads * width), generic = native, in_place = x;
    kernels::unit_silu(x.view(), row_of(maps, 0), row_of(maps, 1), width, eps, native.view());
    kernels::unit_silu<simd::Generic>(x.view(), row_of(maps, 0), row_of(maps, 1), width, eps, generic.view());
    kernels::unit_silu(in_place.view(), row_of(maps, 0), row_of(maps, 1), width, eps, in_place.view());
    const auto expected = by_formula(x.template as<double>(), maps.template as<double>(), width);
    const double bound = numbers::rounding<TestType>(width + 8, numbers::largest(expected));
    CHECK(numbers::difference(native, expected) <= bound);
    CHECK(numbers::difference(generic, expected) <= bound);
    CHECK(numbers::same_bits(native, in_place));
    CHECK(native.gaps_untouched());
  }
}

TEST_CASE("backward of that is its gradient, and that of scales and shifts is added") {
  for (const Index width : {1, 2, 5, 8, 19}) {
    const Index rows = 2, columns = heads * width;
    Matrix<double> x(rows, columns, "x"), maps(2, columns, "maps"), y = x, d_x = x;
    const Matrix<double> d_y(rows, columns, "d_y");
    Matrix<double> d_maps(2, columns), zero = d_maps;
    const auto backward = [&](auto arch, Matrix<double>& d_input, Matrix<double>& d) {
      kernels::unit_silu_backward<decltype(arch)>(x.view(), row_of(maps, 0), row_of(maps, 1), width, epsilon,
                                                  d_y.view(), d_input.view(), {d.view().row(0), columns},
                                                  {d.view().row(1), columns});
    };
    fill(d_maps.view(), 0.25);
    backward(simd::Native{}, d_x, d_maps);
    for (Index c = 0; c < columns; ++c) d_maps(0, c) -= 0.25, d_maps(1, c) -= 0.25;
    fill(zero.view(), 0);
    Matrix<double> generic = d_x;
    backward(simd::Generic{}, generic, zero);
    CHECK(numbers::difference(generic, d_x) <= 1e-13 * (1 + numbers::largest(d_x)));
    CHECK(numbers::difference(zero, d_maps) <= 1e-13 * (1 + numbers::largest(d_maps)));
    CHECK(d_x.gaps_untouched());
    const auto loss = [&] {
      kernels::unit_silu(x.view(), row_of(maps, 0), row_of(maps, 1), width, epsilon, y.view());
      return numbers::inner_product(y, d_y);
    };
    numbers::check_gradient(x, d_x, loss);
    numbers::check_gradient(maps, d_maps, loss);
  }
}

TEST_CASE("a head of zeros stays zero, and so does its gradient finite") {
  Matrix<float> x(1, 9), one(1, 9), y(1, 9, "anything"), d_x(1, 9), d_maps(2, 9);
  fill(one.view(), 1.0F);
  fill(x.view(), 0.0F);
  fill(d_maps.view(), 0.0F);
  kernels::unit_silu(x.view(), row_of(one, 0), row_of(x, 0), 9, 1e-5F, y.view());
  CHECK(numbers::largest(y) == 0);
  kernels::unit_silu_backward(x.view(), row_of(one, 0), row_of(x, 0), 9, 1e-5F, one.view(), d_x.view(),
                              {d_maps.view().row(0), 9}, {d_maps.view().row(1), 9});
  CHECK(d_x(0, 0) == Approx(0.5e5));  // silu′(0) / ε
}
