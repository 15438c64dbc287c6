// SPDX-License-Identifier: MIT
#pragma once

#include <sys/file.h>

#include <array>
#include <ctime>

#include "ttt/io/file_descriptor.hpp"

TTT_NAMESPACE_BEGIN
namespace io {

namespace detail {

/// Takes the lock of the system on an open file: 0, or the number of the error. It is held until the last copy of the
/// descriptor is closed, at the end of the process in any case.
inline int lock(const FileDescriptor& descriptor, bool waits) {
  while (::flock(descriptor.number(), LOCK_EX | (waits ? 0 : LOCK_NB)) != 0)
    if (errno != EINTR) return errno;
  return 0;
}

/// Whether a folder still calls the open file `path`.
inline bool is_called(const FileDescriptor& descriptor, const std::filesystem::path& path) {
  struct stat open {};
  struct stat named {};
  return ::fstat(descriptor.number(), &open) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

/// "process 1234 on host, since 2026-01-31 09:05:00 UTC".
inline std::string this_process() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host = {"this machine"};
  std::array<char, 32> now{};
  const std::time_t time = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  std::strftime(now.data(), now.size(), "%Y-%m-%d %H:%M:%S UTC", &parts);
  return "process " + std::to_string(::getpid()) + " on " + host.data() + ", since " + now.data();
}

}  // namespace detail

/// One process at a time: a file whose lock is held for as long as the object lives.
///
/// The lock is the system's (flock), so that it ends with the process, however that ends; a file that a killed process
/// left is nobody's and taken over. The file says who holds it, and is removed at the end. Processes that do not ask
/// are not kept out.
class FileLock {
 public:
  /// Takes the lock, or throws Error("<path>: held by process <id> on <host>, since <time>") when it is taken. Where
  /// the file system has no locks, nothing is held: see `is_held`.
  explicit FileLock(std::filesystem::path path) : path_(std::move(path)) {
    // A holder removes the file before it lets go: who gets the lock of a file without a name asks for the new one.
    do {
      descriptor_ = FileDescriptor(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
      if (!descriptor_.is_open()) throw_system_error(path_, "open for locking");
      const int error = detail::lock(descriptor_, false);
      if (error == EWOULDBLOCK) throw Error(path_.string() + ": held by " + holder());
      is_held_ = error == 0;
      const bool has_none = error == ENOSYS || error == ENOTSUP || error == EOPNOTSUPP || error == ENOLCK;
      if (!is_held_ && !has_none) throw_system_error(path_, "lock", error);
    } while (is_held_ && !detail::is_called(descriptor_, path_));
    write_holder();
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock() { static_cast<void>(::unlink(path_.c_str())); }

  /// False where the file system cannot lock.
  bool is_held() const { return is_held_; }

 private:
  std::string holder() const {
    std::array<char, 512> text{};
    const ssize_t size = ::pread(descriptor_.number(), text.data(), text.size(), 0);
    if (size <= 0) return "another process";
    const std::string line(text.data(), static_cast<std::size_t>(size));
    return line.substr(0, line.find('\n'));
  }

  /// For people; the lock does not depend on it, so that a full disk is no reason to stop here.
  void write_holder() const {
    const std::string text = detail::this_process() + "\n";
    if (::ftruncate(descriptor_.number(), 0) == 0)
      static_cast<void>(::pwrite(descriptor_.number(), text.data(), text.size(), 0) == 0);
  }

  std::filesystem::path path_;
  FileDescriptor descriptor_;
  bool is_held_ = false;
};

}  // namespace io
TTT_NAMESPACE_END
