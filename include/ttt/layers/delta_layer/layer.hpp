// SPDX-License-Identifier: MIT
#pragma once

#include <span>

#include "ttt/layers/delta_layer/parameters.hpp"
#include "ttt/layers/fixed_state_layer.hpp"
#include "ttt/layers/run_rule.hpp"
#include "ttt/rules/delta/delta.hpp"

TTT_NAMESPACE_BEGIN

/// What all layers of the delta family are (rules/delta/delta.hpp), in the words of a DeltaDesign:
///
///   q | k | v = x Wᵀ, then silu(conv(·))                       the convolution is an option
///   delta rules:   q, k = q / (‖q‖ √K), k / ‖k‖,  β = most σ(x W_bᵀ),  e = β k,  c = k,  and v is β v
///   sums:          q, k = φ(q) / √K, φ(k),  c = k
///   g         = −e^A softplus(a + bias), or log σ(a + b) / divisor, or 0;  a = x W_aᵀ, for a head or each of its rows
///   S̃ = Diag(e^g) S_{t−1},  S_t = S̃ + c (v − S̃ᵀ e)ᵀ,  o = S_tᵀ q
///   y         = (w ∘ o / rms(o) ∘ f(x W_zᵀ)) W_oᵀ                per value head; the gate is an option
///
/// `Options` are a layer's configuration; it has the name of its `layer`, `by_row` (decays for each row of the state)
/// and `erases` (a delta rule, no sum), `resolve()`, `fingerprint()` of what shapes states and parameters, and
/// `design()`. Models TrainableSequenceLayer. State: "fast_weights", S of each head [H × K · V], then the tail of the
/// convolution.
template <class Element, class Options>
class DeltaLayer : public FixedStateLayer<DeltaLayer<Element, Options>, Element, Options> {
  using Base = FixedStateLayer<DeltaLayer, Element, Options>;

 public:
  static constexpr const char* name = Options::layer;
  using Scalar = Element;
  using Config = Options;
  using Parameters = DeltaParameters<Scalar>;
  using State = ttt::State<Scalar>;
  static constexpr bool erases = Options::erases;
  using Rule =
      rules::Delta<Scalar, Options::by_row ? rules::DeltaDecay::by_row : rules::DeltaDecay::one, Options::erases>;

  /// What a call holds until its end, and for a backward: of all rows, [N × columns].
  struct Values {
    MatrixView<Scalar> projected, mixed;  ///< q | k | v in front of the convolution and behind it
    MatrixView<Scalar> queries, keys, logits, rates, erase, written, decay, inner;
    nn::LowRankRows<Scalar> gate, steps;
    MatrixView<Scalar> initial_tails;          ///< of each segment
    std::span<typename Rule::Record> records;  ///< of each segment and head

    /// Of some rows; of no segment.
    Values rows(Index first, Index count) const;
  };
  using Record = LayerRecord<Scalar, Values>;

  /// Throws Error for a configuration that makes no layer.
  explicit DeltaLayer(const Config& options)
      : Base(options), design_(config_.design()), rule_(design_.key_width, design_.value_width) {
    Base::lay_out_state([&](StateLayout& layout) {
      layout.add(design_.value_heads, {{"fast_weights", StateKind::fast_weights, rule_.state_size()}});
      layout.add(design_.tail_rows(), {{"conv", StateKind::tail, design_.mixed_width()}});
    });
  }

  Parameters make_parameters() const { return {design_, erases, Base::fingerprint_}; }
  void backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                Context& context) const;

 private:
  friend Base;
  using Base::config_;

  Values lay_out(SegmentPlan plan, bool recorded, Arena& memory) const;
  void run(const Parameters& parameters, const LayerCall<Scalar>& call, Values& values, Context& context) const;
  Values lay_out_gradients(Index rows, Arena& memory) const;
  void project(const Parameters& parameters, MatrixView<const Scalar> x, const Values& values, Context& context) const;
  void convolve(const Parameters& parameters, const LayerCall<Scalar>& call, const Values& values,
                Context& context) const;
  void make_rows(const Values& values, Index first, Index count, Context& own) const;

  void backward_rule(const Record& record, const Values& d, std::span<State* const> d_states, Context& context) const;
  void backward_decay(const Parameters& parameters, const Values& values, const Values& d, Parameters& gradients,
                      Context& context) const;
  void backward_rows(const Values& values, const Values& d, Index first, Index count, Context& own) const;
  void backward_convolution(const Parameters& parameters, const Record& record, const Values& d, Parameters& gradients,
                            std::span<State* const> d_states, Context& context) const;
  void backward_maps(const Parameters& parameters, MatrixView<const Scalar> x, const Values& d, MatrixView<Scalar> d_x,
                     Parameters& gradients, Context& context) const;

  MatrixView<Scalar> tail(State& state) const {
    return Base::last_rows(state, design_.tail_rows(), design_.mixed_width());
  }
  /// What is written, of a call or its gradients: sums write v itself.
  MatrixView<Scalar> written(const Values& values) const {
    return erases ? values.written : values.mixed.columns(2 * design_.keys(), design_.values());
  }
  /// The rows that the rule reads of a segment and head, whose queries and keys may be those of several; or their
  /// gradients, where each has its own.
  rules::DeltaRows<Scalar> rows(const Values& values, const PlannedSegment& segment, Index head,
                                Index heads_of_key) const {
    const Index key = head / heads_of_key, keys = design_.key_width;
    return {of_group(values.queries, segment, key, keys), of_group(values.erase, segment, head, keys),
            of_group(values.keys, segment, key, keys), of_group(written(values), segment, head, design_.value_width),
            of_group(values.decay, segment, head, design_.decay_width)};
  }
  MatrixView<Scalar> answers(const Values& values, const PlannedSegment& segment, Index head) const {
    return of_group(values.inner, segment, head, design_.value_width);
  }

  DeltaDesign design_;
  Rule rule_;
};

TTT_NAMESPACE_END

#include "ttt/layers/delta_layer/backward.hpp"
#include "ttt/layers/delta_layer/forward.hpp"
