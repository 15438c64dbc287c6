// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <type_traits>

#include "ttt/io/atomic_file.hpp"
#include "ttt/io/safetensors_header.hpp"

TTT_NAMESPACE_BEGIN
namespace io {

/// A tensor to be written: its bytes, row-major, stay with the caller and must live until the file is written.
struct TensorSource {
  std::string name;
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

/// A TensorSource over `values`, stored as the DType that holds `Scalar` bit for bit.
template <class Scalar>
requires(dtype_of<Scalar>.has_value()) TensorSource
    tensor_source(std::string name, std::vector<std::int64_t> shape, std::span<const Scalar> values) {
  return {std::move(name), *dtype_of<Scalar>, std::move(shape), std::as_bytes(values)};
}

namespace detail {

inline void check_sources(std::span<const TensorSource> tensors, const Metadata& metadata, const std::string& file) {
  std::vector<std::string_view> names;
  for (const TensorSource& tensor : tensors) {
    const std::string subject = file + ", tensor '" + printable(tensor.name) + "'";
    if (tensor.name == metadata_key) throw_unexpected(subject, "a name that is not reserved", tensor.name);
    if (find_invalid_utf8(tensor.name) != std::string_view::npos)
      throw_unexpected(subject, "a name in UTF-8", "other bytes");
    std::size_t size = 0;
    const bool countable = tensor.dtype != DType::other && tensor.shape.size() <= maximum_rank &&
                           tensor_byte_size(8 * dtype_size(tensor.dtype), tensor.shape, size);
    if (!countable || size != tensor.bytes.size()) {
      throw_unexpected(subject,
                       "the bytes of " + std::string(dtype_name(tensor.dtype)) + " " + shape_text(tensor.shape),
                       std::to_string(tensor.bytes.size()) + " bytes");
    }
    names.push_back(tensor.name);
  }
  std::sort(names.begin(), names.end());
  if (const auto same = std::adjacent_find(names.begin(), names.end()); same != names.end()) {
    throw_unexpected(file, "each tensor name once", "'" + printable(*same) + "' twice");
  }
  for (const auto& [key, value] : metadata) {
    if (find_invalid_utf8(key) != std::string_view::npos || find_invalid_utf8(value) != std::string_view::npos) {
      throw_unexpected(file + ", metadata '" + printable(key) + "'", "UTF-8", "other bytes");
    }
  }
  if (tensors.size() > maximum_tensor_count || metadata.size() > maximum_metadata_count) {
    throw_unexpected(file,
                     "at most " + std::to_string(maximum_tensor_count) + " tensors and " +
                         std::to_string(maximum_metadata_count) + " metadata entries",
                     std::to_string(tensors.size()) + " and " + std::to_string(metadata.size()));
  }
}

// Falling alignment keeps every tensor aligned to its elements; equal names of types are in the order of the reference.
inline std::vector<const TensorSource*> canonical_order(std::span<const TensorSource> tensors) {
  std::vector<const TensorSource*> order;
  for (const TensorSource& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const TensorSource* a, const TensorSource* b) {
    return std::tie(a->dtype, a->name) < std::tie(b->dtype, b->name);
  });
  return order;
}

inline void append_tensor_entry(std::string& header, const TensorSource& tensor, std::size_t begin) {
  append_json_string(header, tensor.name);
  header += ":{\"dtype\":\"" + std::string(dtype_name(tensor.dtype)) + "\",\"shape\":[";
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) header += (i > 0 ? "," : "") + std::to_string(tensor.shape[i]);
  header += "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(begin + tensor.bytes.size()) + "]}";
}

inline std::string header_text(const std::vector<const TensorSource*>& tensors, const Metadata& metadata) {
  std::string header = "{";
  const auto separate = [&] { header += header.back() == '{' ? "" : ","; };
  if (!metadata.empty()) {
    append_json_string(header, metadata_key);
    header += ":{";
    for (const auto& [key, value] : metadata) {
      separate();
      append_json_string(header, key);
      header += ":";
      append_json_string(header, value);
    }
    header += "}";
  }
  std::size_t begin = 0;
  for (const TensorSource* tensor : tensors) {
    separate();
    append_tensor_entry(header, *tensor, begin);
    begin += tensor->bytes.size();
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return header;
}

/// A file that is ready to be written.
struct CheckedFile {
  std::vector<const TensorSource*> order;
  std::string header;

  CheckedFile(std::span<const TensorSource> tensors, const Metadata& metadata, const std::string& file) {
    check_sources(tensors, metadata, file);
    order = canonical_order(tensors);
    header = header_text(order, metadata);
    if (header.size() > maximum_header_size) {
      throw_unexpected(file, "a header of at most " + std::to_string(maximum_header_size) + " bytes",
                       std::to_string(header.size()));
    }
  }

  /// Calls `write(bytes)` for one part after another.
  template <class Write>
  void for_each_part(Write write) const {
    const std::uint64_t header_size = header.size();
    write(std::as_bytes(std::span(&header_size, 1)));
    write(std::as_bytes(std::span(header)));
    for (const TensorSource* tensor : order) write(tensor->bytes);
  }
};

}  // namespace detail

/// Writes a safetensors file, atomically (write_file_atomically) and without a copy of the data.
///
/// The bytes are those of the reference implementation: tensors by falling alignment, then by name, and a header padded
/// so that the data starts at a multiple of 8. Throws Error naming file and tensor before anything is written when
/// names repeat or are no UTF-8, or when shape and bytes disagree.
inline void write_safetensors(const std::filesystem::path& path, std::span<const TensorSource> tensors,
                              const Metadata& metadata = {}) {
  const detail::CheckedFile file(tensors, metadata, path.string());
  write_file_atomically(path, [&](OutputFile& output) {
    file.for_each_part([&](std::span<const std::byte> part) { output.write(part); });
  });
}

/// The bytes that write_safetensors would write; `name` is what messages call them.
inline std::vector<std::byte> safetensors_bytes(std::span<const TensorSource> tensors, const Metadata& metadata,
                                                const std::string& name) {
  std::vector<std::byte> bytes;
  detail::CheckedFile(tensors, metadata, name).for_each_part([&](std::span<const std::byte> part) {
    bytes.insert(bytes.end(), part.begin(), part.end());
  });
  return bytes;
}

namespace detail {

/// The tensors cut, in their order, into parts of at most `largest_part` bytes; a larger tensor is a part by itself.
inline std::vector<std::span<const TensorSource>> parts_of(std::span<const TensorSource> tensors,
                                                           std::size_t largest_part) {
  std::vector<std::span<const TensorSource>> parts;
  std::size_t first = 0, size = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::size_t bytes = tensors[i].bytes.size();
    if (i > first && (size > largest_part || bytes > largest_part - size)) {
      parts.push_back(tensors.subspan(first, i - first));
      first = i;
      size = 0;
    }
    size += bytes;
  }
  parts.push_back(tensors.subspan(first));
  return parts;
}

/// `model-00002-of-00003.safetensors`, as the Python packages name them.
inline std::string part_name(const std::string& stem, std::size_t number, std::size_t count) {
  const auto digits = [](std::size_t value) {
    const std::string text = std::to_string(value);
    return std::string(text.size() < 5 ? 5 - text.size() : 0, '0') + text;
  };
  return stem + "-" + digits(number + 1) + "-of-" + digits(count) + ".safetensors";
}

inline std::string index_text(const std::vector<std::span<const TensorSource>>& parts, const std::string& stem) {
  std::size_t size = 0;
  std::string map;
  for (std::size_t i = 0; i < parts.size(); ++i)
    for (const TensorSource& tensor : parts[i]) {
      size += tensor.bytes.size();
      map += map.empty() ? "\n    " : ",\n    ";
      append_json_string(map, tensor.name);
      map += ": ";
      append_json_string(map, part_name(stem, i, parts.size()));
    }
  return "{\n  \"metadata\": {\n    \"total_size\": " + std::to_string(size) + "\n  },\n  \"weight_map\": {" + map +
         "\n  }\n}\n";
}

}  // namespace detail

/// Writes the set `stem` into `folder`: `stem.safetensors` if its tensors take at most `largest_part` bytes, else parts
/// of at most so many (a larger tensor has its own) and `stem.safetensors.index.json`, as the Python packages do. All
/// parts carry the metadata.
///
/// At every moment `open_set(folder, …, stem)` is the old set or the new one: nobody reads parts before the index is
/// there, and an old `stem.safetensors`, which comes before an index, is removed after it. Throws Error as
/// write_safetensors does, before anything is written; also when there is an index already, whose parts would be lost.
inline void write_safetensors_set(const std::filesystem::path& folder, std::span<const TensorSource> tensors,
                                  const Metadata& metadata, std::size_t largest_part,
                                  const std::string& stem = "model") {
  const std::filesystem::path single = folder / (stem + ".safetensors"),
                              index = folder / (stem + ".safetensors.index.json");
  const auto parts = detail::parts_of(tensors, largest_part);
  if (parts.size() == 1) return write_safetensors(single, tensors, metadata);
  detail::check_sources(tensors, metadata, index.string());
  std::error_code error;
  if (std::filesystem::exists(index, error)) throw_unexpected(index.string(), "no index of another set", "one");
  for (std::size_t i = 0; i < parts.size(); ++i)
    write_safetensors(folder / detail::part_name(stem, i, parts.size()), parts[i], metadata);
  write_file_atomically(index, [&](OutputFile& output) { output.write(detail::index_text(parts, stem)); });
  std::filesystem::remove(single, error);
  if (error) throw_system_error(single, "remove", error.value());
}

}  // namespace io
TTT_NAMESPACE_END
