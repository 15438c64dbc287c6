// SPDX-License-Identifier: MIT
/// @file
/// The concepts that every layer models.
///
/// A **layer** is a configuration plus const functions; its weights are a struct of named views (`Parameters`) that
/// every call takes, its memory of a sequence a value (`State`), what training remembers a `Record`. `Layer`
/// (layer.hpp) is the thin owner that keeps the weights for those who do not want to.
///
/// - `make_parameters()` returns the unbound struct: names, shapes and layouts, no memory.
/// - `state_layout(capacity)` says what a State of `capacity` tokens holds and where; layers whose state does not grow
///   ignore the number. `initial_state(parameters, capacity)` gives one, of a sequence that has read nothing. The
///   layout may say that a token writes less than everything (TokenWrites), which makes going back cheap.
/// - `reset(parameters, state)` makes a State what `initial_state` gave, of the same capacity, without allocating: the
///   sequence starts again. `state.wipe()` is the other thing: nothing is left, not even the start, and calls refuse
///   the State until it is reset (or a segment says `reset`).
/// - `accepts(state)`, `accepts(parameters)`, `accepts_gradients(gradients)` and `accepts(record)` tell whether such a
///   layer made them, of the same sizes; only gradients may be unbound, and the record is one that a forward has
///   filled.
/// - `forward(parameters, x, segments, y, context, record)` maps the rows x [N × C] of all segments to y [N × C],
/// advances
///   every State, and fills `record` unless it is null. y must not overlap x. Cost per token does not depend on the
///   other segments; nothing is allocated for a single token.
/// - `backward(parameters, record, d_y, d_x, gradients, d_states, context)` assigns d_x (unless empty), *adds* into
///   `gradients` (whose unbound tensors are not wanted), and turns each `*d_states[i]` from the gradient of segment i's
///   final state into that of its initial state. An empty span or a null entry means zero, and not wanted. Segments
///   that share a State share one entry, and gradients flow across their border even when there is none. The x of the
///   forward must still be there: the record views it.
///
/// Wrong calls (shapes, segments, States, parameters, a record without a forward) are Errors in every build, thrown
/// before anything changed: see call_checks.hpp.
///
/// Invariants no compiler sees, and which tests/suites/sequence_layer.hpp checks: split invariance, exact gradients,
/// strict causality, the same bits for any number of threads and whatever else is in the call (architecture contracts
/// 1–5).
///
/// What a NaN, an infinity or a number whose products overflow in row t of x reaches is as strict:
///
/// - Outputs before t and everything of other sequences keep their bits.
/// - Row t of y is not finite where x is not. Later rows are not where they depend on it; one pass and any pieces agree
///   there: each number has the same bits in both, or is infinite or NaN in both. (Layers of the delta family, whose
///   chunk form and recurrence agree up to rounding, do so there, too; what overflows may be lost in one of them only.)
/// - So is the State. Attention gets over it with its window, if it has one, a convolution with its taps, a TTT layer
/// never
///   once the mini-batch of t has been folded into its fast weights. The cure is a copy of the State from before.
/// - Gradients of that sequence, and of the weights, which are sums over all rows, are lost.
///
/// The same in row t of d_y leaves d_x behind t and of other sequences as it is. Rows up to t, the gradient of the
/// sequence's initial State and those of the weights are lost.
#pragma once

#include <concepts>
#include <memory>
#include <span>
#include <utility>

#include "ttt/core/context.hpp"
#include "ttt/core/parameters.hpp"
#include "ttt/core/segment.hpp"
#include "ttt/core/state.hpp"

TTT_NAMESPACE_BEGIN

/// What a layer or model remembers of a sequence: for all of them the one State, of any scalar.
template <class Value>
concept SequenceState = std::same_as<Value, State<typename Value::Scalar>>;

/// A struct of named tensor views over one scalar.
template <class Parameters>
concept ParameterViews = std::copyable<Parameters> &&
    requires(Parameters& parameters, ParameterVisitor<typename Parameters::Scalar> visitor) {
  parameters.visit(visitor);
};

/// Maps tokens to tokens, causally, and carries a State. Models: TttLinear, TttMlp, Attention, AnySequenceLayer.
template <class Layer>
concept SequenceLayer = std::copyable<Layer> && SequenceState<typename Layer::State> &&
    ParameterViews<typename Layer::Parameters> &&
    requires(const Layer& layer, const typename Layer::Parameters& parameters,
             std::span<const Segment<typename Layer::State>> segments, MatrixView<const typename Layer::Scalar> x,
             MatrixView<typename Layer::Scalar> y, typename Layer::State& state, Index capacity, Context& context) {
  { layer.width() } -> std::same_as<Index>;
  { layer.make_parameters() } -> std::same_as<typename Layer::Parameters>;
  { layer.state_layout(capacity) } -> std::same_as<std::shared_ptr<const StateLayout>>;
  { layer.initial_state(parameters, capacity) } -> std::same_as<typename Layer::State>;
  layer.reset(parameters, state);
  { layer.accepts(std::as_const(state)) } -> std::same_as<bool>;
  { layer.accepts(parameters) } -> std::same_as<bool>;
  layer.forward(parameters, x, segments, y, context);
};

/// A SequenceLayer that learns: its forward fills a Record, its backward adds gradients.
template <class Layer>
concept TrainableSequenceLayer = SequenceLayer<Layer> && std::movable<typename Layer::Record> &&
    std::default_initializable<typename Layer::Record> &&
    requires(const Layer& layer, const typename Layer::Parameters& parameters, typename Layer::Parameters& gradients,
             std::span<const Segment<typename Layer::State>> segments, MatrixView<const typename Layer::Scalar> x,
             MatrixView<typename Layer::Scalar> y, typename Layer::Record& record,
             std::span<typename Layer::State* const> d_states, Index tokens, Context& context) {
  layer.forward(parameters, x, segments, y, context, &record);
  layer.backward(parameters, record, x, y, gradients, d_states, context);
  { layer.accepts_gradients(std::as_const(gradients)) } -> std::same_as<bool>;
  { layer.accepts(std::as_const(record)) } -> std::same_as<bool>;
  { layer.record_bytes(tokens) } -> std::convertible_to<std::size_t>;
};

/// Bytes of the values of a State of `capacity` tokens, of a layer or a model.
template <class Maker>
std::size_t state_bytes(const Maker& maker, Index capacity = 0) {
  return static_cast<std::size_t>(maker.state_layout(capacity)->size()) * sizeof(typename Maker::State::Scalar);
}

TTT_NAMESPACE_END
