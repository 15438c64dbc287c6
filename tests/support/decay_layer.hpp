// SPDX-License-Identifier: MIT
/// @file
/// The simplest layer with everything a layer has, and its broken relatives.
#pragma once

#include <cmath>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#include "ttt/layers/sequence_layer.hpp"

namespace ttt::testing {

/// What a DecayLayer does wrong; each breaks one contract.
enum class Flaw {
  none,
  forgets_last_token,
  drops_position,
  drops_record_of_last_token,
  shares_memory,
  loose_equality,
  hides_part,
  keeps_part,
  reset_keeps_part,
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
  no_state_bytes,
  state_bytes_grow,
  no_record_bytes
};

/// s_t = decay ∘ s_{t−1} + x_t and y_t = s_t + shift ∘ x_{t−1}, with a learned s_0 = initial and x_0 = 0.
template <class Element>
class DecayLayer {
 public:
  using Scalar = Element;
  using Config = Index;

  class State {
   public:
    using Scalar = Element;

    Position position;

    void visit(StateVisitor<Scalar> visitor) {
      visitor("sum", {sum().data(), sum_.size()});
      if (flaw_ != Flaw::hides_part) visitor("last", {last_.data(), last_.size()});
    }
    void wipe() {
      position = Position::none;
      sum().clear();
      if (flaw_ != Flaw::keeps_part) last_.clear();
    }
    friend bool operator==(const State& a, const State& b) {
      if (a.position != b.position) return false;
      if (a.flaw_ != Flaw::loose_equality) return a.sum() == b.sum() && a.last_ == b.last_;
      return equal_values(a.sum(), b.sum()) && equal_values(a.last_, b.last_);
    }

   private:
    friend DecayLayer;
    State(Index width, Flaw flaw) : sum_(width), last_(width), flaw_(flaw) {
      if (flaw == Flaw::shares_memory) shared_ = std::make_shared<Buffer<Scalar>>(width);
    }
    Buffer<Scalar>& sum() { return shared_ ? *shared_ : sum_; }
    const Buffer<Scalar>& sum() const { return shared_ ? *shared_ : sum_; }
    static bool equal_values(const Buffer<Scalar>& a, const Buffer<Scalar>& b) {
      for (Index i = 0; i < a.size(); ++i)
        if (a[i] != b[i]) return false;
      return true;
    }

    Buffer<Scalar> sum_, last_;
    std::shared_ptr<Buffer<Scalar>> shared_;
    Flaw flaw_;
  };

  struct Parameters {
    using Scalar = Element;
    Tensor<Scalar> decay, shift, initial;
    void visit(ParameterVisitor<Scalar> visitor) {
      visitor("decay", decay, {draw::constant, 0.5, false});
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
  State initial_state(const Parameters& parameters, Index) const {
    State state(width_, flaw_);
    start(parameters, state);
    return state;
  }
  void reset(const Parameters& parameters, State& state) const {
    const Scalar last = state.last_[0];
    start(parameters, state);
    if (flaw_ == Flaw::reset_keeps_part) state.last_[0] = last;
  }
  bool accepts(const State& state) const { return state.sum().size() == width_; }
  bool accepts(const Parameters& parameters) const {
    return !parameters.decay.empty() && accepts_gradients(parameters);
  }
  bool accepts_gradients(const Parameters& gradients) const { return gradients.decay.shape() == Shape{width_}; }
  bool accepts(const Record&) const { return true; }
  Index capacity(const State&) const { return std::numeric_limits<Index>::max(); }
  std::size_t state_bytes(Index capacity) const {
    if (flaw_ == Flaw::no_state_bytes) return 0;
    const Index growth = flaw_ == Flaw::state_bytes_grow ? capacity : 0;
    return static_cast<std::size_t>(2 * width_ + growth) * sizeof(Scalar);
  }
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
      if (flaw_ == Flaw::forgets_last_token) state.last_.clear();
      for (Index t = 0; t < segment.length; ++t, ++row) {
        if (record) remember(*record, state);
        const bool last = t + 1 == segment.length;
        for (Index c = 0; c < width_; ++c) step(parameters, state, x, row, c, last, y);
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
    State d_state(width_, Flaw::none);
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
  void start(const Parameters& parameters, State& state) const {
    state.wipe();
    state.position = 0;
    for (Index c = 0; c < width_; ++c) state.sum()[c] = parameters.initial[c];
  }
  void step(const Parameters& parameters, State& state, MatrixView<const Scalar> x, Index row, Index c, bool last,
            MatrixView<Scalar> y) const {
    const bool hidden = flaw_ == Flaw::hides_infinity && !std::isfinite(x(row, c));
    const Scalar token = flaw_ == Flaw::ignores_input || hidden ? Scalar(0) : x(row, c);
    state.sum()[c] = parameters.decay[c] * state.sum()[c] + token;
    Scalar& output = flaw_ == Flaw::ignores_stride ? y.data()[row * width_ + c] : y(row, c);
    output = state.sum()[c] + parameters.shift[c] * state.last_[c];
    if (flaw_ == Flaw::multiplies_later_by_zero && !last) output += Scalar(0) * x(row + 1, c);
    if (flaw_ == Flaw::hides_infinity_of_last_token && last && !std::isfinite(output)) output = 0;
    if (flaw_ == Flaw::looks_ahead && !last) output += Scalar(1e-6) * x(row + 1, c);
    state.last_[c] = token;
  }
  void remember(Record& record, const State& state) const {
    for (Index c = 0; c < width_; ++c) {
      record.sums.push_back(state.sum()[c]);
      const bool dropped = flaw_ == Flaw::drops_record_of_last_token && record.pieces.back().length == 1;
      record.tokens.push_back(dropped ? Scalar(0) : state.last_[c]);
    }
  }
  /// `d_state.last_` is the gradient of the token before the row.
  void step_back(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                 MatrixView<Scalar> d_x, Parameters& gradients, State& d_state, Index row) const {
    for (Index c = 0; c < width_; ++c) {
      const auto place = static_cast<std::size_t>(row * width_ + c);
      const Scalar d_output = d_y(row, c), d_sum = d_state.sum_[c] + d_output;
      const Scalar share = flaw_ == Flaw::wrong_parameter_gradient ? Scalar(0.999) : Scalar(1);
      const Scalar unwanted =
          flaw_ == Flaw::unwanted_changes_others && gradients.initial.empty() ? Scalar(1.000001) : Scalar(1);
      if (!gradients.decay.empty()) gradients.decay[c] += share * unwanted * d_sum * record.sums[place];
      if (!gradients.shift.empty()) gradients.shift[c] += d_output * record.tokens[place];
      if (!d_x.empty()) {
        const Scalar direct = flaw_ == Flaw::wrong_input_gradient ? Scalar(0) : d_state.last_[c];
        const Scalar masked =
            flaw_ == Flaw::multiplies_gradient_by_zero && row > 0 ? Scalar(0) * d_y(row - 1, c) : Scalar(0);
        d_x(row, c) = d_sum + masked + direct + (flaw_ == Flaw::adds_input_gradient ? d_x(row, c) : Scalar(0));
      }
      d_state.sum_[c] = parameters.decay[c] * d_sum;
      d_state.last_[c] = parameters.shift[c] * d_output;
    }
  }
  void start_back(Parameters& gradients, State& d_state) const {
    for (Index c = 0; c < width_; ++c)
      if (!gradients.initial.empty() && flaw_ != Flaw::reset_forgets_gradient) gradients.initial[c] += d_state.sum_[c];
    if (flaw_ != Flaw::reset_passes_gradient) d_state.wipe();
  }
  void take(State& d_state, const State* wanted) const {
    d_state.wipe();
    const Scalar null_value = flaw_ == Flaw::writes_null_state_gradient ? Scalar(1) : Scalar(0);
    for (Index c = 0; c < width_; ++c) {
      d_state.sum_[c] = wanted ? wanted->sum()[c] : null_value;
      d_state.last_[c] = wanted ? wanted->last_[c] : null_value;
    }
  }
  void give(const State& d_state, State& wanted) const {
    for (Index c = 0; c < width_; ++c) {
      wanted.sum()[c] = d_state.sum_[c];
      wanted.last_[c] = flaw_ == Flaw::wrong_state_gradient ? -d_state.last_[c] : d_state.last_[c];
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
