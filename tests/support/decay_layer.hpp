// SPDX-License-Identifier: MIT
/// @file
/// The simplest layer with everything a layer has, and its broken relatives.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <new>
#include <vector>

#include "ttt/layers/sequence_layer.hpp"

namespace ttt::testing {

/// What a DecayLayer does wrong; each breaks one contract.
enum class Flaw {
  none,
  another_formula,
  forgets_last_token,
  drops_position,
  drops_record_of_last_token,
  reset_keeps_part,
  hides_writes,
  wrong_parameter_gradient,
  reset_forgets_gradient,
  wrong_input_gradient,
  wrong_state_gradient,
  assigns_gradients,
  keeps_old_record,
  unwanted_changes_others,
  writes_null_state_gradient,
  adds_input_gradient,
  looks_ahead,
  multiplies_later_by_zero,
  multiplies_gradient_by_zero,
  hides_infinity,
  hides_infinity_of_last_token,
  ignores_input,
  ignores_reset,
  reset_passes_gradient,
  cuts_stream,
  counts_workers,
  statistics_change_output,
  counts_segments,
  writes_outside,
  ignores_stride,
  allocates,
  state_grows,
  renames_grown_part,
  no_record_bytes
};

/// s_t = decay ∘ s_{t−1} + x_t and y_t = s_t + shift ∘ x_{t−1}, with a learned s_0 = initial and x_0 = 0.
template <class Element>
class DecayLayer {
 public:
  using Scalar = Element;
  using Config = Index;

  using State = ttt::State<Scalar>;

  struct Parameters {
    using Scalar = Element;
    Tensor<Scalar> decay, shift, initial;
    void visit(ParameterVisitor<Scalar> visitor) {
      visitor("decay", decay, {parameter::draw::constant, 0.5, false});
      visitor("shift", shift, parameter::zero);
      visitor("initial", initial, parameter::fast_weight);
    }
  };

  /// The sum and the token before each row.
  struct Record {
    struct Piece {
      Index length = 0;
      bool reset = false, continues = false;
    };
    std::vector<Piece> pieces;
    std::vector<Scalar> sums, tokens;
  };

  explicit DecayLayer(Index width, Flaw flaw = Flaw::none) : width_(width), flaw_(flaw) {}

  Index width() const { return width_; }
  Parameters make_parameters() const {
    return {Tensor<Scalar>({width_}), Tensor<Scalar>({width_}), Tensor<Scalar>({width_})};
  }
  std::shared_ptr<const StateLayout> state_layout(Index capacity) const {
    StateLayout layout(maker());
    layout.add(1, {{"sum", StateKind::fast_weights, width_, {.period = flaw_ == Flaw::hides_writes ? 2 : 1}}});
    const bool renames = flaw_ == Flaw::renames_grown_part && capacity > usual_capacity;
    layout.add(1, {{renames ? "larger last" : "last", StateKind::tail, width_}});
    if (flaw_ == Flaw::state_grows) layout.add(1, {{"unused", StateKind::cache, capacity}});
    return std::make_shared<const StateLayout>(layout);
  }
  State initial_state(const Parameters& parameters, Index capacity) const {
    State state(state_layout(capacity));
    start(parameters, state);
    return state;
  }
  void reset(const Parameters& parameters, State& state) const {
    const Scalar token = last(state)[0];
    start(parameters, state);
    if (flaw_ == Flaw::reset_keeps_part) last(state)[0] = token;
  }
  bool accepts(const State& state) const { return state.made_by(maker()); }
  bool accepts(const Parameters& parameters) const {
    return !parameters.decay.empty() && accepts_gradients(parameters);
  }
  bool accepts_gradients(const Parameters& gradients) const { return gradients.decay.shape() == Shape{width_}; }
  bool accepts(const Record&) const { return true; }
  std::size_t record_bytes(Index tokens) const {
    if (flaw_ == Flaw::no_record_bytes) return 0;
    return static_cast<std::size_t>(2 * tokens * width_) * sizeof(Scalar);
  }

  void forward(const Parameters& parameters, MatrixView<const Scalar> x, std::span<const Segment<State>> segments,
               MatrixView<Scalar> y, Context& context, Record* record = nullptr) const {
    if (record) record->pieces.clear();
    if (record && flaw_ != Flaw::keeps_old_record) *record = {};
    Index row = 0;
    const State* previous = nullptr;
    for (const auto& segment : segments) {
      State& state = *segment.state;
      if (segment.reset && flaw_ != Flaw::ignores_reset) start(parameters, state);
      if (record) record->pieces.push_back({segment.length, segment.reset, &state == previous});
      previous = &state;
      if (flaw_ == Flaw::forgets_last_token) std::fill_n(last(state), width_, Scalar(0));
      for (Index t = 0; t < segment.length; ++t, ++row) {
        if (record) remember(*record, state);
        const bool is_last = t + 1 == segment.length;
        for (Index c = 0; c < width_; ++c) step(parameters, state, x, row, c, is_last, y);
        if (flaw_ == Flaw::counts_workers) y(row, 0) += Scalar(1e-6) * static_cast<Scalar>(context.workers());
        if (flaw_ == Flaw::counts_segments) y(row, 0) += Scalar(1e-6) * static_cast<Scalar>(segments.size());
        if (flaw_ == Flaw::statistics_change_output && context.statistics) y(row, 0) += Scalar(1e-6);
        if (flaw_ == Flaw::writes_outside) y.row(row)[width_] = 0;
        // A plain call: new expressions whose memory nobody needs may be left out.
        if (flaw_ == Flaw::allocates) ::operator delete(::operator new(sizeof(Scalar)));
      }
      if (flaw_ != Flaw::drops_position) state.position = state.position + segment.length;
    }
  }

  void backward(const Parameters& parameters, Record& record, MatrixView<const Scalar> d_y, MatrixView<Scalar> d_x,
                Parameters& gradients, std::span<State* const> d_states, Context&) const {
    if (flaw_ == Flaw::assigns_gradients) clear(gradients);
    State d_state(state_layout(0));
    Index row = d_y.rows();
    for (std::size_t i = record.pieces.size(); i-- > 0;) {
      const bool continued = i + 1 < record.pieces.size() && record.pieces[i + 1].continues;
      State* const wanted = d_states.empty() ? nullptr : d_states[i];
      if (!continued || (flaw_ == Flaw::cuts_stream && !wanted)) take(d_state, wanted);
      for (Index t = 0; t < record.pieces[i].length; ++t)
        if (row > 0) step_back(parameters, record, d_y, d_x, gradients, d_state, --row);
      if (record.pieces[i].reset) start_back(gradients, d_state);
      if (wanted) give(d_state, *wanted);
    }
  }

 private:
  static constexpr Index usual_capacity = 8 * 4 + 16;  // of the suite at a mini-batch of 4

  Fingerprint maker() const { return {"decay", {width_}}; }
  static Scalar* sum(State& state) { return state.values.data(); }
  static const Scalar* sum(const State& state) { return state.values.data(); }
  Scalar* last(State& state) const { return state.values.data() + width_; }
  const Scalar* last(const State& state) const { return state.values.data() + width_; }

  void start(const Parameters& parameters, State& state) const {
    state.wipe();
    state.position = 0;
    for (Index c = 0; c < width_; ++c) sum(state)[c] = parameters.initial[c];
  }
  void step(const Parameters& parameters, State& state, MatrixView<const Scalar> x, Index row, Index c, bool is_last,
            MatrixView<Scalar> y) const {
    const bool hidden = flaw_ == Flaw::hides_infinity && !std::isfinite(x(row, c));
    const Scalar token = flaw_ == Flaw::ignores_input || hidden ? Scalar(0) : x(row, c);
    sum(state)[c] = parameters.decay[c] * sum(state)[c] + token;
    Scalar& output = flaw_ == Flaw::ignores_stride ? y.data()[row * width_ + c] : y(row, c);
    output = sum(state)[c] + parameters.shift[c] * last(state)[c];
    if (flaw_ == Flaw::another_formula) output *= Scalar(1.0000001);
    if (flaw_ == Flaw::multiplies_later_by_zero && !is_last) output += Scalar(0) * x(row + 1, c);
    if (flaw_ == Flaw::hides_infinity_of_last_token && is_last && !std::isfinite(output)) output = 0;
    if (flaw_ == Flaw::looks_ahead && !is_last) output += Scalar(1e-6) * x(row + 1, c);
    last(state)[c] = token;
  }
  void remember(Record& record, const State& state) const {
    for (Index c = 0; c < width_; ++c) {
      record.sums.push_back(sum(state)[c]);
      const bool dropped = flaw_ == Flaw::drops_record_of_last_token && record.pieces.back().length == 1;
      record.tokens.push_back(dropped ? Scalar(0) : last(state)[c]);
    }
  }
  /// last(d_state) is the gradient of the token before the row.
  void step_back(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                 MatrixView<Scalar> d_x, Parameters& gradients, State& d_state, Index row) const {
    for (Index c = 0; c < width_; ++c) {
      const auto place = static_cast<std::size_t>(row * width_ + c);
      const Scalar d_output = d_y(row, c), d_sum = sum(d_state)[c] + d_output;
      const Scalar share = flaw_ == Flaw::wrong_parameter_gradient ? Scalar(0.999) : Scalar(1);
      const Scalar unwanted =
          flaw_ == Flaw::unwanted_changes_others && gradients.initial.empty() ? Scalar(1.000001) : Scalar(1);
      if (!gradients.decay.empty()) gradients.decay[c] += share * unwanted * d_sum * record.sums[place];
      if (!gradients.shift.empty()) gradients.shift[c] += d_output * record.tokens[place];
      if (!d_x.empty()) {
        const Scalar direct = flaw_ == Flaw::wrong_input_gradient ? Scalar(0) : last(d_state)[c];
        const Scalar masked =
            flaw_ == Flaw::multiplies_gradient_by_zero && row > 0 ? Scalar(0) * d_y(row - 1, c) : Scalar(0);
        d_x(row, c) = d_sum + masked + direct + (flaw_ == Flaw::adds_input_gradient ? d_x(row, c) : Scalar(0));
      }
      sum(d_state)[c] = parameters.decay[c] * d_sum;
      last(d_state)[c] = parameters.shift[c] * d_output;
    }
  }
  void start_back(Parameters& gradients, State& d_state) const {
    for (Index c = 0; c < width_; ++c)
      if (!gradients.initial.empty() && flaw_ != Flaw::reset_forgets_gradient) gradients.initial[c] += sum(d_state)[c];
    if (flaw_ != Flaw::reset_passes_gradient) d_state.wipe();
  }
  void take(State& d_state, const State* wanted) const {
    d_state.wipe();
    const Scalar null_value = flaw_ == Flaw::writes_null_state_gradient ? Scalar(1) : Scalar(0);
    for (Index c = 0; c < width_; ++c) {
      sum(d_state)[c] = wanted ? sum(*wanted)[c] : null_value;
      last(d_state)[c] = wanted ? last(*wanted)[c] : null_value;
    }
  }
  void give(const State& d_state, State& wanted) const {
    for (Index c = 0; c < width_; ++c) {
      sum(wanted)[c] = sum(d_state)[c];
      last(wanted)[c] = flaw_ == Flaw::wrong_state_gradient ? -last(d_state)[c] : last(d_state)[c];
    }
  }
  void clear(Parameters& gradients) const {
    gradients.visit([](std::string_view, Tensor<Scalar>& tensor, const ParameterInfo&) {
      if (!tensor.empty()) fill(tensor.matrix(), Scalar(0));
    });
  }

  Index width_;
  Flaw flaw_;
};

}  // namespace ttt::testing
