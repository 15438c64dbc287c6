// SPDX-License-Identifier: MIT
/// @file
/// What the patterns of pre-tokenisers say: the part of Oniguruma's regular expressions that published files use.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ttt/io/tokenizer/pattern_text.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// A pattern as a machine (Thompson 1968) whose ways are tried in their order.
struct PatternProgram {
  enum class Kind : std::uint8_t {
    character,  ///< takes a character of the set
    ahead,      ///< the next character is one of the set
    not_ahead,  ///< it is none of it, or the text ends
    fork,       ///< goes on at `next`, or else at `other`
    match
  };
  struct Instruction {
    Kind kind = Kind::match;
    std::size_t set = 0, next = 0, other = 0;
  };

  std::vector<CharacterSet> sets;
  std::vector<Instruction> code;
  std::size_t start = 0;
};

/// Limits of a pattern, far above any published one.
inline constexpr std::size_t longest_pattern = 2000, most_instructions = 1000, most_sets = 64, deepest_group = 16;

/// Reads a pattern: alternatives, groups `( )`, `(?: )` and `(?i: )`, greedy `? * + {n} {n,} {n,m}`, classes, general
/// categories as `\p{L}`, `\s \S \d \r \n \t`, and `(?=x)` and `(?!x)` of one character. Throws Error, naming `name`,
/// for everything else.
class PatternParser : PatternText {
 public:
  PatternParser(std::string_view text, std::string name) : PatternText(text, std::move(name)) {}

  PatternProgram read() {
    if (rest_.size() > longest_pattern)
      throw_unexpected(name_, "at most " + std::to_string(longest_pattern) + " bytes", std::to_string(rest_.size()));
    if (find_invalid_utf8(rest_) != std::string_view::npos) throw_unexpected(name_, "UTF-8", "other bytes");
    const Node pattern = alternatives();
    if (!rest_.empty()) fail();
    result_.code.push_back({});
    result_.start = emit(pattern, 0);
    return std::move(result_);
  }

 private:
  static constexpr std::size_t unlimited = static_cast<std::size_t>(-1);
  struct Node {
    enum class Kind { character, ahead, not_ahead, sequence, alternatives } kind = Kind::sequence;
    std::size_t set = 0;
    std::vector<Node> parts;
    std::size_t least = 1, most = 1;
  };

  Node alternatives() {
    if (++depth_ > deepest_group) fail();
    Node node{Node::Kind::alternatives, 0, {sequence()}};
    while (take("|")) node.parts.push_back(sequence());
    --depth_;
    return node;
  }

  Node sequence() {
    Node node;
    char last = '\0';
    while (!rest_.empty() && rest_.front() != '|' && rest_.front() != ')') {
      if (ignores_case_) refuse_folded_pair(last);
      last = rest_.front();
      node.parts.push_back(item());
    }
    return node;
  }

  Node item() {
    if (rest_.starts_with("(?=") || rest_.starts_with("(?!")) return look_ahead();
    Node node = rest_.front() == '(' ? group() : Node{Node::Kind::character, add(one_character()), {}};
    if (take("?")) return repeated(std::move(node), 0, 1);
    if (take("*")) return repeated(std::move(node), 0, unlimited);
    if (take("+")) return repeated(std::move(node), 1, unlimited);
    if (!rest_.starts_with("{")) return node;
    const std::string_view before = rest_;
    require("{");
    const std::size_t least = number(), most = !take(",") ? least : rest_.starts_with("}") ? unlimited : number();
    require("}");
    if (most < least || least > most_instructions) rest_ = before, fail();
    return repeated(std::move(node), least, most);
  }

  /// What follows would make it lazy or possessive, or repeat it again.
  Node repeated(Node node, std::size_t least, std::size_t most) const {
    if (!rest_.empty() && std::string_view("?*+{").find(rest_.front()) != std::string_view::npos) fail();
    return {Node::Kind::sequence, 0, {std::move(node)}, least, most};
  }

  Node look_ahead() {
    const auto kind = rest_.starts_with("(?=") ? Node::Kind::ahead : Node::Kind::not_ahead;
    rest_.remove_prefix(3);
    if (rest_.empty()) fail();
    Node node{kind, add(one_character()), {}};
    require(")");
    return node;
  }

  Node group() {
    const bool ignored_case = ignores_case_;
    if (take("(?i:"))
      ignores_case_ = true;
    else if (!take("(?:") && (rest_.starts_with("(?") || !take("(")))
      fail();
    Node node = alternatives();
    require(")");
    ignores_case_ = ignored_case;
    return node;
  }

  std::size_t add(CharacterSet set) {
    const auto found = std::find(result_.sets.begin(), result_.sets.end(), set);
    const auto place = static_cast<std::size_t>(found - result_.sets.begin());
    if (place == most_sets) throw_unexpected(name_, "at most " + std::to_string(most_sets) + " classes", "more");
    if (place == result_.sets.size()) result_.sets.push_back(std::move(set));
    return place;
  }

  [[noreturn]] void fail_size() const {
    throw_unexpected(name_, "a pattern of at most " + std::to_string(most_instructions) + " steps", "more");
  }

  std::size_t emit(PatternProgram::Instruction instruction) {
    if (result_.code.size() == most_instructions) fail_size();
    result_.code.push_back(instruction);
    return result_.code.size() - 1;
  }

  /// The place where `node` begins when it goes on at `next`.
  std::size_t emit(const Node& node, std::size_t next) {
    using Kind = PatternProgram::Kind;
    if (++emitted_ > most_instructions) fail_size();  // empty groups have no instructions
    std::size_t entry = next;
    if (node.most == unlimited) {
      entry = emit({Kind::fork, 0, 0, next});
      const std::size_t body = emit_once(node, entry);
      result_.code[entry].next = body;
    } else {
      for (std::size_t i = node.least; i < node.most; ++i) entry = emit({Kind::fork, 0, emit_once(node, entry), next});
    }
    for (std::size_t i = 0; i < node.least; ++i) entry = emit_once(node, entry);
    return entry;
  }

  std::size_t emit_once(const Node& node, std::size_t next) {
    using Kind = PatternProgram::Kind;
    switch (node.kind) {
      case Node::Kind::character:
        return emit({Kind::character, node.set, next, 0});
      case Node::Kind::ahead:
        return emit({Kind::ahead, node.set, next, 0});
      case Node::Kind::not_ahead:
        return emit({Kind::not_ahead, node.set, next, 0});
      case Node::Kind::sequence:
        for (auto part = node.parts.rbegin(); part != node.parts.rend(); ++part) next = emit(*part, next);
        return next;
      case Node::Kind::alternatives:
        break;
    }
    std::size_t entry = emit(node.parts.back(), next);
    for (auto part = node.parts.rbegin() + 1; part != node.parts.rend(); ++part)
      entry = emit({Kind::fork, 0, emit(*part, next), entry});
    return entry;
  }

  PatternProgram result_;
  std::size_t depth_ = 0, emitted_ = 0;
};

}  // namespace io::detail
TTT_NAMESPACE_END
