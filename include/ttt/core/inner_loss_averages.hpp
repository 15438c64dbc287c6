// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ttt/core/domain.hpp"
#include "ttt/core/statistics.hpp"

TTT_NAMESPACE_BEGIN

/// Averages inner losses by block and position, over heads, segments and calls: whether a layer learns as a text goes
/// on.
///
///     InnerLossAverages averages;
///     context.statistics = &averages;
///     …                                   any calls
///     std::cout << averages.describe();
class InnerLossAverages final : public StatisticsSink {
 public:
  /// Averages over all tokens of one block whose mini-batch begins at positions [first, end).
  struct Row {
    Index block = 0;
    std::int64_t first = 0, end = 0;
    double at_initial = 0, before_update = 0, after_update = 0;  ///< as in InnerLoss
  };

  /// Ranges of positions double in length: [0, n), [n, 2n), [2n, 4n), …, for n = `first_range`, at least 1.
  explicit InnerLossAverages(std::int64_t first_range = 64) : first_range_(first_range) {
    domain::at_least("first range of positions of InnerLossAverages", 1, first_range);
  }

  void inner_loss(const InnerLoss& loss) override {
    std::int64_t first = 0, end = first_range_;
    while (loss.position >= end) first = std::exchange(end, 2 * end);
    sums_[{loss.block, first}].add(loss, end);
  }

  /// Forgets everything.
  void clear() { sums_.clear(); }

  /// A row for each block and range that something was reported of, in order.
  std::vector<Row> rows() const {
    std::vector<Row> result;
    for (const auto& [place, sum] : sums_) result.push_back(sum.row(place.first, place.second));
    return result;
  }
  /// A row for each block over all positions, in order.
  std::vector<Row> blocks() const {
    std::map<Index, Sum> all;
    for (const auto& [place, sum] : sums_) all[place.first].add(sum);
    std::vector<Row> result;
    for (const auto& [block, sum] : all) result.push_back(sum.row(block, 0));
    return result;
  }

  /// A table of blocks and rows as text, a line each.
  std::string describe() const {
    std::string text = line({"block", "positions", "with W0", "before", "after"});
    const auto ranges = rows();
    for (const Row& block : blocks()) {
      text += line(block, "all");
      for (const Row& row : ranges)
        if (row.block == block.block) text += line(row, std::to_string(row.first) + ".." + std::to_string(row.end - 1));
    }
    return text;
  }

 private:
  struct Sum {
    double tokens = 0, at_initial = 0, before_update = 0, after_update = 0;
    std::int64_t end = 0;

    void add(const InnerLoss& loss, std::int64_t end_of_range) {
      const auto weight = static_cast<double>(loss.tokens);
      add({weight, weight * loss.at_initial, weight * loss.before_update, weight * loss.after_update, end_of_range});
    }
    void add(const Sum& other) {
      tokens += other.tokens;
      at_initial += other.at_initial;
      before_update += other.before_update;
      after_update += other.after_update;
      end = other.end;
    }
    Row row(Index block, std::int64_t first) const {
      return {block, first, end, at_initial / tokens, before_update / tokens, after_update / tokens};
    }
  };

  static std::string line(const Row& row, const std::string& positions) {
    return line({std::to_string(row.block), positions, number(row.at_initial), number(row.before_update),
                 number(row.after_update)});
  }
  /// Cells aligned to the right.
  static std::string line(const std::array<std::string, 5>& cells) {
    constexpr std::array<std::size_t, 5> widths{5, 16, 11, 11, 11};
    std::string text;
    for (std::size_t i = 0; i < cells.size(); ++i)
      text += std::string(widths[i] - std::min(widths[i], cells[i].size()), ' ') + (i > 0 ? " " : "") + cells[i];
    return text + "\n";
  }
  static std::string number(double value) {
    std::array<char, 32> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::general, 4).ptr;
    return {text.data(), end};
  }

  std::int64_t first_range_;
  std::map<std::pair<Index, std::int64_t>, Sum> sums_;  // by block and first position of a range
};

TTT_NAMESPACE_END
