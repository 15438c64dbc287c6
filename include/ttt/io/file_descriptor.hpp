// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "ttt/core/error.hpp"

TTT_NAMESPACE_BEGIN
namespace io {

/// Throws Error("<path>: cannot <action>: <text of error_number>").
[[noreturn]] inline void throw_system_error(const std::filesystem::path& path, const std::string& action,
                                            int error_number = errno) {
  throw Error(path.string() + ": cannot " + action + ": " + std::generic_category().message(error_number));
}

/// An open POSIX file that closes itself; owned by one place.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int number) : number_(number) {}
  FileDescriptor(FileDescriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~FileDescriptor() { static_cast<void>(close()); }

  bool is_open() const { return number_ >= 0; }
  int number() const { return number_; }

  /// Closes; false, with errno set, when the system reports an error (a late failure of writing, for instance).
  bool close() { return number_ < 0 || ::close(std::exchange(number_, -1)) == 0; }

 private:
  int number_ = -1;
};

/// A regular file open for reading from its start. Anything else (a folder, a pipe) is refused, and never waited for.
class InputFile {
 public:
  explicit InputFile(std::filesystem::path path) : path_(std::move(path)) {
    descriptor_ = FileDescriptor(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!descriptor_.is_open()) throw_system_error(path_, "open for reading");
    struct stat status {};
    if (::fstat(descriptor_.number(), &status) != 0) throw_system_error(path_, "read the size");
    if (!S_ISREG(status.st_mode)) throw_unexpected(path_.string(), "a regular file", "something else");
    size_ = static_cast<std::size_t>(status.st_size);
  }

  const std::filesystem::path& path() const { return path_; }

  /// Size in bytes when the file was opened.
  std::size_t size() const { return size_; }

  /// Fills `out` with the next bytes; a file that ends before is an Error.
  void read(std::span<std::byte> out) {
    while (!out.empty()) {
      const ssize_t count = ::read(descriptor_.number(), out.data(), out.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw_system_error(path_, "read");
      if (count == 0) throw_unexpected(path_.string(), std::to_string(size_) + " bytes", "an earlier end of the file");
      out = out.subspan(static_cast<std::size_t>(count));
    }
  }

  /// The whole file as memory that nobody can write to, until the last copy of the pointer is gone. Pages come when
  /// they are touched; one that the file has lost meanwhile, because somebody cut it off in place, ends the process.
  std::shared_ptr<const std::byte> map() const {
    if (size_ == 0) return {};
    void* const address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor_.number(), 0);
    if (address == MAP_FAILED) throw_system_error(path_, "map into memory");
    static_cast<void>(::madvise(address, size_, MADV_SEQUENTIAL));  // advice: without it it is only slower
    const std::size_t size = size_;
    return {static_cast<const std::byte*>(address),
            [size](const std::byte* begin) { ::munmap(const_cast<std::byte*>(begin), size); }};
  }

 private:
  std::filesystem::path path_;
  FileDescriptor descriptor_;
  std::size_t size_ = 0;
};

/// Gives the memory of mapped bytes back to the system; touched again, they are read again from the file. Only whole
/// pages inside of `bytes` are given back.
inline void release_pages(std::span<const std::byte> bytes) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<std::uintptr_t>(bytes.data()) + page - 1) / page * page;
  const auto end = (reinterpret_cast<std::uintptr_t>(bytes.data()) + bytes.size()) / page * page;
  if (begin < end) static_cast<void>(::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED));
}

/// The whole file as text; longer than `maximum_size` bytes is an Error, before anything is allocated.
inline std::string read_text_file(const std::filesystem::path& path, std::size_t maximum_size) {
  InputFile file(path);
  if (file.size() > maximum_size) {
    throw_unexpected(path.string(), "at most " + std::to_string(maximum_size) + " bytes", std::to_string(file.size()));
  }
  std::string text(file.size(), '\0');
  file.read(std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace io
TTT_NAMESPACE_END
