// SPDX-License-Identifier: MIT
/// @file
/// Mutations that keep lengths and checksums right, so that they reach what these guard.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <random>
#include <string>

#include "fuzz.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t maximum_size);

namespace ttt_fuzz {

/// One general mutation, to at most `maximum` bytes.
inline void mutate(std::string& part, std::size_t maximum) {
  const std::size_t size = std::min(part.size(), maximum);
  part.resize(std::max<std::size_t>(maximum, 1));
  part.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(part.data()), size, part.size()));
}

template <class Number>
std::string number_bytes(Number value) {
  std::string bytes(sizeof(value), '\0');
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

template <class Number>
Number number_at(std::string_view bytes, std::size_t position = 0) {
  Number value = 0;
  if (position + sizeof(value) <= bytes.size()) std::memcpy(&value, bytes.data() + position, sizeof(value));
  return value;
}

/// The largest end of data_offsets in a header, as far as it is a small number.
inline std::size_t covered_size(std::string_view header) {
  std::size_t largest = 0;
  for (std::size_t at = 0; (at = header.find("data_offsets", at)) != std::string_view::npos; ++at) {
    const std::size_t end = header.find(']', at), comma = header.rfind(',', end);
    if (end == std::string_view::npos || comma == std::string_view::npos || comma < at) continue;
    std::size_t value = 0;
    std::from_chars(header.data() + comma + 1, header.data() + end, value);
    if (value <= 4096) largest = std::max(largest, value);
  }
  return largest;
}

/// A safetensors file with another header or other data, its length and often the size of its data made to agree.
inline std::string mutated_safetensors(const std::string& file, std::size_t maximum, std::minstd_rand& random) {
  std::string whole = file;
  const std::size_t length = number_at<std::uint64_t>(file);
  if (random() % 8 == 0 || file.size() < 8 || length > file.size() - 8) {
    mutate(whole, maximum);
    return whole;
  }
  std::string header = file.substr(8, length), data = file.substr(8 + length);
  mutate(random() % 4 == 0 ? data : header, std::max<std::size_t>(maximum, 64) - 8);
  if (random() % 2 == 0) data.resize(covered_size(header));
  whole = number_bytes<std::uint64_t>(header.size()) + header + data;
  if (whole.size() > maximum) whole.resize(maximum);
  return whole;
}

/// Puts `bytes` where libFuzzer wants them.
inline std::size_t give(const std::string& bytes, std::uint8_t* data, std::size_t maximum) {
  const std::size_t size = std::min(bytes.size(), maximum);
  if (size > 0) std::memcpy(data, bytes.data(), size);
  return size;
}

inline std::string taken(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace ttt_fuzz
