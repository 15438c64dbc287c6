// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <string>
#include <type_traits>
#include <vector>

#include "ttt/core/finite.hpp"
#include "ttt/io/safetensors_set.hpp"
#include "ttt/models/loaders/families.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders::detail {

inline constexpr std::string_view embedding_name = "model.embed_tokens.weight";
inline constexpr std::string_view head_name = "lm_head.weight";

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
std::vector<ExpectedTensor> expected_tensors(Parameters parameters, const Family& family) {
  std::vector<ExpectedTensor> result;
  parameters.visit([&](std::string_view name, Tensor<typename Parameters::Scalar>& tensor, const ParameterInfo&) {
    result.push_back({family.tensor_name(name), extents(tensor.shape())});
  });
  return result;
}

/// "[3, 0, 7]" for the element `index` of a row-major tensor.
inline std::string element_text(std::vector<std::int64_t> shape, std::size_t index) {
  for (auto extent = shape.rbegin(); extent != shape.rend(); ++extent) {
    const auto size = static_cast<std::size_t>(*extent);
    *extent = static_cast<std::int64_t>(index % size);
    index /= size;
  }
  return io::shape_text(shape);
}

inline void check_shape(const io::SafetensorsSet& set, const ExpectedTensor& expected) {
  const std::string subject = tensor_subject(set.path().string(), expected.name);
  const io::TensorInfo* found = set.find(expected.name);
  if (!found) throw_unexpected(subject, "shape " + io::shape_text(expected.shape), "no such tensor");
  if (found->shape != expected.shape)
    throw_unexpected(subject, "shape " + io::shape_text(expected.shape), io::shape_text(found->shape));
}

/// Compares with the file the few shapes that bound what building the model of `config` takes, so that the numbers of a
/// config.json alone cannot ask for memory.
inline void check_sizes(const io::SafetensorsSet& set, const ModelConfig& config, const Family& family) {
  if (static_cast<std::size_t>(config.depth) > set.tensors().size())
    throw_unexpected(set.path().string(), "tensors of " + std::to_string(config.depth) + " layers",
                     std::to_string(set.tensors().size()) + " tensors");
  check_shape(set, {std::string(embedding_name), {config.vocabulary, config.width}});
  const std::string layer = "model.layers.0.seq_modeling_block.";
  check_shape(set, {family.tensor_name(layer + "q_proj.weight"), {config.width, config.width}});
  if (is_ttt(config)) check_shape(set, {family.tensor_name(layer + "learnable_token_idx"), {config.mini_batch}});
}

/// Some files store the head of a tied model too; it must say the same.
inline void check_tied_head(const io::SafetensorsSet& set) {
  const io::TensorInfo* head = set.find(head_name);
  if (!head) return;
  const io::TensorInfo& embedding = set.at(embedding_name);
  const auto same = [&] { return std::ranges::equal(set.bytes(*head), set.bytes(embedding)); };
  if (head->dtype != embedding.dtype || head->shape != embedding.shape || !same())
    throw_unexpected(tensor_subject(set.path().string(), std::string(head_name)),
                     "the bits of '" + std::string(embedding_name) + "', as tie_word_embeddings is true", "others");
}

/// Every expected tensor in its shape, and no other.
inline void check_tensors(const io::SafetensorsSet& set, const std::vector<ExpectedTensor>& expected, bool tied,
                          const Family& family) {
  std::vector<std::string_view> names;
  for (const ExpectedTensor& tensor : expected) {
    check_shape(set, tensor);
    names.push_back(tensor.name);
  }
  if (tied) {
    check_tied_head(set);
    names.push_back(head_name);
  }
  std::sort(names.begin(), names.end());
  for (const io::TensorInfo& tensor : set.tensors())
    if (!std::binary_search(names.begin(), names.end(), tensor.name) && !family.is_derived(tensor.name))
      throw_unexpected(tensor_subject(set.path().string(), tensor.name), "only tensors that config.json implies",
                       "one more, " + io::shape_text(tensor.shape));
}

template <class Scalar>
void check_finite(const std::vector<Scalar>& values, const std::vector<std::int64_t>& shape,
                  const std::string& subject) {
  const auto bad = std::find_if_not(values.begin(), values.end(), is_finite<Scalar>);
  if (bad == values.end()) return;
  const auto index = static_cast<std::size_t>(bad - values.begin());
  throw_unexpected(subject, "finite numbers", "NaN or infinity at " + element_text(shape, index));
}

/// Assigns every parameter from the checked set.
template <class Parameters>
void read_tensors(const io::SafetensorsSet& set, const Family& family, Parameters& parameters) {
  using Scalar = typename Parameters::Scalar;
  parameters.visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo&) {
    const std::string published = family.tensor_name(name);
    const auto values = set.values<Scalar>(published, io::Narrowing::rounded);
    check_finite(values, extents(tensor.shape()), tensor_subject(set.path().string(), published));
    for (Index i = 0; i < tensor.size(); ++i) tensor.set(i, values[static_cast<std::size_t>(i)]);
  });
}

}  // namespace loaders::detail

TTT_NAMESPACE_END
