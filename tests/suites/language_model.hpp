// SPDX-License-Identifier: MIT
/// @file
/// The conformance suite of TrainableLanguageModel. `mini_batch` is the K of its layers; use a model whose sizes are
/// all different, so that a transposition cannot hide.
///
/// Every check returns a Report, so that the suite can be tested itself: on models that break one contract each.
#pragma once

#include <string>
#include <type_traits>
#include <vector>

#include "suites/contracts.hpp"
#include "suites/language_model/runs.hpp"
#include "suites/rollback.hpp"

namespace ttt::suites {

template <TrainableLanguageModel Model>
class LanguageModelSuite {
 public:
  using Runs = LanguageModelRuns<Model>;
  using Scalar = typename Runs::Scalar;
  using State = typename Runs::State;
  using Parameters = typename Runs::Parameters;
  using Record = typename Runs::Record;
  using Ids = typename Runs::Ids;
  using Matrix = typename Runs::Matrix;
  using Segments = typename Runs::Segments;
  using Store = typename Runs::Store;

  LanguageModelSuite(const Model& model, const LayerCase& options) : runs_(model, options) {}

  /// All checks; those of gradients by differences only in double.
  std::vector<Report> all() {
    std::vector<Report> reports{split_invariance(), saved_states(), rollback(),  causality(),
                                threads(),          batching(),     last_rows(), reset(),
                                losses(),           memory(),       bad_input(), non_finite_values()};
    if constexpr (std::is_same_v<Scalar, double>) {
      reports.push_back(loss_gradients());
      reports.push_back(logit_and_state_gradients(LogitRows::all));
      reports.push_back(logit_and_state_gradients(LogitRows::last));
    }
    return reports;
  }

  /// Contract 1, forward and backward: all two-way splits of 3K + 2 tokens, random many-way ones, one token at a time.
  Report split_invariance();

  /// A copy of the State taken at any position continues with the same bits, and equals itself only.
  Report saved_states();

  /// A StateHistory goes back by as many tokens as it keeps, drafts that are rejected leave no bit behind, and neither
  /// allocates.
  Report rollback();

  /// Contract 3: another token t leaves every row before t as it was, bit for bit, and changes row t.
  Report causality();

  /// … also where its embedding is NaN, infinite or overflows; one pass and streaming agree behind it, and other
  /// sequences keep their bits.
  Report non_finite_values();

  /// Contract 4: the same bits for 1, 2 and 3 threads, forward and backward.
  Report threads();

  /// Contract 4: segments of many lengths in one call against one call each, and against pieces of one stream.
  Report batching();

  /// LogitRows::last gives the bits of the last rows of LogitRows::all, and zeros where there is no row.
  Report last_rows();

  /// A segment with `reset` gives what a fresh State gives, whatever its State held.
  Report reset();

  /// The loss is that of the logits, row by row; its gradients are added to what is there.
  Report losses();

  /// Contract 5 and the promises about bytes: decoding allocates nothing, nor does a second training step.
  Report memory();

  /// Contract 6: an Error that names the input, and a State that has not moved.
  Report bad_input();

  /// Contract 2: every parameter by central differences of the loss over a reset segment and one that goes on.
  Report loss_gradients();

  /// Contract 2: parameters and initial states under Σ u ∘ logits + Σ w ∘ final state, random u and w.
  Report logit_and_state_gradients(LogitRows which);

 private:
  const Model& model() const { return runs_.model(); }
  const Parameters& parameters() const { return runs_.parameters(); }
  Index K() const { return runs_.mini_batch(); }
  Index tokens() const { return runs_.tokens(); }

  static void same(Report& report, const std::string& where, MatrixView<const Scalar> actual,
                   MatrixView<const Scalar> expected, const std::string& name = "logits") {
    report.same_bits(where, testing::parts_of(actual, name), testing::parts_of(expected, name));
  }
  static std::vector<Scalar> row(const Matrix& matrix, Index r) {
    return testing::parts_of(matrix.rows(r, 1), "row")[0].values;
  }

  /// Cross-entropy of one row in extended precision; 0 for an ignored target.
  static double reference_loss(const std::vector<Scalar>& logits, std::int64_t target);

  /// Two calls into one store give twice the gradients of `loss`, which is what they return.
  void gradients_add_up(Report& report, const Ids& ids, const Ids& targets, const Loss& loss);

  /// The embedding of token t is poisoned; `clean` are the logits without that.
  void poisoned_token(Report& report, const std::string& where, const Ids& ids, Index t, const Matrix& clean);

  void decoding_allocates_nothing(Report& report, State& state, Context& context);
  void bytes_are_told(Report& report) const;
  void repeated_training_allocates_nothing(Report& report, State& state, Context& context);

  void parameter_gradients(Report& report, Store& gradients, FunctionRef<double()> loss);

  /// `initial` is what `loss` starts from, d_initial its gradient.
  static void state_gradients(Report& report, const std::string& where, State& initial, const State& d_initial,
                              FunctionRef<double()> loss);

  Runs runs_;
};

}  // namespace ttt::suites

#include "suites/language_model/calls.hpp"
#include "suites/language_model/gradients.hpp"
#include "suites/language_model/memory.hpp"
#include "suites/language_model/non_finite.hpp"
#include "suites/language_model/values.hpp"

namespace ttt::suites {

/// Runs every check and asserts that it found nothing wrong.
template <TrainableLanguageModel Model>
void check_language_model(const Model& model, const LayerCase& options) {
  for (const Report& report : LanguageModelSuite<Model>(model, options).all()) require(report);
}

}  // namespace ttt::suites
