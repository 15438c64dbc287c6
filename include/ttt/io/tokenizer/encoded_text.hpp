// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "ttt/core/config.hpp"

TTT_NAMESPACE_BEGIN
namespace io {

/// A text as ids, and which of its bytes each stands for.
struct EncodedText {
  std::vector<std::int64_t> ids;
  /// Bytes of the text up to and with id i: it stands for those from ends[i − 1] on, and for none where a tokenizer
  /// adds a space or a mark that is not in the text. They never fall, and the last one is the size of the text.
  /// A text whose every byte is unknown to a byte-level vocabulary has no ids.
  std::vector<Index> ends;
};

}  // namespace io
TTT_NAMESPACE_END
