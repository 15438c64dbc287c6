// SPDX-License-Identifier: MIT
/// @file
/// Golden sets: numbers of the reference implementations, see tests/golden/README.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "support/golden_folder.hpp"
#include "ttt/core/error.hpp"
#include "ttt/core/parameters.hpp"
#include "ttt/io/safetensors_set.hpp"

namespace ttt::golden {

/// A tensor of a set, whatever its stored type, in double and row-major.
struct Array {
  std::vector<Index> shape;
  std::vector<double> values;

  /// All leading dimensions as rows, the last as columns.
  MatrixView<const double> matrix() const {
    const Index columns = shape.empty() ? 1 : shape.back();
    return {values.data(), static_cast<Index>(values.size()) / columns, columns};
  }
};

/// "[2 x 16]", for messages.
inline std::string to_string(const std::vector<Index>& shape) {
  std::string text = "[";
  for (std::size_t axis = 0; axis < shape.size(); ++axis) text += (axis ? " x " : "") + std::to_string(shape[axis]);
  return text + "]";
}

/// All tensors of a set by name.
struct Set {
  std::string name;
  std::map<std::string, Array, std::less<>> arrays;

  /// Throws Error when there is none of that name.
  const Array& at(std::string_view array) const {
    const auto found = arrays.find(array);
    if (found == arrays.end()) throw_unexpected("golden set " + name, "a tensor '" + std::string(array) + "'", "none");
    return found->second;
  }
};

/// Loads set `name` ("layer/ttt_linear_mamba"), in one file or in shards, from the golden folder.
inline Set load(const std::string& name) {
  const std::filesystem::path path = folder() / name;
  const auto file = io::open_set(path.parent_path(), io::Access::copied, path.filename().string());
  Set set{name, {}};
  for (const auto& info : file.tensors()) {
    Array array;
    for (const auto extent : info.shape) array.shape.push_back(static_cast<Index>(extent));
    if (info.dtype == io::DType::F64 || info.dtype == io::DType::F32) {
      array.values = file.values<double>(info.name);
    } else {
      for (const std::int64_t value : file.values<std::int64_t>(info.name))
        array.values.push_back(static_cast<double>(value));
    }
    set.arrays.emplace(info.name, std::move(array));
  }
  return set;
}

/// Assigns every tensor of `parameters` from "<prefix><its published name>" of the set. Throws Error, before anything
/// changes, when one is missing or has another shape, or when the set has one more under the prefix.
template <class Parameters>
void assign(Parameters& parameters, const Set& set, const std::string& prefix) {
  using Scalar = typename Parameters::Scalar;
  std::size_t wanted = 0, present = 0;
  parameters.visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo&) {
    const std::string key = prefix + std::string(name);
    std::vector<Index> shape;
    for (Index axis = 0; axis < tensor.shape().rank(); ++axis) shape.push_back(tensor.shape()[axis]);
    const auto& found = set.at(key).shape;
    if (found != shape) throw_unexpected("golden set " + set.name + ", " + key, to_string(shape), to_string(found));
    ++wanted;
  });
  for (const auto& [name, array] : set.arrays) present += name.starts_with(prefix);
  if (present != wanted)
    throw_unexpected("golden set " + set.name, std::to_string(wanted) + " tensors under '" + prefix + "'",
                     std::to_string(present));
  parameters.visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo&) {
    const auto& values = set.at(prefix + std::string(name)).values;
    for (Index i = 0; i < tensor.size(); ++i) tensor[i] = static_cast<Scalar>(values[static_cast<std::size_t>(i)]);
  });
}

}  // namespace ttt::golden
