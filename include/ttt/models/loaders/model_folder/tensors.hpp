// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "ttt/models/loaders/families.hpp"
#include "ttt/models/loaders/model_folder/files.hpp"
#include "ttt/models/loaders/weights/tensors.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders::detail {

inline constexpr std::string_view embedding_name = "model.embed_tokens.weight";
inline constexpr std::string_view head_name = "lm_head.weight";

/// Throws for more blocks than the file can have, whatever they are.
inline void check_depth(const io::SafetensorsSet& set, const ModelConfig& config) {
  if (static_cast<std::size_t>(config.depth) > set.tensors().size())
    throw_unexpected(set.path().string(), "tensors of " + std::to_string(config.depth) + " layers",
                     std::to_string(set.tensors().size()) + " tensors");
}

/// An open folder whose configuration is read; what its kind keeps in one tensor is several.
struct DescribedFolder : OpenFolder {
  const Family& family;
  ModelConfig config;

  explicit DescribedFolder(const std::filesystem::path& folder)
      : OpenFolder(folder), family(family_of(json)), config(family.read(json)) {
    if (!family.fused) return;
    check_depth(set, config);
    for (const FusedTensor& tensor : family.fused(config))
      if (tensor.gathered.empty())
        set.split_rows(tensor.whole, tensor.parts);
      else
        set.gather_rows(tensor.whole, tensor.gathered);
  }
};

/// Calls body(tensor) with what bounds the making of the model of `config`, by the names of files.
template <class Body>
void for_each_bound(const ModelConfig& config, const Family& family, Body&& body) {
  body({family.tensor_name(embedding_name), {config.vocabulary, config.width}});
  const auto blocks = std::min(config.pattern.size(), static_cast<std::size_t>(config.depth));
  const auto add = [&](const LayerDescription& layer, const std::string& prefix) {
    for (const BoundingTensor& tensor : layer.bounds(config.width))
      body({family.tensor_name(prefix + tensor.name), extents(tensor.shape)});
  };
  for (std::size_t i = 0; i < blocks; ++i) {
    const BlockDescription& block = config.pattern[i];
    const std::string prefix = "model.layers." + std::to_string(i) + ".seq_modeling_block.";
    add(block.layer, block.beside.empty() ? prefix : prefix + "0.");
    for (std::size_t j = 0; j < block.beside.size(); ++j) add(block.beside[j], prefix + std::to_string(j + 1) + ".");
  }
}

/// Compares with the file the few shapes that bound what building the model of `config` takes, so that the numbers of a
/// config.json alone cannot ask for memory.
inline void check_sizes(const io::SafetensorsSet& set, const ModelConfig& config, const Family& family) {
  check_depth(set, config);
  for_each_bound(config, family, [&](const ExpectedTensor& tensor) { check_tensor(set, tensor); });
}

/// Some files store the head of a tied model too; it must say the same.
inline void check_tied_head(const io::SafetensorsSet& set, const Family& family) {
  const io::TensorInfo* head = set.find(head_name);
  if (!head) return;
  const std::string name = family.tensor_name(embedding_name);
  const io::TensorInfo& embedding = set.at(name);
  const auto same = [&] {
    const bool equal = std::ranges::equal(set.bytes(*head), set.bytes(embedding));
    set.release(*head);
    set.release(embedding);
    return equal;
  };
  if (head->dtype != embedding.dtype || head->shape != embedding.shape || !same())
    throw_unexpected(tensor_subject(set.path().string(), std::string(head_name)),
                     "the bits of '" + name + "', as tie_word_embeddings is true", "others");
}

[[noreturn]] inline void refuse_extra(const io::SafetensorsSet& set, const io::TensorInfo& tensor) {
  throw_unexpected(tensor_subject(set.path().string(), tensor.name), "only tensors that config.json implies",
                   "one more, " + io::shape_text(tensor.shape));
}

/// Every expected tensor in its shape, and no other.
inline void check_tensors(const io::SafetensorsSet& set, const std::vector<ExpectedTensor>& expected, bool tied,
                          const Family& family) {
  for (const ExpectedTensor& tensor : expected) check_tensor(set, tensor);
  if (tied) check_tied_head(set, family);
  for_each_other(set, expected, [&](const io::TensorInfo& tensor) {
    if (!(tied && tensor.name == head_name) && !family.is_derived(tensor.name)) refuse_extra(set, tensor);
  });
}

}  // namespace loaders::detail

TTT_NAMESPACE_END
