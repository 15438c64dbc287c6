// SPDX-License-Identifier: MIT
#include "token_ids.hpp"

namespace ttt_lm {

TokenIds read_ids(const ttt::io::SafetensorsFile& file, Index vocabulary) {
  const std::string subject = file.path().string() + ", tensor 'input_ids'";
  const auto& info = file.at("input_ids");
  if (info.dtype != ttt::io::DType::I64 || info.shape.size() != 2)
    ttt::throw_unexpected(subject, "I64 [B, T]", info.type() + " " + ttt::io::shape_text(info.shape));
  if (info.count() == 0) ttt::throw_unexpected(subject, "at least one id", ttt::io::shape_text(info.shape));
  TokenIds ids{static_cast<Index>(info.shape[0]), static_cast<Index>(info.shape[1]),
               file.values<std::int64_t>("input_ids")};
  for (std::size_t i = 0; i < ids.values.size(); ++i)
    if (ids.values[i] < 0 || ids.values[i] >= vocabulary)
      ttt::throw_unexpected(subject + ", row " + std::to_string(static_cast<Index>(i) / ids.tokens) + ", token " +
                                std::to_string(static_cast<Index>(i) % ids.tokens),
                            "an id from 0 to " + std::to_string(vocabulary - 1), std::to_string(ids.values[i]));
  return ids;
}

}  // namespace ttt_lm
