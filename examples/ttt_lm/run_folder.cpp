// SPDX-License-Identifier: MIT
#include "run_folder.hpp"

#include "model.hpp"
#include "ttt/io/atomic_file.hpp"

namespace ttt_lm {

RunFolder::RunFolder(std::filesystem::path path) : path_(std::move(path)) {
  std::error_code ignored;  // what is there and no folder is reported when it should become one
  if (std::filesystem::is_directory(path_, ignored)) lock();
}

void RunFolder::lock() try { lock_.emplace(path_ / "train.lock"); } catch (const ttt::Error& error) {
  throw ttt::Error(std::string(error.what()) + "; only one run at a time may write into a folder");
}

bool RunFolder::begin(Terminal& terminal) {
  const bool is_new = !lock_;
  if (is_new) {
    make_folder(path_);
    lock();
  }
  if (!lock_->is_held())
    terminal.message("note: the file system of " + path_.string() +
                     " has no locks; nothing keeps a second run out of it");
  ttt::io::remove_abandoned_files(path_);
  return is_new;
}

}  // namespace ttt_lm
