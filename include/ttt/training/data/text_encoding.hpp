// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ttt/core/config.hpp"

TTT_NAMESPACE_BEGIN

namespace training {

/// How texts become ids, as a tokenizer does it: unless told otherwise, every byte is its own id.
struct TextEncoding {
  Index vocabulary = 256;  ///< ids are below it
  /// Ids of a text; empty: its bytes.
  std::function<std::vector<std::int64_t>(std::string_view)> encode;
  /// Bytes of text that an id stands for, by id; empty: one.
  std::vector<Index> bytes;

  Index bytes_of(std::int64_t id) const { return bytes.empty() ? 1 : bytes[static_cast<std::size_t>(id)]; }
};

/// The encoding of a tokenizer with `encode`, `token` and `vocabulary` (io::Tokenizer), which is copied.
template <class Tokenizer>
TextEncoding encoding_of(const Tokenizer& tokenizer) {
  TextEncoding encoding{
      tokenizer.vocabulary(), [tokenizer](std::string_view text) { return tokenizer.encode(text); }, {}};
  for (Index id = 0; id < tokenizer.vocabulary(); ++id)
    encoding.bytes.push_back(static_cast<Index>(tokenizer.token(id).size()));
  return encoding;
}

}  // namespace training

TTT_NAMESPACE_END
