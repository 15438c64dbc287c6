// SPDX-License-Identifier: MIT
#pragma once

#include <limits>
#include <optional>
#include <span>

#include "ttt/layers/call_checks.hpp"
#include "ttt/layers/sequence_layer.hpp"
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
///   z       = rule(q, k, v; η, τ)                τ_r = max(0, 1 / r + learned_r), r = 1 … K
///   y       = (LN(z) ∘ gelu(x W_gᵀ)) W_oᵀ        without a gate: LN(z) W_oᵀ
///
/// Models TrainableSequenceLayer. State: per head the rule's (fast weights and the open mini-batch), then the tail of
/// the convolutions [(taps − 1) × C].
template <class Rule>
class TttLayer {
 public:
  using Scalar = typename Rule::Scalar;
  using Config = TttConfig;
  using Parameters = TttParameters<Scalar>;
  using State = BufferState<Scalar>;
  using Record = TttRecord<Scalar>;
  using Segments = std::span<const Segment<State>>;

  /// Throws Error for a configuration that makes no layer.
  explicit TttLayer(const Config& config)
      : config_((check(config), config)),
        fingerprint_(Rule::name, {config.width, config.heads, config.mini_batch, config.gate, config.share_query_key,
                                  config.share_query_key ? config.conv_taps : 0}),
        rule_(config.width / config.heads, config.mini_batch),
        rotary_(rule_.head_width(), config.mini_batch, config.rope_theta) {}

  const Config& config() const { return config_; }
  const Rule& rule() const { return rule_; }
  Index width() const { return config_.width; }
  Parameters make_parameters() const {
    Parameters parameters(config_, rule_);
    parameters.layer = fingerprint_;
    return parameters;
  }
  bool accepts(const Parameters& parameters) const {
    return parameters.layer == fingerprint_ && !parameters.query.empty();
  }
  bool accepts_gradients(const Parameters& gradients) const { return gradients.layer == fingerprint_; }

  /// The learned W₀ in every head, nothing read; `capacity` is ignored, the state does not grow.
  State initial_state(const Parameters& parameters, [[maybe_unused]] Index capacity = 0) const {
    State state{0, Buffer<Scalar>(state_size()), fingerprint_};
    reset(parameters, state);
    return state;
  }
  void reset(const Parameters& parameters, State& state) const {
    detail::check_reset(Rule::name, *this, parameters, state);
    state.wipe();
    for (Index head = 0; head < config_.heads; ++head)
      load_initial(parameters, head, state.values.data() + head * rule_.state_size());
    state.position = 0;
  }
  bool accepts(const State& state) const { return state.layer == fingerprint_ && state.values.size() == state_size(); }
  bool accepts(const Record& record) const { return record.call.layer() == fingerprint_; }
  /// A sequence has no end.
  Index capacity(const State&) const { return std::numeric_limits<Index>::max(); }
  std::size_t state_bytes([[maybe_unused]] Index capacity = 0) const {
    return static_cast<std::size_t>(state_size()) * sizeof(Scalar);
  }
  /// Bytes a Record holds for one sequence of `tokens`, read from its start.
  std::size_t record_bytes(Index tokens) const {
    const PlannedSegment whole{0, tokens};
    return static_cast<std::size_t>(Arena::count([&](Arena& memory) { lay_out({&whole, 1}, true, memory); }));
  }

  void forward(const Parameters& parameters, MatrixView<const Scalar> x, Segments segments, MatrixView<Scalar> y,
               Context& context, Record* record = nullptr) const;
  void backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                Context& context) const;

 private:
  using Activations = TttActivations<Scalar>;

  static constexpr Index steps_per_rate = 16;  // what a learning rate costs in multiply-adds, on one lane

  Index tail_rows() const { return config_.share_query_key ? config_.conv_taps - 1 : 0; }
  Index state_size() const { return config_.heads * rule_.state_size() + tail_rows() * config_.width; }
  MatrixView<Scalar> tail(State& state) const {
    return {state.values.data() + config_.heads * rule_.state_size(), tail_rows(), config_.width};
  }
  double base_rate() const {
    return config_.base_learning_rate.value_or(Rule::base_learning_rate) / static_cast<double>(rule_.head_width());
  }
  rules::TttCheckpoints<Scalar> checkpoints(Scalar* data) const {
    return {data, config_.checkpoint_interval, rule_.state_size(), rule_.weight_size(), rule_.z_width()};
  }
  rules::PartList parts(const PlannedSegment& segment) const {
    return {static_cast<Index>(segment.position % rule_.mini_batch()), segment.length, rule_.mini_batch()};
  }
  rules::TttHead<Scalar> head(const Parameters& parameters, const Activations& activations, Index h) const {
    const Index width = rule_.head_width();
    return {{parameters.norm_weight.data() + h * width, parameters.norm_bias.data() + h * width,
             static_cast<Scalar>(config_.norm_epsilon)},
            activations.factors};
  }

  void forward_in_pieces(const Parameters& parameters, MatrixView<const Scalar> x, Segments segments, Index rows,
                         MatrixView<Scalar> y, Context& context) const;
  void load_initial(const Parameters& parameters, Index head, Scalar* state) const;
  TttCall<Scalar> lay_out(SegmentPlan plan, bool recorded, Arena& memory) const;
  void project(const Parameters& parameters, Segments segments, MatrixView<Scalar> initial_tails, const Activations& a,
               Context& context) const;
  void rotate(const Activations& a, kernels::RotaryTurn turn, Context& context) const {
    nn::rotate_rows<Scalar>({rotary_, kernels::RotaryPairs::interleaved, rule_.mini_batch()}, turn, a.plan, a.row,
                            {a.queries, a.keys}, context);
  }
  void learning_rates(const Parameters& parameters, const Activations& a, Context& context) const;
  void inner_loop(const Parameters& parameters, Segments segments, const Activations& a,
                  std::span<Scalar*> checkpoint_memory, Context& context) const;
  std::span<rules::PartLoss*> allocate_losses(SegmentPlan plan, Arena& memory) const;
  void report(SegmentPlan plan, std::span<rules::PartLoss*> losses, Context& context) const;

  void backward_output(const Parameters& parameters, const Activations& all, MatrixView<const Scalar> d_y,
                       MatrixView<Scalar> d_x, MatrixView<Scalar> d_inner, Parameters& gradients,
                       Context& context) const;
  void backward_inner_loop(const Parameters& parameters, const Record& record, const Activations& d,
                           Parameters& gradients, std::span<State* const> d_states, Context& context) const;
  void backward_run(const Parameters& parameters, const Record& record, const Activations& d, SegmentRange run, Index h,
                    std::span<State* const> d_states, Scalar* sums, Context& context, Arena& arena) const;
  void sum_inner_gradients(const Activations& a, MatrixView<const Scalar> sums, Parameters& gradients,
                           Context& context) const;
  void backward_learning_rates(const Activations& a, const Activations& d, MatrixView<Scalar> d_logits,
                               Context& context) const;
  void backward_projections(const Parameters& parameters, const Record& record, const Activations& d_all,
                            MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                            Context& context) const;
  void backward_convolutions(const Parameters& parameters, const Record& record, const Activations& d,
                             MatrixView<Scalar> d_shared, Parameters& gradients, std::span<State* const> d_states,
                             Context& context) const;

  Config config_;
  Fingerprint fingerprint_;
  Rule rule_;
  kernels::RotaryTable<Scalar> rotary_;
};

TTT_NAMESPACE_END

#include "ttt/layers/ttt/backward.hpp"
#include "ttt/layers/ttt/forward.hpp"
