// SPDX-License-Identifier: MIT
// A layer of one's own, complete: a moving average that learns what to forget,  s_t = f ∘ s_{t−1} + (1 − f) ∘ x_t,
// f = σ(x_t Wᵀ),  y_t = s_t.
#pragma once

#include <cmath>
#include <ttt/layers/fixed_state_layer.hpp>
#include <ttt/nn/linear.hpp>

struct GatedAverageConfig {
  ttt::Index width = 0;  // C
};

/// Models ttt::TrainableSequenceLayer. State: "average", s [C].
template <class Element>
class GatedAverage : public ttt::FixedStateLayer<GatedAverage<Element>, Element, GatedAverageConfig> {
  using Base = ttt::FixedStateLayer<GatedAverage, Element, GatedAverageConfig>;
  friend Base;
  using Rows = ttt::MatrixView<Element>;
  using Input = ttt::MatrixView<const Element>;
  using Index = ttt::Index;

 public:
  using Base::width;
  static constexpr const char* name = "gated average";
  using Scalar = Element;
  using State = ttt::State<Scalar>;
  struct Parameters {
    using Scalar = Element;
    ttt::Tensor<Scalar> keep;  // W [C × C]
    ttt::Fingerprint layer{};  // that it is of
    void visit(ttt::ParameterVisitor<Scalar> visitor) { visitor("keep.weight", keep, ttt::parameter::projection); }
  };
  struct Values {
    Rows keep, before;  // f and s_{t−1} [N × C]
  };
  using Record = ttt::LayerRecord<Scalar, Values>;

  explicit GatedAverage(Index channels) : Base({channels}, ttt::Fingerprint(name, {channels})) {
    Base::lay_out_state([&](auto& layout) { layout.add(1, {{"average", ttt::StateKind::fast_weights, channels}}); });
  }
  Parameters make_parameters() const { return {ttt::nn::make_weight<Scalar>(width(), width()), Base::fingerprint_}; }
  using Base::accepts;
  bool accepts(const Parameters& p) const { return p.layer == Base::fingerprint_ && !p.keep.empty(); }

  Values lay_out(ttt::SegmentPlan plan, bool, ttt::Arena& memory) const {
    const Index rows = ttt::total_rows(plan);
    return {memory.matrix<Scalar>(rows, width()), memory.matrix<Scalar>(rows, width())};
  }
  void run(const Parameters& p, const ttt::LayerCall<Scalar>& call, Values& values, ttt::Context& context) const {
    const auto& [x, segments, plan, y, memory] = call;
    const auto& [keep, before] = values;
    ttt::nn::linear_forward<Scalar>(p.keep, x, keep, context);
    for (std::size_t i = 0; i < plan.size(); ++i) {
      auto& s = segments[i].state->values;
      if (plan[i].reset) s.clear();
      for (Index t = plan[i].row; t < plan[i].end(); ++t)
        for (Index c = 0; c < width(); ++c) {
          const Scalar f = keep(t, c) = 1 / (1 + std::exp(-keep(t, c)));
          before(t, c) = s[c];
          y(t, c) = s[c] = f * s[c] + (1 - f) * x(t, c);
        }
    }
  }
  void backward(const Parameters& p, const Record& record, Input d_y, Rows d_x, Parameters& gradients,
                std::span<State* const> d_states, ttt::Context& context) const {
    ttt::detail::check_backward(name, *this, p, record, d_y, d_x, gradients, d_states, context.scratch());
    const ttt::Arena::Frame frame(context.scratch());
    const auto d_logits = context.scratch().matrix<Scalar>(d_y.rows(), width());
    const auto d_s = context.scratch().vector<Scalar>(width());
    const auto plan = record.call.plan();
    for (std::size_t i = plan.size(); i-- > 0;) {
      State* const given = d_states.empty() ? nullptr : d_states[i];
      const bool ends = i + 1 == plan.size() || !plan[i + 1].continues;  // no later segment has its State
      for (Index c = 0; c < width(); ++c) {
        Scalar d = ends ? (given ? given->values[c] : 0) : d_s[c];
        for (Index t = plan[i].end(); t-- > plan[i].row;) {
          const Scalar f = record.values.keep(t, c), now = d + d_y(t, c);
          d_logits(t, c) = now * (record.values.before(t, c) - record.x(t, c)) * f * (1 - f);
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
