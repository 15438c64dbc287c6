// SPDX-License-Identifier: MIT
#include "ttt/kernels/matmul_bfloat16.hpp"

#include "kernels/numbers.hpp"
#include "ttt/core/storage.hpp"

using namespace ttt;
using kernels::Left;
using kernels::Output;
using numbers::Matrix;

namespace {

// B [K × N] in bfloat16, and the same rounded values as panels of floats.
struct Weight {
  explicit Weight(const Matrix<float>& b)
      : rows(b.view().rows()),
        columns(b.view().columns()),
        narrow(Bfloat16PanelView::storage_size(rows, columns)),
        wide(PanelView<float>::storage_size(rows, columns)) {
    const PanelView<float> panels(wide.data(), rows, columns);
    for (Index k = 0; k < rows; ++k)
      for (Index n = 0; n < columns; ++n) {
        Bfloat16PanelView::set(narrow.data(), rows, k, n, b(k, n));
        panels(k, n) = rounded_to_bfloat16(b(k, n));
      }
  }
  Bfloat16PanelView bfloat16() const { return {narrow.data(), rows, columns}; }
  PanelView<const float> floats() const { return {wide.data(), rows, columns}; }

  Index rows, columns;
  Buffer<float> narrow, wide;
};

#if XSIMD_WITH_FMA3_SSE
using Narrow = xsimd::fma3<xsimd::sse4_2>;  // packs of a quarter of a panel's pairs
#else
using Narrow = simd::Generic;
#endif

}  // namespace

TEMPLATE_TEST_CASE("a product in bfloat16 has the bits of the one with the rounded weights", "", simd::Native, Narrow,
                   simd::Generic) {
  // Rows that stream, alone and in groups, and rows that widen; tails of panels; inner dimensions beyond one slice.
  for (const Index rows : {0, 1, 2, 3, 5, 8, 9, 24})
    for (const auto& [inner, columns] :
         {std::pair<Index, Index>{0, 9}, {1, 1}, {7, 33}, {192, 64}, {193, 31}, {401, 170}}) {
      const Matrix<float> a(rows, inner, "a"), b(inner, columns, "b"), before(rows, columns, "c");
      const Weight weight(b);
      for (const Output output : {Output::assign, Output::accumulate}) {
        Matrix<float> expected = before, found = before, alone = before;
        kernels::matmul<TestType>(Left<float>(a.view()), weight.floats(), expected.view(), output);
        kernels::matmul<TestType>(Left<float>(a.view()), weight.bfloat16(), found.view(), output);
        for (Index r = 0; r < rows; ++r)
          kernels::matmul<TestType>(Left<float>(a.view().rows(r, 1)), weight.bfloat16(), alone.view().rows(r, 1),
                                    output);
        CHECK(numbers::same_bits(found, expected));
        CHECK(numbers::same_bits(alone, expected));
        CHECK(found.gaps_untouched());
      }
    }
}

TEST_CASE("any share of the bfloat16 panels computes those columns and no others") {
  const Index inner = 21, columns = 5 * 32 - 3;
  for (const Index rows : {1, 3, 11}) {
    const Matrix<float> a(rows, inner, "a"), b(inner, columns, "b"), before(rows, columns, "c");
    const Weight weight(b);
    Matrix<float> whole = before;
    kernels::matmul(Left<float>(a.view()), weight.floats(), whole.view());
    for (Index first = 0; first <= 5; ++first)
      for (Index count = 0; first + count <= 5; ++count) {
        Matrix<float> part = before;
        kernels::matmul(Left<float>(a.view()), weight.bfloat16(), part.view(), Output::assign, first, count);
        const Index begin = std::min(columns, first * 32), end = std::min(columns, (first + count) * 32);
        CHECK(numbers::same_bits(part.view().columns(begin, end - begin), whole.view().columns(begin, end - begin)));
        CHECK(numbers::same_bits(part.view().columns(0, begin), before.view().columns(0, begin)));
        CHECK(numbers::same_bits(part.view().columns(end, columns - end), before.view().columns(end, columns - end)));
      }
  }
}

TEST_CASE("a transposed left factor and widened panels") {
  const Index rows = 6, inner = 50, columns = 71;
  const Matrix<float> a(rows, inner, "a"), b(inner, columns, "b");
  Matrix<float> transposed(inner, rows), expected(rows, columns), found(rows, columns);
  for (Index r = 0; r < rows; ++r)
    for (Index k = 0; k < inner; ++k) transposed(k, r) = a(r, k);
  const Weight weight(b);
  kernels::matmul(Left<float>(a.view()), weight.floats(), expected.view());
  kernels::matmul(kernels::transposed(transposed.view()), weight.bfloat16(), found.view());
  CHECK(numbers::same_bits(found, expected));
  Buffer<float> widened(weight.wide.size());
  kernels::widen_panels(weight.bfloat16(), PanelView<float>(widened.data(), inner, columns));
  CHECK(widened == weight.wide);
}
