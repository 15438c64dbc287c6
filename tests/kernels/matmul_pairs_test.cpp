// SPDX-License-Identifier: MIT
#include "ttt/kernels/matmul_pairs.hpp"

#include "kernels/numbers.hpp"
#include "ttt/core/storage.hpp"

using namespace ttt;
using kernels::Output;
using numbers::Matrix;

namespace {

#if XSIMD_WITH_FMA3_SSE
using Narrow = xsimd::fma3<xsimd::sse4_2>;
#else
using Narrow = simd::Generic;
#endif

Matrix<float> flipped(const Matrix<float>& from) {
  Matrix<float> to(from.view().columns(), from.view().rows());
  for (Index r = 0; r < from.view().rows(); ++r)
    for (Index c = 0; c < from.view().columns(); ++c) to(c, r) = from(r, c);
  return to;
}

// A [R × K] and B [K × N] with what either is transposed.
struct Factors {
  Factors(Index rows, Index inner, Index columns)
      : a(rows, inner, "a"), b(inner, columns, "b"), a_flipped(flipped(a)), b_flipped(flipped(b)) {}
  Factor<float> left(bool transposed) const { return {(transposed ? a_flipped : a).view(), transposed}; }
  Factor<float> right(bool transposed) const { return {(transposed ? b_flipped : b).view(), transposed}; }

  Matrix<float> a, b, a_flipped, b_flipped;
};

template <class Arch>
void multiply(Factor<float> a, Factor<float> b, MatrixView<float> c, Output output) {
  const Index inner = kernels::pair_count(a.columns());
  Buffer<float> panels(PanelView<float>::storage_size(inner, c.columns())), words(a.rows() * inner);
  for (Index i = 0; i < panels.size(); ++i) panels[i] = std::numeric_limits<float>::quiet_NaN();
  const PanelView<float> packed(panels.data(), inner, c.columns());
  kernels::pair_panels<Arch>(b, packed);
  kernels::matmul_pairs<Arch>(a, words.data(), packed, c, output);
}

}  // namespace

TEMPLATE_TEST_CASE("a product of pairs has the bits of one chain, upper halves before lower ones", "", simd::Native,
                   Narrow, simd::Generic) {
  // Runs of 32 and what is left of them: nothing, lower halves only, both; one row to several tiles; parts of a panel.
  for (const Index rows : {1, 2, 12, 13, 49})
    for (const auto& [inner, columns] :
         {std::pair<Index, Index>{1, 1}, {16, 5}, {17, 32}, {31, 33}, {32, 64}, {63, 100}, {77, 71}, {450, 40}}) {
      const Factors factors(rows, inner, columns);
      const Matrix<float> before(rows, columns, "c");
      for (const Output output : {Output::assign, Output::accumulate}) {
        Matrix<float> expected = before;
        reference::matmul_pairs(factors.left(false), factors.right(false), expected.view(), output);
        for (const bool left : {false, true})
          for (const bool right : {false, true}) {
            CAPTURE(rows, inner, columns, left, right);
            Matrix<float> found = before;
            multiply<TestType>(factors.left(left), factors.right(right), found.view(), output);
            CHECK(numbers::same_bits(found, expected));
            CHECK(found.gaps_untouched());
          }
      }
    }
}

TEST_CASE("a row of a product of pairs has the same bits alone and among others") {
  const Index rows = 40, inner = 201, columns = 70;
  const Factors factors(rows, inner, columns);
  for (const bool transposed : {false, true}) {
    Matrix<float> whole(rows, columns), parts(rows, columns);
    multiply<simd::Native>(factors.left(transposed), factors.right(false), whole.view(), Output::assign);
    for (Index first = 0, count = 1; first < rows; first += count, count = std::min(2 * count, rows - first))
      multiply<simd::Native>(factors.left(transposed).part(first, count), factors.right(false),
                             parts.view().rows(first, count), Output::assign);
    CHECK(numbers::same_bits(parts, whole));
  }
}

TEST_CASE("a product of pairs is that of the rounded factors within the rounding of its sums") {
  const Index rows = 30, inner = 500, columns = 41;
  const Factors factors(rows, inner, columns);
  Matrix<float> found(rows, columns);
  multiply<simd::Native>(factors.left(false), factors.right(false), found.view(), Output::assign);
  // |computed − exact| ≤ γ Σ |a| |b|, γ = K u / (1 − K u) (Higham, Accuracy and Stability, section 3.1); a product of
  // two bfloat16 is exact in float, so only the K additions round. 2⁻²⁴ is half the distance of floats at 1.
  const double ku = static_cast<double>(inner) * 0x1p-24, gamma = ku / (1 - ku);
  bool rounds_factors = false;
  for (Index r = 0; r < rows; ++r)
    for (Index n = 0; n < columns; ++n) {
      double exact = 0, magnitude = 0, unrounded = 0;
      for (Index k = 0; k < inner; ++k) {
        const double product = static_cast<double>(rounded_to_bfloat16(factors.a(r, k))) *
                               static_cast<double>(rounded_to_bfloat16(factors.b(k, n)));
        exact += product;
        magnitude += std::abs(product);
        unrounded += static_cast<double>(factors.a(r, k)) * static_cast<double>(factors.b(k, n));
      }
      CHECK(std::abs(static_cast<double>(found(r, n)) - exact) <= gamma * magnitude);
      rounds_factors = rounds_factors || std::abs(static_cast<double>(found(r, n)) - unrounded) > gamma * magnitude;
    }
  CHECK(rounds_factors);
}

TEST_CASE("any share of the panels of pairs is those panels and no others") {
  const Index inner = 90, columns = 5 * 32 - 3, pairs = kernels::pair_count(inner);
  CHECK(pairs == 2 * 16 + 16);
  const Factors factors(1, inner, columns);
  for (const bool transposed : {false, true}) {
    Buffer<float> whole(PanelView<float>::storage_size(pairs, columns)), part(whole.size());
    for (Index i = 0; i < whole.size(); ++i) whole[i] = 1;  // so that padding must be written
    kernels::pair_panels(factors.right(transposed), {whole.data(), pairs, columns});
    for (Index p = 0; p < 5; ++p) {
      part.clear();
      kernels::pair_panels(factors.right(transposed), {part.data(), pairs, columns}, p, 1);
      for (Index i = 0; i < part.size(); ++i) {
        const bool inside = i / (pairs * 32) == p;
        REQUIRE(std::bit_cast<std::uint32_t>(part[i]) == (inside ? std::bit_cast<std::uint32_t>(whole[i]) : 0));
      }
    }
  }
}
