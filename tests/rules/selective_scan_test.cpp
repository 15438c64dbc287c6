// SPDX-License-Identifier: MIT
#include "ttt/rules/selective_scan/selective_scan.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "rules/delta_sequence.hpp"
#include "support/allocation_hook.hpp"
#include "support/catch.hpp"
#include "support/central_difference.hpp"
#include "support/compare.hpp"
#include "support/denormals.hpp"
#include "support/random_matrix.hpp"
#include "ttt/rules/delta/delta.hpp"

using namespace ttt;
using delta_tests::difference;
using testing::Matrix;
using testing::random_matrix;

namespace {

/// Channels of a sequence, or the gradients of all that they read.
template <class Scalar>
struct Sequence {
  Matrix<Scalar> values, steps, input, output, rates, state;

  rules::ScanRows<Scalar> rows() { return {values.view(), steps.view(), input.view(), output.view()}; }
  std::array<Matrix<Scalar>*, 6> parts() { return {&values, &steps, &input, &output, &rates, &state}; }
  static constexpr std::array names{"x", "step", "B", "C", "A", "h"};
};

template <class Scalar>
Sequence<Scalar> random_sequence(Index tokens, Index channels, Index states, double strength = 1) {
  Sequence<Scalar> s{random_matrix<Scalar>(tokens, channels, 1),
                     random_matrix<Scalar>(tokens, channels, 2, 0.5),
                     random_matrix<Scalar>(tokens, states, 3),
                     random_matrix<Scalar>(tokens, states, 4),
                     random_matrix<Scalar>(states, channels, 5, strength),
                     random_matrix<Scalar>(states, channels, 6)};
  for (Index t = 0; t < tokens; ++t)
    for (Index c = 0; c < channels; ++c) s.steps(t, c) = std::abs(s.steps(t, c));
  for (Index n = 0; n < states; ++n)
    for (Index c = 0; c < channels; ++c) s.rates(n, c) = -std::abs(s.rates(n, c));
  return s;
}

template <class Scalar>
struct Result {
  Matrix<Scalar> out, state;
};

template <class Scalar>
Result<double> by_hand(const Sequence<Scalar>& s) {
  const Index tokens = s.values.rows(), channels = s.values.columns(), states = s.input.columns();
  Result<double> result{Matrix<double>(tokens, channels), Matrix<double>(states, channels)};
  for (Index c = 0; c < channels; ++c)
    for (Index n = 0; n < states; ++n) {
      double h = static_cast<double>(s.state(n, c));
      for (Index t = 0; t < tokens; ++t) {
        const auto step = static_cast<double>(s.steps(t, c));
        h = std::exp(step * static_cast<double>(s.rates(n, c))) * h +
            step * static_cast<double>(s.values(t, c)) * static_cast<double>(s.input(t, n));
        result.out(t, c) += static_cast<double>(s.output(t, n)) * h;
      }
      result.state(n, c) = h;
    }
  return result;
}

template <class Arch = simd::Native, class Scalar>
Result<Scalar> forward(Sequence<Scalar> s, rules::ScanCheckpoints<Scalar> checkpoints = {}) {
  Result<Scalar> result{Matrix<Scalar>(s.values.rows(), s.values.columns(), Scalar(777)), s.state};
  rules::selective_scan<Arch, Scalar>(s.rows(), s.rates.view(), result.state.view(), result.out.view(), checkpoints);
  return result;
}

/// Gradients of everything; those of the rates begin at 0.25, as they are added to.
template <class Arch = simd::Native, class Scalar>
Sequence<Scalar> backward(Sequence<Scalar> s, const Matrix<Scalar>& d_out, const Matrix<Scalar>& d_state,
                          Index interval = 7) {
  rules::ScanCheckpoints<Scalar> checkpoints{nullptr, interval};
  std::vector<Scalar> memory(
      static_cast<std::size_t>(checkpoints.size(s.values.rows(), s.state.rows(), s.state.columns())) + 1, Scalar(55));
  checkpoints.data = memory.data();
  forward<Arch>(s, checkpoints);
  Sequence<Scalar> d = s;
  for (auto* part : d.parts()) *part = Matrix<Scalar>(part->rows(), part->columns(), Scalar(777));
  d.rates = Matrix<Scalar>(s.rates.rows(), s.rates.columns(), Scalar(0.25));
  d.state = d_state;
  Arena scratch;
  rules::selective_scan_backward<Arch, Scalar>(s.rows(), s.rates.view(), checkpoints, d_out.view(), d.state.view(),
                                               d.rows(), d.rates.view(), scratch);
  return d;
}

}  // namespace

TEMPLATE_TEST_CASE("a selective scan is its recurrence", "[rules][selective_scan]", float, double) {
  const double tolerance = std::is_same_v<TestType, double> ? 1e-13 : 1e-5;
  for (const Index channels : {1, 5, 8, 19, 64})
    for (const Index states : {1, 3, 16})
      for (const Index tokens : {0, 1, 2, 33}) {
        INFO(channels << " channels, N " << states << ", T " << tokens);
        const auto s = random_sequence<TestType>(tokens, channels, states);
        const auto expected = by_hand(s);
        for (const auto& result : {forward(s), forward<simd::Generic>(s)}) {
          CHECK(difference(result.out, expected.out) <= tolerance);
          CHECK(difference(result.state, expected.state) <= tolerance);
        }
      }
}

TEST_CASE("gradients of a selective scan", "[rules][selective_scan]") {
  for (const Index tokens : {1, 7, 20}) {
    INFO("T " << tokens);
    auto s = random_sequence<double>(tokens, 6, 4);
    const auto d_out = random_matrix<double>(tokens, 6, 11), d_state = random_matrix<double>(4, 6, 12);
    auto d = backward(s, d_out, d_state);
    const auto loss = [&] {
      const auto result = forward(s);
      double sum = 0;
      for (Index c = 0; c < 6; ++c) {
        for (Index t = 0; t < tokens; ++t) sum += result.out(t, c) * d_out(t, c);
        for (Index n = 0; n < 4; ++n) sum += result.state(n, c) * d_state(n, c);
      }
      return sum;
    };
    for (std::size_t i = 0; i < s.names.size(); ++i) {
      INFO(s.names[i]);
      auto& input = *s.parts()[i];
      const double before = std::string(s.names[i]) == "A" ? 0.25 : 0;
      double largest = 1, worst = 0;
      for (const Index index : testing::sample_indices(input.rows() * input.columns(), 30, 30, 9)) {
        const double gradient = d.parts()[i]->view().data()[index] - before;
        largest = std::max(largest, std::abs(gradient));
        const double numeric = testing::central_difference(loss, input.view().data()[index]);
        worst = std::max(worst, std::abs(numeric - gradient));
      }
      CHECK(worst <= 1e-7 * largest);
    }
  }
}

TEMPLATE_TEST_CASE("pieces and checkpoints of a selective scan change no bit", "[rules][selective_scan]", float,
                   double) {
  auto s = random_sequence<TestType>(40, 19, 5);
  const auto whole = forward(s);
  for (const Index cut : {1, 16, 39}) {
    auto state = s.state;
    Matrix<TestType> out(40, 19, TestType(777));
    rules::selective_scan<simd::Native, TestType>(s.rows().rows(0, cut), s.rates.view(), state.view(), out.rows(0, cut),
                                                  {});
    rules::selective_scan<simd::Native, TestType>(s.rows().rows(cut, 40 - cut), s.rates.view(), state.view(),
                                                  out.rows(cut, 40 - cut), {});
    CHECK((out == whole.out && state == whole.state));
  }
  const auto d_out = random_matrix<TestType>(40, 19, 11), d_state = random_matrix<TestType>(5, 19, 12);
  auto expected = backward(s, d_out, d_state, 40);
  for (const Index interval : {1, 7, 16}) {
    auto d = backward(s, d_out, d_state, interval);
    for (std::size_t i = 0; i < s.names.size(); ++i) CHECK(*d.parts()[i] == *expected.parts()[i]);
  }
}

TEST_CASE("a selective scan with one rate for all is gated linear attention", "[rules][selective_scan]") {
  // q = C, c = B, v = Δ x, g = Δ a.
  constexpr Index tokens = 50, channels = 12, states = 8;
  auto s = random_sequence<double>(tokens, channels, states);
  Matrix<double> decay(tokens, 1), values(tokens, channels), state = s.state, out(tokens, channels);
  for (Index n = 0; n < states; ++n)
    for (Index c = 0; c < channels; ++c) s.rates(n, c) = -0.7;
  for (Index t = 0; t < tokens; ++t) {
    decay(t, 0) = -0.7 * s.steps(t, 0);
    for (Index c = 0; c < channels; ++c) {
      s.steps(t, c) = s.steps(t, 0);
      values(t, c) = s.steps(t, c) * s.values(t, c);
    }
  }
  const auto scanned = forward(s);
  Arena scratch;
  rules::delta_forward<simd::Native, double>({s.output.view(), {}, s.input.view(), values.view(), decay.view()},
                                             state.view(), out.view(), {}, scratch);
  CHECK(difference(out, scanned.out) <= 1e-13);
  CHECK(difference(state, scanned.state) <= 1e-13);
}

TEMPLATE_TEST_CASE("rates of any strength leave finite numbers", "[rules][selective_scan]", float, double) {
  for (const double strength : {80.0, 1e4, 1e30}) {
    const auto s = random_sequence<TestType>(20, 9, 4, strength);
    const auto expected = by_hand(s);
    const double tolerance = std::is_same_v<TestType, double> ? 1e-12 : 1e-5;
    CHECK(difference(forward(s).out, expected.out) <= tolerance);
    auto d = backward(s, random_matrix<TestType>(20, 9, 11), random_matrix<TestType>(4, 9, 12));
    for (const auto* part : d.parts())
      for (Index r = 0; r < part->rows(); ++r)
        for (Index c = 0; c < part->columns(); ++c) CHECK(std::isfinite((*part)(r, c)));
  }
}

TEST_CASE("numbers that decay to nothing are zero, never denormal", "[rules][selective_scan]") {
  auto s = random_sequence<float>(1, 9, 16);
  s.input = Matrix<float>(1, 16);
  s.steps = Matrix<float>(1, 9, 1.0F);
  s.rates = Matrix<float>(16, 9, -86.0F);
  const auto result = forward(s);
  for (const auto* part : {&result.out, &result.state})
    CHECK(testing::denormals(testing::parts_of(part->view(), "")[0].values) == 0);
}

TEST_CASE("decoding with a selective scan allocates nothing", "[rules][selective_scan]") {
  auto s = random_sequence<float>(1, 64, 16);
  Matrix<float> out(1, 64);
  const auto before = testing::allocations();
  rules::selective_scan<simd::Native, float>(s.rows(), s.rates.view(), s.state.view(), out.view(), {});
  CHECK(testing::allocations() == before);
}
