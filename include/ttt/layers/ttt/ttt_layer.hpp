// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <span>

#include "ttt/layers/fixed_state_layer.hpp"
#include "ttt/layers/ttt/parameters.hpp"
#include "ttt/layers/ttt/record.hpp"
#include "ttt/nn/rotary.hpp"
#include "ttt/nn/row_pieces.hpp"

TTT_NAMESPACE_BEGIN

/// A layer around a TttRule, as published (Sun et al. 2024, arXiv 2407.04620, sections 2 and 3):
///
///   q, k, v = x W_qᵀ, x W_kᵀ, x W_vᵀ             (shared: q, k = two temporal convolutions of x W_qᵀ)
///   q, k    = rotary(q), rotary(k)               at position mod K
///   η       = base / D · sigmoid(x w_hᵀ + b_h)   per token and head
///   z       = rule(q, k, v; η, τ)                τ_r = max(0, 1 / r + learned_r), r = 1 … K; in one of the orders
///                                                of rules::TttOrder, of which the simplified one has no q
///   y       = (LN(z) ∘ gelu(x W_gᵀ)) W_oᵀ        without a gate: LN(z) W_oᵀ
///
/// Models TrainableSequenceLayer. State: for each head the rule's, "fast_weights" and "open_mini_batch" beside each
/// other, then the tail of the convolutions, "conv" [(taps − 1) × C].
template <class Rule>
class TttLayer : public FixedStateLayer<TttLayer<Rule>, typename Rule::Scalar, TttConfig> {
  using Base = FixedStateLayer<TttLayer, typename Rule::Scalar, TttConfig>;

 public:
  static constexpr const char* name = Rule::name;
  using Scalar = typename Rule::Scalar;
  using Config = TttConfig;
  using Parameters = TttParameters<Scalar>;
  using State = ttt::State<Scalar>;
  using Values = TttCall<Scalar>;
  using Record = LayerRecord<Scalar, Values>;
  using Segments = std::span<const Segment<State>>;

  /// Throws Error for a configuration that makes no layer.
  explicit TttLayer(const Config& config)
      : Base((check(config), config),
             Fingerprint(name,
                         {config.width, config.heads, config.mini_batch, config.gate, config.share_query_key,
                          config.share_query_key ? config.conv_taps : 0, config.has_queries(), config.initial_rank})),
        rule_(Rule(config.width / config.heads, config.mini_batch), config.form, config.checkpoint_interval),
        rotary_(rule().head_width(), config.mini_batch, config.rope_theta) {
    const Index weights = rule_.initial_size(), rows = rule_.state_size() - weights;
    Base::lay_out_state([&](StateLayout& layout) {
      const Index K = config.mini_batch;
      layout.add(config.heads, {{"fast_weights", StateKind::fast_weights, weights, {.period = K}},
                                {"open_mini_batch",
                                 StateKind::open_mini_batch,
                                 rows,
                                 {.period = K, .slots = K, .widths = rule().row_widths()}}});
      layout.add(tail_rows(), {{"conv", StateKind::tail, config.width}});
    });
  }

  using Base::width;
  const Rule& rule() const { return rule_.rule(); }
  Parameters make_parameters() const { return {config_, rule(), Base::fingerprint_}; }

  void forward(const Parameters& parameters, MatrixView<const Scalar> x, Segments segments, MatrixView<Scalar> y,
               Context& context, Record* record = nullptr) const;
  void backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                Context& context) const;

 private:
  friend Base;
  using Base::config_;
  using Activations = TttActivations<Scalar>;
  using Sequence = rules::TttSequence<Rule>;
  using Records = std::span<typename Sequence::Record>;

  static constexpr Index steps_per_rate = 16;  // what a learning rate costs in multiply-adds, on one lane

  Index tail_rows() const { return config_.share_query_key ? config_.conv_taps - 1 : 0; }
  MatrixView<Scalar> tail(State& state) const { return Base::last_rows(state, tail_rows(), config_.width); }
  double base_rate() const {
    return config_.base_learning_rate.value_or(Rule::base_learning_rate) / static_cast<double>(rule().head_width());
  }
  /// What the rule reads of one segment and head.
  typename Sequence::Input input(const Parameters& parameters, const Activations& a, const PlannedSegment& segment,
                                 Index h) const {
    const Index columns = rule().head_width();
    const kernels::NormRows<Scalar> norm{parameters.norm_weight.data() + h * columns,
                                         parameters.norm_bias.data() + h * columns,
                                         static_cast<Scalar>(config_.norm_epsilon)};
    return {{norm, a.factors, config_.order}, a.rows(segment, h, columns)};
  }

  void load_initial(const Parameters& parameters, Index head, Scalar* state) const;
  /// The learned W₀ in every head, nothing read.
  void load_initial(const Parameters& parameters, State& state) const {
    for (Index head = 0; head < config_.heads; ++head)
      load_initial(parameters, head, state.values.data() + head * rule_.state_size());
  }
  Values lay_out(SegmentPlan plan, bool recorded, Arena& memory) const;
  void run(const Parameters& parameters, const LayerCall<Scalar>& call, Values& values, Context& context) const;
  void project(const Parameters& parameters, Segments segments, MatrixView<Scalar> initial_tails, const Activations& a,
               Context& context) const;
  void rotate(const Activations& a, kernels::RotaryTurn turn, Context& context) const {
    nn::rotate_rows<Scalar>({rotary_, kernels::RotaryPairs::interleaved, rule().mini_batch()}, turn, a.plan, a.row,
                            {a.keys, a.queries}, context);
  }
  void learning_rates(const Parameters& parameters, const Activations& a, Context& context) const;
  void inner_loop(const Parameters& parameters, Segments segments, const Activations& a, Records records,
                  Context& context) const;
  Records with_losses(const Parameters& parameters, SegmentPlan plan, Records records, Arena& memory) const;
  void report(SegmentPlan plan, Records records, Context& context) const;

  void backward_output(const Parameters& parameters, const Activations& all, MatrixView<const Scalar> d_y,
                       MatrixView<Scalar> d_x, MatrixView<Scalar> d_inner, Parameters& gradients,
                       Context& context) const;
  void backward_inner_loop(const Parameters& parameters, const Record& record, const Activations& d,
                           Parameters& gradients, std::span<State* const> d_states, Context& context) const;
  void add_head_sums(const Parameters& parameters, Index h, const Scalar* sums, Parameters& gradients) const;
  void backward_learning_rates(const Activations& a, const Activations& d, MatrixView<Scalar> d_logits,
                               Context& context) const;
  void backward_projections(const Parameters& parameters, const Record& record, const Activations& d_all,
                            MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                            Context& context) const;
  void backward_convolutions(const Parameters& parameters, const Record& record, const Activations& d,
                             MatrixView<Scalar> d_shared, Parameters& gradients, std::span<State* const> d_states,
                             Context& context) const;

  Sequence rule_;
  kernels::RotaryTable<Scalar> rotary_;
};

TTT_NAMESPACE_END

#include "ttt/layers/ttt/backward.hpp"
#include "ttt/layers/ttt/forward.hpp"
