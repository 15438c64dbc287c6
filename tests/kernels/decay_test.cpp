// SPDX-License-Identifier: MIT
#include "ttt/kernels/decay.hpp"

#include <cmath>

#include "kernels/numbers.hpp"

using namespace ttt;
using numbers::Matrix;

namespace {

constexpr Index rows = 3;

template <class Scalar>
struct Inputs {
  Inputs(Index heads, Index group)
      : a(rows, heads * group, "a", 2), bias(1, heads * group, "bias"), log_rate(1, heads, "rate") {}
  Matrix<Scalar> a, bias, log_rate;
};

constexpr kernels::StepLimits<double> limits{0.3, 1.5};  // of which many steps are beyond

double step_of(double argument) {
  return std::clamp(std::max(0.0, argument) + std::log1p(std::exp(-std::abs(argument))), limits.smallest,
                    limits.largest);
}

}  // namespace

TEMPLATE_TEST_CASE("step widths and decays are their formulas, a rate for each column or for several, on every pack",
                   "", float, double) {
  const kernels::StepLimits<TestType> bounds{static_cast<TestType>(limits.smallest),
                                             static_cast<TestType>(limits.largest)};
  for (const Index heads : {1, 5, 16})
    for (const Index group : {1, 4, 11}) {
      const Inputs<TestType> in(heads, group);
      Matrix<TestType> steps = in.a, decay = in.a, generic_steps = in.a, generic = in.a, only(rows, heads * group);
      kernels::decay_rows(in.a.view(), in.bias.vector(), in.log_rate.vector(), bounds, steps.view(), decay.view());
      kernels::decay_rows<simd::Generic>(in.a.view(), in.bias.vector(), in.log_rate.vector(), bounds,
                                         generic_steps.view(), generic.view());
      Matrix<double> expected_steps(rows, heads * group), expected = expected_steps;
      for (Index r = 0; r < rows; ++r)
        for (Index c = 0; c < heads * group; ++c) {
          expected_steps(r, c) = step_of(static_cast<double>(in.a(r, c) + in.bias(0, c)));
          expected(r, c) = -std::exp(static_cast<double>(in.log_rate(0, c / group))) * expected_steps(r, c);
        }
      CHECK(numbers::difference(steps, expected_steps) <= numbers::rounding<TestType>(2, limits.largest));
      CHECK(numbers::difference(decay, expected) <= numbers::rounding<TestType>(4, numbers::largest(expected)));
      CHECK(numbers::same_bits(steps, generic_steps));
      CHECK(numbers::same_bits(decay, generic));
      CHECK((steps.gaps_untouched() && decay.gaps_untouched()));
      kernels::decay_rows(in.a.view(), in.bias.vector(), {}, bounds, only.view(), MatrixView<TestType>());
      CHECK(numbers::same_bits(only, steps));
      Matrix<TestType> in_place = in.a;
      kernels::decay_rows(in_place.view(), in.bias.vector(), in.log_rate.vector(), bounds, {}, in_place.view());
      CHECK(numbers::same_bits(in_place, decay));
    }
}

TEMPLATE_TEST_CASE("rates of a scan are their formula, transposed, on every pack", "", float, double) {
  for (const Index channels : {1, 5, 64})
    for (const Index states : {1, 3, 16}) {
      const Matrix<TestType> log_rate(channels, states, "log rate", 2);
      Matrix<TestType> rates(states, channels), generic = rates;
      kernels::scan_rates(log_rate.view(), rates.view());
      kernels::scan_rates<simd::Generic>(log_rate.view(), generic.view());
      Matrix<double> expected(states, channels);
      for (Index c = 0; c < channels; ++c)
        for (Index n = 0; n < states; ++n) expected(n, c) = -std::exp(static_cast<double>(log_rate(c, n)));
      CHECK(numbers::difference(rates, expected) <= numbers::rounding<TestType>(2, numbers::largest(expected)));
      CHECK(numbers::same_bits(rates, generic));
      CHECK(rates.gaps_untouched());
    }
}

TEST_CASE("decays far from zero are finite, and exactly zero where nothing is forgotten") {
  Matrix<float> a(1, 4), decay(1, 4), steps(1, 4);
  const Matrix<float> zero(1, 4);
  a(0, 0) = -1e4F, a(0, 1) = -100, a(0, 2) = 100, a(0, 3) = 1e4F;
  kernels::decay_rows(a.view(), zero.vector(), zero.vector(), {}, steps.view(), decay.view());
  for (const Index c : {0, 1}) CHECK((steps(0, c) == 0 && decay(0, c) == 0));
  for (const Index c : {2, 3}) CHECK((steps(0, c) == a(0, c) && decay(0, c) == -a(0, c)));
  Matrix<float> d(1, 4), d_a(1, 4);
  fill(d.view(), 1);
  kernels::decay_rows_backward(a.view(), zero.vector(), zero.vector(), {}, {}, d.view(), d_a.view(), {}, {});
  for (Index c = 0; c < 4; ++c) CHECK(d_a(0, c) == (c < 2 ? 0 : -1));
}

TEST_CASE("backward of step widths and decays is their gradient") {
  for (const Index group : {1, 4}) {
    const Index heads = 5, columns = heads * group;
    Inputs<double> in(heads, group);
    Matrix<double> steps(rows, columns), decay = steps, d_a = steps, d_bias(1, columns), d_rate(1, heads);
    const Matrix<double> d_steps(rows, columns, "d_steps"), d_decay(rows, columns, "d_decay");
    kernels::decay_rows_backward(in.a.view(), in.bias.vector(), in.log_rate.vector(), limits, d_steps.view(),
                                 d_decay.view(), d_a.view(), d_bias.vector(), d_rate.vector());
    const auto loss = [&] {
      kernels::decay_rows(in.a.view(), in.bias.vector(), in.log_rate.vector(), limits, steps.view(), decay.view());
      return numbers::inner_product(steps, d_steps) + numbers::inner_product(decay, d_decay);
    };
    numbers::check_gradient(in.a, d_a, loss);
    numbers::check_gradient(in.bias, d_bias, loss);
    numbers::check_gradient(in.log_rate, d_rate, loss);
    Index beyond = 0;
    for (Index c = 0; c < columns; ++c) beyond += d_a(0, c) == 0;
    CHECK((beyond > 0 && beyond < columns));
  }
}

TEMPLATE_TEST_CASE("backward of step widths and decays: packs, aliases, what is zero or not wanted", "", float,
                   double) {
  for (const Index group : {1, 9}) {
    const Index heads = 19, columns = heads * group;
    const Inputs<TestType> in(heads, group);
    const Matrix<TestType> d_decay(rows, columns, "d_decay"), zero(rows, columns), before(1, columns, "before");
    Matrix<TestType> d_a(rows, columns), generic = d_a, in_place = d_decay, d_bias = before, d_rate(1, heads, "rate");
    Matrix<TestType> generic_bias = before, generic_rate = d_rate;
    const auto run = [&](auto arch, MatrixView<const TestType> steps, MatrixView<const TestType> decay,
                         MatrixView<TestType> to, VectorView<TestType> to_bias, VectorView<TestType> to_rate) {
      kernels::decay_rows_backward<decltype(arch)>(in.a.view(), in.bias.vector(), in.log_rate.vector(), {}, steps,
                                                   decay, to, to_bias, to_rate);
    };
    run(simd::Native(), zero.view(), d_decay.view(), d_a.view(), d_bias.vector(), d_rate.vector());
    run(simd::Generic(), {}, d_decay.view(), generic.view(), generic_bias.vector(), generic_rate.vector());
    run(simd::Native(), {}, in_place.view(), in_place.view(), {}, {});
    CHECK(numbers::same_bits(d_a, generic));
    CHECK(numbers::same_bits(d_a, in_place));
    CHECK(numbers::same_bits(d_bias, generic_bias));
    const double bound = numbers::rounding<TestType>(rows * group, 10 * numbers::largest(d_rate));
    CHECK(numbers::difference(d_rate, generic_rate) <= bound);
    CHECK((d_a.gaps_untouched() && d_bias.gaps_untouched() && d_rate.gaps_untouched()));
    run(simd::Native(), zero.view(), {}, d_a.view(), d_bias.vector(), generic_rate.vector());
    CHECK(numbers::largest(d_a) == 0);
    CHECK(numbers::same_bits(d_bias, generic_bias));
  }
}
