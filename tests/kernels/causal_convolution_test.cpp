// SPDX-License-Identifier: MIT
#include "ttt/kernels/causal_convolution.hpp"

#include <cmath>

#include "kernels/golden.hpp"
#include "kernels/numbers.hpp"

using namespace ttt;
using numbers::Matrix;

namespace {

template <class Scalar>
struct Inputs {
  Inputs(Index tokens, Index channels, Index taps)
      : x(tokens, channels, "x"),
        tail(taps - 1, channels, "tail"),
        weight(channels, taps, "weight"),
        transposed(taps, channels),
        bias(1, channels, "bias"),
        d_y(tokens, channels, "d_y"),
        d_tail(taps - 1, channels, "d_tail") {
    transpose();
  }
  void transpose() {
    for (Index j = 0; j < transposed.view().rows(); ++j)
      for (Index c = 0; c < transposed.view().columns(); ++c) transposed(j, c) = weight(c, j);
  }

  Matrix<Scalar> x, tail, weight, transposed, bias, d_y, d_tail;
};

// Every tail length against every number of tokens, so that short calls reach behind the tail.
constexpr Index tap_counts[] = {1, 2, 4, 5};
constexpr Index token_counts[] = {0, 1, 2, 3, 9};

}  // namespace

TEMPLATE_TEST_CASE("a causal convolution is its sum, on every pack", "", float, double) {
  for (const Index taps : tap_counts)
    for (const Index tokens : token_counts)
      for (const Index channels : {1, 7, 8, 35}) {
        const Inputs<TestType> in(tokens, channels, taps);
        Matrix<TestType> native(tokens, channels), generic(tokens, channels), expected(tokens, channels);
        kernels::causal_convolution(in.x.view(), in.tail.view(), in.transposed.view(), in.bias.vector(), native.view());
        kernels::causal_convolution<simd::Generic>(in.x.view(), in.tail.view(), in.transposed.view(), in.bias.vector(),
                                                   generic.view());
        reference::causal_convolution(in.x.view(), in.tail.view(), in.weight.view(), in.bias.vector(), expected.view());
        const double magnitude = 4 + static_cast<double>(taps) * 4 * 4;  // normal numbers this few stay below 4
        CHECK(numbers::difference(native, expected) <= numbers::rounding<TestType>(taps, magnitude));
        CHECK(numbers::same_bits(native, generic));
        CHECK(native.gaps_untouched());
        const Matrix<TestType> no_bias(1, channels);
        kernels::causal_convolution(in.x.view(), in.tail.view(), in.transposed.view(), no_bias.vector(),
                                    generic.view());
        kernels::causal_convolution(in.x.view(), in.tail.view(), in.transposed.view(), {}, native.view());
        CHECK(numbers::same_bits(native, generic));
      }
}

TEMPLATE_TEST_CASE("any split of a sequence gives the same bits and leaves the same tail", "", float, double) {
  const Index tokens = 9, channels = 11;
  for (const Index taps : tap_counts)
    for (Index first = 0; first <= tokens; ++first) {
      const Inputs<TestType> in(tokens, channels, taps);
      Matrix<TestType> whole(tokens, channels), pieces(tokens, channels), whole_tail = in.tail, tail = in.tail;
      kernels::causal_convolution(in.x.view(), in.tail.view(), in.transposed.view(), in.bias.vector(), whole.view());
      kernels::advance_tail(in.x.view(), whole_tail.view());
      for (const auto& [begin, count] : {std::pair{Index{0}, first}, std::pair{first, tokens - first}}) {
        const auto x = in.x.view().rows(begin, count);
        kernels::causal_convolution(x, tail.view(), in.transposed.view(), in.bias.vector(),
                                    pieces.view().rows(begin, count));
        kernels::advance_tail(x, tail.view());
      }
      CHECK(numbers::same_bits(pieces, whole));
      CHECK(numbers::same_bits(tail, whole_tail));
      if (taps > 1) CHECK(numbers::same_bits(whole_tail.view(), in.x.view().rows(tokens - taps + 1, taps - 1)));
      CHECK(tail.gaps_untouched());
    }
}

TEST_CASE("a tail longer than a call keeps its newest rows, oldest first") {
  const Matrix<double> x(2, 3, "x"), before(4, 3, "tail");
  Matrix<double> tail = before;
  kernels::advance_tail(x.view(), tail.view());
  CHECK(numbers::same_bits(tail.view().rows(0, 2), before.view().rows(2, 2)));
  CHECK(numbers::same_bits(tail.view().rows(2, 2), x.view()));
}

TEST_CASE("backward of a causal convolution and of its tail is the gradient of both") {
  const Index channels = 5;
  for (const Index taps : tap_counts)
    for (const Index tokens : token_counts) {
      Inputs<double> in(tokens, channels, taps);
      Matrix<double> d_x(tokens, channels, "stale"), d_tail = in.d_tail, d_weights(taps, channels), d_bias(1, channels);
      Matrix<double> y(tokens, channels);
      kernels::causal_convolution_backward(in.x.view(), in.tail.view(), std::as_const(in.transposed).view(),
                                           in.d_y.view(), d_x.view(), {}, d_weights.view(), d_bias.vector());
      kernels::advance_tail_backward(tokens, d_x.view(), d_tail.view());
      kernels::causal_convolution_backward(in.x.view(), in.tail.view(), std::as_const(in.transposed).view(),
                                           in.d_y.view(), {}, d_tail.view(), {}, {}, kernels::Output::accumulate);
      const auto loss = [&] {
        Matrix<double> tail = in.tail;
        in.transpose();
        kernels::causal_convolution(in.x.view(), in.tail.view(), in.transposed.view(), in.bias.vector(), y.view());
        kernels::advance_tail(in.x.view(), tail.view());
        return numbers::inner_product(y, in.d_y) + numbers::inner_product(tail, in.d_tail);
      };
      Matrix<double> d_weight(channels, taps);
      kernels::transpose(std::as_const(d_weights).view(), d_weight.view());
      numbers::check_gradient(in.x, d_x, loss);
      numbers::check_gradient(in.tail, d_tail, loss);
      numbers::check_gradient(in.weight, d_weight, loss);
      numbers::check_gradient(in.bias, d_bias, loss);
      CHECK((d_x.gaps_untouched() && d_tail.gaps_untouched()));
    }
}

TEMPLATE_TEST_CASE("backward of a causal convolution: packs, assignment and accumulation", "", float, double) {
  for (const Index taps : tap_counts)
    for (const Index tokens : token_counts) {
      const Index channels = 19;
      const Inputs<TestType> in(tokens, channels, taps);
      const Matrix<TestType> stale_x(tokens, channels, "stale x"), stale_tail(taps - 1, channels, "stale tail");
      const Matrix<TestType> stale_weights(taps, channels, "stale weights"), stale_bias(1, channels, "stale bias");
      struct Gradients {
        Matrix<TestType> x, tail, weights, bias;
      };
      const Gradients stale{stale_x, stale_tail, stale_weights, stale_bias};
      const auto run = [&](auto arch, kernels::Output output) {
        Gradients d = stale;
        kernels::causal_convolution_backward<decltype(arch)>(in.x.view(), in.tail.view(), in.transposed.view(),
                                                             in.d_y.view(), d.x.view(), d.tail.view(), d.weights.view(),
                                                             d.bias.vector(), output);
        return d;
      };
      const Gradients assigned = run(simd::Native(), kernels::Output::assign);
      const Gradients added = run(simd::Native(), kernels::Output::accumulate);
      const Gradients generic = run(simd::Generic(), kernels::Output::assign);
      CHECK(numbers::same_bits(assigned.x, generic.x));
      CHECK(numbers::same_bits(assigned.tail, generic.tail));
      CHECK(numbers::same_bits(assigned.weights, generic.weights));
      CHECK(numbers::same_bits(assigned.bias, generic.bias));
      CHECK(numbers::same_bits(assigned.weights, added.weights));
      Matrix<TestType> sum_x = assigned.x, sum_tail = assigned.tail;
      for (Index c = 0; c < channels; ++c) {
        for (Index t = 0; t < tokens; ++t) sum_x(t, c) += stale.x(t, c);
        for (Index i = 0; i + 1 < taps; ++i) sum_tail(i, c) += stale.tail(i, c);
      }
      const double bound = numbers::rounding<TestType>(taps, 4 + static_cast<double>(taps) * 16);
      CHECK(numbers::difference(added.x, sum_x) <= bound);
      CHECK(numbers::difference(added.tail, sum_tail) <= bound);
      Matrix<TestType> zero_weights(taps, channels), zero_bias(1, channels);
      kernels::causal_convolution_backward(in.x.view(), in.tail.view(), in.transposed.view(), in.d_y.view(), {}, {},
                                           zero_weights.view(), zero_bias.vector());
      for (Index c = 0; c < channels; ++c) {
        for (Index j = 0; j < taps; ++j) zero_weights(j, c) += stale.weights(j, c);
        zero_bias(0, c) += stale.bias(0, c);
      }
      const double sum_bound = numbers::rounding<TestType>(tokens, 4 + static_cast<double>(tokens) * 16);
      CHECK(numbers::difference(zero_weights, added.weights) <= sum_bound);
      CHECK(numbers::difference(zero_bias, added.bias) <= sum_bound);
    }
}

TEST_CASE("a causal convolution from zeros gives the golden values and gradients") {
  const numbers::Golden golden("causal_conv");
  const auto x = golden.matrix("x"), d_y = golden.matrix("d_y"), bias = golden.matrix("bias");
  const auto weight = golden.matrix("weight");
  const Index channels = x.view().columns(), tokens = golden.tokens("x"), taps = weight.view().columns();
  Matrix<double> y = x, d_x = x, weights(taps, channels), d_weights(taps, channels), d_bias(1, channels);
  const Matrix<double> tail(taps - 1, channels);
  kernels::transpose(weight.view(), weights.view());
  for (Index first = 0; first < x.view().rows(); first += tokens) {
    const auto part = x.view().rows(first, tokens);
    kernels::causal_convolution(part, tail.view(), weights.view(), bias.vector(), y.view().rows(first, tokens));
    kernels::causal_convolution_backward(part, tail.view(), std::as_const(weights).view(),
                                         d_y.view().rows(first, tokens), d_x.view().rows(first, tokens), {},
                                         d_weights.view(), d_bias.vector());
  }
  Matrix<double> d_weight = weight;
  kernels::transpose(std::as_const(d_weights).view(), d_weight.view());
  golden.check_value("y", y);
  golden.check_gradient("grad.x", d_x);
  golden.check_gradient("grad.weight", d_weight);
  golden.check_gradient("grad.bias", d_bias);
}
