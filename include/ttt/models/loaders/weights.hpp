// SPDX-License-Identifier: MIT
/// @file
/// Weights in safetensors files under their published names: those of a Layer, a Block, a CausalLm or any other struct
/// of parameters, as PyTorch writes and reads them:
///
///     from safetensors.torch import load_file, save_file
///     save_file(module.state_dict(), "layer.safetensors")          # then: load_weights("layer.safetensors", …)
///     module.load_state_dict(load_file("layer.safetensors"))       # after: save_weights("layer.safetensors", …)
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "ttt/models/loaders/weights/tensors.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders::detail {

/// Names of tensors that a file has behind a prefix.
struct PrefixedNames {
  std::string prefix;
  std::string operator()(std::string_view name) const { return prefix + std::string(name); }
};

/// Throws Error unless there is memory behind every tensor.
template <class Parameters>
void check_bound(Parameters parameters) {
  using Scalar = typename Parameters::Scalar;
  parameters.visit([](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo&) {
    if (tensor.empty())
      throw_unexpected("parameter '" + std::string(name) + "'", "a tensor with memory, as a ParameterStore gives it",
                       "none");
  });
}

/// Throws Error unless the set has every expected tensor in its shape, and no other behind the prefix.
inline void check_against(const io::SafetensorsSet& set, const std::vector<ExpectedTensor>& expected,
                          const std::string& prefix) {
  for (const ExpectedTensor& tensor : expected) check_is_there(set, tensor, prefix.size());
  for (const ExpectedTensor& tensor : expected) check_tensor(set, tensor);
  for_each_other(set, expected, [&](const io::TensorInfo& tensor) {
    if (tensor.name.starts_with(prefix))
      throw_unexpected(tensor_subject(set.path().string(), tensor.name), "only tensors of the parameters",
                       "one more, " + io::shape_text(tensor.shape));
  });
}

}  // namespace loaders::detail

/// Writes every tensor of `parameters` to the file `path`, called `prefix` and its published name, in its published
/// shape, as F32 or F64 (bfloat16 weights as F32, which has their bits). Throws Error, with nothing written, for values
/// that are not finite; at every moment the file is the old one or the new one.
template <class Parameters>
void save_weights(const std::filesystem::path& path, const Parameters& parameters, std::string_view prefix = {}) {
  namespace detail = loaders::detail;
  const detail::PrefixedNames names{std::string(prefix)};
  detail::check_bound(parameters);
  const auto values = detail::published_values(parameters, names, path.string());
  io::write_safetensors(path, detail::tensor_sources(detail::expected_tensors(parameters, names), values),
                        {{"format", "pt"}});
}

/// Assigns every tensor of `parameters` from the one of the file that is called `prefix` and its published name. `path`
/// is a .safetensors file, the .safetensors.index.json of several, or a folder with a model.safetensors. Stored may be
/// F64, F32, F16 or BF16; what the parameters keep is rounded. With the prefix "model.layers.0.seq_modeling_block." the
/// file of a whole model gives the weights of one layer.
///
/// Throws Error, naming file and tensor, with nothing changed, when one is missing, has another shape or type or values
/// that are not finite, and when there is one more whose name begins with the prefix.
template <class Parameters>
void load_weights(const std::filesystem::path& path, Parameters& parameters, std::string_view prefix = {}) {
  namespace detail = loaders::detail;
  const detail::PrefixedNames names{std::string(prefix)};
  detail::check_bound(parameters);
  const auto set = io::open_set(path, io::Access::mapped);
  detail::check_against(set, detail::expected_tensors(parameters, names), names.prefix);
  detail::for_each_value(set, names, parameters, [](auto&&...) {});
  detail::read_tensors(set, names, parameters);
}

TTT_NAMESPACE_END
