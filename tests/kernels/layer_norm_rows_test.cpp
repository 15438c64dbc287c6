// SPDX-License-Identifier: MIT
// The row kernels, held to definitions, central differences and golden numbers by layer_norm_test, are the reference.
#include "ttt/kernels/layer_norm/rows.hpp"

#include "kernels/numbers.hpp"

using namespace ttt;
using numbers::Matrix;

namespace {

constexpr double epsilon = 1e-6;

template <class Scalar>
struct Inputs {
  Inputs(Index rows, Index width)
      : x(rows, width, "x"),
        z(rows, width, "z", 2),
        values(rows, width, "values"),
        cotangent(rows, width, "cotangent"),
        weight(1, width, "weight"),
        bias(1, width, "bias") {}
  kernels::NormRows<Scalar> norm() const { return {weight.row(0), bias.row(0), static_cast<Scalar>(epsilon)}; }
  Matrix<Scalar> x, z, values, cotangent, weight, bias;
};

// Results of the four kernels one under the other: out, g, d_z of out, then d_z, d_keys, d_values of g, then the sums.
template <class Arch, class Scalar>
Matrix<Scalar> run(const Inputs<Scalar>& in, Index first, Index count) {
  const Index width = in.x.view().columns();
  Matrix<Scalar> results(6 * count + 4, width, "before");
  const auto block = [&](Index n) { return results.view().rows(n * count, count); };
  const auto rows = [&](const Matrix<Scalar>& m) { return m.view().rows(first, count); };
  Scalar* sums[4];
  for (Index i = 0; i < 4; ++i) {
    sums[i] = results.row(6 * count + i);
    std::fill_n(sums[i], width, Scalar(1));
  }
  fill(block(4), Scalar(2));
  kernels::residual_norm_rows<Arch, Scalar>(in.norm(), rows(in.x), rows(in.z), block(0));
  kernels::reconstruction_gradient_rows<Arch, Scalar>(in.norm(), rows(in.z), rows(in.x), rows(in.values), block(1));
  kernels::residual_norm_rows_backward<Arch, Scalar>(in.norm(), rows(in.z), rows(in.cotangent), block(2),
                                                     {sums[0], sums[1]});
  kernels::reconstruction_gradient_rows_backward<Arch, Scalar>(in.norm(), rows(in.z), rows(in.x), rows(in.values),
                                                               rows(in.cotangent), block(3), block(4), block(5),
                                                               {sums[2], sums[3]});
  CHECK(results.gaps_untouched());
  return results;
}

// The same by the row kernels.
template <class Scalar>
Matrix<Scalar> expected(const Inputs<Scalar>& in) {
  const Index count = in.x.view().rows(), width = in.x.view().columns();
  Matrix<Scalar> results(6 * count + 4, width);
  fill(results.view().rows(6 * count, 4), Scalar(1));
  const auto eps = static_cast<Scalar>(epsilon);
  const Scalar *weight = in.weight.row(0), *bias = in.bias.row(0);
  Scalar* sums = results.row(6 * count);
  const Index stride = results.view().stride();
  for (Index r = 0; r < count; ++r) {
    const auto row = [&](Index n) { return results.row(n * count + r); };
    Matrix<Scalar> target(1, width);
    for (Index c = 0; c < width; ++c) target(0, c) = in.values(r, c) - in.x(r, c);
    kernels::layer_norm_row(in.z.row(r), weight, bias, width, eps, row(0));
    for (Index c = 0; c < width; ++c) row(0)[c] += in.x(r, c);
    kernels::layer_norm_l2_gradient_row(in.z.row(r), target.row(0), weight, bias, width, eps, row(1));
    kernels::layer_norm_row_backward(in.z.row(r), weight, width, eps, in.cotangent.row(r), row(2), sums, sums + stride);
    kernels::layer_norm_l2_gradient_row_backward(in.z.row(r), target.row(0), weight, bias, width, eps,
                                                 in.cotangent.row(r), row(3), row(5), sums + 2 * stride,
                                                 sums + 3 * stride);
    for (Index c = 0; c < width; ++c) row(4)[c] = 2 - row(5)[c];
  }
  return results;
}

}  // namespace

TEMPLATE_TEST_CASE("norms of blocks of rows compute what the row kernels do, on every pack", "", float, double) {
  for (const Index width : {8, 16, 19, 32, 64})
    for (const Index rows : {1, 3, 8, 16, 21}) {
      const Inputs<TestType> in(rows, width);
      const auto reference = expected(in);
      // Sums of `width` and then `rows` terms, through two norms of deviation about 2.
      const double bound = numbers::rounding<TestType>(width + rows, 4 * numbers::largest(reference) + 4);
      INFO(rows << " rows of " << width);
      CHECK(numbers::difference(run<simd::Native>(in, 0, rows), reference) <= bound);
      CHECK(numbers::difference(run<simd::Generic>(in, 0, rows), reference) <= bound);
    }
}

TEMPLATE_TEST_CASE("a row of a block of norms has the same bits alone and among others", "", float, double) {
  const Index rows = 19, width = 64;
  const Inputs<TestType> in(rows, width);
  const auto all = run<simd::Native>(in, 0, rows);
  for (Index r = 0; r < rows; ++r) {
    const auto alone = run<simd::Native>(in, r, 1);
    for (Index n = 0; n < 6; ++n) CHECK(numbers::same_bits(alone.view().rows(n, 1), all.view().rows(n * rows + r, 1)));
  }
}
