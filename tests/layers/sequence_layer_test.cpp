// SPDX-License-Identifier: MIT
// The suite of layers is tested on layers that are right, and on layers that each break one contract.
#include "suites/sequence_layer.hpp"

#include "support/archetypes.hpp"
#include "support/decay_layer.hpp"

using ttt::Index;
using ttt::suites::LayerCase;
using ttt::suites::SequenceLayerSuite;
using ttt::testing::DecayLayer;
using ttt::testing::Flaw;
using ttt::testing::Report;

namespace {

constexpr Index width = 5, mini_batch = 4;

ttt::testing::Matrix<double> formula(const ttt::suites::NamedWeights& weights, const ttt::testing::Matrix<double>& x) {
  ttt::testing::Matrix<double> y(x.rows(), x.columns());
  for (Index c = 0; c < x.columns(); ++c) {
    double sum = weights["initial"](0, c);
    for (Index t = 0; t < x.rows(); ++t) {
      sum = weights["decay"](0, c) * sum + x(t, c);
      y(t, c) = sum + (t == 0 ? 0 : weights["shift"](0, c) * x(t - 1, c));
    }
  }
  return y;
}

const LayerCase layer_case{.mini_batch = mini_batch, .formula = formula};

Report run(const std::string& check, SequenceLayerSuite<DecayLayer<double>> suite) {
  if (check == "formula") return suite.formula();
  if (check == "split invariance") return suite.split_invariance();
  if (check == "state is a value") return suite.state_is_a_value();
  if (check == "reset") return suite.reset();
  if (check == "rollback") return suite.rollback();
  if (check == "gradients") return suite.gradients();
  if (check == "optional gradients") return suite.optional_gradients();
  if (check == "causality") return suite.causality();
  if (check == "non-finite values") return suite.non_finite_values();
  if (check == "documents") return suite.documents();
  if (check == "threads") return suite.threads();
  if (check == "segments") return suite.segments();
  if (check == "views") return suite.views();
  if (check == "decode allocations") return suite.decode_allocations();
  return suite.memory();
}

struct Broken {
  Flaw flaw;
  const char* check;
  const char* message;
};

}  // namespace

TEST_CASE("A sound layer passes the suite") {
  ttt::suites::check_layer_as_it_is(DecayLayer<double>(width), layer_case);
  ttt::suites::check_layer_as_it_is(DecayLayer<float>(width), layer_case);
  ttt::suites::check_layer_as_it_is(DecayLayer<double>(1), LayerCase{.mini_batch = 1});
}

TEST_CASE("The least layer passes the suite, which asks for no more than the concept") {
  ttt::suites::check_layer_as_it_is(ttt::testing::TrainableArchetype::make(), LayerCase{.mini_batch = mini_batch});
}

TEST_CASE("Every check of the suite finds the layer that breaks it") {
  const auto broken = GENERATE(
      Broken{Flaw::another_formula, "formula", "row 0"}, Broken{Flaw::forgets_last_token, "split invariance", "tokens"},
      Broken{Flaw::drops_position, "split invariance", "position"},
      Broken{Flaw::drops_record_of_last_token, "split invariance", "gradient: shift"},
      Broken{Flaw::renames_grown_part, "state is a value", "does not grow"},
      Broken{Flaw::reset_keeps_part, "reset", "differs from a new one"},
      Broken{Flaw::hides_writes, "rollback", "back 1: sum"},
      Broken{Flaw::wrong_parameter_gradient, "gradients", "d decay"},
      Broken{Flaw::reset_forgets_gradient, "gradients", "d initial"},
      Broken{Flaw::wrong_input_gradient, "gradients", "d x"},
      Broken{Flaw::wrong_state_gradient, "gradients", "d initial state last"},
      Broken{Flaw::assigns_gradients, "optional gradients", "added to other gradients"},
      Broken{Flaw::keeps_old_record, "optional gradients", "from a used record"},
      Broken{Flaw::unwanted_changes_others, "optional gradients", "without initial"},
      Broken{Flaw::writes_null_state_gradient, "optional gradients", "null state gradient"},
      Broken{Flaw::adds_input_gradient, "gradients", "d x"}, Broken{Flaw::looks_ahead, "causality", "y before it"},
      Broken{Flaw::ignores_input, "causality", "no output depends on it"},
      Broken{Flaw::multiplies_later_by_zero, "non-finite values", "rows before"},
      Broken{Flaw::multiplies_gradient_by_zero, "non-finite values", "d_x of later rows"},
      Broken{Flaw::hides_infinity, "non-finite values", "hides it"},
      Broken{Flaw::hides_infinity_of_last_token, "non-finite values", "token by token"},
      Broken{Flaw::ignores_reset, "documents", "documents of"},
      Broken{Flaw::reset_passes_gradient, "documents", "a reset lets the gradient"},
      Broken{Flaw::cuts_stream, "documents", "a stream of"}, Broken{Flaw::counts_workers, "threads", "2 threads"},
      Broken{Flaw::statistics_change_output, "threads", "with statistics"},
      Broken{Flaw::counts_segments, "segments", "tokens alone"},
      Broken{Flaw::writes_outside, "views", "outside of the columns"},
      Broken{Flaw::ignores_stride, "views", "with a stride"},
      Broken{Flaw::allocates, "decode allocations", "1 allocations"},
      Broken{Flaw::state_grows, "memory", "depends on the capacity"},
      Broken{Flaw::no_record_bytes, "memory", "record_bytes is 0"});
  const Report report =
      run(broken.check, SequenceLayerSuite<DecayLayer<double>>(DecayLayer<double>(width, broken.flaw), layer_case));
  INFO("flaw " << static_cast<int>(broken.flaw) << ", expected \"" << broken.message << "\"\n" << report.text());
  CHECK_FALSE(report.failures.empty());
  CHECK(std::any_of(report.failures.begin(), report.failures.end(),
                    [&](const std::string& failure) { return failure.find(broken.message) != std::string::npos; }));
}
