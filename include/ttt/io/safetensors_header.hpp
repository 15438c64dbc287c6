// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "ttt/io/dtype.hpp"
#include "ttt/io/json_header.hpp"

TTT_NAMESPACE_BEGIN
namespace io {

/// Free text that travels with the tensors.
using Metadata = std::map<std::string, std::string>;

/// One tensor of a file: row-major, its bytes at [begin, end) of the data that follows the header.
struct TensorInfo {
  std::string name;
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape;
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string other_type{};  ///< what the file calls the type where `dtype` is `other`

  /// Number of elements. Where the format has no such type, the shape is all that says it: no bytes need be behind it.
  std::size_t count() const {
    if (dtype != DType::other) return (end - begin) / dtype_size(dtype);
    std::size_t product = 1;
    for (const std::int64_t size : shape) product *= static_cast<std::size_t>(size);
    return product;
  }

  /// The name of the type, for messages.
  std::string type() const { return dtype == DType::other ? printable(other_type) : std::string(dtype_name(dtype)); }
};

/// `[2, 3]`, for messages.
inline std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

/// Limits of a safetensors file: those of the format, then those without which a small file could ask for much memory.
inline constexpr std::size_t maximum_header_size = 100'000'000;
inline constexpr std::size_t maximum_tensor_count = 1'000'000;
inline constexpr std::size_t maximum_metadata_count = 65'536;
inline constexpr std::size_t maximum_rank = 64;
inline constexpr std::size_t maximum_member_count = 64;
inline constexpr std::string_view metadata_key = "__metadata__";

/// What the header of a safetensors file says; `tensors` in the order of their bytes.
struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;
  Metadata metadata;
};

namespace detail {

// The bytes that a tensor of elements of `bits` needs; false when no std::size_t holds them in bits, or the last is
// cut.
inline bool tensor_byte_size(std::size_t bits, std::span<const std::int64_t> shape, std::size_t& result) {
  result = 1;
  for (const std::int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(result, static_cast<std::uint64_t>(size), &result)) return false;
  }
  const bool fits = !__builtin_mul_overflow(result, bits, &result) && result % 8 == 0;
  result /= 8;
  return fits;
}

class SafetensorsHeaderParser {
 public:
  SafetensorsHeaderParser(std::string_view text, std::size_t data_size, const std::string& file)
      : json_(text, file), data_begin_(sizeof(std::uint64_t) + text.size()), data_size_(data_size), file_(file) {
    if (!text.starts_with('{')) json_.fail("'{' as the first byte");
  }

  SafetensorsHeader parse() {
    json_.object(maximum_tensor_count + 1, [&](const std::string& key) {
      if (key == metadata_key) return parse_metadata();
      header_.tensors.push_back(parse_tensor(key));
    });
    json_.finish();
    std::sort(header_.tensors.begin(), header_.tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
      return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
    });
    check_coverage();
    return std::move(header_);
  }

 private:
  std::string subject(const std::string& name) const { return file_ + ", tensor '" + printable(name) + "'"; }

  void parse_metadata() {
    if (json_.take_null()) return;
    json_.object(maximum_metadata_count,
                 [&](const std::string& key) { header_.metadata.insert_or_assign(key, json_.string()); });
  }

  TensorInfo parse_tensor(const std::string& name) {
    TensorInfo info;
    info.name = name;
    int members = 0;
    json_.object(maximum_member_count, [&](const std::string& key) {
      ++members;
      if (key == "dtype") {
        const std::string type = json_.string();
        info.dtype = parse_dtype(type).value_or(DType::other);
        if (info.dtype == DType::other) info.other_type = type;
      } else if (key == "shape") {
        json_.array(maximum_rank, [&] { info.shape.push_back(parse_dimension()); });
      } else if (key == "data_offsets") {
        parse_offsets(info);
      } else {
        --members;  // of a later version of the format; the reference reader ignores them, too
        json_.skip_value(maximum_member_count);
      }
    });
    if (members != 3)
      throw_unexpected(subject(name), "dtype, shape and data_offsets", std::to_string(members) + " of them");
    check_tensor(info);
    return info;
  }

  std::int64_t parse_dimension() {
    const std::uint64_t size = json_.unsigned_integer();
    if (size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      json_.fail("a size below 2^63", std::to_string(size));
    }
    return static_cast<std::int64_t>(size);
  }

  void parse_offsets(TensorInfo& info) {
    std::size_t count = 0;
    json_.array(2, [&] { (count++ == 0 ? info.begin : info.end) = json_.unsigned_integer(); });
    if (count != 2) throw_unexpected(subject(info.name), "2 data_offsets", std::to_string(count));
  }

  void check_tensor(const TensorInfo& info) const {
    const std::size_t largest = std::numeric_limits<std::size_t>::max() - data_begin_;
    if (info.begin > info.end || info.end > largest) {
      throw_unexpected(subject(info.name), "offsets in order and of at most " + std::to_string(largest),
                       offsets_text(info));
    }
    std::size_t size = 0;
    const std::string form = info.type() + " " + shape_text(info.shape);
    const std::optional<std::size_t> bits =
        element_bits(info.dtype == DType::other ? std::string_view(info.other_type) : dtype_name(info.dtype));
    if (!tensor_byte_size(bits.value_or(8), info.shape, size)) {
      throw_unexpected(subject(info.name), "a size that can be counted in bytes", form);
    }
    // How large the elements of an unknown type are, nobody here can say.
    if (bits && size != info.end - info.begin) {
      throw_unexpected(subject(info.name), std::to_string(size) + " bytes for " + form, offsets_text(info));
    }
  }

  void check_coverage() const {
    std::size_t covered = 0;
    for (const TensorInfo& info : header_.tensors) {
      if (info.begin != covered) {
        throw_unexpected(subject(info.name), "data from byte " + std::to_string(covered) + ", without hole or overlap",
                         offsets_text(info));
      }
      covered = info.end;
    }
    if (covered != data_size_) {
      throw_unexpected(file_, std::to_string(data_begin_ + covered) + " bytes, as its header says",
                       std::to_string(data_begin_ + data_size_) +
                           (covered > data_size_ ? ": the file is truncated" : ": there is more behind its end"));
    }
  }

  static std::string offsets_text(const TensorInfo& info) {
    return "offsets [" + std::to_string(info.begin) + ", " + std::to_string(info.end) + "]";
  }

  JsonReader json_;
  std::size_t data_begin_, data_size_;
  const std::string& file_;
  SafetensorsHeader header_;
};

}  // namespace detail

/// Reads and checks the JSON `text` of a header before `data_size` bytes of tensors: names once, offsets that cover the
/// data without hole or overlap, and sizes that agree with dtype and shape. A type that the format does not know is
/// `other`, and so are those that nobody here reads: the rest of the file can be read. Throws Error naming `file` and
/// the tensor.
inline SafetensorsHeader parse_safetensors_header(std::string_view text, std::size_t data_size,
                                                  const std::string& file) {
  return detail::SafetensorsHeaderParser(text, data_size, file).parse();
}

}  // namespace io
TTT_NAMESPACE_END
