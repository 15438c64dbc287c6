// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <memory>
#include <new>
#include <numeric>

#include "ttt/io/file_descriptor.hpp"
#include "ttt/io/tensor_bytes.hpp"

TTT_NAMESPACE_BEGIN
namespace io {

/// One safetensors file in memory, checked completely before anyone sees it. Copies share the bytes, which never
/// change.
///
/// A file is data from anyone: whatever its bytes, it opens or throws Error, never reads outside itself, and takes no
/// more memory than a small multiple of its size. Values (NaN, infinity) are not judged here. Source: the safetensors
/// format.
class SafetensorsFile {
 public:
  /// Reads the file and checks everything its header says. Throws Error naming file, tensor, expected and found.
  static SafetensorsFile open(const std::filesystem::path& path) {
    SafetensorsFile result;
    result.path_ = path;
    InputFile file(path);
    const std::size_t header_size = read_header_size(file);
    const std::size_t data_size = file.size() - sizeof(std::uint64_t) - header_size;
    std::string text(header_size, '\0');
    file.read(std::as_writable_bytes(std::span(text)));
    SafetensorsHeader header = parse_safetensors_header(text, data_size, path.string());
    result.tensors_ = std::move(header.tensors);
    result.metadata_ = std::move(header.metadata);
    result.sort_names();
    result.data_ = allocate(data_size);
    result.data_size_ = data_size;
    file.read({const_cast<std::byte*>(result.data_.get()), data_size});
    return result;
  }

  const std::filesystem::path& path() const { return path_; }

  /// All tensors, in the order of their bytes.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }

  const Metadata& metadata() const { return metadata_; }

  /// The tensor of that name, or null.
  const TensorInfo* find(std::string_view name) const {
    const auto found = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                                        [&](std::size_t i, std::string_view key) { return tensors_[i].name < key; });
    return found != by_name_.end() && tensors_[*found].name == name ? &tensors_[*found] : nullptr;
  }

  /// The tensor of that name; throws Error when there is none.
  const TensorInfo& at(std::string_view name) const {
    if (const TensorInfo* info = find(name)) return *info;
    throw_unexpected(subject(name), "a tensor of that name", "none");
  }

  /// The stored bytes of a tensor of this file; they live as long as any copy of this object.
  std::span<const std::byte> bytes(const TensorInfo& info) const {
    if (info.begin > info.end || info.end > data_size_)
      throw_unexpected(subject(info.name), "a tensor of this file", "another");
    return {data_.get() + info.begin, info.end - info.begin};
  }

  /// Assigns the elements of the tensor `name` to `out`, row-major, `[count]`; see read_tensor.
  template <TensorScalar Scalar>
  void read(std::string_view name, std::span<Scalar> out, Narrowing narrowing = Narrowing::refused) const {
    const TensorInfo& info = at(name);
    read_tensor(info, bytes(info), out, narrowing, subject(name));
  }

  /// The elements of the tensor `name`, row-major; see read_tensor.
  template <TensorScalar Scalar>
  std::vector<Scalar> values(std::string_view name, Narrowing narrowing = Narrowing::refused) const {
    std::vector<Scalar> result(at(name).count());
    read(name, std::span(result), narrowing);
    return result;
  }

 private:
  SafetensorsFile() = default;

  // Subtracts from the size of the file instead of adding to the untrusted length: a sum could wrap.
  static std::size_t read_header_size(InputFile& file) {
    std::uint64_t size = 0;
    if (file.size() < sizeof(size)) {
      throw_unexpected(file.path().string(), "at least 8 bytes", std::to_string(file.size()));
    }
    file.read(std::as_writable_bytes(std::span(&size, 1)));
    const std::size_t available = std::min(file.size() - sizeof(size), maximum_header_size);
    if (size > available) {
      throw_unexpected(file.path().string(), "a header of at most " + std::to_string(available) + " bytes",
                       std::to_string(size));
    }
    return size;
  }

  // Not zeroed, as every byte is read over; aligned, so that tensors at aligned offsets can be used in place.
  static std::shared_ptr<const std::byte> allocate(std::size_t size) {
    constexpr std::align_val_t data_alignment{64};
    auto* bytes = static_cast<std::byte*>(::operator new(std::max(size, std::size_t{1}), data_alignment));
    return {bytes,
            [](const std::byte* pointer) { ::operator delete(const_cast<std::byte*>(pointer), data_alignment); }};
  }

  void sort_names() {
    by_name_.resize(tensors_.size());
    std::iota(by_name_.begin(), by_name_.end(), std::size_t{0});
    std::sort(by_name_.begin(), by_name_.end(),
              [&](std::size_t a, std::size_t b) { return tensors_[a].name < tensors_[b].name; });
  }

  std::string subject(std::string_view name) const { return path_.string() + ", tensor '" + printable(name) + "'"; }

  std::filesystem::path path_;
  std::vector<TensorInfo> tensors_;
  std::vector<std::size_t> by_name_;
  Metadata metadata_;
  std::shared_ptr<const std::byte> data_;
  std::size_t data_size_ = 0;
};

}  // namespace io
TTT_NAMESPACE_END
