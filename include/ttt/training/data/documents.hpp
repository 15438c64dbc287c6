// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "ttt/core/error.hpp"

TTT_NAMESPACE_BEGIN

namespace training {

/// A text and the name it is known by, its path for example.
struct Document {
  std::string name;
  std::string text;
};

/// A file of a folder that was left out, and why.
struct SkippedFile {
  std::string name;
  std::string reason;
};

/// Reads a file as it is; says why when it cannot.
inline std::string read_document(const std::filesystem::path& path, Document& document) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) return "there is no such file or folder";
  if (status.type() != std::filesystem::file_type::regular) return "expected a file or folder, found neither";
  std::ifstream file(path, std::ios::binary);
  document = {path.string(), {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()}};
  return !file.is_open() || file.bad() ? "the file cannot be read" : "";
}

/// Appends the files below `folder`, and what cannot be looked into to `skipped`; false when the folder cannot be read.
inline bool collect_files(const std::filesystem::path& folder, std::vector<std::filesystem::path>& files,
                          std::vector<SkippedFile>& skipped) {
  std::error_code error, ignored;
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (!entry->is_directory(ignored))
      files.push_back(entry->path());
    else if (entry->is_symlink(ignored))
      skipped.push_back({entry->path().string(), "links to folders are not followed"});
    else if (!collect_files(entry->path(), files, skipped))
      skipped.push_back({entry->path().string(), "the folder cannot be read"});
  }
  return !error;
}

/// The files below `folder`, sorted by path. Throws Error when it cannot be read.
inline std::vector<std::filesystem::path> files_below(const std::filesystem::path& folder,
                                                      std::vector<SkippedFile>& skipped) {
  std::vector<std::filesystem::path> files;
  if (!collect_files(folder, files, skipped)) throw Error(folder.string() + ": the folder cannot be read");
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace training

TTT_NAMESPACE_END
