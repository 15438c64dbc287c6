// SPDX-License-Identifier: MIT
// Reads safetensors files from standard input, each after its length as uint32, and answers each with one line: the
// tensors in the order of their names as "name dtype [shape] bytes" (names and bytes in hexadecimal), or "! reason".
#include <cstdio>
#include <iostream>
#include <string>

#include "ttt/io/safetensors.hpp"

namespace {

std::string hexadecimal(std::span<const std::byte> bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    text += digits[std::to_integer<unsigned>(byte >> 4)];
    text += digits[std::to_integer<unsigned>(byte & std::byte{15})];
  }
  return text;
}

std::string answer(std::span<const std::byte> bytes) {
  try {
    const auto file = ttt::io::SafetensorsFile::parse(bytes, "file");
    std::map<std::string, std::string> tensors;
    for (const auto& info : file.tensors()) {
      tensors[info.name] = hexadecimal(std::as_bytes(std::span(info.name))) + " " + info.type() + " " +
                           ttt::io::shape_text(info.shape) + " " + hexadecimal(file.bytes(info)) + ";";
    }
    std::string line;
    for (const auto& [name, text] : tensors) line += text;
    return line;
  } catch (const ttt::Error& error) {
    return std::string("! ") + error.what();
  }
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  std::uint32_t size = 0;
  std::string bytes;
  while (std::cin.read(reinterpret_cast<char*>(&size), sizeof(size))) {
    bytes.resize(size);
    if (!std::cin.read(bytes.data(), size)) return 1;
    std::cout << answer(std::as_bytes(std::span(bytes))) << '\n';
    if (std::cin.rdbuf()->in_avail() == 0) std::cout.flush();
  }
}
