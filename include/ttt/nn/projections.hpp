// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <optional>
#include <span>

#include "ttt/nn/linear.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// A linear map and where its gradient goes.
template <class Scalar>
struct Projection {
  const Tensor<Scalar>& weight;
  Tensor<Scalar>& gradient;
};

/// Backward of up to eight linear maps of the same x (queries, keys, values, gates, rates …), for rows that come in
/// rounds and pieces (see LinearBackward). The gradients of what they gave come in the order of the maps.
template <class Scalar>
class ProjectionsBackward {
 public:
  using Gradients = std::span<const MatrixView<const Scalar>>;

  ProjectionsBackward() = default;
  ProjectionsBackward(std::span<const Projection<Scalar>> maps, Context& context) {
    for (const auto& map : maps) add(map, context);
  }
  void add(const Projection<Scalar>& map, Context& context) {
    TTT_ASSERT(count_ < maps_.size(), "more maps than there is room for");
    maps_[count_++].emplace(map.weight, map.gradient, context);
  }

  /// d_x (+)= Σ d_y · W over the maps in their order, for the rows of a piece; an empty d_x is not wanted.
  void input(Gradients d_y, MatrixView<Scalar> d_x, Context& own,
             kernels::Output output = kernels::Output::assign) const {
    for (std::size_t i = 0; i < count_; ++i)
      maps_[i]->input(d_y[i], d_x, own, i ? kernels::Output::accumulate : output);
  }

  /// d_W += d_yᵀ · x of all maps, shared out together, for the rows of a round; unbound gradients are not wanted.
  void weights(MatrixView<const Scalar> x, Gradients d_y, Context& context) const {
    WeightSums<Scalar> sums(context);
    for (std::size_t i = 0; i < count_; ++i) maps_[i]->weight(x, d_y[i], sums);
    sums.add_up();
  }

 private:
  std::array<std::optional<LinearBackward<Scalar>>, 8> maps_;
  std::size_t count_ = 0;
};

}  // namespace nn

TTT_NAMESPACE_END
