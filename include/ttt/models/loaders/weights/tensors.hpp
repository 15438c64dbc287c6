// SPDX-License-Identifier: MIT
/// @file
/// The tensors of a struct of parameters beside those of files.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "ttt/core/parameters.hpp"
#include "ttt/io/safetensors_writer.hpp"
#include "ttt/models/loaders/weights/blocks.hpp"
#include "ttt/nn/row_major.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders::detail {

/// What files call the tensor that `visit` of the parameters calls by a name.
using TensorNames = FunctionRef<std::string(std::string_view)>;

/// A parameter as its file must have it.
struct ExpectedTensor {
  std::string name;
  std::vector<std::int64_t> shape;
};

inline std::string tensor_subject(const std::string& file, const std::string& name) {
  return file + ", tensor '" + io::printable(name) + "'";
}

inline std::vector<std::int64_t> extents(const Shape& shape) {
  std::vector<std::int64_t> result;
  for (Index axis = 0; axis < shape.rank(); ++axis) result.push_back(shape[axis]);
  return result;
}

/// The tensors of `parameters`, bound or not, in the order of their visitor.
template <class Parameters>
std::vector<ExpectedTensor> expected_tensors(Parameters parameters, TensorNames names) {
  std::vector<ExpectedTensor> result;
  parameters.visit([&](std::string_view name, Tensor<typename Parameters::Scalar>& tensor, const ParameterInfo&) {
    result.push_back({names(name), extents(tensor.shape())});
  });
  return result;
}

/// The tensor of that name, which must be there.
inline StoredTensor stored_tensor(const io::SafetensorsSet& set, const std::string& name) {
  const io::TensorInfo& info = set.at(name);
  return {tensor_subject(set.path().string(), name), &info, set.bytes(info)};
}

/// Throws Error, naming the tensor that may be meant, when the set has none of that name: a prefix, of which `prefix`
/// letters are asked for, is easily forgotten, or one too many.
inline void check_is_there(const io::SafetensorsSet& set, const ExpectedTensor& expected, std::size_t prefix = 0) {
  if (set.find(expected.name)) return;
  const std::string_view whole = expected.name, name = whole.substr(prefix);
  const auto other = std::find_if(set.tensors().begin(), set.tensors().end(), [&](const io::TensorInfo& tensor) {
    return tensor.name.ends_with(name) || whole.ends_with("." + tensor.name);
  });
  const std::string hint =
      other == set.tensors().end() ? "" : ", but '" + io::printable(other->name) + "': another prefix?";
  throw_unexpected(tensor_subject(set.path().string(), expected.name), "shape " + io::shape_text(expected.shape),
                   "no such tensor" + hint);
}

inline void check_shape(const io::SafetensorsSet& set, const ExpectedTensor& expected) {
  check_is_there(set, expected);
  const io::TensorInfo& found = set.at(expected.name);
  if (found.shape != expected.shape)
    throw_unexpected(tensor_subject(set.path().string(), expected.name), "shape " + io::shape_text(expected.shape),
                     io::shape_text(found.shape));
}

/// In its shape, and of a type whose bytes bear this shape out.
inline void check_tensor(const io::SafetensorsSet& set, const ExpectedTensor& expected) {
  check_shape(set, expected);
  const io::TensorInfo& found = set.at(expected.name);
  if (found.dtype == io::DType::other)
    throw_unexpected(tensor_subject(set.path().string(), expected.name), "F64, F32, F16 or BF16", found.type());
}

/// Calls body with every tensor of the set that is not expected.
template <class Body>
void for_each_other(const io::SafetensorsSet& set, const std::vector<ExpectedTensor>& expected, Body&& body) {
  std::vector<std::string_view> names;
  for (const ExpectedTensor& tensor : expected) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  for (const io::TensorInfo& tensor : set.tensors())
    if (!std::binary_search(names.begin(), names.end(), tensor.name)) body(tensor);
}

/// Calls body(tensor, first, values) with the elements of every parameter from the checked set, as many at once as can
/// be assigned. Throws Error for one that would not be kept as a finite number.
template <class Parameters, class Body>
void for_each_value(const io::SafetensorsSet& set, TensorNames names, Parameters& parameters, Body&& body) {
  using Scalar = typename Parameters::Scalar;
  parameters.visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo&) {
    const StoredTensor stored = stored_tensor(set, names(name));
    for_each_block<Scalar>(
        stored, nn::assigned_at_once(tensor), [&](std::size_t first, std::span<const Scalar> values) {
          check_none(nn::find_not_kept(tensor, values), values, first, stored.info->shape, stored.subject);
          body(tensor, static_cast<Index>(first), values);
        });
  });
}

/// Assigns every parameter, whose padding is zero, from the checked set. Throws Error as for_each_value does.
template <class Parameters>
void read_tensors(const io::SafetensorsSet& set, TensorNames names, Parameters& parameters) {
  using Scalar = typename Parameters::Scalar;
  for_each_value(set, names, parameters, nn::assign<Scalar>);
}

/// The values of every parameter, row-major, in the order of the visitor. Throws Error for one that is not finite, as
/// nobody could load it.
template <class Parameters>
std::vector<std::vector<typename Parameters::Scalar>> published_values(Parameters views, TensorNames names,
                                                                       const std::string& place) {
  using Scalar = typename Parameters::Scalar;
  std::vector<std::vector<Scalar>> result;
  views.visit([&](std::string_view name, const Tensor<Scalar>& tensor, const ParameterInfo&) {
    const auto& values = result.emplace_back(nn::row_major(tensor));
    check_finite(std::span(values), 0, extents(tensor.shape()), tensor_subject(place, names(name)));
  });
  return result;
}

/// The same as tensors to be written; `values` must live until they are.
template <class Scalar>
std::vector<io::TensorSource> tensor_sources(const std::vector<ExpectedTensor>& expected,
                                             const std::vector<std::vector<Scalar>>& values) {
  std::vector<io::TensorSource> result;
  for (std::size_t i = 0; i < expected.size(); ++i)
    result.push_back(io::tensor_source(expected[i].name, expected[i].shape, std::span<const Scalar>(values[i])));
  return result;
}

}  // namespace loaders::detail

TTT_NAMESPACE_END
