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

#include "ttt/io/checksum.hpp"
#include "ttt/io/safetensors_writer.hpp"
#include "ttt/models/loaders/model_folder/tensors.hpp"

TTT_NAMESPACE_BEGIN

/// What the weights of a model are kept in after reading.
enum class WeightStorage {
  scalar,   ///< the model's Scalar
  bfloat16  ///< projections, MLP weights and embeddings rounded to bfloat16, to be read and not trained; float models
            ///< only
};

/// A model read from a folder.
template <class Scalar>
struct LoadedModel {
  using Model = CausalLm<AnySequenceLayer<Scalar>>;

  ModelConfig config;
  Model model;
  ParameterStore<typename Model::Parameters> parameters;
};

namespace loaders::detail {

/// Keys in the metadata of the tensors: the config.json that belongs to them, and a checksum of the one that was there
/// before.
inline constexpr const char* config_key = "ttt_config";
inline constexpr const char* replaced_key = "ttt_replaced_config";
inline constexpr const char* no_config = "none";

/// What is in the config.json of a folder, if it has one.
struct ConfigFile {
  std::filesystem::path path;
  bool exists = false;
  std::string text;

  explicit ConfigFile(const std::filesystem::path& folder) : path(folder / "config.json") {
    std::error_code ignored;  // what is there and cannot be read is reported when it is opened
    exists = std::filesystem::exists(path, ignored);
    if (exists) text = io::read_text_file(path, maximum_config_size);
  }
  std::string mark() const { return exists ? std::to_string(io::checksum(std::as_bytes(std::span(text)))) : no_config; }
};

/// The configuration of the tensors in `set`: that of config.json, unless a save was cut off before it replaced it.
inline ConfigJson read_config(const ConfigFile& file, const io::SafetensorsSet& set) {
  const auto& metadata = set.metadata();
  const auto own = metadata.find(config_key), replaced = metadata.find(replaced_key);
  if (own != metadata.end() && replaced != metadata.end() && replaced->second == file.mark())
    return ConfigJson(own->second, set.path().string() + ", metadata '" + config_key + "'");
  if (!file.exists) throw_unexpected(file.path.string(), "a file", "none");
  return ConfigJson(file.text, file.path.string());
}

/// make_model with the name of the file in its Errors.
template <class Scalar>
CausalLm<AnySequenceLayer<Scalar>> make_model_of(const ModelConfig& config, const std::string& file) {
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
  const auto expected = expected_tensors(make_model<Scalar>(config).make_parameters(), family);
  const auto found = expected_tensors(views, family);
  for (std::size_t i = 0; i < std::max(expected.size(), found.size()); ++i) {
    const auto text = [&](const auto& list) {
      return i < list.size() ? "'" + list[i].name + "' " + io::shape_text(list[i].shape) : std::string("nothing");
    };
    if (text(expected) != text(found))
      throw_unexpected(folder + ", parameter " + std::to_string(i) + " of the model to be saved", text(expected),
                       text(found));
  }
}

/// The values of every parameter, row-major, in the order of the visitor. Throws Error for one that is not finite, as
/// nobody could load it.
template <class Parameters>
std::vector<std::vector<typename Parameters::Scalar>> published_values(Parameters views, const Family& family,
                                                                       const std::string& folder) {
  using Scalar = typename Parameters::Scalar;
  std::vector<std::vector<Scalar>> result;
  views.visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo&) {
    std::vector<Scalar> values(static_cast<std::size_t>(tensor.size()));
    for (Index i = 0; i < tensor.size(); ++i) values[static_cast<std::size_t>(i)] = std::as_const(tensor)[i];
    check_finite(values, extents(tensor.shape()), tensor_subject(folder, family.tensor_name(name)));
    result.push_back(std::move(values));
  });
  return result;
}

}  // namespace loaders::detail

/// Reads a model folder of a known family (ttt, llama, mistral, ttt-cpp). Tensors may be F32, F16, BF16 or F64; the
/// last is rounded for a float model. With WeightStorage::bfloat16 the floats of one tensor at a time are in memory.
///
/// Everything is checked before it returns: the numbers of config.json, every tensor by name and shape, none missing
/// and none too many, all values finite. Keys that no family knows are ignored. Throws Error in one line: file, key or
/// tensor, expected, found.
template <class Scalar>
LoadedModel<Scalar> load_model_folder(const std::filesystem::path& folder,
                                      WeightStorage storage = WeightStorage::scalar) {
  namespace detail = loaders::detail;
  std::error_code ignored;  // a folder that cannot be examined is none that can be read
  if (!std::filesystem::is_directory(folder, ignored)) throw_unexpected(folder.string(), "a model folder", "no folder");
  const detail::ConfigFile file(folder);
  const auto set = io::open_set(folder);
  const loaders::ConfigJson json = detail::read_config(file, set);
  const loaders::Family& family = loaders::family_of(json);
  const ModelConfig config = family.read(json);
  detail::check_sizes(set, config, family);
  auto model = detail::make_model_of<Scalar>(config, json.file());
  detail::check_tensors(set, detail::expected_tensors(model.make_parameters(), family), config.tied, family);
  ParameterStore parameters(detail::stored_as(model.make_parameters(), storage));
  detail::read_tensors(set, family, parameters.views());
  return {config, std::move(model), std::move(parameters)};
}

/// Writes the model folder of `config` and `parameters`, making the folder if there is none: TTT layers as `ttt`,
/// attention with the transformer backbone as `llama` or `mistral`, everything else as `ttt-cpp`; tensors as F32 or
/// F64.
///
/// Other files stay, among them the parts of a sharded model, which model.safetensors takes the place of. Throws Error
/// before anything is written when the parameters are not those of `config` or not finite.
///
/// At every moment, also after a kill or a loss of power, the folder is the old model or the new one.
template <class Parameters>
void save_model_folder(const std::filesystem::path& folder, const ModelConfig& config,
                       const ParameterStore<Parameters>& store) {
  namespace detail = loaders::detail;
  using Scalar = typename Parameters::Scalar;
  const loaders::Family& family = loaders::family_of(config);
  detail::check_saved(store.views(), config, family, folder.string());
  const auto values = detail::published_values(store.views(), family, folder.string());
  const std::string text = loaders::config_text(config, sizeof(Scalar) == sizeof(float) ? "float32" : "float64");

  std::vector<io::TensorSource> tensors;
  for (const auto& expected : detail::expected_tensors(store.views(), family)) {
    const std::span<const Scalar> source = values[tensors.size()];
    tensors.push_back(io::tensor_source(expected.name, expected.shape, source));
  }
  const detail::ConfigFile old(folder);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) io::throw_system_error(folder, "make the folder", error.value());
  // Two files cannot be replaced in one go, so the first carries what the second will say: from the rename of the
  // tensors on the folder is the new model. The mark tells the time in between, when config.json is still the old one,
  // from a config.json that someone changed later on purpose.
  io::write_safetensors(folder / "model.safetensors", tensors,
                        {{"format", "pt"}, {detail::config_key, text}, {detail::replaced_key, old.mark()}});
  io::write_file_atomically(old.path, [&](io::OutputFile& output) { output.write(text); });
}

TTT_NAMESPACE_END
