// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "ttt/core/context.hpp"
#include "ttt/core/domain.hpp"
#include "ttt/core/finite.hpp"
#include "ttt/training/parameter_groups.hpp"

TTT_NAMESPACE_BEGIN

namespace training {

/// Name of the first tensor with a value that is NaN or infinite, frozen or not. Throws Error for the arena of other
/// parameters.
template <class Scalar>
std::optional<std::string> first_not_finite(const ParameterGroups& groups, const Buffer<Scalar>& values) {
  groups.check_arena(values, "values");
  for (const auto& tensor : groups.tensors())
    for (Index i = 0; i < tensor.size; ++i)
      if (!is_finite(values[tensor.offset + i])) return tensor.name;
  return std::nullopt;
}

/// Throws Error("<what> of '<tensor>' is not finite") for the first such tensor.
template <class Scalar>
void check_finite(const ParameterGroups& groups, const Buffer<Scalar>& values, const std::string& what) {
  if (const auto name = first_not_finite(groups, values)) throw Error(what + " of '" + *name + "' is not finite");
}

namespace detail {

/// Σ x² in double, in eight interleaved sums that the compiler may keep in registers.
template <class Scalar>
double sum_of_squares(const Scalar* values, Index count) {
  constexpr std::size_t lanes = 8;
  std::array<double, lanes> sums{};
  Index i = 0;
  for (; i + static_cast<Index>(lanes) <= count; i += static_cast<Index>(lanes))
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const auto value = static_cast<double>(values[i + static_cast<Index>(lane)]);
      sums[lane] += value * value;
    }
  for (std::size_t lane = 0; i < count; ++i, ++lane)
    sums[lane] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

}  // namespace detail

/// √Σ g² over every gradient that is not frozen, summed in double in an order that does not depend on the workers.
/// Throws Error for the arena of other parameters.
template <class Scalar>
double gradient_norm(const ParameterGroups& groups, const Buffer<Scalar>& gradients, Context& context) {
  groups.check_arena(gradients, "gradients");
  const auto& slices = groups.slices();
  std::vector<double> sums(slices.size());
  context.parallel(static_cast<Index>(slices.size()), [&](Index index, Arena&) {
    const auto s = static_cast<std::size_t>(index);
    sums[s] = detail::sum_of_squares(gradients.data() + slices[s].offset, slices[s].size);
  });
  double sum = 0;
  for (const double part : sums) sum += part;
  return std::sqrt(sum);
}

/// Scales the gradients by max_norm / (norm + 1e-6) when that is below 1, as PyTorch's clip_grad_norm_, and returns the
/// norm before. A norm that is not finite changes nothing: ask `first_not_finite` whose fault it is. Throws Error, with
/// nothing changed, for a `max_norm` that is not a finite number above 0.
template <class Scalar>
double clip_gradients(const ParameterGroups& groups, Buffer<Scalar>& gradients, double max_norm, Context& context) {
  domain::positive("clipping: largest norm", max_norm);
  const double norm = gradient_norm(groups, gradients, context);
  const double factor = max_norm / (norm + 1e-6);
  if (!is_finite(norm) || factor >= 1) return norm;
  const auto& slices = groups.slices();
  context.parallel(static_cast<Index>(slices.size()), [&](Index index, Arena&) {
    const auto& slice = slices[static_cast<std::size_t>(index)];
    for (Index i = 0; i < slice.size; ++i) gradients[slice.offset + i] *= static_cast<Scalar>(factor);
  });
  return norm;
}

}  // namespace training

TTT_NAMESPACE_END
