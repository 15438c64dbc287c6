// SPDX-License-Identifier: MIT
/// @file
/// The concepts that every language model models.
///
/// A **language model** is, like a layer, a configuration plus const functions: its weights are a struct of named views
/// (`Parameters`), its memory of a sequence a value (`State`), what training remembers a `Record`. Several threads may
/// call them at once, each with States, Records, gradients and a Context of its own, as training::BatchGradient does.
///
/// - `vocabulary()` is V: ids are in [0, V), logits have V columns.
/// - `make_parameters()` returns the unbound struct; its names are those of the published checkpoints.
/// - `state_layout(capacity)` says what a State holds and where, of `capacity` tokens for layers whose state grows;
///   `initial_state(parameters, capacity)` gives one, of a sequence that has read nothing. `reset(parameters, state)`
///   starts the sequence of a State again, without allocating.
/// - `forward(parameters, ids, segments, rows, logits, context, record)` reads ids [N], the tokens of all segments one
///   after another, advances every State, assigns the logits of the chosen rows ([N × V], or [segments × V]) and fills
///   `record` unless it is null. Zero rows are allowed. Nothing is allocated for a single token.
/// - `backward(parameters, record, d_logits, gradients, d_states, context)` takes d_logits in the rows the forward was
///   asked for, *adds* into `gradients` (unbound tensors are not wanted) and turns each `*d_states[i]` from the
///   gradient of segment i's final state into that of its initial state; an empty span or a null entry means zero, and
///   not wanted.
/// - `loss(parameters, ids, targets, segments, row_losses, context)` is the cross-entropy of `targets` [N] (row t's
///   target is the id that should follow it; negative = ignored) without a backward; it assigns row_losses [N] unless
///   empty.
/// - `loss_and_backward(parameters, ids, targets, segments, scale, gradients, d_states, record, context)` is forward,
///   loss and backward of `scale · Σ losses` in one, with memory for a bounded number of rows of logits, whatever N and
///   V. `scale = 1 / counted_rows(targets)` is the gradient of the mean; several calls with the same scale add up to
///   the gradient of their common mean. `record` is its working memory: reuse it, and the next call allocates nothing.
/// - `record_bytes(tokens)` tells the size of a Record for one sequence of so many tokens.
///
/// Ids and targets outside of the vocabulary, spans of the wrong length, States, parameters and records of another
/// model are Errors in every build, thrown before anything changed. When Context::cancellation becomes true, a call
/// stops between blocks by throwing Cancelled; the States and gradients it was given are then of no use. The ids of a
/// recorded forward must still be there in its backward: the record views them.
///
/// Invariants no compiler sees, and which tests/suites/language_model.hpp checks: split invariance, exact gradients,
/// strict causality, the same bits for any number of threads and whatever else is in the call (architecture contracts
/// 1–5).
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

#include "ttt/core/error.hpp"
#include "ttt/layers/call_checks.hpp"
#include "ttt/layers/sequence_layer.hpp"

TTT_NAMESPACE_BEGIN

/// Which rows get logits: every one, or the last of each segment (zeros for a segment without rows).
enum class LogitRows { all, last };

/// Cross-entropy in nats, summed in the order of the rows over those that have a target.
struct Loss {
  double sum = 0;
  Index rows = 0;
  Loss& operator+=(const Loss& other) {
    sum += other.sum;
    rows += other.rows;
    return *this;
  }
  /// Mean over the counted rows; 0 when there are none.
  double mean() const { return rows > 0 ? sum / static_cast<double>(rows) : 0; }
};

/// Number of targets that are not ignored.
inline Index counted_rows(std::span<const std::int64_t> targets) {
  return static_cast<Index>(std::count_if(targets.begin(), targets.end(), [](std::int64_t id) { return id >= 0; }));
}

namespace detail {

/// Throws Error unless there is an id of the vocabulary for each of `rows`.
inline void check_ids(std::span<const std::int64_t> ids, Index rows, Index vocabulary) {
  if (static_cast<Index>(ids.size()) != rows)
    throw_unexpected("token ids", std::to_string(rows) + " (the rows of all segments)", std::to_string(ids.size()));
  for (std::size_t n = 0; n < ids.size(); ++n)
    if (ids[n] < 0 || ids[n] >= vocabulary)
      throw_unexpected("token id at row " + std::to_string(n),
                       "at least 0 and below the vocabulary of " + std::to_string(vocabulary), std::to_string(ids[n]));
}

/// The checks of every call with ids: parameters, segments with their States, and ids.
template <class Model>
void check_call(const char* name, const Model& model, const typename Model::Parameters& parameters,
                std::span<const std::int64_t> ids, std::span<const Segment<typename Model::State>> segments,
                Arena& scratch) {
  check_parameters(name, model, parameters);
  check_segments(name, model, segments, scratch);
  check_ids(ids, total_rows(segments), model.vocabulary());
}

/// Throws Error unless there is a place for the loss of each row, or for none.
inline void check_row_losses(VectorView<double> row_losses, Index rows) {
  if (!row_losses.empty() && row_losses.size() != rows)
    throw_unexpected("row_losses", "none or " + std::to_string(rows) + " (one for each id)",
                     std::to_string(row_losses.size()));
}

/// Throws Error unless every target is below `vocabulary`; negative ones are ignored rows.
inline void check_targets(std::span<const std::int64_t> targets, Index rows, Index vocabulary) {
  if (static_cast<Index>(targets.size()) != rows)
    throw_unexpected("targets", std::to_string(rows) + " (one for each id)", std::to_string(targets.size()));
  for (std::size_t t = 0; t < targets.size(); ++t)
    if (targets[t] >= vocabulary)
      throw_unexpected("target at row " + std::to_string(t),
                       "an id below the vocabulary of " + std::to_string(vocabulary), std::to_string(targets[t]));
}

}  // namespace detail

/// Maps token ids to the logits of the next token, causally, and carries a State. Models: CausalLm.
template <class Model>
concept LanguageModel = std::copyable<Model> && SequenceState<typename Model::State> &&
    ParameterViews<typename Model::Parameters> &&
    requires(const Model& model, const typename Model::Parameters& parameters, std::span<const std::int64_t> ids,
             std::span<const Segment<typename Model::State>> segments, MatrixView<typename Model::Scalar> logits,
             typename Model::State& state, Index capacity, Context& context) {
  { model.vocabulary() } -> std::same_as<Index>;
  { model.make_parameters() } -> std::same_as<typename Model::Parameters>;
  { model.state_layout(capacity) } -> std::same_as<std::shared_ptr<const StateLayout>>;
  { model.initial_state(parameters, capacity) } -> std::same_as<typename Model::State>;
  model.reset(parameters, state);
  model.forward(parameters, ids, segments, LogitRows::last, logits, context);
};

/// A LanguageModel that learns: from the gradient of its logits, or from targets with bounded memory.
template <class Model>
concept TrainableLanguageModel = LanguageModel<Model> && std::movable<typename Model::Record> &&
    std::default_initializable<typename Model::Record> &&
    requires(const Model& model, const typename Model::Parameters& parameters, typename Model::Parameters& gradients,
             std::span<const std::int64_t> ids, std::span<const std::int64_t> targets,
             std::span<const Segment<typename Model::State>> segments, MatrixView<typename Model::Scalar> logits,
             MatrixView<const typename Model::Scalar> d_logits, std::span<typename Model::State* const> d_states,
             typename Model::Record& record, VectorView<double> row_losses, double scale, Index tokens,
             Context& context) {
  model.forward(parameters, ids, segments, LogitRows::all, logits, context, &record);
  model.backward(parameters, record, d_logits, gradients, d_states, context);
  { model.loss(parameters, ids, targets, segments, row_losses, context) } -> std::same_as<Loss>;
  {
    model.loss_and_backward(parameters, ids, targets, segments, scale, gradients, d_states, record, context)
    } -> std::same_as<Loss>;
  { model.record_bytes(tokens) } -> std::convertible_to<std::size_t>;
};

TTT_NAMESPACE_END
