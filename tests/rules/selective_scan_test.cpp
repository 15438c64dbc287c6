// SPDX-License-Identifier: MIT
#include "ttt/rules/selective_scan/selective_scan.hpp"

#include "rules/delta_sequence.hpp"
#include "rules/selective_scan_model.hpp"
#include "suites/sequence_rule.hpp"
#include "support/denormals.hpp"

using namespace ttt;
using rule_tests::ScanModel;
using testing::Matrix;
using testing::random_matrix;

namespace {

/// Reads on from `state`.
template <class Scalar>
Matrix<Scalar> scan(const rules::ScanRows<const Scalar>& rows, const Matrix<Scalar>& rates, Matrix<Scalar>& state) {
  Matrix<Scalar> out(rows.tokens(), rows.channels(), Scalar(777));
  rules::selective_scan<simd::Native, Scalar>(rows, rates.view(), state.view(), out.view(), {});
  return out;
}

}  // namespace

TEMPLATE_TEST_CASE("a selective scan keeps the contracts of a rule", "[rules][selective_scan]", float, double) {
  suites::check_sequence_rule(ScanModel<TestType>(6, 4));
  suites::check_sequence_rule(ScanModel<TestType>(19, 5));
}

TEMPLATE_TEST_CASE("a selective scan is its recurrence, whatever the widths", "[rules][selective_scan]", float,
                   double) {
  for (const Index channels : {1, 5, 8, 19, 64})
    for (const Index states : {1, 3, 16}) {
      INFO(channels << " channels, N " << states);
      suites::require(suites::SequenceRuleSuite<TestType>(ScanModel<TestType>(channels, states)).formula());
    }
}

TEMPLATE_TEST_CASE("pieces of a selective scan change no bit", "[rules][selective_scan]", float, double) {
  const auto x = random_matrix<TestType>(40, 19, 1), steps = random_matrix<TestType>(40, 19, 2, 0.1),
             input = random_matrix<TestType>(40, 5, 3), output = random_matrix<TestType>(40, 5, 4),
             rates = random_matrix<TestType>(5, 19, 5), start = random_matrix<TestType>(5, 19, 6);
  const rules::ScanRows<const TestType> rows{x.view(), steps.view(), input.view(), output.view()};
  auto whole_state = start;
  const auto whole = scan<TestType>(rows, rates, whole_state);
  for (const Index cut : {1, 16, 39}) {
    auto state = start;
    Matrix<TestType> out(40, 19, TestType(777));
    copy(scan<TestType>(rows.rows(0, cut), rates, state).view(), out.rows(0, cut));
    copy(scan<TestType>(rows.rows(cut, 40 - cut), rates, state).view(), out.rows(cut, 40 - cut));
    CHECK((out == whole && state == whole_state));
  }
}

TEST_CASE("a selective scan with one rate for all is gated linear attention", "[rules][selective_scan]") {
  // q = C, c = B, v = Δ x, g = Δ a.
  constexpr Index tokens = 50, channels = 12, states = 8;
  const auto x = random_matrix<double>(tokens, channels, 1), input = random_matrix<double>(tokens, states, 3),
             output = random_matrix<double>(tokens, states, 4);
  const Matrix<double> rates(states, channels, -0.7);
  Matrix<double> steps(tokens, channels), decay(tokens, 1), values(tokens, channels);
  for (Index t = 0; t < tokens; ++t) {
    const double step = 0.1 * static_cast<double>(1 + t % 7);
    decay(t, 0) = -0.7 * step;
    for (Index c = 0; c < channels; ++c) {
      steps(t, c) = step;
      values(t, c) = step * x(t, c);
    }
  }
  auto scanned_state = random_matrix<double>(states, channels, 6), state = scanned_state;
  const auto scanned = scan<double>({x.view(), steps.view(), input.view(), output.view()}, rates, scanned_state);
  Matrix<double> out(tokens, channels);
  Arena scratch;
  rules::delta_forward<simd::Native, double>({output.view(), {}, input.view(), values.view(), decay.view()},
                                             state.view(), out.view(), {}, scratch);
  CHECK(delta_tests::difference(out, scanned) <= 1e-13);
  CHECK(delta_tests::difference(state, scanned_state) <= 1e-13);
}

TEST_CASE("numbers that decay to nothing are zero, never denormal", "[rules][selective_scan]") {
  const auto x = random_matrix<float>(1, 9, 1), output = random_matrix<float>(1, 16, 4);
  const Matrix<float> steps(1, 9, 1.0F), input(1, 16), rates(16, 9, -86.0F);
  auto state = random_matrix<float>(16, 9, 6);
  auto out = scan<float>({x.view(), steps.view(), input.view(), output.view()}, rates, state);
  for (const auto* part : {&out, &state}) CHECK(testing::denormals(testing::parts_of(part->view(), "")[0].values) == 0);
}
