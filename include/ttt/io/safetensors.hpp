// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <memory>
#include <new>
#include <numeric>

#include "ttt/io/lfs_pointer.hpp"
#include "ttt/io/tensor_bytes.hpp"

TTT_NAMESPACE_BEGIN
namespace io {

/// How the bytes of a file are held.
enum class Access {
  copied,  ///< in memory of their own: what happens to the file later does not matter
  mapped   ///< as pages of the file, read when they are touched. The file must not be written to in place meanwhile; a
           ///< file replaced by renaming (as write_safetensors does) is no danger
};

/// One safetensors file in memory, checked completely before anyone sees it. Copies share the bytes, which never
/// change.
///
/// A file is data from anyone: whatever its bytes, it opens or throws Error, never reads outside itself, and takes no
/// more memory than a small multiple of its size. Values (NaN, infinity) are not judged here. Source: the safetensors
/// format.
class SafetensorsFile {
 public:
  /// Opens the file and checks everything its header says. Throws Error naming file, tensor, expected and found.
  static SafetensorsFile open(const std::filesystem::path& path, Access access = Access::copied) {
    InputFile file(path);
    std::uint64_t header_size = 0;
    if (file.size() >= sizeof(header_size)) file.read(std::as_writable_bytes(std::span(&header_size, 1)));
    if (header_size > maximum_header_size) refuse_lfs_pointer(path);
    check_header_size(path, file.size(), header_size);
    std::string header(header_size, '\0');
    file.read(std::as_writable_bytes(std::span(header)));
    const std::size_t begin = sizeof(header_size) + header_size, size = file.size() - begin;
    SafetensorsFile result(path, header, size);
    if (access == Access::mapped) {
      const auto whole = file.map();
      result.data_ = std::shared_ptr<const std::byte>(whole, whole.get() + begin);
      result.is_mapped_ = true;
    } else {
      const auto bytes = allocate(size);
      file.read({bytes.get(), size});
      result.data_ = bytes;
    }
    return result;
  }

  /// The same for a copy of bytes that are in memory already; `name` is what messages call them.
  static SafetensorsFile parse(std::span<const std::byte> bytes, const std::string& name) {
    std::uint64_t header_size = 0;
    if (bytes.size() >= sizeof(header_size)) std::memcpy(&header_size, bytes.data(), sizeof(header_size));
    check_header_size(name, bytes.size(), header_size);
    const auto data = bytes.subspan(sizeof(header_size) + header_size);
    const auto* header = reinterpret_cast<const char*>(bytes.data() + sizeof(header_size));
    SafetensorsFile result(name, {header, header_size}, data.size());
    const auto copy = allocate(data.size());
    std::copy(data.begin(), data.end(), copy.get());
    result.data_ = copy;
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

  /// Gives back the memory that the bytes of a mapped tensor took; they stay readable. Nothing where they are copied.
  void release(const TensorInfo& info) const {
    if (is_mapped_) release_pages(bytes(info));
  }

  /// Assigns the elements of the tensor to `out`, row-major, `[count]`; see read_tensor.
  template <TensorScalar Scalar>
  void read(const TensorInfo& info, std::span<Scalar> out, Narrowing narrowing = Narrowing::refused) const {
    read_tensor(info, bytes(info), out, narrowing, subject(info.name));
  }
  template <TensorScalar Scalar>
  void read(std::string_view name, std::span<Scalar> out, Narrowing narrowing = Narrowing::refused) const {
    read(at(name), out, narrowing);
  }

  /// The elements of the tensor, row-major; see read_tensor.
  template <TensorScalar Scalar>
  std::vector<Scalar> values(const TensorInfo& info, Narrowing narrowing = Narrowing::refused) const {
    // Before memory is taken: the count of such a type has perhaps no bytes behind it.
    if (info.dtype == DType::other) detail::refuse_type<Scalar>(info, subject(info.name));
    std::vector<Scalar> result(info.count());
    read(info, std::span(result), narrowing);
    return result;
  }
  template <TensorScalar Scalar>
  std::vector<Scalar> values(std::string_view name, Narrowing narrowing = Narrowing::refused) const {
    return values<Scalar>(at(name), narrowing);
  }

 private:
  friend class SafetensorsSet;

  /// Tensors of `data`, that came from the file at `path`.
  SafetensorsFile(std::filesystem::path path, std::vector<TensorInfo> tensors, std::shared_ptr<const std::byte> data,
                  std::size_t data_size)
      : path_(std::move(path)), tensors_(std::move(tensors)), data_(std::move(data)), data_size_(data_size) {
    sort_names();
  }
  SafetensorsFile(std::filesystem::path path, std::string_view header_text, std::size_t data_size)
      : path_(std::move(path)), data_size_(data_size) {
    SafetensorsHeader header = parse_safetensors_header(header_text, data_size, path_.string());
    tensors_ = std::move(header.tensors);
    metadata_ = std::move(header.metadata);
    sort_names();
  }

  // Subtracts from the size of the file instead of adding to the untrusted length: a sum could wrap.
  static void check_header_size(const std::filesystem::path& path, std::size_t file_size, std::uint64_t header_size) {
    const std::string cause = ": the file is truncated, or of another format";
    if (file_size < sizeof(header_size)) {
      throw_unexpected(path.string(), "at least 8 bytes", std::to_string(file_size) + cause);
    }
    const std::size_t available = std::min(file_size - sizeof(header_size), maximum_header_size);
    if (header_size > available) {
      throw_unexpected(path.string(), "a header of at most " + std::to_string(available) + " bytes",
                       std::to_string(header_size) + cause);
    }
  }

  // Not zeroed, as every byte is written over; aligned, so that tensors at aligned offsets can be used in place.
  static std::shared_ptr<std::byte> allocate(std::size_t size) {
    constexpr std::align_val_t data_alignment{64};
    auto* bytes = static_cast<std::byte*>(::operator new(std::max(size, std::size_t{1}), data_alignment));
    return {bytes, [](std::byte* pointer) { ::operator delete(pointer, data_alignment); }};
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
  bool is_mapped_ = false;
};

}  // namespace io
TTT_NAMESPACE_END
