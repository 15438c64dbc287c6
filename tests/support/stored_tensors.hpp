// SPDX-License-Identifier: MIT
#pragma once

#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "ttt/io/safetensors_set.hpp"
#include "ttt/io/safetensors_writer.hpp"

namespace ttt::testing {

/// Tensors of a file by name, to be changed and written back.
struct Tensors {
  struct Stored {
    io::DType dtype;
    std::vector<std::int64_t> shape;
    std::vector<std::byte> bytes;
    friend bool operator==(const Stored&, const Stored&) = default;

    void set(std::size_t index, float value) { std::memcpy(bytes.data() + 4 * index, &value, sizeof value); }
  };
  std::map<std::string, Stored> all;
  io::Metadata metadata;

  explicit Tensors(const std::filesystem::path& folder) {
    const auto set = io::open_set(folder);
    metadata = set.metadata();
    for (const auto& info : set.tensors()) {
      const auto bytes = set.bytes(info);
      all[info.name] = {info.dtype, info.shape, {bytes.begin(), bytes.end()}};
    }
  }
  void write(const std::filesystem::path& folder) const {
    std::vector<io::TensorSource> sources;
    for (const auto& [name, tensor] : all) sources.push_back({name, tensor.dtype, tensor.shape, tensor.bytes});
    io::write_safetensors(folder / "model.safetensors", sources, metadata);
  }
};

}  // namespace ttt::testing
