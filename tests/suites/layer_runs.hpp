// SPDX-License-Identifier: MIT
/// @file
/// Running a layer forward and backward with everything that comes out of it kept, for the suite to compare.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "suites/contracts.hpp"
#include "support/compare.hpp"
#include "support/random_matrix.hpp"
#include "ttt/layers/sequence_layer.hpp"

namespace ttt::suites {

/// A sequence as a call finds it.
template <class State>
struct Start {
  Index length = 0;
  State state;
  bool reset = false;
};

/// What came out of a forward and a backward.
template <class Layer>
struct Outcome {
  testing::Matrix<typename Layer::Scalar> y, d_x;
  std::vector<typename Layer::State> states, d_states;
  ParameterStore<typename Layer::Parameters> gradients;
};

template <TrainableSequenceLayer Layer>
class LayerRuns {
 public:
  using Scalar = typename Layer::Scalar;
  using State = typename Layer::State;
  using Parameters = typename Layer::Parameters;
  using Record = typename Layer::Record;
  using Store = ParameterStore<Parameters>;
  using Matrix = testing::Matrix<Scalar>;
  using View = MatrixView<const Scalar>;
  using Starts = std::vector<Start<State>>;

  LayerRuns(const Layer& layer, const LayerCase& options)
      : layer_(layer), options_(options), store_(layer.make_parameters()), reading_(random(mini_batch() * 4 + 8, 7)) {
    draw_weights(store_.views(), options);
  }

  const Layer& layer() const { return layer_; }
  const Parameters& parameters() const { return store_.views(); }
  Parameters& parameters() { return store_.views(); }
  const LayerCase& options() const { return options_; }
  Index mini_batch() const { return options_.mini_batch; }
  /// More tokens than the suite ever feeds to one State.
  Index capacity() const { return 8 * mini_batch() + 16; }

  /// Rows as wide as the layer; the same for the same seed.
  Matrix random(Index rows, std::uint64_t seed) const {
    return testing::random_matrix<Scalar>(rows, layer_.width(), options_.seed * 1000 + seed);
  }
  State fresh() const { return layer_.initial_state(parameters(), capacity()); }
  /// The state of a sequence that has read `tokens` tokens.
  State after(Index tokens) const {
    State state = fresh();
    read(reading_.rows(0, tokens), state);
    return state;
  }
  /// Reads x and returns the outputs.
  Matrix read(View x, State& state, bool reset = false) const {
    Context context;
    Matrix y(x.rows(), layer_.width(), unwritten<Scalar>);
    const std::vector segments{Segment<State>{x.rows(), &state, reset}};
    forward(x, segments, y.view(), context);
    return y;
  }
  void forward(View x, const std::vector<Segment<State>>& segments, MatrixView<Scalar> y, Context& context,
               Record* record = nullptr) const {
    const std::span<const Segment<State>> span(segments);
    if (record)
      layer_.forward(parameters(), x, span, y, context, record);
    else
      layer_.forward(parameters(), x, span, y, context);
  }
  Store gradient_store() const { return Store(layer_.make_parameters()); }

  /// A gradient of `final_state`: random where that has a value, zero where it has none, for those places may not
  /// exist.
  State cotangent(const State& final_state, std::uint64_t seed) const {
    State cotangent(final_state.layout);
    randomize(cotangent, options_.seed * 1000 + seed);
    for (Index i = 0; i < cotangent.values.size(); ++i)
      if (final_state.values[i] == 0) cotangent.values[i] = 0;
    return cotangent;
  }

  /// All sequences in one call, forward and backward; sequence i ends in the gradient `cotangent(state, 100 + i)`.
  Outcome<Layer> together(const Starts& starts, View x, View d_y, Context& context) const {
    Outcome<Layer> out = blank(x.rows());
    for (const auto& start : starts) out.states.push_back(start.state);
    std::vector<Segment<State>> segments;
    for (std::size_t i = 0; i < starts.size(); ++i)
      segments.push_back({starts[i].length, &out.states[i], starts[i].reset});
    Record record;
    forward(x, segments, out.y.view(), context, &record);
    std::vector<State*> wanted;
    for (std::size_t i = 0; i < starts.size(); ++i) out.d_states.push_back(cotangent(out.states[i], 100 + i));
    for (auto& d_state : out.d_states) wanted.push_back(&d_state);
    layer_.backward(parameters(), record, d_y, out.d_x.view(), out.gradients.views(), std::span<State* const>(wanted),
                    context);
    return out;
  }

  /// One sequence in pieces, a call and a Record for each, the gradient of the state handed back from piece to piece.
  /// With `final_gradient` null, that is the cotangent of the final state.
  Outcome<Layer> in_pieces(const Start<State>& start, const std::vector<Index>& lengths, View x, View d_y,
                           const State* final_gradient = nullptr) const {
    Context context;
    Outcome<Layer> out = blank(x.rows());
    out.states.push_back(start.state);
    std::vector<Record> records(lengths.size());
    Index first = 0;
    for (std::size_t i = 0; i < lengths.size(); first += lengths[i++])
      forward(x.rows(first, lengths[i]), {{lengths[i], &out.states[0], start.reset && i == 0}},
              out.y.rows(first, lengths[i]), context, &records[i]);
    out.d_states.push_back(final_gradient ? *final_gradient : cotangent(out.states[0], 100));
    State* const d_state = &out.d_states[0];
    for (std::size_t i = lengths.size(); i-- > 0;) {
      first -= lengths[i];
      layer_.backward(parameters(), records[i], d_y.rows(first, lengths[i]), out.d_x.rows(first, lengths[i]),
                      out.gradients.views(), std::span<State* const>(&d_state, 1), context);
    }
    return out;
  }

 private:
  Outcome<Layer> blank(Index rows) const {
    const Matrix empty(rows, layer_.width(), unwritten<Scalar>);
    return {empty, empty, {}, {}, gradient_store()};
  }

  Layer layer_;
  LayerCase options_;
  Store store_;
  Matrix reading_;
};

}  // namespace ttt::suites
