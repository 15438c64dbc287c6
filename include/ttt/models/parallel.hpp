// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ttt/core/lent_states.hpp"
#include "ttt/layers/any_sequence_layer.hpp"
#include "ttt/layers/call_checks.hpp"
#include "ttt/nn/residual.hpp"
#include "ttt/nn/scale_heads.hpp"

TTT_NAMESPACE_BEGIN

/// Layers side by side: y = Σ_i g_i ∘ layer_i(x), with gates g_i [C] that are learned and begin as one over the number
/// of layers. Heads of attention beside a state-space model are such (Dong et al. 2024, "Hymba", arXiv 2411.13676).
///
/// Models TrainableSequenceLayer. Parameters and parts of the State are those of the layers behind "0.", "1." and so
/// on.
template <class Element>
class Parallel {
 public:
  using Scalar = Element;
  using State = ttt::State<Scalar>;
  using Layer = AnySequenceLayer<Scalar>;
  using Segments = std::span<const Segment<State>>;

  struct Parameters {
    using Scalar = Element;
    std::vector<AnyParameters<Scalar>> layers;
    std::vector<Tensor<Scalar>> gates;  ///< [C] each
    Fingerprint parallel{};             ///< that they are of

    void visit(ParameterVisitor<Scalar> visitor) {
      const ParameterInfo mean{parameter::draw::constant, 1 / static_cast<double>(layers.size()), false};
      for (std::size_t i = 0; i < layers.size(); ++i) {
        const std::string prefix = std::to_string(i) + ".";
        visit_nested(visitor, prefix, layers[i]);
        visitor(prefix + "gate", gates[i], mean);
      }
    }
  };

  /// What a forward leaves for its backward; its memory is reused by the next one.
  struct Record {
    RecordedCall call;
    Arena memory;
    MatrixView<Scalar> outputs;  ///< of the layers, one below the other [n · N × C]
    std::vector<AnyRecord> layers;
  };

  /// Throws Error when there is no layer, or one of another width.
  explicit Parallel(std::vector<Layer> layers) : layers_(std::move(layers)) {
    if (layers_.empty()) throw_unexpected("layers side by side", "at least one", "none");
    fingerprint_ = Fingerprint("parallel", {width(), static_cast<Index>(layers_.size())});
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      if (layers_[i].width() != width())
        throw_unexpected("width of layer " + std::to_string(i) + " beside another", std::to_string(width()),
                         std::to_string(layers_[i].width()));
      fingerprint_ = fingerprint_.around(layers_[i].state_layout(0)->maker());
    }
  }

  const std::vector<Layer>& layers() const { return layers_; }
  Index width() const { return layers_.front().width(); }
  Parameters make_parameters() const {
    Parameters parameters;
    for (const Layer& layer : layers_) parameters.layers.push_back(layer.make_parameters());
    parameters.gates.assign(layers_.size(), Tensor<Scalar>(Shape{width()}));
    parameters.parallel = fingerprint_;
    return parameters;
  }
  std::shared_ptr<const StateLayout> state_layout(Index capacity = 0) const {
    StateLayout layout(fingerprint_);
    for (std::size_t i = 0; i < layers_.size(); ++i)
      layout.add(std::to_string(i) + ".", layers_[i].state_layout(capacity));
    return std::make_shared<const StateLayout>(std::move(layout));
  }
  State initial_state(const Parameters& parameters, Index capacity = 0) const {
    State state(state_layout(capacity));
    reset(parameters, state);
    return state;
  }
  void reset(const Parameters& parameters, State& state) const {
    detail::check_reset(kind, *this, parameters, state);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      State part = state.lend(i);
      layers_[i].reset(parameters.layers[i], part);
    }
    state.position = 0;
  }
  bool accepts(const Parameters& parameters) const {
    return parameters.parallel == fingerprint_ && !parameters.gates.front().empty() &&
           each(parameters.layers, [](const Layer& layer, const auto& part) { return layer.accepts(part); });
  }
  bool accepts_gradients(const Parameters& gradients) const {
    return gradients.parallel == fingerprint_ &&
           each(gradients.layers, [](const Layer& layer, const auto& part) { return layer.accepts_gradients(part); });
  }
  bool accepts(const State& state) const { return state.made_by(fingerprint_); }
  bool accepts(const Record& record) const {
    return record.call.layer() == fingerprint_ &&
           each(record.layers, [](const Layer& layer, const auto& part) { return layer.accepts(part); });
  }
  std::size_t record_bytes(Index tokens) const {
    auto sum = static_cast<std::size_t>(Arena::count([&](Arena& memory) { lay_out(tokens, memory); }));
    for (const Layer& layer : layers_) sum += layer.record_bytes(tokens);
    return sum;
  }

  void forward(const Parameters& parameters, MatrixView<const Scalar> x, Segments segments, MatrixView<Scalar> y,
               Context& context, Record* record = nullptr) const {
    detail::check_forward<Parallel>(kind, *this, parameters, x, segments, y, context.scratch());
    const Arena::Frame frame(context.scratch());
    if (record) {
      record->call.begin(segments);
      record->layers.resize(layers_.size());
      record->outputs = record->memory.lay_out_anew([&](Arena& memory) { return lay_out(x.rows(), memory); });
    }
    fill(y, Scalar(0));
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const Arena::Frame own(context.scratch());
      const auto output =
          record ? output_of(*record, i, x.rows()) : context.scratch().template matrix<Scalar>(x.rows(), width());
      layers_[i].forward(parameters.layers[i], x, lend(segments, i, context.scratch()), output, context,
                         record ? &record->layers[i] : nullptr);
      nn::add_scaled_heads<Scalar>(parameters.gates[i], output, y, context);
    }
    advance_positions(segments);
    if (record) record->call.end(fingerprint_);
  }

  void backward(const Parameters& parameters, Record& record, MatrixView<const Scalar> d_y, MatrixView<Scalar> d_x,
                Parameters& gradients, std::span<State* const> d_states, Context& context) const {
    Arena& scratch = context.scratch();
    detail::check_backward(kind, *this, parameters, record, d_y, d_x, gradients, d_states, scratch);
    const Arena::Frame frame(scratch);
    const Index rows = d_y.rows();
    const auto d_output = scratch.matrix<Scalar>(rows, width());
    const auto d_own = d_x.empty() ? d_x : scratch.matrix<Scalar>(rows, width());
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const Arena::Frame own(scratch);
      fill(d_output, Scalar(0));
      nn::add_scaled_heads_backward<Scalar>(parameters.gates[i], output_of(record, i, rows), d_y, d_output,
                                            gradients.gates[i], context);
      layers_[i].backward(parameters.layers[i], record.layers[i], d_output, i == 0 ? d_x : d_own, gradients.layers[i],
                          lend(d_states, i, scratch), context);
      if (i > 0 && !d_x.empty()) nn::add<Scalar>(d_own, d_x, context);
    }
  }

 private:
  static constexpr const char* kind = "layers side by side";

  MatrixView<Scalar> lay_out(Index rows, Arena& memory) const {
    return memory.matrix<Scalar>(static_cast<Index>(layers_.size()) * rows, width());
  }
  static MatrixView<Scalar> output_of(const Record& record, std::size_t i, Index rows) {
    return record.outputs.rows(static_cast<Index>(i) * rows, rows);
  }
  template <class Parts, class Accepts>
  bool each(const Parts& parts, Accepts&& accepts) const {
    return std::equal(layers_.begin(), layers_.end(), parts.begin(), parts.end(), accepts);
  }

  std::vector<Layer> layers_;
  Fingerprint fingerprint_{};
};

static_assert(TrainableSequenceLayer<Parallel<float>>);

TTT_NAMESPACE_END
