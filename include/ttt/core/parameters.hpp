// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "ttt/core/function_ref.hpp"
#include "ttt/core/random.hpp"
#include "ttt/core/tensor.hpp"

TTT_NAMESPACE_BEGIN

/// Initial values by their index in the stream of a parameter.
namespace parameter::draw {
inline double constant(const RandomStream&, std::uint64_t, double scale) { return scale; }
/// With the standard deviation `scale`.
inline double normal(const RandomStream& random, std::uint64_t index, double scale) {
  return scale * random.normal(index);
}
/// In (−scale, scale).
inline double uniform(const RandomStream& random, std::uint64_t index, double scale) {
  return scale * (2 * random.uniform(index) - 1);
}
/// The logarithm of a number that is uniform in (1, scale): A_log of the Mamba layers.
inline double log_uniform(const RandomStream& random, std::uint64_t index, double scale) {
  return std::log(1 + (scale - 1) * random.uniform(index));
}
/// What softplus turns into a step width between 0.001 and `scale`, uniform in its logarithm: dt_bias of the Mamba
/// layers.
inline double step_bias(const RandomStream& random, std::uint64_t index, double scale) {
  return std::log(std::expm1(0.001 * std::pow(scale / 0.001, random.uniform(index))));
}
/// The logarithms of 1, 2, …, `scale`, over and over: A_log of Mamba's channels.
inline double log_position(const RandomStream&, std::uint64_t index, double scale) {
  return std::log(1 + std::fmod(static_cast<double>(index), scale));
}
}  // namespace parameter::draw

/// What an optimiser and an initialiser need to know of a parameter.
struct ParameterInfo {
  double (*draw)(const RandomStream&, std::uint64_t index, double scale) = parameter::draw::constant;
  double scale = 0;
  bool decays = false;  ///< takes part in decoupled weight decay
};

namespace parameter {
/// Projections, MLP weights and embeddings: normal, and the only ones that decay.
inline constexpr ParameterInfo projection{draw::normal, 0.02, true};
/// W₀ of the fast weights and the weights of small gates: normal, no decay.
inline constexpr ParameterInfo fast_weight{draw::normal, 0.02, false};
inline constexpr ParameterInfo zero{draw::constant, 0, false};
inline constexpr ParameterInfo one{draw::constant, 1, false};
/// Weight and bias of a depthwise convolution over `taps` inputs.
inline ParameterInfo convolution(Index taps) {
  return {draw::uniform, 1 / std::sqrt(static_cast<double>(taps)), false};
}
/// A_log and dt_bias of the gates of a recurrence (nn/decay.hpp).
inline constexpr ParameterInfo log_rate{draw::log_uniform, 16, false};
inline constexpr ParameterInfo step_bias{draw::step_bias, 0.1, false};
/// A_log of a channel of so many states.
inline ParameterInfo log_positions(Index states) { return {draw::log_position, static_cast<double>(states), false}; }
}  // namespace parameter

/// Called with the published name, the tensor and its info. Every struct of parameters has one
/// `void visit(ParameterVisitor<Scalar>)`; optimiser, checkpoint, loaders and counting all derive from it.
template <class Scalar>
using ParameterVisitor = FunctionRef<void(std::string_view, Tensor<Scalar>&, const ParameterInfo&)>;

/// Visits a nested struct of parameters, its names behind `prefix`.
template <class Scalar, class Parameters>
void visit_nested(ParameterVisitor<Scalar> visitor, std::string_view prefix, Parameters& parameters) {
  parameters.visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo& info) {
    visitor(std::string(prefix) + std::string(name), tensor, info);
  });
}

/// Scalars of an arena that holds every tensor of `parameters`, each aligned.
template <class Parameters>
Index storage_size(Parameters parameters) {
  using Scalar = typename Parameters::Scalar;
  Index sum = 0;
  parameters.visit([&](std::string_view, Tensor<Scalar>& tensor, const ParameterInfo&) {
    sum += aligned_size<Scalar>(tensor.storage_size());
  });
  return sum;
}

/// Points every tensor of `parameters` into `arena`, in the order of the visitor.
template <class Parameters, class Scalar = typename Parameters::Scalar>
void bind(Parameters& parameters, Scalar* arena) {
  parameters.visit([&](std::string_view, Tensor<Scalar>& tensor, const ParameterInfo&) {
    tensor.bind(arena);
    arena += aligned_size<Scalar>(tensor.storage_size());
  });
}

/// Number of parameters, padding not counted.
template <class Parameters>
Index count(Parameters parameters) {
  using Scalar = typename Parameters::Scalar;
  Index sum = 0;
  parameters.visit([&](std::string_view, Tensor<Scalar>& tensor, const ParameterInfo&) { sum += tensor.size(); });
  return sum;
}

/// A struct of parameters together with the aligned, contiguous arena it views. A value; as gradients it starts at
/// zero.
template <class Parameters>
class ParameterStore {
 public:
  using Scalar = typename Parameters::Scalar;

  ParameterStore() = default;
  /// `shapes` is an unbound struct, as every layer's `make_parameters()` returns.
  explicit ParameterStore(Parameters shapes) : views_(std::move(shapes)), arena_(storage_size(views_)) {
    bind(views_, arena_.data());
  }
  ParameterStore(const ParameterStore& other) : views_(other.views_), arena_(other.arena_) {
    bind(views_, arena_.data());
  }
  ParameterStore(ParameterStore&&) noexcept = default;
  ParameterStore& operator=(const ParameterStore& other) {
    views_ = other.views_;
    arena_ = other.arena_;
    bind(views_, arena_.data());
    return *this;
  }
  ParameterStore& operator=(ParameterStore&&) noexcept = default;

  Parameters& views() { return views_; }
  const Parameters& views() const { return views_; }
  Buffer<Scalar>& arena() { return arena_; }
  const Buffer<Scalar>& arena() const { return arena_; }

 private:
  Parameters views_;
  Buffer<Scalar> arena_;
};

/// The same unbound struct with projections, MLP weights and embeddings (what decays) in bfloat16; gates, norms,
/// convolutions and fast weights stay as they are.
template <class Parameters>
requires std::is_same_v<typename Parameters::Scalar, float> Parameters with_bfloat16_weights(Parameters shapes) {
  shapes.visit([](std::string_view, Tensor<float>& tensor, const ParameterInfo& info) {
    if (tensor.layout() == Layout::panels && info.decays)
      tensor = Tensor<float>(tensor.shape(), Layout::bfloat16_panels);
  });
  return shapes;
}

/// A copy whose projections, MLP weights and embeddings are rounded to bfloat16: half the memory, and where decoding is
/// bound by reading weights nearly twice the speed. Products widen each weight exactly, so that a forward has the bits
/// of the one with rounded floats. An optimiser refuses such parameters.
template <class Parameters>
requires std::is_same_v<typename Parameters::Scalar, float> ParameterStore<Parameters> to_bfloat16(
    const ParameterStore<Parameters>& store) {
  ParameterStore<Parameters> narrow(with_bfloat16_weights(store.views()));
  std::vector<Tensor<float>> targets;
  narrow.views().visit(
      [&](std::string_view, Tensor<float>& tensor, const ParameterInfo&) { targets.push_back(tensor); });
  Parameters source = store.views();
  std::size_t next = 0;
  source.visit([&](std::string_view, Tensor<float>& tensor, const ParameterInfo&) {
    Tensor<float>& target = targets[next++];
    for (Index i = 0; i < tensor.size(); ++i) target.set(i, std::as_const(tensor)[i]);
  });
  return narrow;
}

/// Draws the initial value of every tensor; each has a stream of its own, derived from its name and `seed`, so that
/// adding a parameter changes no other.
template <class Parameters>
void initialize(Parameters& parameters, std::uint64_t seed) {
  using Scalar = typename Parameters::Scalar;
  parameters.visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo& info) {
    const RandomStream random(seed, name);
    for (Index i = 0; i < tensor.size(); ++i)
      tensor[i] = static_cast<Scalar>(info.draw(random, static_cast<std::uint64_t>(i), info.scale));
  });
}

TTT_NAMESPACE_END
