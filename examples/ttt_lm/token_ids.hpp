// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "model.hpp"
#include "ttt/io/safetensors.hpp"

namespace ttt_lm {

/// Rows of token ids, one below the other.
struct TokenIds {
  Index rows = 0, tokens = 0;
  std::vector<std::int64_t> values;
};

/// The tensor input_ids [B x T] of a file. Throws ttt::Error for another shape or type, for none, and for an id outside
/// of the vocabulary.
TokenIds read_ids(const ttt::io::SafetensorsFile& file, Index vocabulary);

}  // namespace ttt_lm
