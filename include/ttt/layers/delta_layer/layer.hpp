// SPDX-License-Identifier: MIT
#pragma once

#include <span>

#include "ttt/layers/delta_layer/parameters.hpp"
#include "ttt/layers/fixed_state_layer.hpp"
#include "ttt/layers/run_rule.hpp"
#include "ttt/layers/segment_rounds.hpp"
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
class DeltaLayer : public FixedStateLayer<DeltaLayer<Element, Options>, Element> {
  using Base = FixedStateLayer<DeltaLayer, Element>;

 public:
  static constexpr const char* name = Options::layer;
  using Scalar = Element;
  using Config = Options;
  using Parameters = DeltaParameters<Scalar>;
  using State = ttt::State<Scalar>;
  using Segments = std::span<const Segment<State>>;
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
  struct Record {
    RecordedCall call;
    MatrixView<const Scalar> x;
    Arena memory;
    Values values;
  };

  /// Throws Error for a configuration that makes no layer.
  explicit DeltaLayer(Config config)
      : Base((config.resolve(), config.fingerprint())),
        config_(config),
        design_(config.design()),
        rule_(design_.key_width, design_.value_width) {
    Base::lay_out_state([&](StateLayout& layout) {
      layout.add(design_.value_heads, {{"fast_weights", StateKind::fast_weights, rule_.state_size()}});
      layout.add(design_.tail_rows(), {{"conv", StateKind::tail, design_.mixed_width()}});
    });
  }

  const Config& config() const { return config_; }
  Index width() const { return design_.width; }
  Parameters make_parameters() const { return {design_, erases, fingerprint_}; }
  bool accepts(const Parameters& parameters) const {
    return parameters.layer == fingerprint_ && !parameters.output.empty();
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

  Values lay_out(SegmentPlan plan, bool recorded, Arena& memory) const;
  Values part_of(const Values& all, const SegmentRound<State>& round, Arena& scratch) const;
  void forward_round(const Parameters& parameters, MatrixView<const Scalar> x, Segments segments, const Values& values,
                     MatrixView<Scalar> y, Context& context) const;
  Values lay_out_gradients(Index rows, Arena& memory) const;
  void project(const Parameters& parameters, MatrixView<const Scalar> x, const Values& values, Context& context) const;
  void convolve(const Parameters& parameters, Segments segments, SegmentPlan plan, const Values& values,
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
  /// The columns of a head, of a segment; nothing of what there is not.
  static MatrixView<Scalar> of_head(MatrixView<Scalar> all, const PlannedSegment& segment, Index head, Index columns) {
    return all.empty() ? all : all.rows(segment.row, segment.length).columns(head * columns, columns);
  }
  /// The rows that the rule reads of a segment and head, whose queries and keys may be those of several; or their
  /// gradients, where each has its own.
  rules::DeltaRows<Scalar> rows(const Values& values, const PlannedSegment& segment, Index head,
                                Index heads_of_key) const {
    const Index key = head / heads_of_key, keys = design_.key_width;
    return {of_head(values.queries, segment, key, keys), of_head(values.erase, segment, head, keys),
            of_head(values.keys, segment, key, keys), of_head(written(values), segment, head, design_.value_width),
            of_head(values.decay, segment, head, design_.decay_width)};
  }
  MatrixView<Scalar> answers(const Values& values, const PlannedSegment& segment, Index head) const {
    return of_head(values.inner, segment, head, design_.value_width);
  }

  Config config_;
  DeltaDesign design_;
  Rule rule_;
};

TTT_NAMESPACE_END

#include "ttt/layers/delta_layer/backward.hpp"
#include "ttt/layers/delta_layer/forward.hpp"
