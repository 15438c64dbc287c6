// SPDX-License-Identifier: MIT
// The layers take longest to compile, so they have a file of their own.
#include "model.hpp"

namespace ttt_lm {

Model make_model(const ttt::ModelConfig& config) { return ttt::make_model<float>(config); }

}  // namespace ttt_lm
