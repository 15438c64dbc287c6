// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "ttt/models/loaders/model_folder.hpp"

TTT_NAMESPACE_BEGIN

/// How a model folder is to be written anew.
struct FolderConversion {
  std::string model_type;          ///< the family; empty: as it is, or as one that is written
  std::optional<io::DType> dtype;  ///< F64, F32, BF16 or F16, nearest, ties to even; none: every tensor as it is
  /// Bytes of tensors from which on they are cut into several files, as write_safetensors_set does.
  std::size_t largest_part = std::numeric_limits<std::size_t>::max();
};

namespace loaders::detail {

/// The float next to `value` that is odd unless exact: rounding it again to fewer bits gives what rounding `value` once
/// would.
inline float to_odd_float(double value) {
  const auto nearest = static_cast<float>(value);
  const auto bits = std::bit_cast<std::uint32_t>(nearest);
  if (static_cast<double>(nearest) == value || bits % 2 == 1) return nearest;
  return std::bit_cast<float>(std::abs(static_cast<double>(nearest)) > std::abs(value) ? bits - 1 : bits + 1);
}

/// Writes `value` as `dtype` to `to`; false when it is beyond the range.
inline bool store_element(double value, io::DType dtype, std::byte* to) {
  const auto put = [&](auto stored) { std::memcpy(to, &stored, sizeof stored); };
  switch (dtype) {
    case io::DType::F64:
      put(value);
      return true;
    case io::DType::F32:
      put(static_cast<float>(value));
      return is_finite(static_cast<float>(value));
    case io::DType::BF16:
      put(float_to_bfloat16(to_odd_float(value)));
      return is_finite(rounded_to_bfloat16(to_odd_float(value)));
    case io::DType::F16:
      put(io::float_to_half(to_odd_float(value)));
      return is_finite(io::half_to_float(io::float_to_half(to_odd_float(value))));
    default:
      throw_unexpected("type of converted tensors", "F64, F32, BF16 or F16", std::string(io::dtype_name(dtype)));
  }
}

/// The bytes of a tensor as `dtype`. Throws Error naming the first element that is not finite, or not in its range.
inline std::vector<std::byte> converted_bytes(const StoredTensor& tensor, io::DType dtype) {
  const std::size_t size = io::dtype_size(dtype);
  std::vector<std::byte> result(tensor.info->count() * size);
  for_each_block<double>(tensor, block_size, [&](std::size_t first, std::span<const double> values) {
    check_finite(values, first, tensor.info->shape, tensor.subject);
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!store_element(values[i], dtype, result.data() + (first + i) * size))
        throw_unexpected(tensor.subject, "numbers in the range of " + std::string(io::dtype_name(dtype)),
                         std::to_string(values[i]) + " at " + element_text(tensor.info->shape, first + i));
  });
  return result;
}

/// "attention:heads=4:bias=true with the transformer backbone, …", of each block of the pattern.
inline std::string described(const ModelConfig& config) {
  std::string text;
  for (const BlockDescription& block : config.pattern)
    text += (text.empty() ? "" : ", ") + block.text() + " with the " + option_text::text(block.backbone) + " backbone";
  return text;
}

inline const Family& target_family(const std::string& model_type, const ModelConfig& config, const Family& source,
                                   const std::string& folder) {
  if (model_type.empty()) return source.holds(config) ? source : family_of(config);
  const Family* family = find_family(model_type);
  if (!family) throw_unexpected("kind of model folder", "one of " + known_families(), "'" + model_type + "'");
  if (!family->holds(config))
    throw_unexpected(folder, "a model that a folder of kind " + model_type + " can hold", described(config));
  return *family;
}

/// `torch_dtype` of tensors of that type.
inline std::string torch_name(io::DType dtype) {
  switch (dtype) {
    case io::DType::F64:
      return "float64";
    case io::DType::BF16:
      return "bfloat16";
    case io::DType::F16:
      return "float16";
    default:
      return "float32";
  }
}

/// Whether a file beside the model belongs to it in any form: a tokenizer, a licence, …; not weights in other forms or
/// what a training left.
inline bool is_carried_over(const std::filesystem::directory_entry& entry) {
  constexpr std::array<std::string_view, 12> others{".safetensors", ".bin",     ".pt",         ".pth",
                                                    ".ckpt",        ".gguf",    ".h5",         ".onnx",
                                                    ".npz",         ".msgpack", ".checkpoint", ".jsonl"};
  const std::string name = entry.path().filename().string(), extension = entry.path().extension().string();
  return entry.is_regular_file() && name != "config.json" && !name.ends_with(".index.json") &&
         std::find(others.begin(), others.end(), extension) == others.end();
}

inline void carry_over_files(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::error_code error;
  for (std::filesystem::directory_iterator place(from, error), end; !error && place != end; place.increment(error)) {
    if (!is_carried_over(*place)) continue;
    const auto target = to / place->path().filename();
    std::filesystem::copy_file(place->path(), target, std::filesystem::copy_options::overwrite_existing, error);
    if (error) io::throw_system_error(target, "copy " + place->path().string(), error.value());
  }
  if (error) io::throw_system_error(from, "list", error.value());
}

}  // namespace loaders::detail

/// Writes the model of the folder `from` as another kind of folder, or with another type of numbers, to the folder
/// `to`, which is made if need be. Numbers that the new type holds keep their bits, so that BF16 → F32 → BF16 changes
/// nothing. Keys of config.json that no family knows, metadata and other files (a tokenizer.json) are carried over.
///
/// Throws Error, with nothing written, for a folder that does not load, a kind that cannot hold its model, a number
/// beyond the range of the new type, when the two folders are the same, and when several files are to be written where
/// a model in several files is. `Scalar` is that of the model whose tensors these are, and of no consequence to the
/// numbers.
template <class Scalar>
void convert_model_folder(const std::filesystem::path& from, const std::filesystem::path& to,
                          const FolderConversion& conversion) {
  namespace detail = loaders::detail;
  std::error_code ignored;  // a folder that is not there is not the same
  if (std::filesystem::equivalent(from, to, ignored))
    throw_unexpected(to.string(), "another folder than the one that is converted", "the same");
  const detail::DescribedFolder files(from);
  const loaders::Family& source = files.family;
  const ModelConfig& config = files.config;
  const loaders::Family& target = detail::target_family(conversion.model_type, config, source, from.string());
  detail::check_sizes(files.set, config, source);
  const auto model = detail::make_model_of<Scalar>(config, files.json.file());
  const auto expected = detail::expected_tensors(model.make_parameters(), source.tensor_name);
  const auto renamed = detail::expected_tensors(model.make_parameters(), target.tensor_name);
  detail::check_tensors(files.set, expected, config.tied, source);

  std::vector<std::vector<std::byte>> bytes;
  std::vector<io::TensorSource> tensors;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto stored = detail::stored_tensor(files.set, expected[i].name);
    const io::DType dtype = conversion.dtype.value_or(stored.info->dtype);
    bytes.push_back(detail::converted_bytes(stored, dtype));
    tensors.push_back({renamed[i].name, dtype, renamed[i].shape, bytes.back()});
  }
  detail::write_folder(
      to, loaders::config_text(config, target, detail::torch_name(tensors.front().dtype), files.json.json()), tensors,
      files.set.metadata(), conversion.largest_part);
  detail::carry_over_files(from, to);
}

TTT_NAMESPACE_END
