// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <concepts>
#include <cstdio>
#include <string_view>
#include <vector>

#include "ttt/io/file_descriptor.hpp"

TTT_NAMESPACE_BEGIN
namespace io {

/// Where the bytes of a file being written go, in order; buffered.
class OutputFile {
 public:
  OutputFile(FileDescriptor descriptor, std::filesystem::path path)
      : descriptor_(std::move(descriptor)), path_(std::move(path)) {
    buffer_.reserve(buffer_size);
  }

  /// Appends `bytes`; throws Error naming the path and the reason of the system.
  void write(std::span<const std::byte> bytes) {
    if (buffer_.size() + bytes.size() > buffer_size) flush();
    if (bytes.size() > buffer_size) return write_now(bytes);
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }

  /// Hands everything to the system, waits until it is on the device, and closes.
  void finish() {
    flush();
    if (::fsync(descriptor_.number()) != 0) throw_system_error(path_, "write to the device");
    if (!descriptor_.close()) throw_system_error(path_, "close");
  }

 private:
  static constexpr std::size_t buffer_size = std::size_t{1} << 16;

  void flush() {
    write_now(buffer_);
    buffer_.clear();
  }

  void write_now(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::write(descriptor_.number(), bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw_system_error(path_, "write");
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }

  FileDescriptor descriptor_;
  std::filesystem::path path_;
  std::vector<std::byte> buffer_;
};

namespace detail {

// A new file beside its destination that is removed again unless it becomes the destination.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::filesystem::path& destination) : destination_(destination) {
    static std::atomic<unsigned> counter{0};
    do {
      path_ = destination_;
      path_ += ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(counter.fetch_add(1));
      descriptor_ = FileDescriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    } while (!descriptor_.is_open() && errno == EEXIST);
    if (!descriptor_.is_open()) throw_system_error(path_, "create");
    exists_ = true;
    struct stat old {};
    // Best effort: readers of the old file should be able to read the new one.
    if (::stat(destination_.c_str(), &old) == 0) static_cast<void>(::fchmod(descriptor_.number(), old.st_mode & 07777));
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (exists_) ::unlink(path_.c_str());
  }

  OutputFile take_output() { return OutputFile(std::move(descriptor_), destination_); }

  void replace_destination() {
    if (::rename(path_.c_str(), destination_.c_str()) != 0) throw_system_error(destination_, "replace");
    exists_ = false;
  }

 private:
  std::filesystem::path destination_;
  std::filesystem::path path_;
  FileDescriptor descriptor_;
  bool exists_ = false;
};

inline void synchronize_folder_of(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  const FileDescriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor.is_open()) throw_system_error(folder, "open after replacing " + path.filename().string());
  // Some file systems cannot synchronise folders and say so; there is nothing more to do on those.
  if (::fsync(descriptor.number()) != 0 && errno != EINVAL && errno != ENOTSUP) {
    throw_system_error(folder, "write to the device after replacing " + path.filename().string());
  }
}

}  // namespace detail

/// Writes `path` so that at every moment, also after a crash or a loss of power, it is the old file or the new one,
/// whole.
///
/// `writer(OutputFile&)` gives the bytes; they go to a temporary file in the same folder, to the device, and then take
/// the name. When anything throws, the temporary file is removed and the old file stays; a killed process can leave
/// `NAME.tmp-…` behind. A symbolic link at `path` is replaced, not followed. Throws Error naming the path and the
/// reason.
template <std::invocable<OutputFile&> Writer>
void write_file_atomically(const std::filesystem::path& path, Writer&& writer) {
  detail::TemporaryFile temporary(path);
  {
    OutputFile output = temporary.take_output();
    std::forward<Writer>(writer)(output);
    output.finish();
  }
  temporary.replace_destination();
  detail::synchronize_folder_of(path);
}

}  // namespace io
TTT_NAMESPACE_END
