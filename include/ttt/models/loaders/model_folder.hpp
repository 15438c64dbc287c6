// SPDX-License-Identifier: MIT
/// @file
/// Model folders as the published Python classes read and write them: config.json beside model.safetensors, or beside
/// the files that a model.safetensors.index.json names.
#pragma once

#include <algorithm>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ttt/models/loaders/model_folder/files.hpp"
#include "ttt/models/loaders/model_folder/tensors.hpp"

TTT_NAMESPACE_BEGIN

/// What the weights of a model are kept in after reading.
enum class WeightStorage {
  scalar,   ///< the model's Scalar
  bfloat16  ///< projections, MLP weights and embeddings rounded to bfloat16, to be read and not trained; float models
            ///< only
};

/// What a folder says besides its model. Given to a save, it is said again.
struct FolderNotes {
  nlohmann::json config;  ///< config.json with every key; null: there was none
  io::Metadata metadata;  ///< that came with the tensors
};

/// A model read from a folder.
template <class Scalar>
struct LoadedModel {
  using Model = CausalLm<Scalar>;

  ModelConfig config;
  Model model;
  ParameterStore<typename Model::Parameters> parameters;
  FolderNotes notes;
};

namespace loaders::detail {

/// make_model with the name of the file in its Errors.
template <class Scalar>
CausalLm<Scalar> make_model_of(const ModelConfig& config, const std::string& file) {
  try {
    return make_model<Scalar>(config);
  } catch (const Error& error) {
    throw Error(file + ": " + error.what());
  }
}

/// The unbound parameters in the storage that was asked for.
template <class Parameters>
Parameters stored_as(Parameters shapes, WeightStorage storage) {
  if (storage == WeightStorage::scalar) return shapes;
  if constexpr (std::is_same_v<typename Parameters::Scalar, float>)
    return with_bfloat16_weights(std::move(shapes));
  else
    throw_unexpected("weights in bfloat16", "a model of floats", "one of another scalar");
}

/// Throws Error unless `views` are finite parameters of the model of `config`.
template <class Parameters>
void check_saved(Parameters views, const ModelConfig& config, const Family& family, const std::string& folder) {
  using Scalar = typename Parameters::Scalar;
  const auto expected = expected_tensors(make_model<Scalar>(config).make_parameters(), family.tensor_name);
  const auto found = expected_tensors(views, family.tensor_name);
  for (std::size_t i = 0; i < std::max(expected.size(), found.size()); ++i) {
    const auto text = [&](const auto& list) {
      return i < list.size() ? "'" + list[i].name + "' " + io::shape_text(list[i].shape) : std::string("nothing");
    };
    if (text(expected) != text(found))
      throw_unexpected(folder + ", parameter " + std::to_string(i) + " of the model to be saved", text(expected),
                       text(found));
  }
}

/// The family a model is written as: that of the folder it came from, if this can still hold it.
inline const Family& family_to_write(const ModelConfig& config, const nlohmann::json& original) {
  const Family* family = original.is_object() ? find_family(original.value("model_type", "")) : nullptr;
  return family && family->holds(config) ? *family : family_of(config);
}

}  // namespace loaders::detail

/// Reads a model folder of a known family (`loaders::families`). Tensors may be F32, F16, BF16 or F64; the
/// last is rounded for a float model. What is read is converted piece by piece: there is no second copy of the model.
///
/// Everything is checked before it returns: the numbers of config.json, every tensor by name and shape, none missing
/// and none too many, all values finite. Keys that no family knows are in the notes. Throws Error in one line: file,
/// key or tensor, expected, found.
template <class Scalar>
LoadedModel<Scalar> load_model_folder(const std::filesystem::path& folder,
                                      WeightStorage storage = WeightStorage::scalar) {
  namespace detail = loaders::detail;
  const detail::DescribedFolder files(folder);
  const loaders::Family& family = files.family;
  const ModelConfig& config = files.config;
  detail::check_sizes(files.set, config, family);
  auto model = detail::make_model_of<Scalar>(config, files.json.file());
  detail::check_tensors(files.set, detail::expected_tensors(model.make_parameters(), family.tensor_name), config.tied,
                        family);
  ParameterStore parameters(detail::stored_as(model.make_parameters(), storage));
  detail::read_tensors(files.set, family.tensor_name, parameters.views());
  return {config, std::move(model), std::move(parameters), {files.json.json(), files.set.metadata()}};
}

/// Writes the model folder of `config` and `parameters`, making the folder if there is none: as the family of `notes`
/// if this holds the model, else TTT layers as `ttt`, attention with the transformer backbone as the first of `llama`,
/// `mistral`, `qwen2`, `qwen3` and `smollm3` that has its options, everything else as `ttt-cpp`; tensors as F32 or F64.
/// Keys and metadata of `notes` that do not follow from the model are written again.
///
/// Other files stay, among them the parts of a sharded model, which model.safetensors takes the place of. Throws Error
/// before anything is written when the parameters are not those of `config` or not finite.
///
/// At every moment, also after a kill or a loss of power, the folder is the old model or the new one.
template <class Parameters>
void save_model_folder(const std::filesystem::path& folder, const ModelConfig& config,
                       const ParameterStore<Parameters>& store, const FolderNotes& notes = {}) {
  namespace detail = loaders::detail;
  using Scalar = typename Parameters::Scalar;
  const loaders::Family& family = detail::family_to_write(config, notes.config);
  detail::check_saved(store.views(), config, family, folder.string());
  const auto values = detail::published_values(store.views(), family.tensor_name, folder.string());
  const auto tensors = detail::tensor_sources(detail::expected_tensors(store.views(), family.tensor_name), values);
  const char* type = sizeof(Scalar) == sizeof(float) ? "float32" : "float64";
  detail::write_folder(folder, loaders::config_text(config, family, type, notes.config), tensors, notes.metadata);
}

TTT_NAMESPACE_END
