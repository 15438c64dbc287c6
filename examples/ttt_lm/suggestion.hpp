// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace ttt_lm {

/// Insertions, deletions, replacements and swaps of neighbours that make one word of another (optimal string
/// alignment).
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i)
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  return cost[a.size()][b.size()];
}

/// ", did you mean 'known'?" for the known word nearest to `word`, if one is near: it begins so, or a third of the
/// letters at most are wrong.
inline std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
  constexpr std::size_t shortest_beginning = 3, longest_word = 64;
  if (word.size() > longest_word) return {};
  std::size_t smallest = std::max<std::size_t>(1, word.size() / 3) + 1;
  const std::string* nearest = nullptr;
  for (const std::string& other : known) {
    const bool begins_so = word.size() >= shortest_beginning && other.starts_with(word);
    const std::size_t distance = begins_so ? 1 : edit_distance(word, other);
    if (distance >= smallest) continue;
    smallest = distance;
    nearest = &other;
  }
  return nearest ? ", did you mean '" + *nearest + "'?" : std::string();
}

}  // namespace ttt_lm
