// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ttt/core/error.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

using TokenId = std::uint32_t;
inline constexpr TokenId no_token = std::numeric_limits<TokenId>::max();

/// Slots looked at before a table gives up: no honest file comes near it, and one that was made to collide costs
/// little.
inline constexpr std::size_t most_probes = 1000;

inline std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 32)) * 0xD6E8FEB86659FD93ULL;
  value = (value ^ (value >> 32)) * 0xD6E8FEB86659FD93ULL;
  return value ^ (value >> 32);
}

inline std::uint64_t hash_bytes(std::string_view bytes) {
  // Copies of a known size are loads; those of the last ones may overlap.
  const auto read = [&](auto word, std::size_t place) {
    std::memcpy(&word, bytes.data() + place, sizeof word);
    return std::uint64_t{word};
  };
  std::uint64_t hash = bytes.size();
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) hash = mix(hash ^ read(std::uint64_t{}, 0));
  std::uint64_t last = 0;
  if (bytes.size() >= 4)
    last = read(std::uint32_t{}, 0) << 32 | read(std::uint32_t{}, bytes.size() - 4);
  else if (bytes.size() >= 2)
    last = read(std::uint16_t{}, 0) << 16 | read(std::uint16_t{}, bytes.size() - 2);
  else if (!bytes.empty())
    last = read(std::uint8_t{}, 0);
  return mix(hash ^ last ^ 0x9E3779B97F4A7C15ULL);
}

[[noreturn]] inline void throw_collisions() {
  throw_unexpected("vocabulary", "tokens and merges that hash apart",
                   "more than " + std::to_string(most_probes) + " in one place");
}

/// Finds ids of texts: open addressing, at most half full.
class TextTable {
 public:
  /// Room for `count` texts; `arena` is about their size together.
  TextTable(std::size_t count, std::size_t arena) : slots_(std::bit_ceil(2 * count + 2)) { arena_.reserve(arena); }

  /// False when the text is there already.
  bool insert(std::string_view text, TokenId id) {
    Slot& slot = slots_[place(text)];
    if (slot.id != no_token) return false;
    slot = {arena_.size(), static_cast<std::uint32_t>(text.size()), id};
    arena_.append(text);
    longest_ = std::max(longest_, text.size());
    return true;
  }

  TokenId find(std::string_view text) const { return text.size() > longest_ ? no_token : slots_[place(text)].id; }

 private:
  struct Slot {
    std::size_t start = 0;
    std::uint32_t size = 0;
    TokenId id = no_token;
  };

  /// The slot of the text, or the empty one where it belongs.
  std::size_t place(std::string_view text) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t i = hash_bytes(text) & mask;
    for (std::size_t probes = 0; probes < most_probes; ++probes, i = (i + 1) & mask) {
      const Slot& slot = slots_[i];
      if (slot.id == no_token || std::string_view(arena_).substr(slot.start, slot.size) == text) return i;
    }
    throw_collisions();
  }

  std::vector<Slot> slots_;
  std::string arena_;
  std::size_t longest_ = 0;
};

/// What two neighbouring tokens become.
struct Merge {
  std::uint32_t rank = std::numeric_limits<std::uint32_t>::max();  ///< the smallest comes first
  TokenId token = no_token;                                        ///< no_token: they are not merged
};

/// Finds the merge of a pair: open addressing, at most half full.
class MergeTable {
 public:
  explicit MergeTable(std::size_t count) : slots_(std::bit_ceil(2 * count + 2)) {}

  /// False when the pair is there already.
  bool insert(TokenId left, TokenId right, Merge merge) {
    Slot& slot = slots_[place(key(left, right))];
    if (slot.key != no_key) return false;
    slot = {key(left, right), merge};
    return true;
  }

  Merge find(TokenId left, TokenId right) const { return slots_[place(key(left, right))].merge; }

 private:
  static constexpr std::uint64_t no_key = std::numeric_limits<std::uint64_t>::max();
  struct Slot {
    std::uint64_t key = no_key;
    Merge merge;
  };

  static std::uint64_t key(TokenId left, TokenId right) { return (std::uint64_t{left} << 32) | right; }

  std::size_t place(std::uint64_t key) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t i = mix(key) & mask;
    for (std::size_t probes = 0; probes < most_probes; ++probes, i = (i + 1) & mask)
      if (slots_[i].key == key || slots_[i].key == no_key) return i;
    throw_collisions();
  }

  std::vector<Slot> slots_;
};

}  // namespace io::detail
TTT_NAMESPACE_END
