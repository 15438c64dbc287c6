// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "ttt/core/domain.hpp"
#include "ttt/layers/call_checks.hpp"
#include "ttt/layers/sequence_layer.hpp"
#include "ttt/nn/residual.hpp"
#include "ttt/nn/rms_norm.hpp"

TTT_NAMESPACE_BEGIN

/// What a Residual has around its layer, by the names that its parameters have in files.
struct ResidualConfig {
  std::string layer = "layer";  ///< what the names of the layer's parameters stand behind
  std::string norm = "norm";    ///< of the norm in front of the layer; empty: there is none
  std::string post_norm = {};   ///< of the norm behind the layer (a *sandwich*, with the one in front); empty: none
  double norm_epsilon = 1e-6;
  bool one_plus = false;  ///< norms are times 1 + weight
  double scale = 1;       ///< what x is added is times
  nn::RmsNormConfig norms() const { return {norm_epsilon, one_plus}; }
  friend bool operator==(const ResidualConfig&, const ResidualConfig&) = default;
};

/// y = x + s · post(layer(pre(x))), pre and post being RMS norms or nothing, s a scale: what models are stacks of.
///
/// Models TrainableSequenceLayer, with the State of the layer inside. The d_x of a backward may be its d_y.
template <TrainableSequenceLayer Layer>
class Residual {
 public:
  using Scalar = typename Layer::Scalar;
  using Config = ResidualConfig;
  using State = typename Layer::State;

  struct Parameters {
    using Scalar = typename Layer::Scalar;
    Tensor<Scalar> norm, post_norm;  ///< [C]
    typename Layer::Parameters layer;
    Config config;           ///< says which norms there are, and names
    Fingerprint residual{};  ///< that they are of

    void visit(ParameterVisitor<Scalar> visitor) {
      if (!config.norm.empty()) visitor(config.norm + ".weight", norm, config.norms().start());
      visit_nested(visitor, config.layer + ".", layer);
      if (!config.post_norm.empty()) visitor(config.post_norm + ".weight", post_norm, config.norms().start());
    }
  };

 private:
  /// Values of one forward over N rows [N × C], in an arena of the caller; without a norm there are none.
  struct Values {
    MatrixView<Scalar> normed, branch;  ///< in front of the layer and behind it
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

  /// Throws Error, naming `name`, for an epsilon that is none.
  explicit Residual(const Config& config, Layer layer, const std::string& name = "residual")
      : config_(config),
        fingerprint_(Fingerprint("residual", {layer.width(), !config.norm.empty(), !config.post_norm.empty()})
                         .around(layer.state_layout(0)->maker())),
        layer_(std::move(layer)) {
    domain::positive_float(name + ": norm_epsilon", config.norm_epsilon);
    domain::positive_float(name + ": scale", config.scale);
  }

  const Config& config() const { return config_; }
  const Layer& layer() const { return layer_; }
  Index width() const { return layer_.width(); }

  Parameters make_parameters() const {
    const auto norm = [&](const std::string& called) {
      return called.empty() ? Tensor<Scalar>() : Tensor<Scalar>(Shape{width()});
    };
    return {norm(config_.norm), norm(config_.post_norm), layer_.make_parameters(), config_, fingerprint_};
  }
  std::shared_ptr<const StateLayout> state_layout(Index capacity = 0) const { return layer_.state_layout(capacity); }
  State initial_state(const Parameters& parameters, Index capacity = 0) const {
    return layer_.initial_state(parameters.layer, capacity);
  }
  void reset(const Parameters& parameters, State& state) const {
    detail::check_reset(kind, *this, parameters, state);
    layer_.reset(parameters.layer, state);
  }
  bool accepts(const Parameters& parameters) const {
    return parameters.residual == fingerprint_ && parameters.norm.empty() == config_.norm.empty() &&
           parameters.post_norm.empty() == config_.post_norm.empty() && layer_.accepts(parameters.layer);
  }
  bool accepts_gradients(const Parameters& gradients) const {
    return gradients.residual == fingerprint_ && layer_.accepts_gradients(gradients.layer);
  }
  bool accepts(const State& state) const { return layer_.accepts(state); }
  bool accepts(const Record& record) const {
    return record.call.layer() == fingerprint_ && layer_.accepts(record.layer);
  }
  /// Bytes of a Record of one segment of so many tokens.
  std::size_t record_bytes(Index tokens) const {
    const Index own = Arena::count([&](Arena& memory) { lay_out(tokens, memory); });
    return static_cast<std::size_t>(own) + layer_.record_bytes(tokens);
  }

  void forward(const Parameters& parameters, MatrixView<const Scalar> x, std::span<const Segment<State>> segments,
               MatrixView<Scalar> y, Context& context, Record* record = nullptr) const {
    detail::check_forward<Residual>(kind, *this, parameters, x, segments, y, context.scratch());
    const Arena::Frame frame(context.scratch());
    if (record) record->call.begin(segments);
    const auto hold = [&](Arena& memory) { return lay_out(x.rows(), memory); };
    const Values values = record ? record->memory.lay_out_anew(hold) : hold(context.scratch());
    if (!config_.norm.empty()) nn::rms_norm_forward(parameters.norm, x, config_.norms(), values.normed, context);
    const MatrixView<Scalar> branch = config_.post_norm.empty() ? y : values.branch;
    layer_.forward(parameters.layer, config_.norm.empty() ? x : values.normed, segments, branch, context,
                   record ? &record->layer : nullptr);
    if (!config_.post_norm.empty()) nn::rms_norm_forward(parameters.post_norm, branch, config_.norms(), y, context);
    nn::add(x, y, context, config_.scale);
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
    const auto d_layer = scratch.matrix<Scalar>(d_y.rows(), width());
    MatrixView<const Scalar> d_branch = d_y;
    if (config_.scale != 1) {
      const auto d = scratch.matrix<Scalar>(d_y.rows(), width());
      nn::scale<Scalar>(config_.scale, d_y, d, context);
      d_branch = d;
    }
    if (!config_.post_norm.empty()) {
      const auto d = scratch.matrix<Scalar>(d_y.rows(), width());
      nn::rms_norm_backward(parameters.post_norm, record.values.branch, config_.norms(), d_branch, d,
                            gradients.post_norm, context);
      d_branch = d;
    }
    layer_.backward(parameters.layer, record.layer, d_branch, d_layer, gradients.layer, d_states, context);
    if (!d_x.empty() && d_x.data() != d_y.data()) copy(d_y, d_x);
    if (!config_.norm.empty())
      nn::rms_norm_backward(parameters.norm, record.x, config_.norms(), d_layer, d_x, gradients.norm, context,
                            kernels::Output::accumulate);
    else if (!d_x.empty())
      nn::add<Scalar>(d_layer, d_x, context);
  }

 private:
  static constexpr const char* kind = "residual";

  Values lay_out(Index rows, Arena& memory) const {
    Values values;
    if (!config_.norm.empty()) values.normed = memory.matrix<Scalar>(rows, width());
    if (!config_.post_norm.empty()) values.branch = memory.matrix<Scalar>(rows, width());
    return values;
  }

  Config config_;
  Fingerprint fingerprint_;
  Layer layer_;
};

TTT_NAMESPACE_END
