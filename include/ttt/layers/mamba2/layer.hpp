// SPDX-License-Identifier: MIT
#pragma once

#include <span>

#include "ttt/layers/fixed_state_layer.hpp"
#include "ttt/layers/mamba2/parameters.hpp"
#include "ttt/layers/run_rule.hpp"
#include "ttt/rules/delta/delta.hpp"

TTT_NAMESPACE_BEGIN

/// Mamba-2 (Dao and Gu 2024, "Transformers are SSMs", arXiv 2405.21060), with groups as in Codestral Mamba:
///
///   z | x B C | Δ = u W_inᵀ
///   x B C         = silu(conv(x B C))                         with a bias
///   Δ, g          = clamp(softplus(Δ + bias)), −e^A Δ          per head
///   S_t           = e^g S_{t−1} + B (Δ x)ᵀ,   o = Sᵀ C + D x    rules::Delta, a head's B and C are its group's
///   y             = (w ∘ n / rms(n)) W_outᵀ,  n = o ∘ silu(z)   the norm over each group of columns
///
/// Models TrainableSequenceLayer. State: "fast_weights", S of each head [H × K · V], then the tail of the convolution.
template <class Element>
class Mamba2 : public FixedStateLayer<Mamba2<Element>, Element, Mamba2Config> {
  using Base = FixedStateLayer<Mamba2, Element, Mamba2Config>;

 public:
  static constexpr const char* name = "Mamba-2";
  using Scalar = Element;
  using Config = Mamba2Config;
  using Parameters = Mamba2Parameters<Scalar>;
  using State = ttt::State<Scalar>;
  using Rule = rules::Delta<Scalar, rules::DeltaDecay::one, false>;

  /// What a call holds until its end, and for a backward: of all rows, [N × columns].
  struct Values {
    MatrixView<Scalar> projected, mixed;  ///< z | x | B | C | Δ, and x | B | C behind the convolution
    MatrixView<Scalar> steps, decay;      ///< Δ, g
    MatrixView<Scalar> written, inner;    ///< Δ x and o
    MatrixView<Scalar> initial_tails;
    std::span<typename Rule::Record> records;

    /// Of some rows; of no segment.
    Values rows(Index first, Index count) const {
      const auto part = [&](MatrixView<Scalar> all) { return all.rows(first, count); };
      return {part(projected), part(mixed), part(steps), part(decay), part(written), part(inner), {}, {}};
    }
  };
  using Record = LayerRecord<Scalar, Values>;

  /// Throws Error for a configuration that makes no layer.
  explicit Mamba2(const Config& options) : Base(options), rule_(config_.state_width, config_.head_width) {
    Base::lay_out_state([&](StateLayout& layout) {
      layout.add(config_.heads, {{"fast_weights", StateKind::fast_weights, rule_.state_size()}});
      layout.add(config_.conv_taps - 1, {{"conv", StateKind::tail, config_.mixed_width()}});
    });
  }

  void backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                Context& context) const;

 private:
  friend Base;
  using Base::config_;

  MatrixView<Scalar> tail(State& state) const {
    return Base::last_rows(state, config_.conv_taps - 1, config_.mixed_width());
  }
  kernels::StepLimits<Scalar> limits() const {
    return {static_cast<Scalar>(config_.smallest_step), static_cast<Scalar>(config_.largest_step)};
  }
  /// Columns of z, of what the convolution reads, and of Δ.
  MatrixView<Scalar> gate(MatrixView<Scalar> projected) const { return projected.columns(0, config_.inner_width()); }
  MatrixView<Scalar> unmixed(MatrixView<Scalar> projected) const {
    return projected.columns(config_.inner_width(), config_.mixed_width());
  }
  MatrixView<Scalar> logits(MatrixView<Scalar> projected) const {
    return projected.columns(projected.columns() - config_.heads, config_.heads);
  }
  /// Columns of x.
  MatrixView<Scalar> inputs(MatrixView<Scalar> mixed) const { return mixed.columns(0, config_.inner_width()); }
  Values lay_out(SegmentPlan plan, bool recorded, Arena& memory) const;
  void run(const Parameters& parameters, const LayerCall<Scalar>& call, Values& values, Context& context) const;
  /// The rows that the rule reads of a segment and head.
  rules::DeltaRows<Scalar> rows(const Values& values, const PlannedSegment& segment, Index head) const;
  void backward_rule(const Parameters& parameters, const Record& record, MatrixView<Scalar> d_inner,
                     MatrixView<Scalar> d_mixed, MatrixView<Scalar> d_logits, Parameters& gradients,
                     std::span<State* const> d_states, Context& context) const;

  Rule rule_;
};

TTT_NAMESPACE_END

#include "ttt/layers/mamba2/backward.hpp"
#include "ttt/layers/mamba2/forward.hpp"
