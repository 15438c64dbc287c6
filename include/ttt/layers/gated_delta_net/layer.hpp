// SPDX-License-Identifier: MIT
#pragma once

#include <span>

#include "ttt/layers/fixed_state_layer.hpp"
#include "ttt/layers/gated_delta_net/parameters.hpp"
#include "ttt/layers/run_rule.hpp"
#include "ttt/rules/delta/delta.hpp"

TTT_NAMESPACE_BEGIN

/// Gated DeltaNet (Yang, Kautz and Hatamizadeh 2025, arXiv 2412.06464), with grouped value heads as in Qwen3-Next:
///
///   q | k | v = silu(conv(x W_qkvᵀ))                          a causal convolution of a few taps over all columns
///   q, k      = q / (‖q‖ √K), k / ‖k‖                         per key head
///   β, g      = most σ(x W_bᵀ), −e^A softplus(x W_aᵀ + bias)   per value head
///   S_t       = e^g S_{t−1} (I − β k kᵀ) + β v kᵀ,   o = S q    rules::Delta
///   y         = (w ∘ o / rms(o) ∘ silu(x W_zᵀ)) W_oᵀ           per value head
///
/// Without `decay` it is DeltaNet (Schlag et al. 2021; Yang et al. 2024, arXiv 2406.06484); the gate is an option, too.
/// Models TrainableSequenceLayer. State: "fast_weights", S of each head [H × K · V], then the tail of the convolution.
template <class Element>
class GatedDeltaNet : public FixedStateLayer<GatedDeltaNet<Element>, Element> {
  using Base = FixedStateLayer<GatedDeltaNet, Element>;

 public:
  static constexpr const char* name = "Gated DeltaNet";
  using Scalar = Element;
  using Config = GatedDeltaNetConfig;
  using Parameters = GatedDeltaNetParameters<Scalar>;
  using State = ttt::State<Scalar>;
  using Segments = std::span<const Segment<State>>;
  using Rule = rules::Delta<Scalar, rules::DeltaDecay::one, true>;

  /// What a call holds until its end, and for a backward: of all rows, [N × columns].
  struct Values {
    MatrixView<Scalar> projected, mixed;  ///< q | k | v in front of the convolution and behind it
    MatrixView<Scalar> queries, keys, gate, logits, steps;
    MatrixView<Scalar> rates, erase, written, decay, inner;
    MatrixView<Scalar> initial_tails;
    std::span<typename Rule::Record> records;
  };
  struct Record {
    RecordedCall call;
    MatrixView<const Scalar> x;
    Arena memory;
    Values values;
  };

  /// Throws Error for a configuration that makes no layer.
  explicit GatedDeltaNet(Config config)
      : Base((config.resolve(), Fingerprint(name, {config.width, config.heads, config.value_heads, config.key_width,
                                                   config.value_width, config.conv_taps, config.decay, config.gate}))),
        config_(config),
        rule_(config.key_width, config.value_width) {
    Base::lay_out_state([&](StateLayout& layout) {
      layout.add(config.value_heads, {{"fast_weights", StateKind::fast_weights, rule_.state_size()}});
      layout.add(config.conv_taps - 1, {{"conv", StateKind::tail, config.mixed_width()}});
    });
  }

  const Config& config() const { return config_; }
  Index width() const { return config_.width; }
  Parameters make_parameters() const { return {config_, fingerprint_}; }
  bool accepts(const Parameters& parameters) const {
    return parameters.layer == fingerprint_ && !parameters.mixed.empty();
  }
  using Base::accepts;
  std::size_t record_bytes(Index tokens) const {
    return Base::recorded_bytes(tokens, [this](SegmentPlan plan, Arena& memory) { lay_out(plan, true, memory); });
  }

  void forward(const Parameters& parameters, MatrixView<const Scalar> x, Segments segments, MatrixView<Scalar> y,
               Context& context, Record* record = nullptr) const;
  void backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                Context& context) const;

 private:
  using Base::fingerprint_;

  MatrixView<Scalar> tail(State& state) const {
    return Base::last_rows(state, config_.conv_taps - 1, config_.mixed_width());
  }
  Values lay_out(SegmentPlan plan, bool recorded, Arena& memory) const;
  Values lay_out_gradients(Index rows, Arena& memory) const;
  void project(const Parameters& parameters, MatrixView<const Scalar> x, const Values& values, Context& context) const;
  void backward_projections(const Parameters& parameters, MatrixView<const Scalar> x, const Values& d,
                            MatrixView<Scalar> d_x, Parameters& gradients, Context& context) const;
  /// The rows that the rule reads of a segment and head, or their gradients.
  rules::DeltaRows<Scalar> rows(const Values& values, const PlannedSegment& segment, Index head) const;
  MatrixView<Scalar> answers(const Values& values, const PlannedSegment& segment, Index head) const {
    return values.inner.rows(segment.row, segment.length).columns(head * config_.value_width, config_.value_width);
  }

  Config config_;
  Rule rule_;
};

TTT_NAMESPACE_END

#include "ttt/layers/gated_delta_net/backward.hpp"
#include "ttt/layers/gated_delta_net/forward.hpp"
