// SPDX-License-Identifier: MIT
#include "ttt/kernels/matmul.hpp"

#include <cmath>

#include "kernels/architectures.hpp"
#include "kernels/numbers.hpp"
#include "ttt/core/storage.hpp"

using namespace ttt;
using kernels::Left;
using kernels::Output;
using numbers::Matrix;

namespace {

// B [K × N] in panels, in a Buffer of its own: padding is zero.
template <class Scalar>
struct Panels {
  explicit Panels(const Matrix<Scalar>& b) : Panels(b.view().rows(), b.view().columns()) {
    for (Index k = 0; k < b.view().rows(); ++k)
      for (Index n = 0; n < b.view().columns(); ++n) view()(k, n) = b(k, n);
  }
  Panels(Index rows, Index columns)
      : values(PanelView<Scalar>::storage_size(rows, columns)), rows_(rows), columns_(columns) {}

  PanelView<Scalar> view() { return {values.data(), rows_, columns_}; }
  PanelView<const Scalar> view() const { return {values.data(), rows_, columns_}; }
  Matrix<Scalar> unpacked() const {
    Matrix<Scalar> b(rows_, columns_);
    for (Index k = 0; k < rows_; ++k)
      for (Index n = 0; n < columns_; ++n) b(k, n) = view()(k, n);
    return b;
  }
  bool padding_is_zero() const {
    bool zero = true;
    const Index width = panel_width<Scalar>, last = view().count() - 1;
    for (Index k = 0; k < rows_; ++k)
      for (Index j = columns_ - last * width; j < width; ++j) zero = zero && view().panel(last)[k * width + j] == 0;
    return zero;
  }

  Buffer<Scalar> values;

 private:
  Index rows_, columns_;
};

struct Size {
  Index rows, inner, columns;
};
// Tails of rows, packs and panels; one row of many panels; an inner dimension beyond one pass (192, or 256), two and
// four; ones and zeros.
constexpr Size sizes[] = {{1, 1, 1},    {1, 7, 5},     {3, 5, 1},     {2, 9, 16},   {13, 17, 23},
                          {7, 64, 33},  {1, 20, 235},  {5, 1, 67},    {6, 385, 19}, {6, 513, 19},
                          {4, 769, 41}, {4, 1025, 41}, {11, 384, 70}, {5, 0, 9},    {0, 4, 9}};

// A normal row times a normal column: the chain's partial sums stay below its length times the two largest factors.
template <class Scalar>
double bound(const Matrix<Scalar>& a, const Matrix<Scalar>& b, Index inner) {
  return numbers::rounding<Scalar>(inner, numbers::largest(a) * numbers::largest(b) * static_cast<double>(inner) + 4);
}

}  // namespace

TEMPLATE_TEST_CASE("a product is three loops, of views and of panels, assigned and accumulated", "", float, double) {
  for (const auto& [rows, inner, columns] : sizes) {
    const Matrix<TestType> a(rows, inner, "a"), b(inner, columns, "b"), before(rows, columns, "c");
    const Panels<TestType> panels(b);
    for (const Output output : {Output::assign, Output::accumulate}) {
      Matrix<TestType> expected = before, plain = before, packed = before, generic = before, generic_packed = before;
      reference::matmul(a.view(), b.view(), expected.view(), output);
      kernels::matmul(a.view(), b.view(), plain.view(), output);
      kernels::matmul(Left<TestType>(a.view()), panels.view(), packed.view(), output);
      kernels::matmul<simd::Generic>(a.view(), b.view(), generic.view(), output);
      kernels::matmul<simd::Generic>(Left<TestType>(a.view()), panels.view(), generic_packed.view(), output);
      CHECK(numbers::difference(plain, expected) <= bound(a, b, inner));
      // One chain of the same fused operations, whatever the pack.
      CHECK(numbers::same_bits(plain, packed));
      CHECK(numbers::same_bits(plain, generic));
      CHECK(numbers::same_bits(plain, generic_packed));
      CHECK((plain.gaps_untouched() && packed.gaps_untouched()));
      architectures::for_each([&]<class Arch>() {
        Matrix<TestType> other = before;
        kernels::matmul<Arch>(Left<TestType>(a.view()), panels.view(), other.view(), output);
        CHECK((architectures::is_fused<Arch>() ? numbers::same_bits(other, packed)
                                               : numbers::difference(other, expected) <= bound(a, b, inner)));
      });
    }
  }
}

TEMPLATE_TEST_CASE("an empty inner dimension assigns zeros and accumulates nothing", "", float, double) {
  const Matrix<TestType> a(3, 0), b(0, 37), before(3, 37, "before");
  const Panels<TestType> panels(b);
  Matrix<TestType> assigned = before, accumulated = before, packed = before;
  kernels::matmul(a.view(), b.view(), assigned.view());
  kernels::matmul(a.view(), b.view(), accumulated.view(), Output::accumulate);
  kernels::matmul(Left<TestType>(a.view()), panels.view(), packed.view());
  CHECK(numbers::largest(assigned) == 0);
  CHECK(numbers::largest(packed) == 0);
  CHECK(numbers::same_bits(accumulated, before));
}

TEMPLATE_TEST_CASE("a row has the same bits for every number of rows and every split of them", "", float, double) {
  const Index most = 40, inner = 390, columns = 45;
  const Matrix<TestType> a(most, inner, "a"), b(inner, columns, "b"), before(most, columns, "c");
  const Panels<TestType> panels(b);
  for (const Output output : {Output::assign, Output::accumulate}) {
    Matrix<TestType> alone = before;
    for (Index r = 0; r < most; ++r)
      kernels::matmul(Left<TestType>(a.view().rows(r, 1)), panels.view(), alone.view().rows(r, 1), output);
    for (Index rows = 1; rows <= most; ++rows) {
      Matrix<TestType> packed = before, plain = before;
      kernels::matmul(Left<TestType>(a.view().rows(0, rows)), panels.view(), packed.view().rows(0, rows), output);
      kernels::matmul(a.view().rows(0, rows), b.view(), plain.view().rows(0, rows), output);
      CHECK(numbers::same_bits(packed.view().rows(0, rows), alone.view().rows(0, rows)));
      CHECK(numbers::same_bits(plain.view().rows(0, rows), alone.view().rows(0, rows)));
      CHECK(numbers::same_bits(packed.view().rows(rows, most - rows), before.view().rows(rows, most - rows)));

      Matrix<TestType> split = before;
      kernels::matmul(Left<TestType>(a.view().rows(0, rows)), panels.view(), split.view().rows(0, rows), output);
      kernels::matmul(Left<TestType>(a.view().rows(rows, most - rows)), panels.view(),
                      split.view().rows(rows, most - rows), output);
      CHECK(numbers::same_bits(split, alone));
    }
  }
}

TEMPLATE_TEST_CASE("any share of the panels computes those columns and no others, of one row and of more", "", float,
                   double) {
  const Index panel_count = 8, inner = 21, columns = panel_count * panel_width<TestType> - 3;
  const Index rows = GENERATE(1, 5);
  const Matrix<TestType> a(5, inner, "a"), b(inner, columns, "b"), before(rows, columns, "c");
  const Panels<TestType> panels(b);
  Matrix<TestType> all(5, columns, "c");
  kernels::matmul(Left<TestType>(a.view()), panels.view(), all.view());
  const MatrixView<const TestType> whole = all.view().rows(0, rows);
  for (Index first = 0; first <= panel_count; ++first)
    for (Index count = 0; first + count <= panel_count; ++count) {
      Matrix<TestType> part = before;
      kernels::matmul(Left<TestType>(a.view().rows(0, rows)), panels.view(), part.view(), Output::assign, first, count);
      const Index begin = std::min(columns, first * panel_width<TestType>);
      const Index end = std::min(columns, (first + count) * panel_width<TestType>);
      CHECK(numbers::same_bits(part.view().columns(begin, end - begin), whole.columns(begin, end - begin)));
      CHECK(numbers::same_bits(part.view().columns(0, begin), before.view().columns(0, begin)));
      CHECK(numbers::same_bits(part.view().columns(end, columns - end), before.view().columns(end, columns - end)));
    }
}

TEMPLATE_TEST_CASE("a transposed or strided left factor gives the bits of its copy", "", float, double) {
  for (const auto& [rows, inner, columns] : sizes) {
    const Matrix<TestType> a(rows, inner, "a"), b(inner, columns, "b");
    const Panels<TestType> panels(b);
    Matrix<TestType> transposed(inner, rows), expected(rows, columns), plain(rows, columns), packed(rows, columns);
    kernels::transpose(a.view(), transposed.view());
    kernels::matmul(a.view(), b.view(), expected.view());
    kernels::matmul(kernels::transposed(transposed.view()), b.view(), plain.view());
    kernels::matmul(kernels::transposed(transposed.view()), panels.view(), packed.view());
    CHECK(numbers::same_bits(plain, expected));
    CHECK(numbers::same_bits(packed, expected));
  }
}

TEMPLATE_TEST_CASE("a product into panels accumulates, has the bits of the plain one, and keeps padding zero", "",
                   float, double) {
  for (const auto& [rows, inner, columns] : sizes) {
    const Matrix<TestType> a(inner, rows, "a"), b(inner, columns, "b"), before(rows, columns, "c");
    const Panels<TestType> packed(b);
    if (rows == 0) continue;
    Matrix<TestType> expected = before;
    kernels::matmul(kernels::transposed(a.view()), b.view(), expected.view(), Output::accumulate);
    Panels<TestType> all(before), shares(before), generic(before);
    kernels::matmul_to_panels(kernels::transposed(a.view()), packed.view(), all.view());
    kernels::matmul_to_panels<simd::Generic>(kernels::transposed(a.view()), packed.view(), generic.view());
    for (Index r = 0; r < rows; r += 2)
      kernels::matmul_to_panels(kernels::transposed(a.view()), packed.view(), shares.view(), r,
                                std::min<Index>(2, rows - r));
    CHECK(numbers::same_bits(all.unpacked(), expected));
    CHECK(all.values == shares.values);
    CHECK(all.values == generic.values);
    CHECK(all.padding_is_zero());
  }
}

TEMPLATE_TEST_CASE("a transpose has every element in its place, whatever the shape, and touches nothing else", "",
                   float, double) {
  for (const Index rows : {1, 2, 3, 4, 7, 8, 9, 13, 16, 23})
    for (const Index columns : {1, 3, 4, 8, 11, 15, 64, 71, 140}) {
      const Matrix<TestType> from(rows, columns, "from");
      Matrix<TestType> to(columns, rows);
      kernels::transpose(MatrixView<const TestType>(from.view()), to.view());
      Index wrong = 0;
      for (Index r = 0; r < rows; ++r)
        for (Index c = 0; c < columns; ++c) wrong += to(c, r) != from(r, c);
      CHECK(wrong == 0);
      CHECK(to.gaps_untouched());
    }
}

TEMPLATE_TEST_CASE("transposed and packed panels hold their matrix and zero padding, over stale memory too", "", float,
                   double) {
  for (const auto& [inner, columns] : {std::pair<Index, Index>{1, 1}, {5, 9}, {16, 32}, {33, 17}, {70, 41}}) {
    const Matrix<TestType> b(inner, columns, "b");
    Matrix<TestType> expected(columns, inner), transpose(columns, inner);
    for (Index k = 0; k < inner; ++k)
      for (Index n = 0; n < columns; ++n) expected(n, k) = b(k, n);
    kernels::transpose(b.view(), transpose.view());
    CHECK(numbers::same_bits(transpose, expected));
    CHECK(transpose.gaps_untouched());
    const Panels<TestType> panels(b);
    Panels<TestType> transposed(columns, inner);
    for (Index i = 0; i < transposed.values.size(); ++i) transposed.values[i] = -1;
    kernels::transpose_panels(panels.view(), transposed.view());
    CHECK(numbers::same_bits(transposed.unpacked(), expected));
    CHECK(transposed.padding_is_zero());
    Panels<TestType> packed(inner, columns);
    for (Index i = 0; i < packed.values.size(); ++i) packed.values[i] = -1;
    for (Index p = 0; p < packed.view().count(); ++p) kernels::pack_panels(b.view(), packed.view(), p, 1);
    CHECK(packed.values == panels.values);
  }
}
