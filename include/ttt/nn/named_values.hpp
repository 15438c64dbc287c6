// SPDX-License-Identifier: MIT
/// @file
/// Parameters by their published names: how weights that some other library holds in memory get in and out.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ttt/core/error.hpp"
#include "ttt/core/parameters.hpp"
#include "ttt/nn/row_major.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

namespace detail {

/// Calls body with the tensor called `name`. Throws Error, listing what there is, for a name that there is not, and
/// where there is no memory behind it.
template <class Parameters, class Body>
void with_tensor(Parameters& parameters, std::string_view name, Body&& body) {
  using Scalar = typename Parameters::Scalar;
  const std::string subject = "parameter '" + std::string(name) + "'";
  std::string known;
  bool found = false;
  parameters.visit([&](std::string_view each, Tensor<Scalar>& tensor, const ParameterInfo&) {
    known += (known.empty() ? "'" : ", '") + std::string(each) + "' " + to_string(tensor.shape());
    if (each != name) return;
    found = true;
    if (tensor.empty()) throw_unexpected(subject, "a tensor with memory, as a ParameterStore gives it", "none");
    body(tensor, subject);
  });
  if (!found) throw_unexpected(subject, "one of " + known, "no such name");
}

}  // namespace detail

/// Assigns the parameter called `name`, in its published `shape`, from `values` in row-major order, as PyTorch's
/// `tensor.contiguous()` has them; copying bytes would be wrong, as weights lie in panels. Throws Error, with nothing
/// changed, for another name, shape or number of values, and for a value that is not finite.
template <class Parameters>
void assign_values(Parameters& parameters, std::string_view name, const Shape& shape,
                   std::span<const typename Parameters::Scalar> values) {
  using Scalar = typename Parameters::Scalar;
  detail::with_tensor(parameters, name, [&](Tensor<Scalar>& tensor, const std::string& subject) {
    if (shape != tensor.shape()) throw_unexpected(subject, "shape " + to_string(tensor.shape()), to_string(shape));
    if (static_cast<Index>(values.size()) != tensor.size())
      throw_unexpected(subject, std::to_string(tensor.size()) + " values", std::to_string(values.size()));
    if (const auto bad = find_not_kept(tensor, values); bad != values.end())
      throw_unexpected(subject, "finite numbers",
                       std::to_string(*bad) + " at element " + std::to_string(bad - values.begin()));
    const std::size_t each = assigned_at_once(tensor);
    for (std::size_t first = 0; first < values.size(); first += each)
      assign(tensor, static_cast<Index>(first), values.subspan(first, std::min(each, values.size() - first)));
  });
}

/// The values of the parameter called `name` in row-major order. Throws Error for a name that there is not.
template <class Parameters>
std::vector<typename Parameters::Scalar> values_of(Parameters parameters, std::string_view name) {
  using Scalar = typename Parameters::Scalar;
  std::vector<Scalar> values;
  detail::with_tensor(parameters, name,
                      [&](const Tensor<Scalar>& tensor, const std::string&) { values = row_major(tensor); });
  return values;
}

}  // namespace nn

TTT_NAMESPACE_END
