// SPDX-License-Identifier: MIT
#include "ttt/kernels/block_product.hpp"

#include <cmath>
#include <limits>

#include "kernels/numbers.hpp"

using namespace ttt;
using kernels::Left;
using kernels::Output;
using numbers::Matrix;

namespace {

struct Size {
  Index rows, inner, columns;
};
// The shapes of the rules, then tails of tiles, packs and strips, and nothing.
constexpr Size sizes[] = {{16, 64, 64}, {16, 64, 16}, {64, 16, 256}, {1, 64, 64}, {2, 64, 256},
                          {3, 17, 40},  {1, 5, 75},   {7, 9, 24},    {13, 1, 33}, {5, 18, 7},
                          {17, 70, 19}, {4, 0, 9},    {0, 3, 8}};

template <class Scalar>
double bound(Index inner, const Matrix<Scalar>& a, const Matrix<Scalar>& b) {
  return numbers::rounding<Scalar>(inner, numbers::largest(a) * numbers::largest(b) * static_cast<double>(inner) + 4);
}

template <class Scalar>
Matrix<Scalar> transpose_of(const Matrix<Scalar>& a) {
  Matrix<Scalar> result(a.view().columns(), a.view().rows());
  for (Index r = 0; r < a.view().rows(); ++r)
    for (Index c = 0; c < a.view().columns(); ++c) result(c, r) = a(r, c);
  return result;
}

}  // namespace

TEMPLATE_TEST_CASE("a block product is the product, from zero, from the output, from a row and from a matrix", "",
                   float, double) {
  for (const auto& [rows, inner, columns] : sizes) {
    const Matrix<TestType> a(rows, inner, "a"), b(inner, columns, "b"), start(rows, columns, "start"),
        row(1, columns, "row");
    const Matrix<TestType> a_transposed = transpose_of(a);
    const auto check = [&](const Matrix<TestType>& begin, const Matrix<TestType>& result,
                           const Matrix<TestType>& generic) {
      Matrix<double> expected = begin.template as<double>();
      reference::matmul<double>(a.template as<double>().view(), b.template as<double>().view(), expected.view(),
                                Output::accumulate);
      INFO(rows << " x " << inner << " x " << columns);
      CHECK(numbers::difference(result, expected) <= bound(inner, a, b));
      CHECK(numbers::difference(generic, expected) <= bound(inner, a, b));
      CHECK(result.gaps_untouched());
      if (simd::fused_scalar) CHECK(numbers::same_bits(result, generic));
    };
    Matrix<TestType> c(rows, columns), generic(rows, columns);
    fill(c.view(), 77);
    kernels::block_product(Left<TestType>(a.view()), b.view(), c.view());
    kernels::block_product<simd::Generic>(kernels::transposed(a_transposed.view()), b.view(), generic.view());
    check(Matrix<TestType>(rows, columns), c, generic);

    c = start, generic = start;
    kernels::block_product(kernels::transposed(a_transposed.view()), b.view(), c.view(), Output::accumulate);
    kernels::block_product<simd::Generic>(Left<TestType>(a.view()), b.view(), generic.view(), Output::accumulate);
    check(start, c, generic);
    kernels::block_product_from(start.view(), Left<TestType>(a.view()), b.view(), c.view());
    check(start, c, generic);

    Matrix<TestType> repeated(rows, columns);
    for (Index r = 0; r < rows; ++r) copy(row.view(), repeated.view().rows(r, 1));
    kernels::block_product_from_row(row.row(0), Left<TestType>(a.view()), b.view(), c.view());
    kernels::block_product_from_row<simd::Generic>(row.row(0), Left<TestType>(a.view()), b.view(), generic.view());
    check(repeated, c, generic);
  }
}

TEMPLATE_TEST_CASE("a row of a block product has the same bits alone and among others, plain and with a transpose", "",
                   float, double) {
  const Index most = 33, inner = 70, columns = 72;
  const Matrix<TestType> a(most, inner, "a"), b(inner, columns, "b"), b_transposed = transpose_of(b);
  Matrix<TestType> alone(most, columns);
  for (Index r = 0; r < most; ++r)
    kernels::block_product(Left<TestType>(a.view().rows(r, 1)), b.view(), alone.view().rows(r, 1));
  Arena scratch;
  for (Index rows = 1; rows <= most; ++rows) {
    Matrix<TestType> plain(rows, columns), transposed(rows, columns);
    kernels::block_product(Left<TestType>(a.view().rows(0, rows)), b.view(), plain.view());
    kernels::block_product_transposed<simd::Native, TestType>(a.view().rows(0, rows), b_transposed.view(),
                                                              transposed.view(), scratch);
    INFO(rows << " rows");
    CHECK(numbers::same_bits(plain.view(), alone.view().rows(0, rows)));
    CHECK(numbers::same_bits(transposed.view(), alone.view().rows(0, rows)));
    CHECK((plain.gaps_untouched() && transposed.gaps_untouched()));
  }
}

TEMPLATE_TEST_CASE("a causal block product takes nothing from above the diagonal, whatever is there, nor its transpose",
                   "", float, double) {
  const TestType nan = std::numeric_limits<TestType>::quiet_NaN();
  for (const Index first : {0, 3, 9})
    for (const Index rows : {1, 5, 7, 16})
      for (Index poisoned = 0; poisoned < first + rows; ++poisoned) {
        const Index inner = first + rows, columns = 43;
        const Matrix<TestType> numbers_of_a(rows, inner, "a");
        Matrix<TestType> a = numbers_of_a, zeroed = numbers_of_a, b(inner, columns, "b");
        for (Index r = 0; r < rows; ++r)
          for (Index k = first + r + 1; k < inner; ++k) a(r, k) = nan, zeroed(r, k) = 0;
        const Matrix<TestType> start(rows, columns, "start"), start_of_transpose(inner, columns, "start");
        Matrix<TestType> c = start, expected = start;
        kernels::block_product(Left<TestType>(zeroed.view()), b.view(), expected.view(), Output::accumulate);
        for (Index n = 0; n < columns; ++n) b(poisoned, n) = nan;
        kernels::block_product_causal<simd::Native, TestType>(a.view(), first, b.view(), c.view());
        const Index before = std::clamp<Index>(poisoned - first, 0, rows);
        CHECK(numbers::same_bits(c.view().rows(0, before), expected.view().rows(0, before)));
        for (Index r = before; r < rows; ++r) CHECK(std::isnan(c(r, 7)));

        Matrix<TestType> right(rows, columns, "right"), t = start_of_transpose, expected_t = start_of_transpose;
        kernels::block_product(kernels::transposed(zeroed.view()), right.view(), expected_t.view(), Output::accumulate);
        if (poisoned >= rows) continue;
        for (Index n = 0; n < columns; ++n) right(poisoned, n) = nan;
        kernels::block_product_causal_transposed<simd::Native, TestType>(a.view(), first, right.view(), t.view());
        const Index from = first + poisoned + 1;
        CHECK(numbers::same_bits(t.view().rows(from, inner - from), expected_t.view().rows(from, inner - from)));
        for (Index k = 0; k < from; ++k) CHECK(std::isnan(t(k, 7)));
      }
}

TEST_CASE("a causal block product is the product with zeros above the diagonal, which are skipped") {
  for (const Index first : {0, 3, 9})
    for (const Index rows : {1, 5, 7, 16}) {
      const Index inner = first + rows;
      Matrix<double> a(rows, inner, "a");
      const Matrix<double> b(inner, 19, "b"), start(rows, 19, "start");
      for (Index r = 0; r < rows; ++r)
        for (Index k = first + r + 1; k < inner; ++k) a(r, k) = 0;
      Matrix<double> c = start, expected = start;
      kernels::block_product_causal<simd::Native, double>(a.view(), first, b.view(), c.view());
      kernels::block_product(Left<double>(a.view()), b.view(), expected.view(), Output::accumulate);
      CHECK(numbers::same_bits(c, expected));
    }
}

TEMPLATE_TEST_CASE("a transpose moves every element", "", float, double) {
  for (const Index rows : {0, 1, 4, 8, 13, 16, 64})
    for (const Index columns : {1, 7, 8, 16, 35, 64}) {
      const Matrix<TestType> from(rows, columns, "from");
      Matrix<TestType> to(columns, rows);
      kernels::transpose(from.view(), to.view());
      CHECK(numbers::same_bits(to, transpose_of(from)));
      CHECK(to.gaps_untouched());
    }
}
