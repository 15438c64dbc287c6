// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <concepts>
#include <cstdio>
#include <string_view>
#include <vector>

#include "ttt/io/file_lock.hpp"

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

  /// Hands everything to the system.
  void flush() {
    write_now(buffer_);
    buffer_.clear();
  }

  /// The same, waits until it is on the device, and closes.
  void finish() {
    flush();
    if (::fsync(descriptor_.number()) != 0) throw_system_error(path_, "write to the device");
    if (!descriptor_.close()) throw_system_error(path_, "close");
  }

 private:
  static constexpr std::size_t buffer_size = std::size_t{1} << 16;

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

inline constexpr std::string_view temporary_mark = ".tmp-";

// A new file beside its destination that is removed again unless it becomes the destination. It is locked for as long
// as somebody works with it, which tells it from one that a killed process left.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::filesystem::path& destination) : destination_(destination) {
    static std::atomic<unsigned> counter{0};
    do {
      path_ = destination_;
      path_ += std::string(temporary_mark) + std::to_string(::getpid()) + "-" + std::to_string(counter.fetch_add(1));
      descriptor_ = FileDescriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
      if (!descriptor_.is_open() && errno != EEXIST) throw_system_error(path_, "create");
      // Whoever clears away may have found it before it was locked, and removed it.
      exists_ = descriptor_.is_open() && (lock(descriptor_, true) != 0 || is_called(descriptor_, path_));
    } while (!exists_);
    struct stat old {};
    // Best effort: readers of the old file should be able to read the new one.
    if (::stat(destination_.c_str(), &old) == 0) static_cast<void>(::fchmod(descriptor_.number(), old.st_mode & 07777));
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (exists_) ::unlink(path_.c_str());
  }

  /// A copy, so that the file stays locked when the output is closed.
  OutputFile output() const {
    FileDescriptor copy(::fcntl(descriptor_.number(), F_DUPFD_CLOEXEC, 0));
    if (!copy.is_open()) throw_system_error(path_, "open once more");
    return OutputFile(std::move(copy), destination_);
  }

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

/// Whether a file of this name is one of TemporaryFile: NAME.tmp-<process>-<number>.
inline bool is_temporary_name(std::string_view name) {
  const std::size_t mark = name.rfind(temporary_mark);
  if (mark == 0 || mark == std::string_view::npos) return false;
  const std::string_view rest = name.substr(mark + temporary_mark.size());
  const std::size_t dash = rest.find('-');
  const auto is_number = [](std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  };
  return dash != std::string_view::npos && is_number(rest.substr(0, dash)) && is_number(rest.substr(dash + 1));
}

/// Removes a temporary file if nobody works with it.
inline bool remove_if_abandoned(const std::filesystem::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status {};
  return file.is_open() && ::fstat(file.number(), &status) == 0 && S_ISREG(status.st_mode) && lock(file, false) == 0 &&
         is_called(file, path) && ::unlink(path.c_str()) == 0;
}

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
/// `NAME.tmp-…` behind, for `remove_abandoned_files`. A symbolic link at `path` is replaced, not followed. Throws Error
/// naming the path and the reason.
template <std::invocable<OutputFile&> Writer>
void write_file_atomically(const std::filesystem::path& path, Writer&& writer) {
  detail::TemporaryFile temporary(path);
  {
    OutputFile output = temporary.output();
    std::forward<Writer>(writer)(output);
    output.finish();
  }
  temporary.replace_destination();
  detail::synchronize_folder_of(path);
}

/// Removes the temporary files right in `folder` that killed processes left there, and nothing that a living one, on
/// this machine or another that shares the locks of the file system, works with. Returns how many; what cannot be
/// removed stays.
inline std::size_t remove_abandoned_files(const std::filesystem::path& folder) {
  std::size_t count = 0;
  std::error_code error;
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error))
    if (detail::is_temporary_name(entry->path().filename().native()) && detail::remove_if_abandoned(entry->path()))
      ++count;
  return count;
}

}  // namespace io
TTT_NAMESPACE_END
