// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>

#include "ttt/layers/sequence_layer.hpp"

TTT_NAMESPACE_BEGIN

/// A layer together with its weights: what someone outside of a model holds. The calls are those of the layer without
/// the `parameters` argument; `forward` of a single sequence takes its State directly.
template <SequenceLayer Definition>
class Layer {
 public:
  using Scalar = typename Definition::Scalar;
  using State = typename Definition::State;
  using Config = typename Definition::Config;
  using Parameters = typename Definition::Parameters;

  /// Draws the weights from `seed`; throws Error for a configuration that makes no layer.
  explicit Layer(const Config& config, std::uint64_t seed = 0) : definition_(config), store_(definition_.make_parameters()) {
    initialize(store_.views(), seed);
  }

  const Definition& definition() const { return definition_; }
  Parameters& parameters() { return store_.views(); }
  const Parameters& parameters() const { return store_.views(); }
  ParameterStore<Parameters>& store() { return store_; }

  Index width() const { return definition_.width(); }
  State initial_state(Index capacity = 0) const { return definition_.initial_state(parameters(), capacity); }
  /// Starts the sequence of `state` again.
  void reset(State& state) const { definition_.reset(parameters(), state); }

  /// One sequence, or the next piece of one: x [T × C] to y [T × C].
  void forward(MatrixView<const Scalar> x, State& state, MatrixView<Scalar> y, Context& context) const {
    const std::array segments{Segment<State>{x.rows(), &state}};
    definition_.forward(parameters(), x, std::span<const Segment<State>>(segments), y, context);
  }
  void forward(MatrixView<const Scalar> x, std::span<const Segment<State>> segments, MatrixView<Scalar> y,
               Context& context) const {
    definition_.forward(parameters(), x, segments, y, context);
  }

 private:
  Definition definition_;
  ParameterStore<Parameters> store_;
};

TTT_NAMESPACE_END
