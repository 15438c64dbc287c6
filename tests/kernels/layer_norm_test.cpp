// SPDX-License-Identifier: MIT
#include "ttt/kernels/layer_norm.hpp"

#include <cmath>

#include "kernels/golden.hpp"
#include "kernels/numbers.hpp"

using namespace ttt;
using numbers::Matrix;

namespace {

constexpr double epsilon = 1e-6;

// The definitions, in double.
struct Row {
  Matrix<double> normalized, y;
  double deviation;
};
Row layer_norm_of(const Matrix<double>& x, const Matrix<double>& weight, const Matrix<double>& bias, double eps) {
  const Index width = x.view().columns();
  Row row{Matrix<double>(1, width), Matrix<double>(1, width), 0};
  double mean = 0, variance = 0;
  for (Index i = 0; i < width; ++i) mean += x(0, i) / static_cast<double>(width);
  for (Index i = 0; i < width; ++i) variance += (x(0, i) - mean) * (x(0, i) - mean) / static_cast<double>(width);
  row.deviation = std::sqrt(variance + eps);
  for (Index i = 0; i < width; ++i) {
    row.normalized(0, i) = (x(0, i) - mean) / row.deviation;
    row.y(0, i) = weight(0, i) * row.normalized(0, i) + bias(0, i);
  }
  return row;
}

template <class Scalar>
struct Inputs {
  explicit Inputs(Index width)
      : x(1, width, "x", 2),
        target(1, width, "target"),
        weight(1, width, "weight"),
        bias(1, width, "bias"),
        cotangent(1, width, "cotangent") {}
  Matrix<Scalar> x, target, weight, bias, cotangent;
};

constexpr Index widths[] = {1, 2, 7, 8, 16, 19, 33, 64, 100};

}  // namespace

TEMPLATE_TEST_CASE("layer norm is its definition, on every pack and in place", "", float, double) {
  for (const Index width : widths) {
    const Inputs<TestType> in(width);
    Matrix<TestType> native(1, width), generic(1, width), in_place = in.x;
    kernels::layer_norm_row(in.x.row(0), in.weight.row(0), in.bias.row(0), width, TestType(epsilon), native.row(0));
    kernels::layer_norm_row<simd::Generic>(in.x.row(0), in.weight.row(0), in.bias.row(0), width, TestType(epsilon),
                                           generic.row(0));
    kernels::layer_norm_row(in_place.row(0), in.weight.row(0), in.bias.row(0), width, TestType(epsilon),
                            in_place.row(0));
    const Row expected = layer_norm_of(in.x.template as<double>(), in.weight.template as<double>(),
                                       in.bias.template as<double>(), epsilon);
    // The mean is off by up to its chain's rounding, which the division by the deviation enlarges.
    const double magnitude = (numbers::largest(in.x) / expected.deviation + 2) * (numbers::largest(in.weight) + 1);
    const double bound = width == 1 ? 1e-12 : numbers::rounding<TestType>(width, magnitude);
    CHECK(numbers::difference(native, expected.y) <= bound);
    CHECK(numbers::difference(generic, expected.y) <= bound);
    CHECK(numbers::same_bits(native, in_place));
    CHECK(native.gaps_untouched());
  }
}

TEST_CASE("layer norm of a constant row is the bias, and epsilon keeps it finite") {
  const Index width = 11;
  Matrix<float> x(1, width), y(1, width);
  const Matrix<float> weight(1, width, "weight"), bias(1, width, "bias");
  fill(x.view(), 0.75F);
  kernels::layer_norm_row(x.row(0), weight.row(0), bias.row(0), width, 1e-6F, y.row(0));
  CHECK(numbers::same_bits(y, bias));
}

TEST_CASE("layer norm does not cancel far from zero") {
  const Index width = 24;
  Matrix<float> x(1, width, "x"), y(1, width), weight(1, width);
  const Matrix<float> bias(1, width);
  fill(weight.view(), 1);
  for (Index i = 0; i < width; ++i) x(0, i) = std::round(x(0, i) * 64) / 64 + 4096;  // exact in float
  kernels::layer_norm_row(x.row(0), weight.row(0), bias.row(0), width, 1e-6F, y.row(0));
  const Row expected = layer_norm_of(x.as<double>(), weight.as<double>(), bias.as<double>(), epsilon);
  CHECK(numbers::difference(y, expected.y) <= numbers::rounding<float>(width, 4096 / expected.deviation));
}

TEST_CASE("backward of layer norm is its gradient") {
  for (const Index width : {2, 5, 8, 19}) {
    Inputs<double> in(width);
    Matrix<double> d_x(1, width), y(1, width);
    Matrix<double> d_weight(1, width), d_bias(1, width);
    kernels::layer_norm_row_backward(in.x.row(0), in.weight.row(0), width, epsilon, in.cotangent.row(0), d_x.row(0),
                                     d_weight.row(0), d_bias.row(0));
    const auto loss = [&] {
      kernels::layer_norm_row(in.x.row(0), in.weight.row(0), in.bias.row(0), width, epsilon, y.row(0));
      return numbers::inner_product(y, in.cotangent);
    };
    numbers::check_gradient(in.x, d_x, loss);
    numbers::check_gradient(in.weight, d_weight, loss);
    numbers::check_gradient(in.bias, d_bias, loss);
  }
}

TEMPLATE_TEST_CASE("backward of layer norm: packs, accumulation, aliases, null outputs", "", float, double) {
  for (const Index width : widths) {
    const Inputs<TestType> in(width);
    const Matrix<TestType> before(2, width, "before");
    Matrix<TestType> native(1, width), generic(1, width), aliased = in.cotangent, sums = before, generic_sums = before;
    const auto backward = [&](const Matrix<TestType>& d_y, TestType* d_x, TestType* d_weight, TestType* d_bias) {
      kernels::layer_norm_row_backward(in.x.row(0), in.weight.row(0), width, TestType(epsilon), d_y.row(0), d_x,
                                       d_weight, d_bias);
    };
    backward(in.cotangent, native.row(0), sums.row(0), sums.row(1));
    kernels::layer_norm_row_backward<simd::Generic>(in.x.row(0), in.weight.row(0), width, TestType(epsilon),
                                                    in.cotangent.row(0), generic.row(0), generic_sums.row(0),
                                                    generic_sums.row(1));
    const Row expected = layer_norm_of(in.x.template as<double>(), in.weight.template as<double>(),
                                       in.bias.template as<double>(), epsilon);
    const double normalized = numbers::largest(in.x) / expected.deviation + 2, d = numbers::largest(in.cotangent);
    const double u = d * numbers::largest(in.weight);
    const double bound = numbers::rounding<TestType>(width, u * normalized * normalized / expected.deviation);
    if (width > 1) CHECK(numbers::difference(native, generic) <= bound);
    CHECK(numbers::difference(sums, generic_sums) <= numbers::rounding<TestType>(width, d * normalized + 3));

    Matrix<double> expected_sums = before.template as<double>();
    for (Index i = 0; i < width; ++i) {
      expected_sums(0, i) += static_cast<double>(in.cotangent(0, i)) * expected.normalized(0, i);
      expected_sums(1, i) += static_cast<double>(in.cotangent(0, i));
    }
    CHECK(numbers::difference(sums, expected_sums) <= numbers::rounding<TestType>(width, d * normalized + 3));

    backward(aliased, aliased.row(0), nullptr, nullptr);
    CHECK(numbers::same_bits(aliased, native));
    Matrix<TestType> weight_only = before;
    backward(in.cotangent, nullptr, weight_only.row(0), nullptr);
    CHECK(numbers::same_bits(weight_only.view().rows(0, 1), sums.view().rows(0, 1)));
    CHECK(numbers::same_bits(weight_only.view().rows(1, 1), before.view().rows(1, 1)));
  }
}

TEMPLATE_TEST_CASE("the inner loss is half the squared distance of the layer norm to the target", "", float, double) {
  for (const Index width : widths) {
    const Inputs<TestType> in(width);
    const Row row = layer_norm_of(in.x.template as<double>(), in.weight.template as<double>(),
                                  in.bias.template as<double>(), epsilon);
    double expected = 0;
    for (Index i = 0; i < width; ++i) expected += 0.5 * std::pow(row.y(0, i) - static_cast<double>(in.target(0, i)), 2);
    const auto native = kernels::layer_norm_l2_loss_row(in.x.row(0), in.target.row(0), in.weight.row(0), in.bias.row(0),
                                                        width, TestType(epsilon));
    const auto generic = kernels::layer_norm_l2_loss_row<simd::Generic>(in.x.row(0), in.target.row(0), in.weight.row(0),
                                                                        in.bias.row(0), width, TestType(epsilon));
    const double error = (numbers::largest(in.x) / row.deviation + 2) * (numbers::largest(in.weight) + 1);
    const double bound = numbers::rounding<TestType>(
        width, expected + error * static_cast<double>(width) * (error + numbers::largest(in.target)));
    CHECK(std::abs(static_cast<double>(native) - expected) <= bound);
    CHECK(std::abs(static_cast<double>(generic) - expected) <= bound);
  }
}

TEST_CASE("the gradient of the inner loss is the gradient of the inner loss") {
  for (const Index width : {2, 5, 8, 19}) {
    Inputs<double> in(width);
    Matrix<double> g(1, width);
    kernels::layer_norm_l2_gradient_row(in.x.row(0), in.target.row(0), in.weight.row(0), in.bias.row(0), width, epsilon,
                                        g.row(0));
    numbers::check_gradient(in.x, g, [&] {
      return kernels::layer_norm_l2_loss_row(in.x.row(0), in.target.row(0), in.weight.row(0), in.bias.row(0), width,
                                             epsilon);
    });
  }
}

TEST_CASE("backward of the gradient of the inner loss, also where epsilon weighs as much as the variance") {
  for (const double eps : {1e-6, 3.0})
    for (const Index width : {2, 5, 8, 19}) {
      Inputs<double> in(width);
      Matrix<double> g(1, width), d_z(1, width), d_target(1, width), d_weight(1, width), d_bias(1, width);
      kernels::layer_norm_l2_gradient_row_backward(in.x.row(0), in.target.row(0), in.weight.row(0), in.bias.row(0),
                                                   width, eps, in.cotangent.row(0), d_z.row(0), d_target.row(0),
                                                   d_weight.row(0), d_bias.row(0));
      const auto loss = [&] {
        kernels::layer_norm_l2_gradient_row(in.x.row(0), in.target.row(0), in.weight.row(0), in.bias.row(0), width, eps,
                                            g.row(0));
        return numbers::inner_product(g, in.cotangent);
      };
      numbers::check_gradient(in.x, d_z, loss);
      numbers::check_gradient(in.target, d_target, loss);
      numbers::check_gradient(in.weight, d_weight, loss);
      numbers::check_gradient(in.bias, d_bias, loss);
    }
}

TEMPLATE_TEST_CASE("the inner gradient and its backward: packs, aliases, accumulation, null outputs", "", float,
                   double) {
  for (const Index width : {Index{3}, Index{8}, Index{19}, Index{33}, Index{64}}) {
    const Inputs<TestType> in(width);
    const auto eps = static_cast<TestType>(epsilon);
    Matrix<TestType> native(1, width), generic(1, width), aliased = in.x, aliased_target = in.target;
    const TestType *weight = in.weight.row(0), *bias = in.bias.row(0), *z = in.x.row(0), *target = in.target.row(0);
    kernels::layer_norm_l2_gradient_row(z, target, weight, bias, width, eps, native.row(0));
    kernels::layer_norm_l2_gradient_row<simd::Generic>(z, target, weight, bias, width, eps, generic.row(0));
    kernels::layer_norm_l2_gradient_row(aliased.row(0), target, weight, bias, width, eps, aliased.row(0));
    kernels::layer_norm_l2_gradient_row(z, aliased_target.row(0), weight, bias, width, eps, aliased_target.row(0));
    const Row row = layer_norm_of(in.x.template as<double>(), in.weight.template as<double>(),
                                  in.bias.template as<double>(), epsilon);
    const double scale = 1 / row.deviation, n = numbers::largest(in.x) * scale + 2, w = numbers::largest(in.weight) + 1;
    const double u = w * (w * n + numbers::largest(in.bias) + numbers::largest(in.target));
    CHECK(numbers::difference(native, generic) <= numbers::rounding<TestType>(width, scale * u * n * n));
    CHECK(numbers::same_bits(native, aliased));
    CHECK(numbers::same_bits(native, aliased_target));

    const Matrix<TestType> before(2, width, "before");
    Matrix<TestType> d(2, width), d_generic(2, width), sums = before, sums_generic = before;
    const TestType* d_g = in.cotangent.row(0);
    kernels::layer_norm_l2_gradient_row_backward(z, target, weight, bias, width, eps, d_g, d.row(0), d.row(1),
                                                 sums.row(0), sums.row(1));
    kernels::layer_norm_l2_gradient_row_backward<simd::Generic>(z, target, weight, bias, width, eps, d_g,
                                                                d_generic.row(0), d_generic.row(1), sums_generic.row(0),
                                                                sums_generic.row(1));
    // Y is a product of two projections, each with a factor x̂² and the scale.
    const double y = scale * numbers::largest(in.cotangent) * (u + w * w) * n * n;
    CHECK(numbers::difference(d, d_generic) <= numbers::rounding<TestType>(width, scale * y * n * n + y));
    CHECK(numbers::difference(sums, sums_generic) <= numbers::rounding<TestType>(width, y + 3));

    Matrix<TestType> zero_sums(2, width), d_aliased = in.cotangent, other = before;
    kernels::layer_norm_l2_gradient_row_backward(z, target, weight, bias, width, eps, d_aliased.row(0),
                                                 d_aliased.row(0), nullptr, zero_sums.row(0), zero_sums.row(1));
    CHECK(numbers::same_bits(d_aliased.view(), std::as_const(d).view().rows(0, 1)));
    for (Index r = 0; r < 2; ++r)
      for (Index i = 0; i < width; ++i) zero_sums(r, i) += before(r, i);
    CHECK(numbers::difference(zero_sums, sums) <= numbers::rounding<TestType>(1, y + 3));
    kernels::layer_norm_l2_gradient_row_backward(z, target, weight, bias, width, eps, d_g, nullptr, other.row(0),
                                                 nullptr, nullptr);
    CHECK(numbers::same_bits(other.view().rows(0, 1), d.view().rows(1, 1)));
  }
}

TEST_CASE("layer norm of matrices works row by row, on no rows too") {
  const Index rows = 5, width = 13;
  const Matrix<double> x(rows, width, "x"), weight(1, width, "weight"), bias(1, width, "bias"), d_y(rows, width, "d_y");
  Matrix<double> y(rows, width), d_x(rows, width), sums(2, width), y_row(1, width), d_row(1, width), row_sums(2, width);
  kernels::layer_norm(x.view(), weight.vector(), bias.vector(), epsilon, y.view());
  kernels::layer_norm_backward(x.view(), weight.vector(), epsilon, d_y.view(), d_x.view(),
                               VectorView<double>(sums.row(0), width), VectorView<double>(sums.row(1), width));
  for (Index r = 0; r < rows; ++r) {
    kernels::layer_norm_row(x.row(r), weight.row(0), bias.row(0), width, epsilon, y_row.row(0));
    kernels::layer_norm_row_backward(x.row(r), weight.row(0), width, epsilon, d_y.row(r), d_row.row(0), row_sums.row(0),
                                     row_sums.row(1));
    CHECK(numbers::same_bits(y.view().rows(r, 1), y_row.view()));
    CHECK(numbers::same_bits(d_x.view().rows(r, 1), d_row.view()));
  }
  CHECK(numbers::same_bits(sums, row_sums));
  CHECK((y.gaps_untouched() && d_x.gaps_untouched()));

  const Matrix<double> unchanged = y;
  kernels::layer_norm(x.view().rows(0, 0), weight.vector(), bias.vector(), epsilon, y.view().rows(0, 0));
  CHECK(numbers::same_bits(y, unchanged));
}

namespace {

// Rows of a golden [B × H × K × D] tensor belong to the heads in turn.
Index head_of(const numbers::Golden& golden, Index row) { return row / golden.tokens("x") % golden.batch("gamma"); }

}  // namespace

TEST_CASE("layer norm gives the golden values and gradients") {
  const numbers::Golden golden("ln_fwd");
  const auto x = golden.matrix("x"), weight = golden.matrix("gamma"), bias = golden.matrix("beta"),
             d_y = golden.matrix("d_y");
  const Index rows = x.view().rows(), width = x.view().columns();
  Matrix<double> y(rows, width), d_x(rows, width), d_weight(weight.view().rows(), width),
      d_bias(bias.view().rows(), width);
  for (Index r = 0; r < rows; ++r) {
    const Index head = head_of(golden, r);
    kernels::layer_norm_row(x.row(r), weight.row(head), bias.row(head), width, 1e-6, y.row(r));
    kernels::layer_norm_row_backward(x.row(r), weight.row(head), width, 1e-6, d_y.row(r), d_x.row(r),
                                     d_weight.row(head), d_bias.row(head));
  }
  golden.check_value("y", y);
  golden.check_gradient("grad.x", d_x);
  golden.check_gradient("grad.gamma", d_weight);
  golden.check_gradient("grad.beta", d_bias);
}

TEST_CASE("the gradient of the inner loss gives the golden values and gradients") {
  const numbers::Golden golden("ln_fused_l2_bwd");
  const auto x = golden.matrix("x"), target = golden.matrix("target"), d_g = golden.matrix("d_z");
  const auto weight = golden.matrix("gamma"), bias = golden.matrix("beta");
  const Index rows = x.view().rows(), width = x.view().columns();
  Matrix<double> g(rows, width), d_x(rows, width), d_target(rows, width);
  Matrix<double> d_weight(weight.view().rows(), width), d_bias(bias.view().rows(), width);
  for (Index r = 0; r < rows; ++r) {
    const Index head = head_of(golden, r);
    kernels::layer_norm_l2_gradient_row(x.row(r), target.row(r), weight.row(head), bias.row(head), width, 1e-6,
                                        g.row(r));
    kernels::layer_norm_l2_gradient_row_backward(x.row(r), target.row(r), weight.row(head), bias.row(head), width, 1e-6,
                                                 d_g.row(r), d_x.row(r), d_target.row(r), d_weight.row(head),
                                                 d_bias.row(head));
  }
  golden.check_value("z", g);
  golden.check_gradient("grad.x", d_x);
  golden.check_gradient("grad.target", d_target);
  golden.check_gradient("grad.gamma", d_weight);
  golden.check_gradient("grad.beta", d_bias);
}
