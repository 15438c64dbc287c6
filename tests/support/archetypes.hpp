// SPDX-License-Identifier: MIT
/// @file
/// The least types that model the concepts of layers: what generic code uses beyond them does not compile with these.
#pragma once

#include <memory>
#include <vector>

#include "ttt/layers/sequence_layer.hpp"

namespace ttt::testing {

/// A SequenceLayer and nothing more: the running sum y_t = s_t = s_{t−1} + scale · x_t of width 1.
class Archetype {
 public:
  using State = ttt::State<double>;

  class Parameters {
   public:
    using Scalar = double;
    void visit(ParameterVisitor<double> visitor) { visitor("scale", scale_, parameter::one); }

   private:
    friend Archetype;
    friend class TrainableArchetype;
    Parameters() : scale_(Shape{1}) {}
    Tensor<double> scale_;
  };

  using Scalar = double;

  static Archetype make() { return {}; }
  Index width() const { return 1; }
  Parameters make_parameters() const { return {}; }
  std::shared_ptr<const StateLayout> state_layout(Index) const {
    StateLayout layout(Fingerprint("archetype", {}));
    layout.add(1, {{"sum", StateKind::fast_weights, 1}});
    return std::make_shared<const StateLayout>(layout);
  }
  State initial_state(const Parameters& parameters, Index) const {
    State state(state_layout(0));
    reset(parameters, state);
    return state;
  }
  void reset(const Parameters&, State& state) const {
    state.wipe();
    state.position = 0;
  }
  bool accepts(const State& state) const { return state.made_by(Fingerprint("archetype", {})); }
  bool accepts(const Parameters&) const { return true; }
  void forward(const Parameters& parameters, MatrixView<const double> x, std::span<const Segment<State>> segments,
               MatrixView<double> y, Context&) const {
    Index row = 0;
    for (const auto& segment : segments) {
      State& state = *segment.state;
      if (segment.reset) reset(parameters, state);
      for (Index t = 0; t < segment.length; ++t, ++row) y(row, 0) = state.values[0] += parameters.scale_[0] * x(row, 0);
      state.position = state.position + segment.length;
    }
  }

 protected:
  Archetype() = default;
};

/// A TrainableSequenceLayer and nothing more: the same sum.
class TrainableArchetype : public Archetype {
 public:
  class Record {
   public:
    Record() = default;
    Record(Record&&) = default;
    Record& operator=(Record&&) = default;

   private:
    friend TrainableArchetype;
    MatrixView<const double> x_;
    std::vector<Segment<State>> segments_;
  };

  static TrainableArchetype make() { return {}; }
  using Archetype::accepts;
  bool accepts(const Record&) const { return true; }
  bool accepts_gradients(const Parameters&) const { return true; }
  std::size_t record_bytes(Index tokens) const { return sizeof(Record) + static_cast<std::size_t>(tokens); }
  using Archetype::forward;
  void forward(const Parameters& parameters, MatrixView<const double> x, std::span<const Segment<State>> segments,
               MatrixView<double> y, Context& context, Record* record) const {
    record->x_ = x;
    record->segments_.assign(segments.begin(), segments.end());
    forward(parameters, x, segments, y, context);
  }
  void backward(const Parameters& parameters, Record& record, MatrixView<const double> d_y, MatrixView<double> d_x,
                Parameters& gradients, std::span<State* const> d_states, Context&) const {
    Index row = d_y.rows();
    double d_sum = 0;
    for (std::size_t i = record.segments_.size(); i-- > 0;) {
      State* const d_state = d_states.empty() ? nullptr : d_states[i];
      const bool continued =
          i + 1 < record.segments_.size() && record.segments_[i + 1].state == record.segments_[i].state;
      if (!continued) d_sum = d_state ? d_state->values[0] : 0;
      for (Index t = 0; t < record.segments_[i].length; ++t) {
        --row;
        d_sum += d_y(row, 0);
        if (!d_x.empty()) d_x(row, 0) = parameters.scale_[0] * d_sum;
        if (!gradients.scale_.empty()) gradients.scale_[0] += record.x_(row, 0) * d_sum;
      }
      if (record.segments_[i].reset) d_sum = 0;
      if (d_state) d_state->values[0] = d_sum;
    }
  }

 private:
  TrainableArchetype() = default;
};

static_assert(SequenceLayer<Archetype> && !TrainableSequenceLayer<Archetype>);
static_assert(TrainableSequenceLayer<TrainableArchetype>);

}  // namespace ttt::testing
