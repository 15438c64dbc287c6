// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ttt/core/lent_states.hpp"
#include "ttt/models/block.hpp"
#include "ttt/models/causal_lm/logit_rows.hpp"
#include "ttt/models/next_token_loss.hpp"
#include "ttt/nn/embedding.hpp"

TTT_NAMESPACE_BEGIN

/// What a causal language model is, besides its layers.
struct CausalLmConfig {
  Index vocabulary = 0;
  Index width = 0;             ///< C, the same for every layer
  Index hidden = 0;            ///< F, of each SwiGLU
  bool tied = false;           ///< the head is the embedding, there is no lm_head.weight
  bool temporal_conv = false;  ///< a convolution in front of each block: the *mamba backbone*
  Index conv_taps = 4;
  double norm_epsilon = 1e-6;
  friend bool operator==(const CausalLmConfig&, const CausalLmConfig&) = default;
};

/// A causal language model: embedding, residual blocks, a norm, and a head (`lm_head`, or the embedding again if tied).
///
/// The calls are those of TrainableLanguageModel. Layers may differ per block when `Layer` is AnySequenceLayer. Names
/// of parameters are those of the published checkpoints ("model.layers.0.seq_modeling_block.W1").
template <TrainableSequenceLayer Layer>
class CausalLm {
 public:
  using Scalar = typename Layer::Scalar;
  using Config = CausalLmConfig;
  using ResidualBlock = Block<Layer>;

  struct Parameters {
    using Scalar = typename Layer::Scalar;
    Tensor<Scalar> embedding;  ///< [V × C]
    std::vector<typename ResidualBlock::Parameters> blocks;
    Tensor<Scalar> norm;                 ///< [C]
    std::optional<Tensor<Scalar>> head;  ///< [V × C], unless tied
    Fingerprint model;                   ///< that they are of

    void visit(ParameterVisitor<Scalar> visitor) {
      visitor("model.embed_tokens.weight", embedding, parameter::projection);
      for (std::size_t b = 0; b < blocks.size(); ++b)
        visit_nested(visitor, "model.layers." + std::to_string(b) + ".", blocks[b]);
      visitor("model.norm.weight", norm, parameter::one);
      if (head) visitor("lm_head.weight", *head, parameter::projection);
    }
    Tensor<Scalar>& output() { return head ? *head : embedding; }
    const Tensor<Scalar>& output() const { return head ? *head : embedding; }
  };

  /// Those of the blocks, behind "layers.0." and so on.
  using State = typename ResidualBlock::State;

  /// What a call holds until its end, and for a backward.
  struct Held {
    MatrixView<Scalar> hidden;  ///< the input of each block, one below the other, and the last output [(L + 1) N × C]
    VectorView<Index> last;     ///< room for the last row of each segment
  };

  /// What a forward leaves for its backward; its memory is reused by the next call.
  struct Record {
    RecordedCall call;
    std::span<const std::int64_t> ids;
    Arena memory;
    Held held;
    VectorView<const Index> rows;  ///< those that got logits; empty: all
    std::vector<typename ResidualBlock::Record> blocks;
  };

  /// One layer per block. Throws Error when a size is not positive or a layer's width is not the model's.
  CausalLm(const Config& config, std::vector<Layer> layers)
      : config_(config),
        fingerprint_("causal language model",
                     {config.vocabulary, config.width, config.tied, static_cast<Index>(layers.size())}) {
    domain::size("vocabulary", config.vocabulary);
    if (layers.empty()) throw_unexpected("layers of the model", "at least one", "none");
    const BlockConfig block{config.width, config.hidden, config.temporal_conv, config.conv_taps, config.norm_epsilon};
    for (auto& layer : layers) blocks_.emplace_back(block, std::move(layer), "block " + std::to_string(blocks_.size()));
    for (const auto& part : blocks_) fingerprint_ = fingerprint_.around(part.state_layout(0)->maker());
  }

  const Config& config() const { return config_; }
  Index vocabulary() const { return config_.vocabulary; }
  Index width() const { return config_.width; }
  const std::vector<ResidualBlock>& blocks() const { return blocks_; }

  Parameters make_parameters() const {
    Parameters parameters;
    parameters.embedding = nn::make_weight<Scalar>(vocabulary(), width());
    for (const auto& block : blocks_) parameters.blocks.push_back(block.make_parameters());
    parameters.norm = Tensor<Scalar>(Shape{width()});
    if (!config_.tied) parameters.head = parameters.embedding;
    parameters.model = fingerprint_;
    return parameters;
  }
  std::shared_ptr<const StateLayout> state_layout(Index capacity = 0) const {
    StateLayout layout(fingerprint_);
    for (std::size_t b = 0; b < blocks_.size(); ++b)
      layout.add("layers." + std::to_string(b) + ".", blocks_[b].state_layout(capacity));
    return std::make_shared<const StateLayout>(std::move(layout));
  }
  State initial_state(const Parameters& parameters, Index capacity = 0) const {
    State state(state_layout(capacity));
    reset(parameters, state);
    return state;
  }
  void reset(const Parameters& parameters, State& state) const {
    detail::check_reset(kind, *this, parameters, state);
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
      State part = state.lend(b);
      blocks_[b].reset(parameters.blocks[b], part);
    }
    state.position = 0;
  }
  bool accepts(const Parameters& parameters) const {
    return parameters.model == fingerprint_ && !parameters.embedding.empty() &&
           every_block(parameters.blocks, [](const auto& block, const auto& part) { return block.accepts(part); });
  }
  bool accepts_gradients(const Parameters& gradients) const {
    return gradients.model == fingerprint_ && every_block(gradients.blocks, [](const auto& block, const auto& part) {
             return block.accepts_gradients(part);
           });
  }
  bool accepts(const State& state) const { return state.made_by(fingerprint_); }
  bool accepts(const Record& record) const {
    return record.call.layer() == fingerprint_ &&
           every_block(record.blocks, [](const auto& block, const auto& part) { return block.accepts(part); });
  }
  std::size_t record_bytes(Index tokens) const {
    auto sum = static_cast<std::size_t>(Arena::count([&](Arena& memory) { lay_out(tokens, 1, depth() + 1, memory); }));
    for (const auto& block : blocks_) sum += block.record_bytes(tokens);
    return sum;
  }

  /// Assigns logits [N × V] or [segments × V]. The meaning of this and the other calls is in language_model.hpp.
  void forward(const Parameters& parameters, std::span<const std::int64_t> ids,
               std::span<const Segment<State>> segments, LogitRows rows, MatrixView<Scalar> logits, Context& context,
               Record* record = nullptr) const {
    detail::check_call(kind, *this, parameters, ids, segments, context.scratch());
    const auto count = static_cast<Index>(rows == LogitRows::all ? ids.size() : segments.size());
    detail::check_written(kind, "logits", logits, count, vocabulary());
    const Arena::Frame frame(context.scratch());
    const auto output = run_blocks(parameters, ids, segments, context, record);
    VectorView<const Index> last;
    if (rows == LogitRows::last)
      last = detail::last_rows(segments, record ? record->held.last : context.scratch().template vector<Index>(count));
    const auto features = normalize(parameters, detail::gather<Scalar>(output, last, context.scratch()), context);
    nn::linear_forward(parameters.output(), features, logits, context);
    if (!record) return;
    record->rows = last;
    record->call.end(fingerprint_);
  }

  void backward(const Parameters& parameters, Record& record, MatrixView<const Scalar> d_logits, Parameters& gradients,
                std::span<State* const> d_states, Context& context) const {
    detail::check_record(kind, *this, record);
    detail::check_gradients(kind, *this, parameters, gradients, d_states);
    detail::check_shared_gradients(kind, record.call.plan(), d_states, context.scratch());
    const Index count = record.rows.empty() ? record.call.rows() : record.rows.size();
    detail::check_matrix(kind, "d_logits", d_logits, count, vocabulary());
    const Arena::Frame frame(context.scratch());
    const auto output = detail::gather<Scalar>(output_of(record), record.rows, context.scratch());
    const auto features = normalize(parameters, output, context);
    const auto d_output = context.scratch().template matrix<Scalar>(output.rows(), width());
    nn::linear_backward(parameters.output(), features, d_logits, d_output, gradients.output(), context);
    nn::rms_norm_backward(parameters.norm, output, config_.norm_epsilon, d_output, d_output, gradients.norm, context);
    const auto d_hidden = detail::scatter(d_output, record.rows, output_of(record).rows(), context.scratch());
    backward_blocks(parameters, record, d_hidden, gradients, d_states, context);
  }

  Loss loss(const Parameters& parameters, std::span<const std::int64_t> ids, std::span<const std::int64_t> targets,
            std::span<const Segment<State>> segments, VectorView<double> row_losses, Context& context) const {
    detail::check_call(kind, *this, parameters, ids, segments, context.scratch());
    detail::check_targets(targets, static_cast<Index>(ids.size()), vocabulary());
    detail::check_row_losses(row_losses, static_cast<Index>(ids.size()));
    const Arena::Frame frame(context.scratch());
    const auto features = normalize(parameters, run_blocks(parameters, ids, segments, context, nullptr), context);
    return head_loss<Scalar>(parameters.output(), features, targets, 0, row_losses, {}, nullptr, context);
  }

  Loss loss_and_backward(const Parameters& parameters, std::span<const std::int64_t> ids,
                         std::span<const std::int64_t> targets, std::span<const Segment<State>> segments, double scale,
                         Parameters& gradients, std::span<State* const> d_states, Record& record,
                         Context& context) const {
    detail::check_call(kind, *this, parameters, ids, segments, context.scratch());
    detail::check_targets(targets, static_cast<Index>(ids.size()), vocabulary());
    detail::check_gradients(kind, *this, parameters, gradients, d_states);
    const Arena::Frame frame(context.scratch());
    detail::check_shared_gradients(kind, plan_segments(segments, context.scratch()), d_states, context.scratch());
    const auto output = run_blocks(parameters, ids, segments, context, &record);
    const auto features = normalize(parameters, output, context);
    const auto d_output = context.scratch().template matrix<Scalar>(output.rows(), width());
    const Loss loss =
        head_loss<Scalar>(parameters.output(), features, targets, scale, {}, d_output, &gradients.output(), context);
    nn::rms_norm_backward(parameters.norm, output, config_.norm_epsilon, d_output, d_output, gradients.norm, context);
    backward_blocks(parameters, record, d_output, gradients, d_states, context);
    return loss;
  }

 private:
  static constexpr const char* kind = "language model";

  template <class Parts, class Accepts>
  bool every_block(const Parts& parts, Accepts&& accepts) const {
    return std::equal(blocks_.begin(), blocks_.end(), parts.begin(), parts.end(), accepts);
  }
  Index depth() const { return static_cast<Index>(blocks_.size()); }
  /// `slots` times so many rows of hidden values.
  Held lay_out(Index rows, Index segments, Index slots, Arena& memory) const {
    return {memory.matrix<Scalar>(slots * rows, width()), memory.vector<Index>(segments)};
  }
  MatrixView<const Scalar> output_of(const Record& record) const {
    const auto rows = static_cast<Index>(record.ids.size());
    return record.held.hidden.rows(depth() * rows, rows);
  }

  static void stop_if_cancelled(const Context& context) {
    if (context.cancellation && context.cancellation->load()) throw Cancelled();
  }

  /// The output of the last block [N × C], in the record or in scratch.
  MatrixView<const Scalar> run_blocks(const Parameters& parameters, std::span<const std::int64_t> ids,
                                      std::span<const Segment<State>> segments, Context& context,
                                      Record* record) const {
    const auto rows = static_cast<Index>(ids.size()), slots = record ? depth() + 1 : Index{2};
    const auto hold = [&](Arena& memory) { return lay_out(rows, static_cast<Index>(segments.size()), slots, memory); };
    const Held held = record ? record->memory.lay_out_anew(hold) : hold(context.scratch());
    const auto slot = [&](Index i) { return held.hidden.rows(i % slots * rows, rows); };
    if (record)
      record->call.begin(segments), record->ids = ids, record->held = held, record->blocks.resize(blocks_.size());
    nn::embedding_forward(parameters.embedding, ids, slot(0), context);
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
      stop_if_cancelled(context);
      const Arena::Frame frame(context.scratch());
      context.block = static_cast<Index>(b);
      const auto pieces = lend(segments, b, context.scratch());
      blocks_[b].forward(parameters.blocks[b], slot(context.block), pieces, slot(context.block + 1), context,
                         record ? &record->blocks[b] : nullptr);
    }
    advance_positions(segments);
    return slot(depth());
  }

  /// The head's input.
  MatrixView<const Scalar> normalize(const Parameters& parameters, MatrixView<const Scalar> output,
                                     Context& context) const {
    const auto features = context.scratch().template matrix<Scalar>(output.rows(), width());
    nn::rms_norm_forward(parameters.norm, output, config_.norm_epsilon, features, context);
    return features;
  }

  /// From d_hidden, the gradient of the last block's output, which is overwritten.
  void backward_blocks(const Parameters& parameters, Record& record, MatrixView<Scalar> d_hidden, Parameters& gradients,
                       std::span<State* const> d_states, Context& context) const {
    for (std::size_t b = blocks_.size(); b-- > 0;) {
      stop_if_cancelled(context);
      const Arena::Frame frame(context.scratch());
      context.block = static_cast<Index>(b);
      const auto d_pieces = lend(d_states, b, context.scratch());
      blocks_[b].backward(parameters.blocks[b], record.blocks[b], d_hidden, d_hidden, gradients.blocks[b], d_pieces,
                          context);
    }
    nn::embedding_backward(record.ids, d_hidden, gradients.embedding, context);
  }

  Config config_;
  Fingerprint fingerprint_;
  std::vector<ResidualBlock> blocks_;
};

TTT_NAMESPACE_END
