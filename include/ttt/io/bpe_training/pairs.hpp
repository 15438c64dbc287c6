// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <queue>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ttt/core/error.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// Two neighbouring tokens.
using TokenPair = std::pair<std::uint32_t, std::uint32_t>;

/// Words as linked tokens, with the number and the places of every pair of neighbours: a merge costs what it changes.
class PairCounts {
 public:
  /// Appends a word that occurs `count` times.
  void add_word(std::span<const std::uint32_t> tokens, std::int64_t count) {
    if (nodes_.size() + tokens.size() >= none)
      throw_unexpected("text to train a tokenizer with", "fewer than 4 G of different words", "more");
    const auto first = static_cast<std::uint32_t>(nodes_.size());
    const auto last = static_cast<std::uint32_t>(first + tokens.size() - 1);
    for (std::uint32_t place = first; place <= last && !tokens.empty(); ++place) {
      nodes_.push_back({tokens[place - first], place == first ? none : place - 1, place == last ? none : place + 1,
                        static_cast<std::uint32_t>(counts_.size())});
      if (place > first) change({tokens[place - first - 1], tokens[place - first]}, count, place - 1);
    }
    counts_.push_back(count);
  }

  /// The most frequent pair, of those the lowest, and how often it occurs; 0 when there is none.
  std::pair<TokenPair, std::int64_t> most_frequent() {
    queue_grown();
    while (!queue_.empty()) {
      const Entry entry = queue_.top();
      const auto found = pairs_.find(key(entry.pair));
      const std::int64_t count = found == pairs_.end() ? 0 : found->second.count;
      if (count == entry.count) return {entry.pair, count};
      queue_.pop();
      if (count > 0 && count < entry.count) queue_.push({count, entry.pair});
    }
    return {{}, 0};
  }

  /// Makes one token of the pair wherever it is.
  void merge(TokenPair pair, std::uint32_t token) {
    std::vector<std::uint32_t> places = std::move(pairs_.at(key(pair)).places);
    if (!std::is_sorted(places.begin(), places.end())) std::sort(places.begin(), places.end());
    for (const std::uint32_t place : places) {
      const std::uint32_t right = nodes_[place].next;
      if (nodes_[place].token == pair.first && right != none && nodes_[right].token == pair.second)
        merge_at(place, right, token);
    }
    pairs_.erase(key(pair));
  }

 private:
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();
  struct Node {
    std::uint32_t token;  ///< none: it has gone into the one before
    std::uint32_t previous, next, word;
  };
  struct Pair {
    std::int64_t count = 0;
    std::vector<std::uint32_t> places;  ///< of the left token; some have become others since
  };
  struct Entry {
    std::int64_t count;
    TokenPair pair;
    bool operator<(const Entry& other) const { return count != other.count ? count < other.count : pair > other.pair; }
  };

  static std::uint64_t key(TokenPair pair) { return (std::uint64_t{pair.first} << 32) | pair.second; }

  void change(TokenPair pair, std::int64_t count, std::uint32_t place) {
    Pair& entry = pairs_[key(pair)];
    entry.count += count;
    if (count < 0) return;
    entry.places.push_back(place);
    grown_.push_back(pair);
  }

  void merge_at(std::uint32_t place, std::uint32_t right, std::uint32_t token) {
    const std::int64_t count = counts_[nodes_[place].word];
    const std::uint32_t before = nodes_[place].previous, after = nodes_[right].next;
    if (before != none) {
      change({nodes_[before].token, nodes_[place].token}, -count, before);
      change({nodes_[before].token, token}, count, before);
    }
    if (after != none) {
      change({nodes_[right].token, nodes_[after].token}, -count, right);
      change({token, nodes_[after].token}, count, place);
      nodes_[after].previous = place;
    }
    nodes_[place].token = token;
    nodes_[place].next = after;
    nodes_[right].token = none;
  }

  void queue_grown() {
    std::sort(grown_.begin(), grown_.end());
    grown_.erase(std::unique(grown_.begin(), grown_.end()), grown_.end());
    for (const TokenPair& pair : grown_)
      if (const auto found = pairs_.find(key(pair)); found != pairs_.end() && found->second.count > 0)
        queue_.push({found->second.count, pair});
    grown_.clear();
  }

  std::vector<Node> nodes_;
  std::vector<std::int64_t> counts_;  ///< by word
  std::unordered_map<std::uint64_t, Pair> pairs_;
  std::priority_queue<Entry> queue_;  ///< with entries that are out of date, corrected when they come up
  std::vector<TokenPair> grown_;      ///< pairs that are to be queued
};

}  // namespace io::detail
TTT_NAMESPACE_END
