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

/// Tensors of a folder by name, to be changed and written back.
struct Tensors {
  struct Stored {
    io::DType dtype = io::DType::F32;
    std::vector<std::int64_t> shape;
    std::vector<std::byte> bytes;
    friend bool operator==(const Stored&, const Stored&) = default;

    Stored() = default;
    Stored(io::DType type, std::vector<std::int64_t> sizes, std::vector<std::byte> values)
        : dtype(type), shape(std::move(sizes)), bytes(std::move(values)) {}
    /// So many floats, all `value`.
    Stored(std::vector<std::int64_t> sizes, std::size_t count, float value)
        : Stored(io::DType::F32, std::move(sizes), std::vector<std::byte>(sizeof value * count)) {
      for (std::size_t i = 0; i < count; ++i) set(i, value);
    }
    std::size_t floats() const { return bytes.size() / sizeof(float); }
    void set(std::size_t index, float value) { std::memcpy(bytes.data() + sizeof value * index, &value, sizeof value); }
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
