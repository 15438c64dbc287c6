// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ttt/io/tokenizer/characters.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// The characters that stand for bytes in a byte-level vocabulary: those that print in Latin-1 for themselves, the
/// others, in their order, for U+0100 and on.
class ByteAlphabet {
 public:
  constexpr ByteAlphabet() {
    bytes_.fill(-1);
    std::uint32_t next = 0x100;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const bool prints = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      codes_[byte] = prints ? byte : next++;
      bytes_[codes_[byte]] = static_cast<int>(byte);
    }
  }

  std::uint32_t code(unsigned char byte) const { return codes_[byte]; }

  /// How `bytes` are spelt.
  std::string spell(std::string_view bytes) const {
    std::string result;
    for (const char byte : bytes) append_utf8(result, codes_[static_cast<unsigned char>(byte)]);
    return result;
  }

  /// The bytes that `text`, which is UTF-8, spells; none when a character stands for no byte.
  std::optional<std::string> read(std::string_view text) const {
    std::string result;
    while (!text.empty()) {
      const std::size_t length = utf8_sequence_length(text);
      const std::uint32_t code = code_point(text.substr(0, length));
      if (code >= bytes_.size() || bytes_[code] < 0) return std::nullopt;
      result += static_cast<char>(bytes_[code]);
      text.remove_prefix(length);
    }
    return result;
  }

 private:
  std::array<std::uint32_t, 256> codes_{};
  std::array<int, 0x144> bytes_{};  ///< by code point; -1: stands for no byte
};

inline constexpr ByteAlphabet byte_alphabet;

}  // namespace io::detail
TTT_NAMESPACE_END
