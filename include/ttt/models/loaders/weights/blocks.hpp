// SPDX-License-Identifier: MIT
/// @file
/// The elements of stored tensors, some at a time: a model is read without a second copy of it in memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ttt/core/finite.hpp"
#include "ttt/io/safetensors_set.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders::detail {

inline constexpr std::size_t block_size = std::size_t{1} << 15;

/// A tensor in a mapped file: what messages call it, what it is, and its bytes.
struct StoredTensor {
  std::string subject;
  const io::TensorInfo* info;
  std::span<const std::byte> bytes;
};

/// Gives mapped bytes back when some megabytes of them have been read: one by one would cost as much as the reading.
class ReadPages {
 public:
  explicit ReadPages(std::span<const std::byte> bytes) : bytes_(bytes) {}
  ~ReadPages() { release(bytes_.size()); }
  ReadPages(const ReadPages&) = delete;
  ReadPages& operator=(const ReadPages&) = delete;

  void read_up_to(std::size_t end) {
    if (end - released_ >= enough) release(end);
  }

 private:
  static constexpr std::size_t enough = std::size_t{1} << 22;

  // The last page is not whole yet, so that the next release begins with it.
  void release(std::size_t end) {
    io::release_pages(bytes_.subspan(released_, end - released_));
    released_ = end - std::min(end, page);
  }
  static constexpr std::size_t page = 4096;

  std::span<const std::byte> bytes_;
  std::size_t released_ = 0;
};

/// Calls body(first, values) with the elements from `first` on, `each` at a time: where they lie if they are aligned
/// Scalars there, else converted, F64 rounded. Throws Error for a type that is no floating one.
template <class Scalar, class Body>
void for_each_block(const StoredTensor& tensor, std::size_t each, Body&& body) {
  const std::size_t count = tensor.info->count(), size = io::dtype_size(tensor.info->dtype);
  const auto* data = tensor.bytes.data();
  const bool in_place =
      tensor.info->dtype == io::dtype_of<Scalar> && reinterpret_cast<std::uintptr_t>(data) % alignof(Scalar) == 0;
  io::TensorInfo part = *tensor.info;
  part.shape = {0};
  part.begin = 0;
  ReadPages pages(tensor.bytes);
  std::vector<Scalar> converted(in_place ? 0 : std::min(each, count));
  for (std::size_t first = 0; first < count; first += each) {
    const std::size_t length = std::min(each, count - first);
    const auto bytes = tensor.bytes.subspan(first * size, length * size);
    std::span<const Scalar> values(reinterpret_cast<const Scalar*>(bytes.data()), length);
    if (!in_place) {
      part.shape[0] = static_cast<std::int64_t>(length);
      part.end = bytes.size();
      const std::span<Scalar> target(converted.data(), length);
      io::read_tensor(part, bytes, target, io::Narrowing::rounded, tensor.subject);
      values = target;
    }
    body(first, values);
    pages.read_up_to((first + length) * size);
  }
}

/// "[3, 0, 7]" for the element `index` of a row-major tensor.
inline std::string element_text(std::vector<std::int64_t> shape, std::size_t index) {
  for (auto extent = shape.rbegin(); extent != shape.rend(); ++extent) {
    const auto size = static_cast<std::size_t>(*extent);
    *extent = static_cast<std::int64_t>(index % size);
    index /= size;
  }
  return io::shape_text(shape);
}

/// Throws Error about the first element that is not finite, `at` in the values from `first` on of a tensor, unless it
/// is their end.
template <class Scalar>
void check_none(typename std::span<const Scalar>::iterator at, std::span<const Scalar> values, std::size_t first,
                const std::vector<std::int64_t>& shape, const std::string& subject) {
  if (at == values.end()) return;
  const auto index = first + static_cast<std::size_t>(at - values.begin());
  throw_unexpected(subject, "finite numbers", "NaN or infinity at " + element_text(shape, index));
}

/// Throws Error for a NaN or an infinity among the elements from `first` on of a tensor.
template <class Scalar>
void check_finite(std::span<const Scalar> values, std::size_t first, const std::vector<std::int64_t>& shape,
                  const std::string& subject) {
  check_none(find_not_finite(values), values, first, shape, subject);
}

}  // namespace loaders::detail

TTT_NAMESPACE_END
