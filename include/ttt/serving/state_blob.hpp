// SPDX-License-Identifier: MIT
/// @file
/// A State as bytes: what a session has learned, to be kept, moved and brought back. The bytes are a safetensors file,
/// a tensor for each part of the State, with model, position and a checksum in its metadata.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ttt/core/state.hpp"
#include "ttt/io/checksum.hpp"
#include "ttt/io/safetensors.hpp"
#include "ttt/io/safetensors_writer.hpp"

TTT_NAMESPACE_BEGIN

namespace detail {

inline constexpr const char* blob_version = "2";

/// The values of a part, row after row: where they are, or gathered in `memory`.
template <class Scalar>
std::span<const Scalar> rows_of(const State<Scalar>& state, const StatePart& part, std::vector<Scalar>& memory) {
  const auto rows = state[part];
  const auto size = static_cast<std::size_t>(part.rows * part.columns);
  if (part.stride == part.columns) return {rows.data(), size};
  memory.resize(size);
  copy(rows, MatrixView<Scalar>(memory.data(), part.rows, part.columns));
  return memory;
}

/// What the metadata of a blob says.
class BlobMetadata {
 public:
  BlobMetadata(const io::Metadata& metadata, std::string name) : metadata_(metadata), name_(std::move(name)) {}

  std::string text(const std::string& key) const {
    const auto found = metadata_.find(key);
    if (found == metadata_.end()) throw_unexpected(subject(key), "a value", "none");
    return found->second;
  }
  void require(const std::string& key, const std::string& expected) const {
    if (const std::string found = text(key); found != expected)
      throw_unexpected(subject(key), "'" + io::printable(expected) + "'", "'" + io::printable(found) + "'");
  }
  /// Far below where positions could wrap.
  std::int64_t position() const {
    constexpr std::int64_t most = std::int64_t{1} << 53;
    const std::string digits = text("position");
    std::int64_t value = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size() || value < 0 || value > most)
      throw_unexpected(subject("position"), "a whole number from 0 to " + std::to_string(most),
                       "'" + io::printable(digits) + "'");
    return value;
  }

 private:
  std::string subject(const std::string& key) const { return name_ + ", metadata '" + key + "'"; }

  const io::Metadata& metadata_;
  std::string name_;
};

/// Over everything that a blob holds; `parts` name and bytes.
template <class Parts>
std::string blob_checksum(const Parts& parts, std::string_view model, std::int64_t position) {
  io::Checksum checksum;
  const auto add = [&](std::span<const std::byte> bytes) {
    const std::uint64_t size = bytes.size();
    checksum.update(std::as_bytes(std::span(&size, 1)));
    checksum.update(bytes);
  };
  add(std::as_bytes(std::span(model)));
  add(std::as_bytes(std::span(&position, 1)));
  for (const auto& [name, values] : parts) {
    add(std::as_bytes(std::span(name)));
    add(std::as_bytes(values));
  }
  return std::to_string(checksum.value());
}

}  // namespace detail

/// The bytes of `state`, which has a sequence: one that is default-constructed, moved from or wiped is an Error.
/// `model` is the caller's word for the model it belongs to, in UTF-8, which must be the same when the State is
/// restored: a name, better a checksum of the weights.
template <class Scalar>
std::vector<std::byte> save_state(const State<Scalar>& state, const std::string& model) {
  if (state.position < 0 || !state.whole())
    throw_unexpected("state of '" + io::printable(model) + "' to save", "one with a sequence",
                     "a default-constructed, moved-from or wiped one");
  const auto& parts = state.layout->parts();
  std::vector<std::vector<Scalar>> gathered(parts.size());
  std::vector<std::pair<std::string, std::span<const Scalar>>> values;
  std::vector<io::TensorSource> tensors;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    values.push_back({parts[i].name, detail::rows_of(state, parts[i], gathered[i])});
    tensors.push_back(io::tensor_source(parts[i].name, {parts[i].rows, parts[i].columns}, values[i].second));
  }
  return io::safetensors_bytes(tensors,
                               {{"state", detail::blob_version},
                                {"model", model},
                                {"position", std::to_string(state.position)},
                                {"checksum", detail::blob_checksum(values, model, state.position)}},
                               "state of '" + io::printable(model) + "'");
}

/// Makes `state`, one that the same model made with the same capacity, equal to the saved one. Throws Error naming
/// `name` and the part, with `state` untouched, for bytes of another model, another capacity or another kind, and for
/// damaged ones; the checksum finds damage and proves no origin.
template <class Scalar>
void restore_state(State<Scalar>& state, std::span<const std::byte> bytes, const std::string& model,
                   const std::string& name = "saved state") {
  const auto file = io::SafetensorsFile::parse(bytes, name);
  const detail::BlobMetadata metadata(file.metadata(), name);
  metadata.require("state", detail::blob_version);
  metadata.require("model", model);
  const std::int64_t position = metadata.position();
  if (!state.whole())
    throw_unexpected(name + ", State to restore into", "one that the model made", "nobody's, or a moved-from one");
  const auto& parts = state.layout->parts();
  std::vector<std::pair<std::string, std::span<const std::byte>>> found;
  for (const StatePart& part : parts) {
    const io::TensorInfo& info = file.at(part.name);
    const std::string subject = name + ", part '" + io::printable(part.name) + "'";
    const auto size = static_cast<std::size_t>(part.rows * part.columns);
    if (info.dtype != *io::dtype_of<Scalar>)
      throw_unexpected(subject, std::string(io::dtype_name(*io::dtype_of<Scalar>)), info.type());
    // The model is the same, so that only its caches can differ in size.
    if (info.count() != size)
      throw_unexpected(subject, std::to_string(size) + " numbers, the capacity of the State to restore into",
                       std::to_string(info.count()) + ": saved with a " + (info.count() < size ? "smaller" : "larger") +
                           " capacity, or by another model");
    found.push_back({part.name, file.bytes(info)});
  }
  if (file.tensors().size() != parts.size())
    throw_unexpected(name, std::to_string(parts.size()) + " parts", std::to_string(file.tensors().size()));
  metadata.require("checksum", detail::blob_checksum(found, model, position));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::size_t row = static_cast<std::size_t>(parts[i].columns) * sizeof(Scalar);
    for (Index r = 0; r < parts[i].rows; ++r)
      std::memcpy(state[parts[i]].row(r), found[i].second.data() + static_cast<std::size_t>(r) * row, row);
  }
  state.position = position;
}

TTT_NAMESPACE_END
