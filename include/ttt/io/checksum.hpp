// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "ttt/core/config.hpp"

TTT_NAMESPACE_BEGIN
namespace io {

/// XXH64 of the bytes given so far, in pieces of any length: finds damage, proves no origin (an attacker can match it).
///
/// Source: the public specification of the xxHash algorithm (XXH64, seed 0). The order of bytes in memory does not
/// matter to the value, so files can be compared between machines.
class Checksum {
 public:
  /// Adds `bytes`; update(a), update(b) is update(a + b).
  void update(std::span<const std::byte> bytes) {
    total_ += bytes.size();
    if (pending_size_ > 0) {
      const std::size_t taken = std::min(bytes.size(), stripe_size - pending_size_);
      append_pending(bytes.first(taken));
      bytes = bytes.subspan(taken);
      if (pending_size_ < stripe_size) return;
      consume_stripe(pending_.data());
      pending_size_ = 0;
    }
    for (; bytes.size() >= stripe_size; bytes = bytes.subspan(stripe_size)) consume_stripe(bytes.data());
    append_pending(bytes);
  }

  /// The checksum of everything added so far; more can be added after.
  std::uint64_t value() const {
    std::uint64_t hash = total_ < stripe_size ? prime_5 : merged_lanes();
    hash += total_;
    std::size_t position = 0;
    for (; position + 8 <= pending_size_; position += 8) {
      hash ^= round(0, load<std::uint64_t>(&pending_[position]));
      hash = std::rotl(hash, 27) * prime_1 + prime_4;
    }
    if (position + 4 <= pending_size_) {
      hash ^= load<std::uint32_t>(&pending_[position]) * prime_1;
      hash = std::rotl(hash, 23) * prime_2 + prime_3;
      position += 4;
    }
    for (; position < pending_size_; ++position) {
      hash ^= std::to_integer<std::uint64_t>(pending_[position]) * prime_5;
      hash = std::rotl(hash, 11) * prime_1;
    }
    return avalanche(hash);
  }

 private:
  static constexpr std::uint64_t prime_1 = 0x9E3779B185EBCA87u;
  static constexpr std::uint64_t prime_2 = 0xC2B2AE3D27D4EB4Fu;
  static constexpr std::uint64_t prime_3 = 0x165667B19E3779F9u;
  static constexpr std::uint64_t prime_4 = 0x85EBCA77C2B2AE63u;
  static constexpr std::uint64_t prime_5 = 0x27D4EB2F165667C5u;
  static constexpr std::size_t stripe_size = 32;

  template <class Word>
  static std::uint64_t load(const std::byte* bytes) {
    static_assert(std::endian::native == std::endian::little);
    Word word;
    std::memcpy(&word, bytes, sizeof(Word));
    return word;
  }

  static std::uint64_t round(std::uint64_t lane, std::uint64_t word) {
    return std::rotl(lane + word * prime_2, 31) * prime_1;
  }

  static std::uint64_t avalanche(std::uint64_t hash) {
    hash = (hash ^ (hash >> 33)) * prime_2;
    hash = (hash ^ (hash >> 29)) * prime_3;
    return hash ^ (hash >> 32);
  }

  void consume_stripe(const std::byte* bytes) {
    for (std::size_t i = 0; i < lanes_.size(); ++i) lanes_[i] = round(lanes_[i], load<std::uint64_t>(bytes + 8 * i));
  }

  void append_pending(std::span<const std::byte> bytes) {
    if (!bytes.empty()) std::memcpy(&pending_[pending_size_], bytes.data(), bytes.size());
    pending_size_ += bytes.size();
  }

  std::uint64_t merged_lanes() const {
    std::uint64_t hash =
        std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) + std::rotl(lanes_[3], 18);
    for (const std::uint64_t lane : lanes_) hash = (hash ^ round(0, lane)) * prime_1 + prime_4;
    return hash;
  }

  std::array<std::uint64_t, 4> lanes_ = {prime_1 + prime_2, prime_2, 0, 0 - prime_1};
  std::array<std::byte, stripe_size> pending_{};
  std::size_t pending_size_ = 0;
  std::uint64_t total_ = 0;
};

/// The checksum of one piece.
inline std::uint64_t checksum(std::span<const std::byte> bytes) {
  Checksum result;
  result.update(bytes);
  return result.value();
}

}  // namespace io
TTT_NAMESPACE_END
