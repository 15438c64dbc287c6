// SPDX-License-Identifier: MIT
/// @file
/// The conformance suite of TrainableSequenceLayer: the contracts of the library, checked on any model of the concept.
/// A layer's own test chooses C, H, D, K all different, writes the layer's formula in plain loops and calls
/// `suites::check_sequence_layer(Layer(config), suites::LayerCase{.mini_batch = K, .formula = formula})`.
///
/// Every check returns a Report, so that the suite can be tested itself: on layers that break one contract each.
#pragma once

#include <numeric>
#include <type_traits>

#include "suites/contracts.hpp"
#include "suites/layer_runs.hpp"
#include "suites/rollback.hpp"
#include "support/allocation_hook.hpp"
#include "support/central_difference.hpp"
#include "ttt/layers/any_sequence_layer.hpp"

namespace ttt::suites {

template <TrainableSequenceLayer Layer>
class SequenceLayerSuite {
 public:
  using Runs = LayerRuns<Layer>;
  using Scalar = typename Layer::Scalar;
  using State = typename Layer::State;
  using Parameters = typename Layer::Parameters;
  using Record = typename Layer::Record;
  using Matrix = testing::Matrix<Scalar>;

  explicit SequenceLayerSuite(const Layer& layer, const LayerCase& options = {}) : runs_(layer, options) {}

  /// The outputs are those of the formula that the case tells.
  Report formula() const;

  /// Contract 1: any pieces give the outputs, states and gradients of one pass.
  Report split_invariance() const;

  /// A State can be copied at any moment, and the copy is independent; so is one that is grown.
  Report state_is_a_value() const;

  /// A State that is reset is one that has read nothing, whatever it has read before, wiped or not; nothing is
  /// allocated.
  Report reset() const;

  /// A StateHistory goes back by as many tokens as it keeps, drafts that are rejected leave no bit behind, and neither
  /// allocates.
  Report rollback() const;

  /// Contract 2: every parameter, input and initial state by central differences, in double.
  Report gradients();

  /// Gradients are added, d_x is assigned; what is not wanted is left out and changes no bit of the rest.
  Report optional_gradients() const;

  /// Contract 3: a token does not change the outputs before it, bit for bit.
  Report causality() const;

  /// … also where it is NaN, infinite or overflows: rows before it and other sequences keep their bits, one pass and
  /// streaming agree behind it, and a gradient that is not finite does not go forward.
  Report non_finite_values() const;

  /// Documents in one row: a reset is a fresh start, and pieces of one stream in one call are one pass.
  Report documents() const;

  /// Contract 4: the same bits for 1, 2 and 3 threads, and with statistics on or off.
  Report threads() const;

  /// Contract 4: the same bits whatever else is in the call.
  Report segments() const;

  /// Rows of other people's matrices: strides, no alignment, and not a value beyond the columns.
  Report views() const;

  /// Contract 5: once State and Context exist, decoding allocates nothing; no call warms anything up.
  Report decode_allocations() const;

  /// The sizes that a layer tells.
  Report memory() const;

 private:
  /// Rows that a layer may take through its steps in several pieces, fewer of them the more threads there are.
  static constexpr Index several_pieces = 400;

  Index K() const { return runs_.mini_batch(); }
  Index width() const { return runs_.layer().width(); }
  static std::int64_t position(const State& state) { return state.position; }
  static Index total(const typename Runs::Starts& starts) {
    return std::accumulate(starts.begin(), starts.end(), Index{0},
                           [](Index sum, const auto& s) { return sum + s.length; });
  }

  /// Sequences of many lengths in many phases, new and old; over and over until they have `least` rows.
  typename Runs::Starts many_starts(Index least = 1) const {
    typename Runs::Starts starts;
    const Index k = K();
    Index read = 0;
    do {
      for (const Index length :
           {Index{0}, Index{1}, Index{2}, k - 1, k, k + 1, 3 * k + 2, 2 * k, Index{1}, 2 * k + 1}) {
        starts.push_back({length, runs_.after(read), read % 4 == 3});
        read = (read + 1) % (k + 2);
      }
    } while (total(starts) < least);
    return starts;
  }

  void same(Report& report, const std::string& where, const Matrix& actual, const Matrix& expected) const {
    report.same_bits(where, testing::parts_of(actual.view(), "y"), testing::parts_of(expected.view(), "y"));
  }
  void same(Report& report, const std::string& where, const Outcome<Layer>& actual,
            const Outcome<Layer>& expected) const {
    same(report, where, actual.y, expected.y);
    report.same_bits(where, testing::parts_of(actual.d_x.view(), "d_x"), testing::parts_of(expected.d_x.view(), "d_x"));
    report.same_bits(where + ": gradient", testing::parts_of_parameters(actual.gradients.views()),
                     testing::parts_of_parameters(expected.gradients.views()));
    for (std::size_t i = 0; i < expected.states.size(); ++i) {
      report.expect(actual.states[i] == expected.states[i], where + ": state " + std::to_string(i) + " differs");
      report.same_bits(where + ": d_state " + std::to_string(i), testing::parts_of_state(actual.d_states[i]),
                       testing::parts_of_state(expected.d_states[i]));
    }
  }
  void close(Report& report, const std::string& where, const Outcome<Layer>& actual,
             const Outcome<Layer>& expected) const {
    constexpr double values = value_tolerance<Scalar>, gradients = gradient_tolerance<Scalar>;
    report.close(where, testing::parts_of(actual.y.view(), "y"), testing::parts_of(expected.y.view(), "y"), values);
    report.close(where + ": state", testing::parts_of_state(actual.states[0]),
                 testing::parts_of_state(expected.states[0]), values);
    report.expect(position(actual.states[0]) == position(expected.states[0]), where + ": the position differs");
    report.close(where, testing::parts_of(actual.d_x.view(), "d_x"), testing::parts_of(expected.d_x.view(), "d_x"),
                 gradients);
    report.close(where + ": gradient", testing::parts_of_parameters(actual.gradients.views()),
                 testing::parts_of_parameters(expected.gradients.views()), gradients);
    report.close(where + ": d_state", testing::parts_of_state(actual.d_states[0]),
                 testing::parts_of_state(expected.d_states[0]), gradients);
  }

  /// `start` reads x with one number of row t replaced: at once, with a Record, and token by token.
  void poisoned_token(Report& report, const State& start, const Matrix& x, Index t, Scalar poison) const;

  /// A sequence between two others is poisoned.
  void poisoned_neighbour(Report& report) const;

  /// A row of d_y is poisoned.
  void poisoned_gradient(Report& report) const;

  /// Token by token without a Record, as decoding does.
  void decode_agrees(Report& report, const Start<State>& start, MatrixView<const Scalar> x,
                     const Outcome<Layer>& whole) const;

  /// Random pieces, empty ones among them, of a sequence that starts with a reset.
  void many_way_splits(Report& report, Index length, const Matrix& x, const Matrix& d_y) const;

  /// With room for more tokens it reads on as before.
  void grows(Report& report, const std::string& where, const State& saved) const;

  double loss(const typename Runs::Starts& starts, const Matrix& x, const Matrix& d_y,
              const std::vector<State>& cotangents, Context& context) const;

  void parameter_gradients(Report& report, FunctionRef<double()> loss, const Outcome<Layer>& analytic);

  /// Only where `used` is not zero, unless it is empty.
  void compare_gradient(Report& report, const std::string& name, const std::vector<double>& analytic,
                        const std::vector<double>& used, FunctionRef<double&(Index)> place,
                        FunctionRef<double()> loss) const;

  /// Everything but tensor `left_out` keeps its bits; with an index past the end, no tensor is wanted at all.
  void unwanted_gradient(Report& report, const Start<State>& start, const Matrix& x, const Matrix& d_y,
                         const Outcome<Layer>& all, const testing::Parts<Scalar>& expected, std::size_t left_out) const;

  /// No span of state gradients, and a null entry, mean zero.
  void no_state_gradient(Report& report, const Matrix& x, const Matrix& d_y) const;

  /// Two documents on one State equal two sequences of their own.
  void two_documents(Report& report, Index first, Index second) const;

  /// Adjacent segments on one State, without a reset, are one pass: also their gradients, wanted at the border or not.
  void one_stream(Report& report, Index first, Index second) const;

  Runs runs_;
};

}  // namespace ttt::suites

#include "suites/sequence_layer/calls.hpp"
#include "suites/sequence_layer/documents.hpp"
#include "suites/sequence_layer/gradients.hpp"
#include "suites/sequence_layer/non_finite.hpp"
#include "suites/sequence_layer/values.hpp"

namespace ttt::suites {

/// All checks; those of gradients by differences only in double.
template <TrainableSequenceLayer Layer>
void check_layer_as_it_is(const Layer& layer, const LayerCase& options = {}) {
  SequenceLayerSuite<Layer> suite(layer, options);
  if (options.formula) require(suite.formula());
  require(suite.split_invariance());
  require(suite.state_is_a_value());
  require(suite.reset());
  require(suite.rollback());
  if constexpr (std::is_same_v<typename Layer::Scalar, double>) require(suite.gradients());
  require(suite.optional_gradients());
  require(suite.causality());
  require(suite.non_finite_values());
  require(suite.documents());
  require(suite.threads());
  require(suite.segments());
  require(suite.views());
  require(suite.decode_allocations());
  require(suite.memory());
}

/// The same through an AnySequenceLayer, so that it is compiled once (support/compiled_suites.cpp) and not for each
/// layer: every call reaches the layer inside.
template <class Scalar>
void check_any_layer(const AnySequenceLayer<Scalar>& layer, const LayerCase& options) {
  check_layer_as_it_is(layer, options);
}
extern template void check_any_layer(const AnySequenceLayer<float>&, const LayerCase&);
extern template void check_any_layer(const AnySequenceLayer<double>&, const LayerCase&);

template <TrainableSequenceLayer Layer>
void check_sequence_layer(const Layer& layer, const LayerCase& options = {}) {
  check_any_layer(AnySequenceLayer(layer), options);
}

}  // namespace ttt::suites
