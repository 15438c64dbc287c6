// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>

#include "ttt/core/error.hpp"
#include "ttt/io/tokenizer/encoded_text.hpp"

TTT_NAMESPACE_BEGIN

namespace training {

/// How texts become ids, as a tokenizer does it: unless told otherwise, every byte is its own id.
struct TextEncoding {
  Index vocabulary = 256;  ///< ids are below it
  /// Ids of a text and the bytes that each stands for; empty: its bytes.
  std::function<io::EncodedText(std::string_view)> encode;
};

/// The encoding of a tokenizer with `encode_with_ends` and `vocabulary` (io::Tokenizer), which is copied.
template <class Tokenizer>
TextEncoding encoding_of(const Tokenizer& tokenizer) {
  return {tokenizer.vocabulary(), [tokenizer](std::string_view text) { return tokenizer.encode_with_ends(text); }};
}

/// Throws Error, naming the text, unless every byte of it belongs to one id of the vocabulary.
inline void check_encoded(const io::EncodedText& encoded, std::string_view text, Index vocabulary,
                          const std::string& name) {
  for (const std::int64_t id : encoded.ids)
    if (id < 0 || id >= vocabulary)
      throw_unexpected(name + ", encoded", "ids from 0 to " + std::to_string(vocabulary - 1), std::to_string(id));
  const auto& ends = encoded.ends;
  if (ends.size() != encoded.ids.size())
    throw_unexpected(name + ", encoded", "one end for each of " + std::to_string(encoded.ids.size()) + " ids",
                     std::to_string(ends.size()));
  const bool ascends = std::is_sorted(ends.begin(), ends.end()) && (ends.empty() || ends.front() >= 0);
  const Index last = ends.empty() ? 0 : ends.back();
  if (!ascends || last != static_cast<Index>(text.size()))
    throw_unexpected(name + ", encoded", "ends that rise to its " + std::to_string(text.size()) + " bytes",
                     (ascends ? "" : "falling ones, to ") + std::to_string(last));
}

}  // namespace training

TTT_NAMESPACE_END
