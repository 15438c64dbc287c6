// SPDX-License-Identifier: MIT
// A layer of one's own, complete: a moving average that learns what to forget,  s_t = f ∘ s_{t−1} + (1 − f) ∘ x_t,
// f = σ(x_t Wᵀ),  y_t = s_t.
#pragma once

#include <cmath>
#include <ttt/core/lent_states.hpp>
#include <ttt/layers/fixed_state_layer.hpp>
#include <ttt/nn/linear.hpp>

/// Models ttt::TrainableSequenceLayer. State: "average", s [C].
template <class Element>
class GatedAverage : public ttt::FixedStateLayer<GatedAverage<Element>, Element> {
  using Base = ttt::FixedStateLayer<GatedAverage, Element>;
  using Rows = ttt::MatrixView<Element>;
  using Input = ttt::MatrixView<const Element>;
  using Index = ttt::Index;
  Index width_;

 public:
  static constexpr const char* name = "gated average";
  using Scalar = Element;
  using State = ttt::State<Scalar>;
  struct Parameters {
    using Scalar = Element;
    ttt::Tensor<Scalar> keep;  // W [C × C]
    ttt::Fingerprint layer{};  // that it is of
    void visit(ttt::ParameterVisitor<Scalar> visitor) { visitor("keep.weight", keep, ttt::parameter::projection); }
  };
  struct Record {
    ttt::RecordedCall call;
    Input x;
    ttt::Arena memory;
    Rows keep, before;  // f and s_{t−1} [N × C]
  };

  explicit GatedAverage(Index width) : Base(ttt::Fingerprint(name, {width})), width_(width) {
    Base::lay_out_state([&](auto& layout) { layout.add(1, {{"average", ttt::StateKind::fast_weights, width}}); });
  }
  Index width() const { return width_; }
  Parameters make_parameters() const { return {ttt::nn::make_weight<Scalar>(width_, width_), Base::fingerprint_}; }
  using Base::accepts;
  bool accepts(const Parameters& p) const { return p.layer == Base::fingerprint_ && !p.keep.empty(); }
  std::size_t record_bytes(Index tokens) const {
    return 2 * sizeof(Scalar) * static_cast<std::size_t>(tokens * width_);
  }

  void forward(const Parameters& p, Input x, std::span<const ttt::Segment<State>> segments, Rows y,
               ttt::Context& context, Record* record = nullptr) const {
    ttt::detail::check_forward<GatedAverage>(name, *this, p, x, segments, y, context.scratch());
    const ttt::Arena::Frame frame(context.scratch());
    const auto plan = record ? record->call.begin(segments) : ttt::plan_segments(segments, context.scratch());
    const auto hold = [&](ttt::Arena& memory) { return memory.matrix<Scalar>(2 * x.rows(), width_); };
    const Rows both = record ? record->memory.lay_out_anew(hold) : hold(context.scratch());
    const Rows keep = both.rows(0, x.rows()), before = both.rows(x.rows(), x.rows());
    ttt::nn::linear_forward<Scalar>(p.keep, x, keep, context);
    for (std::size_t i = 0; i < plan.size(); ++i) {
      auto& s = segments[i].state->values;
      if (plan[i].reset) s.clear();
      for (Index t = plan[i].row; t < plan[i].end(); ++t)
        for (Index c = 0; c < width_; ++c) {
          const Scalar f = keep(t, c) = 1 / (1 + std::exp(-keep(t, c)));
          before(t, c) = s[c];
          y(t, c) = s[c] = f * s[c] + (1 - f) * x(t, c);
        }
    }
    ttt::advance_positions(segments);
    if (record) record->x = x, record->keep = keep, record->before = before, record->call.end(Base::fingerprint_);
  }
  void backward(const Parameters& p, const Record& record, Input d_y, Rows d_x, Parameters& gradients,
                std::span<State* const> d_states, ttt::Context& context) const {
    ttt::detail::check_backward(name, *this, p, record, d_y, d_x, gradients, d_states, context.scratch());
    const ttt::Arena::Frame frame(context.scratch());
    const auto d_logits = context.scratch().matrix<Scalar>(d_y.rows(), width_);
    const auto d_s = context.scratch().vector<Scalar>(width_);
    const auto plan = record.call.plan();
    for (std::size_t i = plan.size(); i-- > 0;) {
      State* const given = d_states.empty() ? nullptr : d_states[i];
      const bool ends = i + 1 == plan.size() || !plan[i + 1].continues;  // no later segment has its State
      for (Index c = 0; c < width_; ++c) {
        Scalar d = ends ? (given ? given->values[c] : 0) : d_s[c];
        for (Index t = plan[i].end(); t-- > plan[i].row;) {
          const Scalar f = record.keep(t, c), now = d + d_y(t, c);
          d_logits(t, c) = now * (record.before(t, c) - record.x(t, c)) * f * (1 - f);
          if (!d_x.empty()) d_x(t, c) = now * (1 - f);
          d = now * f;
        }
        d_s[c] = plan[i].reset ? 0 : d;
        if (given) given->values[c] = d_s[c];
      }
    }
    ttt::nn::linear_backward<Scalar>(p.keep, record.x, d_logits, d_x, gradients.keep, context,
                                     ttt::kernels::Output::accumulate);
  }
};
