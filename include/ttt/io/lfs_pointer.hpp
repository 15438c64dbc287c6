// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include "ttt/io/file_descriptor.hpp"

TTT_NAMESPACE_BEGIN
namespace io {

/// Throws Error, with the way to the file itself, for one that begins as a Git LFS pointer: the few lines that a
/// repository of models holds, and a clone without Git LFS gives, in place of a large file. Source: the specification
/// of Git LFS.
inline void refuse_lfs_pointer(const std::filesystem::path& path) {
  constexpr std::string_view first_line = "version https://git-lfs.github.com/spec/";
  InputFile file(path);
  std::string beginning(std::min(file.size(), first_line.size()), '\0');
  file.read(std::as_writable_bytes(std::span(beginning)));
  if (beginning == first_line)
    throw_unexpected(path.string(), "the file itself",
                     "a Git LFS pointer to it: 'git lfs pull' in its repository gets the file");
}

}  // namespace io
TTT_NAMESPACE_END
