// SPDX-License-Identifier: MIT
#include "ttt/kernels/rows.hpp"

#include "kernels/numbers.hpp"

using namespace ttt;
using numbers::Matrix;

namespace {

/// Both instruction sets give the bits of `expected(a, b, before)` for every element, and leave the gaps alone.
template <class Scalar, class Kernel, class Expected>
void check(Kernel&& kernel, Expected&& expected) {
  for (const Index width : {1, 7, 8, 33}) {
    const Matrix<Scalar> a(3, width, "a"), b(3, width, "b"), before(3, width, "before");
    Matrix<Scalar> native = before, generic = before, wanted = before;
    for (Index r = 0; r < 3; ++r)
      for (Index c = 0; c < width; ++c) wanted(r, c) = expected(a(r, c), b(r, c), before(r, c));
    kernel.template operator()<simd::Native>(a.view(), b.view(), native.view());
    kernel.template operator()<simd::Generic>(a.view(), b.view(), generic.view());
    CHECK((numbers::same_bits(native, wanted) && numbers::same_bits(generic, wanted)));
    CHECK((native.gaps_untouched() && generic.gaps_untouched()));
  }
}

}  // namespace

TEMPLATE_TEST_CASE("rows are added, multiplied and copied element by element, on every pack", "", float, double) {
  using S = TestType;
  check<S>([]<class Arch>(auto a, auto, auto y) { kernels::add_rows<Arch, S>(a, y); },
           [](S a, S, S before) { return before + a; });
  check<S>([]<class Arch>(auto a, auto b, auto y) { kernels::multiply_rows<Arch, S>(a, b, y); },
           [](S a, S b, S) { return a * b; });
  check<S>([]<class Arch>(auto a, auto b, auto y) { kernels::multiply_add_rows<Arch, S>(a, b, y); },
           [](S a, S b, S before) { return std::fma(a, b, before); });
  check<S>([]<class Arch>(auto a, auto, auto y) { kernels::copy_rows<Arch, S>(a, y); }, [](S a, S, S) { return a; });
  check<S>(
      []<class Arch>(auto a, auto, auto y) {
        for (Index r = 0; r < a.rows(); ++r) kernels::add_scaled<Arch>(S(3), a.row(r), a.columns(), y.row(r));
      },
      [](S a, S, S before) { return std::fma(S(3), a, before); });
  check<S>(
      []<class Arch>(auto a, auto, auto y) {
        for (Index r = 0; r < a.rows(); ++r) kernels::scale<Arch>(S(3), a.row(r), a.columns(), y.row(r));
      },
      [](S a, S, S) { return S(3) * a; });
}

TEMPLATE_TEST_CASE("sums over rows and over products", "", float, double) {
  for (const Index width : {1, 7, 8, 33}) {
    const Matrix<TestType> x(5, width, "x"), start(1, width, "start");
    Matrix<TestType> sum = start, expected = start;
    kernels::add_column_sums<simd::Native, TestType>(x.view(), sum.view());
    for (Index r = 0; r < 5; ++r)
      for (Index c = 0; c < width; ++c) expected(0, c) += x(r, c);
    CHECK(numbers::same_bits(sum, expected));
    double dot = 0;
    for (Index c = 0; c < width; ++c) dot += static_cast<double>(x(0, c)) * static_cast<double>(x(1, c));
    const double found = static_cast<double>(kernels::dot(x.view().row(0), x.view().row(1), width));
    CHECK(std::abs(found - dot) <= numbers::rounding<TestType>(width, numbers::largest(x) * numbers::largest(x)));
  }
}

TEMPLATE_TEST_CASE("rows are added to themselves", "", float, double) {
  const Matrix<TestType> start(3, 9, "start");
  Matrix<TestType> twice = start;
  kernels::add_rows<simd::Native, TestType>(twice.view(), twice.view());
  for (Index r = 0; r < 3; ++r)
    for (Index c = 0; c < 9; ++c) CHECK(twice(r, c) == 2 * start(r, c));
}
