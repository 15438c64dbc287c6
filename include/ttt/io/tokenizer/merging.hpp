// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <queue>
#include <span>
#include <vector>

#include "ttt/io/tokenizer/tables.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// A token and where the part of the text ends that it stands for.
struct TextToken {
  static constexpr bool has_end = true;
  TokenId id = no_token;
  std::size_t end = 0;

  /// Becomes the token `merged`, into which `next` goes.
  void merge(TokenId merged, const TextToken& next) { id = merged, end = next.end; }
  friend bool operator==(const TextToken&, const TextToken&) = default;
};
/// A token where nobody asks for its end, which would take a fifth of the time.
struct IdToken {
  static constexpr bool has_end = false;
  TokenId id = no_token;

  IdToken() = default;
  IdToken(TokenId token, std::size_t) : id(token) {}
  void merge(TokenId merged, const IdToken&) { id = merged; }
};

/// Merges of a word that is short enough to look for the next one from its beginning each time.
inline constexpr std::size_t short_word = 32;

template <class Token>
void merge_short_word(std::vector<Token>& word, std::size_t start, const MergeTable& merges) {
  std::array<Merge, short_word> next;
  std::size_t size = word.size() - start;
  Token* tokens = word.data() + start;
  for (std::size_t i = 0; i + 1 < size; ++i) next[i] = merges.find(tokens[i].id, tokens[i + 1].id);
  while (size > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < size; ++i)
      if (next[i].rank < next[best].rank) best = i;
    if (next[best].token == no_token) break;
    tokens[best].merge(next[best].token, tokens[best + 1]);
    std::copy(tokens + best + 2, tokens + size, tokens + best + 1);
    --size;
    if (best + 1 < size) {
      std::copy(next.data() + best + 2, next.data() + size, next.data() + best + 1);
      next[best] = merges.find(tokens[best].id, tokens[best + 1].id);
    }
    if (best > 0) next[best - 1] = merges.find(tokens[best - 1].id, tokens[best].id);
  }
  word.resize(start + size);
}

/// Merges of a word of any length in O(n log n): the next ones wait in a heap, tokens are linked.
template <class Token>
class LongWord {
 public:
  explicit LongWord(std::span<const Token> tokens, const MergeTable& merges) : merges_(merges) {
    nodes_.reserve(tokens.size());
    for (std::size_t i = 0; i < tokens.size(); ++i) nodes_.push_back({tokens[i], i - 1, i + 1});
    for (std::size_t i = 0; i + 1 < nodes_.size(); ++i) push(i);
    while (!waiting_.empty()) {
      const Candidate first = waiting_.top();
      waiting_.pop();
      apply(first);
    }
  }

  /// The tokens that are left, into the place of the first ones of `word` from `start` on.
  void write(std::vector<Token>& word, std::size_t start) const {
    for (std::size_t i = 0; i < nodes_.size(); i = nodes_[i].next) word[start++] = nodes_[i].token;
    word.resize(start);
  }

 private:
  struct Node {
    Token token;
    std::size_t previous, next;  ///< outside of the word: no neighbour
  };
  struct Candidate {
    Merge merge;
    std::size_t place;
    bool operator<(const Candidate& other) const {
      return merge.rank != other.merge.rank ? merge.rank > other.merge.rank : place > other.place;
    }
  };

  void push(std::size_t left) {
    const std::size_t right = nodes_[left].next;
    if (right >= nodes_.size()) return;
    const Merge merge = merges_.find(nodes_[left].token.id, nodes_[right].token.id);
    if (merge.token != no_token) waiting_.push({merge, left});
  }

  void apply(const Candidate& candidate) {
    Node& left = nodes_[candidate.place];
    if (left.token.id == no_token || left.next >= nodes_.size()) return;
    Node& right = nodes_[left.next];
    // Its tokens may have gone into other merges since it began to wait.
    if (merges_.find(left.token.id, right.token.id).token != candidate.merge.token) return;
    left.token.merge(candidate.merge.token, right.token);
    right.token.id = no_token;
    left.next = right.next;
    if (left.next < nodes_.size()) nodes_[left.next].previous = candidate.place;
    push(candidate.place);
    if (left.previous < nodes_.size()) push(left.previous);
  }

  const MergeTable& merges_;
  std::vector<Node> nodes_;
  std::priority_queue<Candidate> waiting_;
};

/// Merges the tokens of `word` from `start` on: always the pair of the smallest rank, of those the leftmost.
template <class Token>
void merge_word(std::vector<Token>& word, std::size_t start, const MergeTable& merges) {
  if (word.size() - start <= short_word) return merge_short_word(word, start, merges);
  LongWord<Token>(std::span<const Token>(word).subspan(start), merges).write(word, start);
}

}  // namespace io::detail
TTT_NAMESPACE_END
