// SPDX-License-Identifier: MIT
/// @file
/// What the targets share. A target is a file `x.cpp` here, which defines LLVMFuzzerTestOneInput, and a folder
/// `corpus/x` with at least one file that is accepted. With the preset `fuzz` it becomes a fuzzer, otherwise a program
/// that replays its corpus.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "ttt/core/error.hpp"

namespace ttt_fuzz {

using Bytes = std::span<const std::byte>;

inline volatile unsigned sink = 0;

/// Reads every byte, so that the sanitizers see one that is not there.
inline void touch(Bytes bytes) {
  unsigned sum = 0;
  for (const std::byte byte : bytes) sum += std::to_integer<unsigned>(byte);
  sink = sum;
}
inline void touch(std::string_view text) { touch(std::as_bytes(std::span(text))); }

/// Stops the fuzzer unless `condition` holds.
inline void require(bool condition) {
  if (!condition) __builtin_trap();
}

/// Inputs that were loaded, which the replay wants to see.
inline std::size_t accepted = 0;

/// Calls `load`, which may refuse by an Error of one line. Anything else that it throws ends the program.
template <class Load>
int accept_or_refuse(Load load) {
  try {
    load();
    ++accepted;
  } catch (const ttt::Error& error) {
    const std::string_view message = error.what();
    require(!message.empty() && message.find('\n') == std::string_view::npos && message.size() < 4000);
  }
  return 0;
}

}  // namespace ttt_fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
