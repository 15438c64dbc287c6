// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "ttt/core/domain.hpp"
#include "ttt/core/fingerprint.hpp"
#include "ttt/core/lent_states.hpp"
#include "ttt/layers/call_checks.hpp"
#include "ttt/layers/sequence_layer.hpp"
#include "ttt/models/block/convolution.hpp"
#include "ttt/nn/residual.hpp"
#include "ttt/nn/rms_norm.hpp"
#include "ttt/nn/row_pieces.hpp"
#include "ttt/nn/swiglu.hpp"

TTT_NAMESPACE_BEGIN

/// What a residual block is, besides its layer.
struct BlockConfig {
  Index width = 0;             ///< C
  Index hidden = 0;            ///< F of the SwiGLU
  bool temporal_conv = false;  ///< a convolution in front: the *mamba backbone*; without: the *transformer backbone*
  Index conv_taps = 4;
  double norm_epsilon = 1e-6;
  friend bool operator==(const BlockConfig&, const BlockConfig&) = default;
};

/// The residual block of the published models, generic in its layer, and a SequenceLayer itself:
///
///     h = x + conv(norm(x))          (with temporal_conv; else h = x)
///     m = h + layer(norm(h))
///     y = m + swiglu(norm(m))
///
/// The backbones of Sun et al. 2024, "Learning to (learn at test time)", appendix. The calls are those of
/// TrainableSequenceLayer; the d_x of a backward may be its d_y.
template <TrainableSequenceLayer Layer>
class Block {
 public:
  using Scalar = typename Layer::Scalar;
  using Config = BlockConfig;

  struct Parameters {
    using Scalar = typename Layer::Scalar;
    std::optional<BlockConvolution<Scalar>> conv;
    Tensor<Scalar> seq_norm, ffn_norm;  ///< [C]
    typename Layer::Parameters layer;
    nn::SwigluParameters<Scalar> mlp;
    Fingerprint block{};  ///< that they are of

    void visit(ParameterVisitor<Scalar> visitor) {
      if (conv) visit_nested(visitor, "conv.", *conv);
      visitor("seq_norm.weight", seq_norm, parameter::one);
      visit_nested(visitor, "seq_modeling_block.", layer);
      visitor("ffn_norm.weight", ffn_norm, parameter::one);
      visit_nested(visitor, "mlp.", mlp);
    }
  };

  /// The layer's behind "layer.", then "conv", the inputs of the convolution before the next token [(taps − 1) × C].
  using State = typename Layer::State;
  static_assert(std::is_same_v<typename State::Scalar, Scalar>, "a block keeps its tail in the layer's state scalar");

 private:
  /// Values of one forward over N rows, in an arena of the caller.
  struct Values {
    MatrixView<Scalar> mixed, normed, middle;  ///< h, norm(h) and m [N × C]
    MatrixView<Scalar> initial_tails;          ///< [segments · (taps − 1) × C]
    nn::SwigluRecord<Scalar> mlp;              ///< only when recorded
  };

 public:
  /// What a forward leaves for its backward; its memory is reused by the next one.
  struct Record {
    RecordedCall call;
    MatrixView<const Scalar> x;
    Arena memory;
    Values values;
    typename Layer::Record layer;
  };

  /// Throws Error, naming `name`, when a size is not positive or the layer's width is not the block's.
  Block(const Config& config, Layer layer, const std::string& name = "block")
      : config_(config),
        fingerprint_(Fingerprint("block", {config.width, config.hidden, config.temporal_conv ? config.conv_taps : 0})
                         .around(layer.state_layout(0)->maker())),
        layer_(std::move(layer)) {
    domain::size(name + ": width", config.width);
    domain::size(name + ": hidden width of the MLP", config.hidden);
    if (config.temporal_conv) domain::size(name + ": taps of the temporal convolution", config.conv_taps);
    domain::positive_float(name + ": norm_epsilon", config.norm_epsilon);
    if (layer_.width() != config.width)
      throw_unexpected(name + ": width of its layer", std::to_string(config.width), std::to_string(layer_.width()));
  }

  const Config& config() const { return config_; }
  const Layer& layer() const { return layer_; }
  Index width() const { return config_.width; }

  Parameters make_parameters() const {
    const Tensor<Scalar> norm(Shape{width()});
    Parameters parameters{{}, norm, norm, layer_.make_parameters(), {width(), config_.hidden}, fingerprint_};
    if (config_.temporal_conv) parameters.conv = {norm, {width(), config_.conv_taps}};
    return parameters;
  }
  std::shared_ptr<const StateLayout> state_layout(Index capacity = 0) const {
    StateLayout layout(fingerprint_);
    layout.add("layer.", layer_.state_layout(capacity));
    layout.add(tail_rows(), {{"conv", StateKind::tail, width()}});
    return std::make_shared<const StateLayout>(std::move(layout));
  }
  State initial_state(const Parameters& parameters, Index capacity = 0) const {
    State state(state_layout(capacity));
    reset(parameters, state);
    return state;
  }
  void reset(const Parameters& parameters, State& state) const {
    detail::check_reset(kind, *this, parameters, state);
    State part = state.lend(0);
    layer_.reset(parameters.layer, part);
    fill(tail_of(state), Scalar(0));
    state.position = 0;
  }
  bool accepts(const Parameters& parameters) const {
    return parameters.block == fingerprint_ && !parameters.seq_norm.empty() && layer_.accepts(parameters.layer);
  }
  bool accepts_gradients(const Parameters& gradients) const {
    return gradients.block == fingerprint_ && layer_.accepts_gradients(gradients.layer);
  }
  bool accepts(const State& state) const { return state.made_by(fingerprint_); }
  bool accepts(const Record& record) const {
    return record.call.layer() == fingerprint_ && layer_.accepts(record.layer);
  }
  /// Bytes of a Record of one segment of so many tokens.
  std::size_t record_bytes(Index tokens) const {
    const Index own = Arena::count([&](Arena& memory) { lay_out(tokens, 1, true, memory); });
    return static_cast<std::size_t>(own) + layer_.record_bytes(tokens);
  }

  void forward(const Parameters& parameters, MatrixView<const Scalar> x, std::span<const Segment<State>> segments,
               MatrixView<Scalar> y, Context& context, Record* record = nullptr) const {
    Arena& scratch = context.scratch();
    detail::check_forward<Block>(kind, *this, parameters, x, segments, y, scratch);
    const Arena::Frame frame(scratch);
    const SegmentPlan plan = record ? record->call.begin(segments) : plan_segments(segments, scratch);
    const auto count = static_cast<Index>(segments.size());
    const auto hold = [&](Arena& memory) { return lay_out(x.rows(), count, record != nullptr, memory); };
    const Values values = record ? record->memory.lay_out_anew(hold) : hold(scratch);
    convolve(parameters, x, segments, plan, values, context);
    const MatrixView<const Scalar> h = mixed(x, values);
    nn::rms_norm_forward(parameters.seq_norm, h, config_.norm_epsilon, values.normed, context);
    layer_.forward(parameters.layer, values.normed, lend(segments, 0, scratch), values.middle, context,
                   record ? &record->layer : nullptr);
    nn::in_pieces(x.rows(), context, [&](Index first, Index rows, Context& own) {
      const auto middle = values.middle.rows(first, rows), out = y.rows(first, rows);
      auto mlp = record ? values.mlp.rows(first, rows) : values.mlp;
      nn::add(h.rows(first, rows), middle, own);
      nn::rms_norm_forward(parameters.ffn_norm, middle, config_.norm_epsilon, out, own);
      nn::swiglu_forward(parameters.mlp, out, out, own, record ? &mlp : nullptr);
      nn::add<Scalar>(middle, out, own);
    });
    advance_positions(segments);
    if (!record) return;
    record->x = x;
    record->values = values;
    record->call.end(fingerprint_);
  }

  void backward(const Parameters& parameters, Record& record, MatrixView<const Scalar> d_y, MatrixView<Scalar> d_x,
                Parameters& gradients, std::span<State* const> d_states, Context& context) const {
    Arena& scratch = context.scratch();
    detail::check_backward(kind, *this, parameters, record, d_y, d_x, gradients, d_states, scratch, true);
    const Arena::Frame frame(scratch);
    const Values& values = record.values;
    const auto d_branch = scratch.matrix<Scalar>(d_y.rows(), width());
    if (d_x.empty()) d_x = scratch.matrix<Scalar>(d_y.rows(), width());
    backward_mlp(parameters, values, d_y, d_x, gradients, context);
    layer_.backward(parameters.layer, record.layer, d_x, d_branch, gradients.layer, lend(d_states, 0, scratch),
                    context);
    nn::rms_norm_backward(parameters.seq_norm, mixed(record.x, values), config_.norm_epsilon, d_branch, d_x,
                          gradients.seq_norm, context, kernels::Output::accumulate);
    convolve_backward(parameters, record, d_x, gradients, d_states, context);
  }

 private:
  static constexpr const char* kind = "block";

  Index tail_rows() const { return config_.temporal_conv ? config_.conv_taps - 1 : 0; }
  MatrixView<Scalar> tail_of(State& state) const {
    const Index size = tail_rows() * width();
    return {state.values.data() + state.values.size() - size, tail_rows(), width()};
  }
  MatrixView<const Scalar> mixed(MatrixView<const Scalar> x, const Values& values) const {
    return config_.temporal_conv ? MatrixView<const Scalar>(values.mixed) : x;
  }

  /// What a call of so many rows and segments holds.
  Values lay_out(Index rows, Index segments, bool recorded, Arena& arena) const {
    Values values;
    values.normed = arena.matrix<Scalar>(rows, width());
    values.middle = arena.matrix<Scalar>(rows, width());
    if (recorded) values.mlp = nn::SwigluRecord<Scalar>(arena, rows, config_.hidden);
    if (config_.temporal_conv) {
      values.mixed = arena.matrix<Scalar>(rows, width());
      values.initial_tails = arena.matrix<Scalar>(segments * tail_rows(), width());
    }
    return values;
  }

  /// values.mixed = x + conv(norm(x)); advances the tails.
  void convolve(const Parameters& parameters, MatrixView<const Scalar> x, std::span<const Segment<State>> segments,
                SegmentPlan plan, const Values& values, Context& context) const {
    if (!config_.temporal_conv) return;
    const auto tails = nn::conv_tails<Scalar>(
        segments, [&](State& state) { return tail_of(state); }, context.scratch());
    parameters.conv->forward(x, config_.norm_epsilon, plan, tails, values.initial_tails, values.normed, values.mixed,
                             context);
  }

  /// y = m + swiglu(norm(m)): assigns d_m, which may be d_y.
  void backward_mlp(const Parameters& parameters, const Values& values, MatrixView<const Scalar> d_y,
                    MatrixView<Scalar> d_middle, Parameters& gradients, Context& context) const {
    Arena& scratch = context.scratch();
    const Arena::Frame frame(scratch);
    const nn::SwigluBackward mlp(parameters.mlp, gradients.mlp, context);
    nn::in_rounds(d_y.rows(), context, [&](Index first, Index rows) {
      const auto middle = values.middle.rows(first, rows), d = d_middle.rows(first, rows);
      const auto normed = scratch.matrix<Scalar>(rows, width()), d_normed = scratch.matrix<Scalar>(rows, width());
      const nn::SwigluHidden<Scalar> hidden(scratch, rows, config_.hidden);
      nn::in_pieces(rows, context, [&](Index row, Index size, Context& own) {
        nn::rms_norm_forward(parameters.ffn_norm, middle.rows(row, size), config_.norm_epsilon, normed.rows(row, size),
                             own);
        mlp.input(values.mlp.rows(first + row, size), d_y.rows(first + row, size), hidden.rows(row, size),
                  d_normed.rows(row, size), own);
      });
      mlp.weights(normed, d_y.rows(first, rows), hidden, context);
      if (d.data() != d_y.row(first)) copy(d_y.rows(first, rows), d);
      nn::rms_norm_backward(parameters.ffn_norm, middle, config_.norm_epsilon, d_normed, d, gradients.ffn_norm, context,
                            kernels::Output::accumulate);
    });
  }

  /// d_x goes from the gradient of h to that of x.
  void convolve_backward(const Parameters& parameters, const Record& record, MatrixView<Scalar> d_x,
                         Parameters& gradients, std::span<State* const> d_states, Context& context) const {
    if (!config_.temporal_conv) return;
    const Values& values = record.values;
    const SegmentPlan plan = record.call.plan();
    const auto d_tails = nn::conv_tails<Scalar>(
        plan, d_states, [&](State& state) { return tail_of(state); }, context.scratch());
    parameters.conv->backward(record.x, config_.norm_epsilon, plan, d_tails, values.initial_tails, d_x, *gradients.conv,
                              context);
  }

  Config config_;
  Fingerprint fingerprint_;
  Layer layer_;
};

TTT_NAMESPACE_END
