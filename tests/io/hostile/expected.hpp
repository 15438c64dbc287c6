// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace ttt::testing {

inline const std::filesystem::path hostile_folder = std::filesystem::path(TTT_GOLDEN_DIR).parent_path() / "io/hostile";

/// The hostile files whose path begins with one of `beginnings`, each with what its Error must say.
inline std::vector<std::pair<std::filesystem::path, std::vector<std::string>>> hostile_files(
    const std::vector<std::string>& beginnings) {
  std::vector<std::pair<std::filesystem::path, std::vector<std::string>>> result;
  std::ifstream file(hostile_folder / "expected.txt");
  for (std::string line; std::getline(file, line);) {
    std::istringstream parts(line);
    std::string path, word;
    std::getline(parts, path, '\t');
    if (std::none_of(beginnings.begin(), beginnings.end(), [&](const auto& begin) { return path.starts_with(begin); }))
      continue;
    result.push_back({hostile_folder / path, {}});
    while (std::getline(parts, word, '\t')) result.back().second.push_back(word);
  }
  return result;
}

}  // namespace ttt::testing
