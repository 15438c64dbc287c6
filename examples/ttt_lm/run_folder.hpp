// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <optional>

#include "terminal.hpp"
#include "ttt/io/file_lock.hpp"

namespace ttt_lm {

/// The folder that a command writes into for as long as it runs, and no other command that asks for it does.
class RunFolder {
 public:
  /// Locks the folder if it is there. Throws ttt::Error naming the process that works in it.
  explicit RunFolder(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }

  /// Makes the folder if it is not there, locks it, and removes what killed runs left half written. True when it had to
  /// be locked first: what was looked at before may have changed.
  bool begin(Terminal& terminal);

 private:
  void lock();

  std::filesystem::path path_;
  std::optional<ttt::io::FileLock> lock_;
};

}  // namespace ttt_lm
