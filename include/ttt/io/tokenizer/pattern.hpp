// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ttt/io/tokenizer/byte_alphabet.hpp"
#include "ttt/io/tokenizer/pattern_program.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// Tells characters apart as far as some sets do: those of one kind are in the same sets.
class CharacterKinds {
 public:
  /// Throws Error, naming `name`, for too many kinds.
  CharacterKinds(const std::vector<CharacterSet>& sets, const std::string& name) {
    std::multimap<std::uint32_t, std::size_t> borders;  // of which set
    for (std::size_t set = 0; set < sets.size(); ++set)
      for (const std::uint32_t border : sets[set].borders()) borders.emplace(border, set);
    auto border = borders.begin();
    std::uint64_t members = 0;
    std::map<std::uint8_t, std::uint16_t> whole_pages;
    for (std::uint32_t code = 0; code < code_point_count;) {
      const std::uint32_t page_end = (code / page_size + 1) * page_size;
      for (; border != borders.end() && border->first == code; ++border) members ^= std::uint64_t{1} << border->second;
      const std::uint32_t end = border == borders.end() ? code_point_count : border->first;
      const std::uint8_t kind = kind_of(members, name);
      const bool is_page = code % page_size == 0 && end >= page_end;
      if (is_page && whole_pages.contains(kind)) {
        pages_[code / page_size] = whole_pages[kind];
        code = page_end;
        continue;
      }
      if (code % page_size == 0) pages_[code / page_size] = static_cast<std::uint16_t>(kinds_.size() / page_size);
      if (is_page) whole_pages[kind] = pages_[code / page_size];
      const std::uint32_t filled = std::min(end, page_end);
      kinds_.insert(kinds_.end(), filled - code, kind);
      code = filled;
    }
  }

  std::size_t count() const { return members_.size(); }
  bool is_in(std::size_t kind, std::size_t set) const { return (members_[kind] >> set & 1) != 0; }
  std::uint8_t of(std::uint32_t code) const { return kinds_[pages_[code / page_size] * page_size + code % page_size]; }

 private:
  static constexpr std::uint32_t page_size = 256;
  static constexpr std::size_t most_kinds = 256;

  std::uint8_t kind_of(std::uint64_t members, const std::string& name) {
    const auto found = std::find(members_.begin(), members_.end(), members);
    if (found == members_.end() && members_.size() == most_kinds)
      throw_unexpected(name, "at most " + std::to_string(most_kinds) + " kinds of characters told apart", "more");
    if (found == members_.end()) return members_.push_back(members), static_cast<std::uint8_t>(members_.size() - 1);
    return static_cast<std::uint8_t>(found - members_.begin());
  }

  std::array<std::uint16_t, code_point_count / page_size> pages_{};
  std::vector<std::uint8_t> kinds_;     ///< by place in a page
  std::vector<std::uint64_t> members_;  ///< the sets that a kind is in, as bits
};

/// What the characters of a text are to a pattern.
enum class Alphabet {
  characters,  ///< UTF-8, and other bytes one by one
  bytes        ///< every byte, as the character that ByteAlphabet spells it with
};

/// A pattern as an automaton: the ways of its program are followed at once, in the order in which they would be tried,
/// and those behind one that matches are given up. So it finds what a search that tries them one after another finds,
/// and reads every character once.
class Pattern {
 public:
  /// Throws Error, naming `name`, for a pattern that PatternParser does not read, is too large or matches nothing at
  /// some place.
  Pattern(std::string_view text, const std::string& name, Alphabet alphabet = Alphabet::characters)
      : Pattern(PatternParser(text, name).read(), name, alphabet) {}

  /// One character of a set.
  Pattern(CharacterSet set, Alphabet alphabet)
      : Pattern(PatternProgram{{std::move(set)}, {{}, {PatternProgram::Kind::character, 0, 0, 0}}, 1}, "", alphabet) {}

  /// What scans of one text remember: from where on they looked for the end of a match that was none. So no part of a
  /// text is read again and again, whatever the pattern.
  class Scans {
    friend Pattern;

    void finish(std::size_t end) {
      for (const auto& passed : passed_)
        if (passed.first > end) failed_.insert(passed);
      passed_.clear();
    }

    std::set<std::pair<std::size_t, std::size_t>> failed_;
    std::vector<std::pair<std::size_t, std::size_t>> passed_;
  };

  /// Where the match that begins at `start` ends; `start`: there is none.
  std::size_t match_end(std::string_view text, std::size_t start, Scans& scans) const {
    std::size_t end = start, place = start, mark = next_mark(start);
    const auto step = [&](std::size_t state, std::size_t kind) {
      const std::uint32_t next = states_[state + kind];
      if ((next & matches) != 0) end = place;
      return std::size_t{next & ~matches};
    };
    for (std::size_t state = kinds_per_state_; state != 0;) {
      if (place == text.size()) {
        step(state, kinds_per_state_ - 1);
        break;
      }
      const auto [length, kind] = character(text, place);
      state = step(state, kind);
      place += length;
      if (place < mark || state == 0) continue;
      if (scans.failed_.contains({place, state})) break;
      scans.passed_.emplace_back(place, state);
      mark = next_mark(place);
    }
    if (!scans.passed_.empty()) scans.finish(end);
    return end;
  }

  /// Bytes of the character at `place`.
  std::size_t character_length(std::string_view text, std::size_t place) const { return character(text, place).first; }

 private:
  using Threads = std::vector<std::size_t>;             ///< instructions, the preferred one first
  static constexpr std::uint32_t matches = 0x80000000;  ///< in what comes next: a match ends in front of the character
  static constexpr std::size_t most_states = 1000;

  Pattern(const PatternProgram& program, const std::string& name, Alphabet alphabet) : kinds_(program.sets, name) {
    kinds_per_state_ = kinds_.count() + 1;
    for (std::size_t byte = 0; byte < byte_kinds_.size(); ++byte) {
      const std::uint32_t code = alphabet == Alphabet::bytes ? byte_alphabet.code(static_cast<unsigned char>(byte))
                                                             : static_cast<std::uint32_t>(byte);
      byte_kinds_[byte] = alphabet == Alphabet::characters && byte >= 0x80 ? -1 : kinds_.of(code);
    }
    build(program, name);
  }

  static std::size_t next_mark(std::size_t place) { return (place / 256 + 1) * 256; }

  /// Bytes and kind.
  std::pair<std::size_t, std::size_t> character(std::string_view text, std::size_t place) const {
    const int kind = byte_kinds_[static_cast<unsigned char>(text[place])];
    if (kind >= 0) return {1, static_cast<std::size_t>(kind)};
    const Character found = first_character(text.substr(place));
    return {found.length, kinds_.of(found.code)};
  }

  void build(const PatternProgram& program, const std::string& name) {
    std::map<Threads, std::size_t> known{{{}, 0}, {{program.start}, 1}};
    std::vector<Threads> waiting{{}, {program.start}};
    for (std::size_t state = 0; state < waiting.size(); ++state) {
      for (std::size_t kind = 0; kind < kinds_per_state_; ++kind) {
        auto [threads, is_match] = Step{*this, program, kind}.from(waiting[state]);
        if (is_match && state == 1)
          throw_unexpected(name, "a pattern that takes a character at least", "one that may match nothing");
        const auto found = known.emplace(threads, waiting.size());
        if (found.second) waiting.push_back(std::move(threads));
        if (waiting.size() > most_states)
          throw_unexpected(name, "a pattern of at most " + std::to_string(most_states) + " states", "more");
        const std::size_t next = found.first->second * kinds_per_state_;
        states_.push_back(static_cast<std::uint32_t>(next) | (is_match ? matches : 0));
      }
    }
  }

  /// Where threads are behind a character of one kind, or behind the end of the text.
  struct Step {
    const Pattern& pattern;
    const PatternProgram& program;
    std::size_t kind;
    std::vector<bool> seen = std::vector<bool>(program.code.size());
    Threads next{};

    std::pair<Threads, bool> from(const Threads& threads) {
      bool is_match = false;
      for (const std::size_t thread : threads)
        if ((is_match = follow(thread))) break;
      return {std::move(next), is_match};
    }

    /// Whether a match ends in front of the character, so that later ways do not count.
    bool follow(std::size_t place) {
      if (seen[place]) return false;
      seen[place] = true;
      const auto& one = program.code[place];
      const bool is_in = kind + 1 < pattern.kinds_per_state_ && pattern.kinds_.is_in(kind, one.set);
      switch (one.kind) {
        case PatternProgram::Kind::character:
          if (is_in && std::find(next.begin(), next.end(), one.next) == next.end()) next.push_back(one.next);
          return false;
        case PatternProgram::Kind::ahead:
          return is_in && follow(one.next);
        case PatternProgram::Kind::not_ahead:
          return !is_in && follow(one.next);
        case PatternProgram::Kind::fork:
          return follow(one.next) || follow(one.other);
        case PatternProgram::Kind::match:
          break;
      }
      return true;
    }
  };

  CharacterKinds kinds_;
  std::size_t kinds_per_state_ = 0;             ///< the last is the end of the text
  std::array<std::int16_t, 256> byte_kinds_{};  ///< of characters of one byte; -1: look at more
  /// What comes next, by state and kind: the place of a state in this list. The first state is none, the second the
  /// one to begin in.
  std::vector<std::uint32_t> states_;
};

}  // namespace io::detail
TTT_NAMESPACE_END
