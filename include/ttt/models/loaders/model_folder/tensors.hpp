// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "ttt/models/loaders/families.hpp"
#include "ttt/models/loaders/model_folder/blocks.hpp"

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

/// The tensor of that name, which must be there.
inline StoredTensor stored_tensor(const io::SafetensorsSet& set, const std::string& name) {
  const io::TensorInfo& info = set.at(name);
  return {tensor_subject(set.path().string(), name), &info, set.bytes(info)};
}

inline void check_shape(const io::SafetensorsSet& set, const ExpectedTensor& expected) {
  const std::string subject = tensor_subject(set.path().string(), expected.name);
  const io::TensorInfo* found = set.find(expected.name);
  if (!found) throw_unexpected(subject, "shape " + io::shape_text(expected.shape), "no such tensor");
  if (found->shape != expected.shape)
    throw_unexpected(subject, "shape " + io::shape_text(expected.shape), io::shape_text(found->shape));
}

/// In its shape, and of a type whose bytes bear this shape out.
inline void check_tensor(const io::SafetensorsSet& set, const ExpectedTensor& expected) {
  check_shape(set, expected);
  const io::TensorInfo& found = set.at(expected.name);
  if (found.dtype == io::DType::other)
    throw_unexpected(tensor_subject(set.path().string(), expected.name), "F64, F32, F16 or BF16", found.type());
}

/// Compares with the file the few shapes that bound what building the model of `config` takes, so that the numbers of a
/// config.json alone cannot ask for memory.
inline void check_sizes(const io::SafetensorsSet& set, const ModelConfig& config, const Family& family) {
  if (static_cast<std::size_t>(config.depth) > set.tensors().size())
    throw_unexpected(set.path().string(), "tensors of " + std::to_string(config.depth) + " layers",
                     std::to_string(set.tensors().size()) + " tensors");
  check_tensor(set, {std::string(embedding_name), {config.vocabulary, config.width}});
  const std::string layer = "model.layers.0.seq_modeling_block.";
  check_tensor(set, {family.tensor_name(layer + "q_proj.weight"), {config.width, config.width}});
  if (is_ttt(config)) check_tensor(set, {family.tensor_name(layer + "learnable_token_idx"), {config.mini_batch}});
}

/// Some files store the head of a tied model too; it must say the same.
inline void check_tied_head(const io::SafetensorsSet& set) {
  const io::TensorInfo* head = set.find(head_name);
  if (!head) return;
  const io::TensorInfo& embedding = set.at(embedding_name);
  const auto same = [&] {
    const bool equal = std::ranges::equal(set.bytes(*head), set.bytes(embedding));
    set.release(*head);
    set.release(embedding);
    return equal;
  };
  if (head->dtype != embedding.dtype || head->shape != embedding.shape || !same())
    throw_unexpected(tensor_subject(set.path().string(), std::string(head_name)),
                     "the bits of '" + std::string(embedding_name) + "', as tie_word_embeddings is true", "others");
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

[[noreturn]] inline void refuse_extra(const io::SafetensorsSet& set, const io::TensorInfo& tensor) {
  throw_unexpected(tensor_subject(set.path().string(), tensor.name), "only tensors that config.json implies",
                   "one more, " + io::shape_text(tensor.shape));
}

/// Every expected tensor in its shape, and no other.
inline void check_tensors(const io::SafetensorsSet& set, const std::vector<ExpectedTensor>& expected, bool tied,
                          const Family& family) {
  for (const ExpectedTensor& tensor : expected) check_tensor(set, tensor);
  if (tied) check_tied_head(set);
  for_each_other(set, expected, [&](const io::TensorInfo& tensor) {
    if (!(tied && tensor.name == head_name) && !family.is_derived(tensor.name)) refuse_extra(set, tensor);
  });
}

/// Assigns every parameter, whose padding is zero, from the checked set. Throws Error for one that is not finite.
template <class Parameters>
void read_tensors(const io::SafetensorsSet& set, const Family& family, Parameters& parameters) {
  using Scalar = typename Parameters::Scalar;
  parameters.visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo&) {
    const StoredTensor stored = stored_tensor(set, family.tensor_name(name));
    for_each_block<Scalar>(stored, assigned_at_once(tensor), [&](std::size_t first, std::span<const Scalar> values) {
      check_finite(values, first, stored.info->shape, stored.subject);
      assign(tensor, static_cast<Index>(first), values);
    });
  });
}

}  // namespace loaders::detail

TTT_NAMESPACE_END
