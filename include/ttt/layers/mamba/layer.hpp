// SPDX-License-Identifier: MIT
#pragma once

#include <span>

#include "ttt/layers/fixed_state_layer.hpp"
#include "ttt/layers/mamba/parameters.hpp"
#include "ttt/layers/run_rule.hpp"
#include "ttt/rules/selective_scan/selective_scan.hpp"

TTT_NAMESPACE_BEGIN

/// Mamba (Gu and Dao 2023, "Mamba", arXiv 2312.00752, figure 3 and algorithm 2):
///
///   x | z     = u W_inᵀ
///   x         = silu(conv(x))                          with a bias
///   δ | B | C = x W_xᵀ,   Δ = softplus(δ W_Δᵀ + b)       per channel
///   h_t       = e^(Δ A) ∘ h_{t−1} + (Δ x) Bᵀ,   A = −e^(A_log),   o = h C + D ∘ x    rules::SelectiveScan
///   y         = (o ∘ silu(z)) W_outᵀ
///
/// Models TrainableSequenceLayer. State: "fast_weights", h of each group of channels [I / c × K · c], then the tail of
/// the convolution.
template <class Element>
class Mamba : public FixedStateLayer<Mamba<Element>, Element, MambaConfig> {
  using Base = FixedStateLayer<Mamba, Element, MambaConfig>;

 public:
  static constexpr const char* name = "Mamba";
  using Scalar = Element;
  using Config = MambaConfig;
  using Parameters = MambaParameters<Scalar>;
  using State = ttt::State<Scalar>;
  using Rule = rules::SelectiveScan<Scalar>;

  /// What a call holds until its end, and for a backward: of all rows, [N × columns].
  struct Values {
    MatrixView<Scalar> projected, mixed;  ///< x | z, and x behind the convolution
    MatrixView<Scalar> selected;          ///< δ | B | C
    MatrixView<Scalar> logits, steps;     ///< what softplus gets, and Δ
    MatrixView<Scalar> inner;             ///< o
    MatrixView<Scalar> rates;             ///< A of each group, transposed [groups · K × c]
    MatrixView<Scalar> initial_tails;
    std::span<typename Rule::Record> records;

    /// Of some rows; of no segment.
    Values rows(Index first, Index count) const {
      const auto part = [&](MatrixView<Scalar> all) { return all.rows(first, count); };
      return {part(projected), part(mixed), part(selected), part(logits), part(steps), part(inner), rates, {}, {}};
    }
  };
  using Record = LayerRecord<Scalar, Values>;

  /// Throws Error for a configuration that makes no layer.
  explicit Mamba(const Config& options) : Base(options), rule_(config_.channels(), config_.state_width) {
    Base::lay_out_state([&](StateLayout& layout) {
      layout.add(config_.groups(), {{"fast_weights", StateKind::fast_weights, rule_.state_size()}});
      layout.add(config_.conv_taps - 1, {{"conv", StateKind::tail, config_.inner_width}});
    });
  }

  void backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                Context& context) const;

 private:
  friend Base;
  using Base::config_;

  MatrixView<Scalar> tail(State& state) const {
    return Base::last_rows(state, config_.conv_taps - 1, config_.inner_width);
  }
  MatrixView<Scalar> unmixed(MatrixView<Scalar> projected) const { return projected.columns(0, config_.inner_width); }
  MatrixView<Scalar> gate(MatrixView<Scalar> projected) const {
    return projected.columns(config_.inner_width, config_.inner_width);
  }
  MatrixView<Scalar> narrow_steps(MatrixView<Scalar> selected) const { return selected.columns(0, config_.step_rank); }
  /// Columns of B, and of C behind them.
  MatrixView<Scalar> input_columns(MatrixView<Scalar> selected) const {
    return selected.columns(config_.step_rank, config_.state_width);
  }
  MatrixView<Scalar> output_columns(MatrixView<Scalar> selected) const {
    return selected.columns(config_.step_rank + config_.state_width, config_.state_width);
  }
  Values lay_out(SegmentPlan plan, bool recorded, Arena& memory) const;
  void run(const Parameters& parameters, const LayerCall<Scalar>& call, Values& values, Context& context) const;
  void select(const Parameters& parameters, const Values& values, Context& context) const;
  typename Rule::Input input(const Values& values, const PlannedSegment& segment, Index group) const;
  void backward_rule(const Parameters& parameters, const Record& record, MatrixView<Scalar> d_inner,
                     MatrixView<Scalar> d_mixed, MatrixView<Scalar> d_selected, Parameters& gradients,
                     std::span<State* const> d_states, Context& context) const;

  Rule rule_;
};

TTT_NAMESPACE_END

#include "ttt/layers/mamba/backward.hpp"
#include "ttt/layers/mamba/forward.hpp"
