// SPDX-License-Identifier: MIT
/// @file
/// The two kinds of files of a model folder, read and written so that at every moment they belong together.
#pragma once

#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <utility>

#include "ttt/io/checksum.hpp"
#include "ttt/io/lfs_pointer.hpp"
#include "ttt/io/safetensors_set.hpp"
#include "ttt/io/safetensors_writer.hpp"
#include "ttt/models/loaders/config_json.hpp"

TTT_NAMESPACE_BEGIN

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
    if (!exists) return;
    io::refuse_lfs_pointer(path);
    text = io::read_text_file(path, maximum_config_size);
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

/// The files of a folder, open; the tensors are mapped, so that reading a model holds it in memory once.
struct OpenFolder {
  io::SafetensorsSet set;
  ConfigJson json;

  explicit OpenFolder(const std::filesystem::path& folder)
      : set(open(folder)), json(read_config(ConfigFile(folder), set)) {}

 private:
  static io::SafetensorsSet open(const std::filesystem::path& folder) {
    std::error_code ignored;  // a folder that cannot be examined is none that can be read
    if (!std::filesystem::is_directory(folder, ignored))
      throw_unexpected(folder.string(), "a model folder", "no folder");
    return io::open_set(folder, io::Access::mapped);
  }
};

inline void make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) io::throw_system_error(folder, "make the folder", error.value());
}

/// Writes tensors and the text of config.json. Two files cannot be replaced in one go, so the first carries what the
/// second will say: from the rename of the tensors on the folder is the new model. The mark tells the time in between,
/// when config.json is still the old one, from a config.json that someone changed later on purpose. In several files if
/// the tensors take more than `largest_part` bytes, see write_safetensors_set.
inline void write_folder(const std::filesystem::path& folder, const std::string& config,
                         std::span<const io::TensorSource> tensors, io::Metadata metadata,
                         std::size_t largest_part = std::numeric_limits<std::size_t>::max()) {
  make_folder(folder);
  const ConfigFile old(folder);
  metadata.try_emplace("format", "pt");
  metadata[config_key] = config;
  metadata[replaced_key] = old.mark();
  io::write_safetensors_set(folder, tensors, metadata, largest_part);
  io::write_file_atomically(old.path, [&](io::OutputFile& output) { output.write(config); });
}

}  // namespace loaders::detail

TTT_NAMESPACE_END
