// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "ttt/layers/sequence_layer.hpp"
#include "ttt/nn/named_values.hpp"

TTT_NAMESPACE_BEGIN

namespace detail {

/// Stands where a definition has no such type; nobody can make one.
struct NoConfig {
  NoConfig() = delete;
};
struct NoRecord {
  NoRecord() = delete;
};

template <class Definition>
auto config_of() {
  if constexpr (requires { typename Definition::Config; })
    return std::type_identity<typename Definition::Config>();
  else
    return std::type_identity<NoConfig>();
}
template <class Definition>
auto record_of() {
  if constexpr (TrainableSequenceLayer<Definition>)
    return std::type_identity<typename Definition::Record>();
  else
    return std::type_identity<NoRecord>();
}

}  // namespace detail

/// A layer together with its weights: what someone outside of a model holds. The calls are those of the layer without
/// the `parameters` argument (sequence_layer.hpp says what they do); those of a single sequence take its State or its
/// Segment directly.
template <SequenceLayer Definition>
class Layer {
 public:
  using Scalar = typename Definition::Scalar;
  using State = typename Definition::State;
  using Config = typename decltype(detail::config_of<Definition>())::type;
  using Parameters = typename Definition::Parameters;
  using Record = typename decltype(detail::record_of<Definition>())::type;
  using Segments = std::span<const Segment<State>>;

  /// Draws the weights from `seed`; throws Error for a configuration that makes no layer.
  explicit Layer(const Config& config,
                 std::uint64_t seed = 0) requires std::constructible_from<Definition, const Config&>
      : Layer(Definition(config), seed) {}
  /// The same for a layer that is there already, such as an AnySequenceLayer.
  explicit Layer(Definition definition, std::uint64_t seed = 0)
      : definition_(std::move(definition)), store_(definition_.make_parameters()) {
    initialize(store_.views(), seed);
  }

  const Definition& definition() const { return definition_; }
  Parameters& parameters() { return store_.views(); }
  const Parameters& parameters() const { return store_.views(); }
  ParameterStore<Parameters>& store() { return store_; }
  const ParameterStore<Parameters>& store() const { return store_; }

  /// Assigns the weight called `name` from row-major values, as PyTorch's `tensor.contiguous()` has them; see
  /// nn::assign_values. Files: save_weights and load_weights of ttt/models/loaders/weights.hpp.
  void assign(std::string_view name, const Shape& shape, std::span<const Scalar> values) {
    nn::assign_values(parameters(), name, shape, values);
  }
  /// The values of the weight called `name`, row-major. Throws Error for a name that there is not.
  std::vector<Scalar> values(std::string_view name) const { return nn::values_of(parameters(), name); }

  Index width() const { return definition_.width(); }
  State initial_state(Index capacity = 0) const { return definition_.initial_state(parameters(), capacity); }
  /// Starts the sequence of `state` again.
  void reset(State& state) const { definition_.reset(parameters(), state); }
  /// Zeros in the shapes of the weights, for `backward` to add to.
  ParameterStore<Parameters> make_gradients() const { return ParameterStore(definition_.make_parameters()); }

  /// One sequence, or the next piece of one: x [T × C] to y [T × C].
  void forward(MatrixView<const Scalar> x, State& state, MatrixView<Scalar> y, Context& context) const {
    forward(x, Segment<State>{x.rows(), &state}, y, context);
  }
  void forward(MatrixView<const Scalar> x, Segments segments, MatrixView<Scalar> y, Context& context) const {
    definition_.forward(parameters(), x, segments, y, context);
  }
  void forward(MatrixView<const Scalar> x, const Segment<State>& segment, MatrixView<Scalar> y,
               Context& context) const {
    forward(x, Segments(&segment, 1), y, context);
  }

  /// The same, leaving in `record` what `backward` needs. Only where a segment has `reset` do gradients reach the
  /// weights that its State starts from.
  void forward(MatrixView<const Scalar> x, Segments segments, MatrixView<Scalar> y, Context& context,
               Record& record) const requires TrainableSequenceLayer<Definition> {
    definition_.forward(parameters(), x, segments, y, context, &record);
  }
  void forward(MatrixView<const Scalar> x, const Segment<State>& segment, MatrixView<Scalar> y, Context& context,
               Record& record) const requires TrainableSequenceLayer<Definition> {
    forward(x, Segments(&segment, 1), y, context, record);
  }

  /// From d_y [N × C] assigns d_x [N × C] (unless empty) and adds to `gradients`; `d_states`, or the `d_state` of a
  /// single sequence, go from the gradients of final states to those of initial ones. Without them the former are zero.
  void backward(Record& record, MatrixView<const Scalar> d_y, MatrixView<Scalar> d_x, Parameters& gradients,
                std::span<State* const> d_states, Context& context) const requires TrainableSequenceLayer<Definition> {
    definition_.backward(parameters(), record, d_y, d_x, gradients, d_states, context);
  }
  void backward(Record& record, MatrixView<const Scalar> d_y, MatrixView<Scalar> d_x, Parameters& gradients,
                State& d_state, Context& context) const requires TrainableSequenceLayer<Definition> {
    const std::array<State*, 1> d_states{&d_state};
    backward(record, d_y, d_x, gradients, d_states, context);
  }
  void backward(Record& record, MatrixView<const Scalar> d_y, MatrixView<Scalar> d_x, Parameters& gradients,
                Context& context) const requires TrainableSequenceLayer<Definition> {
    backward(record, d_y, d_x, gradients, std::span<State* const>(), context);
  }

 private:
  Definition definition_;
  ParameterStore<Parameters> store_;
};

TTT_NAMESPACE_END
