// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "ttt/core/config.hpp"

TTT_NAMESPACE_BEGIN

/// Tells what one layer or model made, a State, Parameters or a Record, from what another one did: a number drawn from
/// its kind and the sizes that shape them. The same kind and sizes have the same number; a default one and one that was
/// moved from are nobody's.
class Fingerprint {
 public:
  constexpr Fingerprint() = default;
  constexpr Fingerprint(std::string_view kind, std::initializer_list<Index> sizes) {
    for (const char letter : kind) add(static_cast<unsigned char>(letter));
    for (const Index size : sizes) add(static_cast<std::uint64_t>(size));
    value_ |= 1;
  }
  /// The same kind and sizes around something that another fingerprint tells.
  constexpr Fingerprint around(Fingerprint inner) const {
    Fingerprint whole = *this;
    whole.add(inner.value_);
    whole.value_ |= 1;
    return whole;
  }

  constexpr Fingerprint(const Fingerprint&) = default;
  constexpr Fingerprint(Fingerprint&& other) noexcept : value_(std::exchange(other.value_, 0)) {}
  constexpr Fingerprint& operator=(const Fingerprint&) = default;
  constexpr Fingerprint& operator=(Fingerprint&& other) noexcept {
    value_ = std::exchange(other.value_, 0);
    return *this;
  }

  constexpr friend bool operator==(const Fingerprint&, const Fingerprint&) = default;

 private:
  // The finaliser of SplitMix64 over each word: every bit of it changes half of the number.
  constexpr void add(std::uint64_t word) {
    value_ = (value_ ^ word) + 0x9e3779b97f4a7c15U;
    value_ = (value_ ^ (value_ >> 30)) * 0xbf58476d1ce4e5b9U;
    value_ = (value_ ^ (value_ >> 27)) * 0x94d049bb133111ebU;
    value_ ^= value_ >> 31;
  }

  std::uint64_t value_ = 0;
};

TTT_NAMESPACE_END
