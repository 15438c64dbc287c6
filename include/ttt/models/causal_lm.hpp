// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ttt/models/block.hpp"
#include "ttt/models/causal_lm/logit_rows.hpp"
#include "ttt/models/next_token_loss.hpp"
#include "ttt/nn/embedding.hpp"
#include "ttt/nn/scale_heads.hpp"

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
  bool one_plus_norm = false;  ///< the last norm is times 1 + weight
  double embedding_scale = 1;  ///< what the rows of the embedding are times
  double logit_scale = 1;      ///< what the logits are times
  nn::RmsNormConfig norm() const { return {norm_epsilon, one_plus_norm}; }
  friend bool operator==(const CausalLmConfig&, const CausalLmConfig&) = default;
};

/// A causal language model: embedding, a stack of residual blocks, a norm, and a head (`lm_head`, or the embedding
/// again if tied).
///
/// The calls are those of TrainableLanguageModel. Layers may differ per block. Names of parameters are those of the
/// published checkpoints ("model.layers.0.seq_modeling_block.W1").
template <class Element>
class CausalLm {
 public:
  using Scalar = Element;
  using Config = CausalLmConfig;
  using Layer = AnySequenceLayer<Scalar>;

  struct Parameters {
    using Scalar = Element;
    Tensor<Scalar> embedding;  ///< [V × C]
    typename Stack<Scalar>::Parameters stack;
    Tensor<Scalar> norm;                 ///< [C]
    std::optional<Tensor<Scalar>> head;  ///< [V × C], unless tied
    ParameterInfo norm_start = parameter::one;
    Fingerprint model;  ///< that they are of

    void visit(ParameterVisitor<Scalar> visitor) {
      visitor("model.embed_tokens.weight", embedding, parameter::projection);
      visit_nested(visitor, "model.", stack);
      visitor("model.norm.weight", norm, norm_start);
      if (head) visitor("lm_head.weight", *head, parameter::projection);
    }
    Tensor<Scalar>& output() { return head ? *head : embedding; }
    const Tensor<Scalar>& output() const { return head ? *head : embedding; }
  };

  /// Those of the layers, "layers.0.seq_modeling_block." and so on.
  using State = ttt::State<Scalar>;

  /// What a forward leaves for its backward; its memory is reused by the next call.
  struct Record {
    RecordedCall call;
    std::span<const std::int64_t> ids;
    typename Stack<Scalar>::Record stack;
    MatrixView<const Scalar> output;  ///< of the stack [N × C]
    Arena memory;
    VectorView<const Index> rows;  ///< those that got logits; empty: all
  };

  /// One layer per block. Throws Error when a size is not positive or a layer's width is not the model's.
  CausalLm(const Config& config, std::vector<Layer> layers) : CausalLm(config, blocks_of(config, std::move(layers))) {}
  /// Of any layers; throws Error when a size is not positive.
  CausalLm(const Config& config, Stack<Scalar> stack)
      : config_(config),
        fingerprint_(Fingerprint("causal language model", {config.vocabulary, config.width, config.tied})
                         .around(stack.fingerprint())),
        stack_(std::move(stack)) {
    domain::size("vocabulary", config.vocabulary);
    domain::positive_float("embedding_scale", config.embedding_scale);
    domain::positive_float("logit_scale", config.logit_scale);
    if (stack_.width() != config.width)
      throw_unexpected("width of the layers", std::to_string(config.width), std::to_string(stack_.width()));
  }

  const Config& config() const { return config_; }
  Index vocabulary() const { return config_.vocabulary; }
  Index width() const { return config_.width; }
  const Stack<Scalar>& stack() const { return stack_; }

  Parameters make_parameters() const {
    Parameters parameters;
    parameters.embedding = nn::make_weight<Scalar>(vocabulary(), width());
    parameters.stack = stack_.make_parameters();
    parameters.norm = Tensor<Scalar>(Shape{width()});
    parameters.norm_start = config_.norm().start();
    if (!config_.tied) parameters.head = parameters.embedding;
    parameters.model = fingerprint_;
    return parameters;
  }
  std::shared_ptr<const StateLayout> state_layout(Index capacity = 0) const {
    StateLayout layout(fingerprint_);
    stack_.lay_out_states(layout, capacity);
    return std::make_shared<const StateLayout>(std::move(layout));
  }
  State initial_state(const Parameters& parameters, Index capacity = 0) const {
    State state(state_layout(capacity));
    reset(parameters, state);
    return state;
  }
  void reset(const Parameters& parameters, State& state) const {
    detail::check_reset(kind, *this, parameters, state);
    stack_.reset(parameters.stack, state);
    state.position = 0;
  }
  bool accepts(const Parameters& parameters) const {
    return parameters.model == fingerprint_ && !parameters.embedding.empty() && stack_.accepts(parameters.stack);
  }
  bool accepts_gradients(const Parameters& gradients) const {
    return gradients.model == fingerprint_ && stack_.accepts_gradients(gradients.stack);
  }
  bool accepts(const State& state) const { return state.made_by(fingerprint_); }
  bool accepts(const Record& record) const {
    return record.call.layer() == fingerprint_ && stack_.accepts(record.stack);
  }
  std::size_t record_bytes(Index tokens) const {
    const auto last = [](Arena& memory) { memory.vector<Index>(1); };
    return stack_.record_bytes(tokens) + static_cast<std::size_t>(Arena::count(last));
  }

  /// Assigns logits [N × V] or [segments × V]. The meaning of this and the other calls is in language_model.hpp.
  void forward(const Parameters& parameters, std::span<const std::int64_t> ids,
               std::span<const Segment<State>> segments, LogitRows rows, MatrixView<Scalar> logits, Context& context,
               Record* record = nullptr) const {
    detail::check_call(kind, *this, parameters, ids, segments, context.scratch());
    const auto count = static_cast<Index>(rows == LogitRows::all ? ids.size() : segments.size());
    detail::check_written(kind, "logits", logits, count, vocabulary());
    const Arena::Frame frame(context.scratch());
    const auto output = run_stack(parameters, ids, segments, context, record);
    VectorView<const Index> last;
    if (rows == LogitRows::last) {
      const auto room = [&](Arena& memory) { return memory.template vector<Index>(count); };
      last = detail::last_rows(segments, record ? record->memory.lay_out_anew(room) : room(context.scratch()));
    }
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
    const auto output = detail::gather<Scalar>(record.output, record.rows, context.scratch());
    const auto features = normalize(parameters, output, context);
    const auto d_output = context.scratch().template matrix<Scalar>(output.rows(), width());
    nn::linear_backward(parameters.output(), features, d_logits, d_output, gradients.output(), context);
    normalize_backward(parameters, output, d_output, gradients, context);
    const auto d_hidden = detail::scatter(d_output, record.rows, record.output.rows(), context.scratch());
    backward_stack(parameters, record, d_hidden, gradients, d_states, context);
  }

  Loss loss(const Parameters& parameters, std::span<const std::int64_t> ids, std::span<const std::int64_t> targets,
            std::span<const Segment<State>> segments, VectorView<double> row_losses, Context& context) const {
    detail::check_call(kind, *this, parameters, ids, segments, context.scratch());
    detail::check_targets(targets, static_cast<Index>(ids.size()), vocabulary());
    detail::check_row_losses(row_losses, static_cast<Index>(ids.size()));
    const Arena::Frame frame(context.scratch());
    const auto features = normalize(parameters, run_stack(parameters, ids, segments, context, nullptr), context);
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
    const auto output = run_stack(parameters, ids, segments, context, &record);
    const auto features = normalize(parameters, output, context);
    const auto d_output = context.scratch().template matrix<Scalar>(output.rows(), width());
    const Loss loss =
        head_loss<Scalar>(parameters.output(), features, targets, scale, {}, d_output, &gradients.output(), context);
    normalize_backward(parameters, output, d_output, gradients, context);
    backward_stack(parameters, record, d_output, gradients, d_states, context);
    return loss;
  }

 private:
  static constexpr const char* kind = "language model";

  static Stack<Scalar> blocks_of(const Config& config, std::vector<Layer> layers) {
    domain::size("hidden width of the MLP", config.hidden);
    const BlockConfig block{config.width, config.hidden, config.temporal_conv, config.conv_taps, config.norm_epsilon};
    std::vector<StackLayer<Scalar>> list;
    for (Layer& layer : layers) append_block(list, block, std::move(layer));
    return Stack<Scalar>(std::move(list));
  }

  /// The output of the last layer [N × C], in the record or in scratch.
  MatrixView<const Scalar> run_stack(const Parameters& parameters, std::span<const std::int64_t> ids,
                                     std::span<const Segment<State>> segments, Context& context, Record* record) const {
    const auto rows = static_cast<Index>(ids.size());
    if (record) record->call.begin(segments), record->ids = ids;
    const auto slots = stack_.make_slots(rows, context, record ? &record->stack : nullptr);
    nn::embedding_forward(parameters.embedding, ids, stack_.slot(slots, rows, 0), context, config_.embedding_scale);
    const auto output =
        stack_.forward(parameters.stack, segments, stack_.all(), slots, context, record ? &record->stack : nullptr);
    advance_positions(segments);
    if (record) record->output = output;
    return output;
  }

  /// The head's input, times the scale of the logits.
  MatrixView<const Scalar> normalize(const Parameters& parameters, MatrixView<const Scalar> output,
                                     Context& context) const {
    const auto features = context.scratch().template matrix<Scalar>(output.rows(), width());
    nn::rms_norm_forward(parameters.norm, output, config_.norm(), features, context);
    if (config_.logit_scale != 1) nn::scale<Scalar>(config_.logit_scale, features, features, context);
    return features;
  }
  /// Turns `d` [N × C] from the gradient of the head's input into that of the stack's output.
  void normalize_backward(const Parameters& parameters, MatrixView<const Scalar> output, MatrixView<Scalar> d,
                          Parameters& gradients, Context& context) const {
    if (config_.logit_scale != 1) nn::scale<Scalar>(config_.logit_scale, d, d, context);
    nn::rms_norm_backward(parameters.norm, output, config_.norm(), d, d, gradients.norm, context);
  }

  /// From d_hidden, the gradient of the last layer's output, which is overwritten.
  void backward_stack(const Parameters& parameters, Record& record, MatrixView<Scalar> d_hidden, Parameters& gradients,
                      std::span<State* const> d_states, Context& context) const {
    stack_.backward(parameters.stack, record.stack, stack_.all(), d_hidden, gradients.stack, d_states, context);
    nn::embedding_backward(record.ids, d_hidden, gradients.embedding, context, config_.embedding_scale);
  }

  Config config_;
  Fingerprint fingerprint_;
  Stack<Scalar> stack_;
};

TTT_NAMESPACE_END
