// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <span>

#include "ttt/layers/attention/call.hpp"
#include "ttt/layers/fixed_state_layer.hpp"
#include "ttt/layers/lact/parameters.hpp"
#include "ttt/layers/run_rule.hpp"
#include "ttt/nn/rotary.hpp"

TTT_NAMESPACE_BEGIN

/// LaCT, the form for language models (Zhang et al. 2025, "Test-Time Training Done Right", arXiv 2505.23884): a SwiGLU
/// that learns in large chunks, and attention over a window beside it,
///
///   q | k | v = x W_qkvᵀ
///   q̂, k̂      = R(unit(silu(s_q ∘ q + o_q))), k̂ alike       per fast head of width D; unit(u) = u / (‖u‖ + 1e-5)
///   v̂         = silu(v)
///   η, m      = softplus(x W_lrᵀ + b + softplus⁻¹(0.001)), σ(x W_mᵀ + b)     per head, η for each of W0, W1, W2
///   z         = rules::LargeChunk<InnerSwiglu> of q̂, k̂, v̂, η, m
///   y         = (attention(R q, R k, v) + silu(x W_sᵀ + b) w ∘ z / rms(z)) W_oᵀ         the norm per fast head
///
/// with R the rotary embedding of the attention's heads. A chunk that fits into the window is seen whole, so that no
/// token is missed before its step. Attention, the R of the fast path, and the silu of v are options.
///
/// Models TrainableSequenceLayer. State: of each fast head "fast_weights", "momentum", the "sums" of the open chunk,
/// the "lengths" of rows at the start and "momentum_sum"; then the ring of keys and values, "attention.…".
template <class Element>
class Lact : public FixedStateLayer<Lact<Element>, Element, LactConfig> {
  using Base = FixedStateLayer<Lact, Element, LactConfig>;

 public:
  static constexpr const char* name = "LaCT";
  using Scalar = Element;
  using Config = LactConfig;
  using Parameters = LactParameters<Scalar>;
  using State = ttt::State<Scalar>;
  using Rule = rules::LargeChunk<rules::InnerSwiglu<Scalar>>;

  /// What a call holds until its end, and for a backward: of all rows, [N × columns].
  struct Values {
    MatrixView<Scalar> projected;              ///< q | k | v
    MatrixView<Scalar> queries, keys, values;  ///< what the rule reads
    MatrixView<Scalar> rates, momentum;        ///< η [N × 3H], m [N × H]
    MatrixView<Scalar> strength;               ///< x W_sᵀ + b [N × H]
    MatrixView<Scalar> inner, mixed;           ///< z, and what W_o reads
    AttentionRows<Scalar> attention;           ///< empty without
    std::span<AttentionPiece<Scalar>> pieces;
    std::span<typename Rule::Record> records;
  };
  using Record = LayerRecord<Scalar, Values>;

  /// Throws Error for a configuration that makes no layer.
  explicit Lact(const Config& options);

  void backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                Context& context) const;

 private:
  friend Base;
  using Base::config_;

  static constexpr Index table_positions = 4096;  ///< whose angles are looked up
  static constexpr double unit_epsilon = 1e-5, least_rate = 0.001;

  bool attends() const { return config_.window > 0; }
  void load_initial(const Parameters& parameters, Index head, Scalar* state) const;
  /// Fast weights as they are learned, an empty window.
  void load_initial(const Parameters& parameters, State& state) const {
    for (Index head = 0; head < config_.fast_heads; ++head)
      load_initial(parameters, head, state.values.data() + head * rule_.state_size());
  }
  Values lay_out(SegmentPlan plan, bool recorded, Arena& memory) const;
  void run(const Parameters& parameters, const LayerCall<Scalar>& call, Values& values, Context& context) const;
  Values lay_out_gradients(Index rows, Arena& memory) const;
  void project(const Parameters& parameters, MatrixView<const Scalar> x, SegmentPlan plan, const Values& values,
               Context& context) const;
  void combine(const Parameters& parameters, const Values& values, MatrixView<Scalar> y, Context& context) const;
  void backward_answers(const Parameters& parameters, const Values& values, const Values& d, Parameters& gradients,
                        Context& context) const;
  void backward_inputs(const Parameters& parameters, const Values& values, const Values& d, Parameters& gradients,
                       Context& context) const;
  void backward_projections(const Parameters& parameters, MatrixView<const Scalar> x, const Values& d,
                            MatrixView<Scalar> d_x, Parameters& gradients, Context& context) const;
  void rotate(kernels::RotaryTurn turn, SegmentPlan plan, Index start, std::initializer_list<MatrixView<Scalar>> parts,
              Context& context) const {
    nn::rotate_rows<Scalar>({*rotary_, kernels::RotaryPairs::halves}, turn, plan, start, parts, context);
  }
  /// q, k or v of the rows.
  MatrixView<Scalar> third(MatrixView<Scalar> projected, Index i) const {
    return projected.columns(i * config_.width, config_.width);
  }
  /// The rows that the rule reads of a segment and head, or their gradients.
  rules::LargeChunkRows<Scalar> rows(const Values& values, const PlannedSegment& segment, Index head) const {
    const auto part = [&](MatrixView<Scalar> all, Index columns) { return of_group(all, segment, head, columns); };
    const Index fast = config_.fast_width();
    return {part(values.queries, fast), part(values.keys, fast), part(values.values, fast), part(values.rates, 3),
            part(values.momentum, 1)};
  }
  MatrixView<Scalar> answers(const Values& values, const PlannedSegment& segment, Index head) const {
    return of_group(values.inner, segment, head, config_.fast_width());
  }

  Rule rule_;
  AttentionHeads heads_;
  std::shared_ptr<const kernels::RotaryTable<Scalar>> rotary_;  // null: nothing is turned; copies share it
};

TTT_NAMESPACE_END

#include "ttt/layers/lact/backward.hpp"
#include "ttt/layers/lact/forward.hpp"
#include "ttt/layers/lact/memory.hpp"
