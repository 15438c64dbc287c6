// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/layers/layer.hpp"
#include "ttt/layers/ttt/ttt_layer.hpp"
#include "ttt/rules/ttt_mlp/ttt_mlp.hpp"

TTT_NAMESPACE_BEGIN

/// TTT-MLP: the hidden state of each head is a two-layer GELU MLP of width 4 D.
/// Head width and mini-batch size may be fixed at compile time: `TttMlp<float, 64, 16>`.
template <class Scalar, Index HeadWidth = dynamic, Index MiniBatch = dynamic>
using TttMlp = TttLayer<rules::TttMlp<Scalar, HeadWidth, MiniBatch>>;

static_assert(TrainableSequenceLayer<TttMlp<float>>);

TTT_NAMESPACE_END
