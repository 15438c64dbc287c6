// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "ttt/layers/any_sequence_layer/values.hpp"
#include "ttt/layers/call_checks.hpp"
#include "ttt/layers/layer.hpp"
#include "ttt/layers/sequence_layer.hpp"

TTT_NAMESPACE_BEGIN

/// A layer chosen at run time: any TrainableSequenceLayer over Scalar behind one type, for configurations and hybrids.
///
/// Its State is that of the layer inside, its Parameters and Record hold those of the layer inside. They must come from
/// this layer or from another of the same C++ type; with those of another type every call throws Error before anything
/// changes. Calls forward to the layer inside, cost one virtual call each, and allocate nothing that it does not.
template <class Element>
class AnySequenceLayer {
 public:
  using Scalar = Element;
  using State = ttt::State<Scalar>;
  using Parameters = AnyParameters<Scalar>;
  using Record = AnyRecord;

  template <class Layer>
  requires(!std::same_as<Layer, AnySequenceLayer> &&
           TrainableSequenceLayer<Layer>) explicit AnySequenceLayer(Layer layer) {
    constexpr bool fits = std::same_as<typename Layer::Scalar, Scalar> &&
                          std::same_as<typename Layer::State::Scalar, Scalar> &&
                          std::same_as<typename Layer::Parameters::Scalar, Scalar>;
    static_assert(fits, "activations, State and weights of the layer inside have the Scalar of its AnySequenceLayer");
    if constexpr (fits) layer_ = std::make_shared<const Model<Layer>>(std::move(layer));
  }

  /// The layer inside, or null when it has another type.
  template <class Layer>
  const Layer* get() const {
    const auto* model = detail::exactly<const Model<Layer>>(layer_.get());
    return model ? &model->layer : nullptr;
  }

  Index width() const { return layer_->width(); }
  Parameters make_parameters() const { return layer_->make_parameters(); }
  std::shared_ptr<const StateLayout> state_layout(Index capacity = 0) const { return layer_->state_layout(capacity); }
  State initial_state(const Parameters& parameters, Index capacity = 0) const {
    return layer_->initial_state(parameters, capacity);
  }
  void reset(const Parameters& parameters, State& state) const {
    detail::check_reset(kind, *this, parameters, state);
    layer_->reset(parameters, state);
  }
  bool accepts(const Parameters& parameters) const { return layer_->accepts(parameters); }
  bool accepts_gradients(const Parameters& gradients) const { return layer_->accepts_gradients(gradients); }
  bool accepts(const State& state) const { return layer_->accepts(state); }
  bool accepts(const Record& record) const { return layer_->accepts(record); }
  std::size_t record_bytes(Index tokens) const { return layer_->record_bytes(tokens); }

  void forward(const Parameters& parameters, MatrixView<const Scalar> x, std::span<const Segment<State>> segments,
               MatrixView<Scalar> y, Context& context, Record* record = nullptr) const {
    detail::check_forward<AnySequenceLayer>(kind, *this, parameters, x, segments, y, context.scratch());
    layer_->forward(parameters, x, segments, y, context, record);
  }
  void backward(const Parameters& parameters, Record& record, MatrixView<const Scalar> d_y, MatrixView<Scalar> d_x,
                Parameters& gradients, std::span<State* const> d_states, Context& context) const {
    detail::check_record(kind, *this, record);
    detail::check_gradients(kind, *this, parameters, gradients, d_states);
    layer_->backward(parameters, record, d_y, d_x, gradients, d_states, context);
  }

 private:
  static constexpr const char* kind = "AnySequenceLayer";

  struct Interface {
    virtual ~Interface() = default;
    virtual Index width() const = 0;
    virtual Parameters make_parameters() const = 0;
    virtual std::shared_ptr<const StateLayout> state_layout(Index capacity) const = 0;
    virtual State initial_state(const Parameters& parameters, Index capacity) const = 0;
    virtual void reset(const Parameters& parameters, State& state) const = 0;
    virtual bool accepts(const Parameters& parameters) const = 0;
    virtual bool accepts_gradients(const Parameters& gradients) const = 0;
    virtual bool accepts(const State& state) const = 0;
    virtual bool accepts(const Record& record) const = 0;
    virtual std::size_t record_bytes(Index tokens) const = 0;
    virtual void forward(const Parameters& parameters, MatrixView<const Scalar> x,
                         std::span<const Segment<State>> segments, MatrixView<Scalar> y, Context& context,
                         Record* record) const = 0;
    virtual void backward(const Parameters& parameters, Record& record, MatrixView<const Scalar> d_y,
                          MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                          Context& context) const = 0;
  };

  template <class Layer>
  struct Model;

  std::shared_ptr<const Interface> layer_;  // shared by copies: layers are const
};

template <class Layer>
AnySequenceLayer(Layer) -> AnySequenceLayer<typename Layer::Scalar>;

template <class Element>
template <class Layer>
struct AnySequenceLayer<Element>::Model final : Interface {
  using Weights = typename Layer::Parameters;

  explicit Model(Layer inner) : layer(std::move(inner)) {}

  Index width() const override { return layer.width(); }
  Parameters make_parameters() const override { return Parameters(layer.make_parameters()); }
  std::shared_ptr<const StateLayout> state_layout(Index capacity) const override {
    return layer.state_layout(capacity);
  }
  State initial_state(const Parameters& parameters, Index capacity) const override {
    return layer.initial_state(parameters.template get<Weights>(), capacity);
  }
  void reset(const Parameters& parameters, State& state) const override {
    layer.reset(parameters.template get<Weights>(), state);
  }
  bool accepts(const Parameters& parameters) const override {
    const auto* weights = parameters.template find<Weights>();
    return weights && layer.accepts(*weights);
  }
  bool accepts_gradients(const Parameters& gradients) const override {
    const auto* weights = gradients.template find<Weights>();
    return weights && layer.accepts_gradients(*weights);
  }
  bool accepts(const State& state) const override { return layer.accepts(state); }
  bool accepts(const Record& record) const override {
    const auto* inner = record.template find<typename Layer::Record>();
    return inner && layer.accepts(*inner);
  }
  std::size_t record_bytes(Index tokens) const override { return layer.record_bytes(tokens); }

  void forward(const Parameters& parameters, MatrixView<const Scalar> x, std::span<const Segment<State>> segments,
               MatrixView<Scalar> y, Context& context, Record* record) const override {
    const Weights& weights = parameters.template get<Weights>();
    if (record)
      layer.forward(weights, x, segments, y, context, &record->template get_or_make<typename Layer::Record>());
    else
      layer.forward(weights, x, segments, y, context);
  }

  void backward(const Parameters& parameters, Record& record, MatrixView<const Scalar> d_y, MatrixView<Scalar> d_x,
                Parameters& gradients, std::span<State* const> d_states, Context& context) const override {
    layer.backward(parameters.template get<Weights>(), record.template get<typename Layer::Record>(), d_y, d_x,
                   gradients.template get<Weights>(), d_states, context);
  }

  Layer layer;
};

static_assert(TrainableSequenceLayer<AnySequenceLayer<float>>);

TTT_NAMESPACE_END
