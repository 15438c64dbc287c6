// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/layers/layer.hpp"
#include "ttt/layers/ttt/ttt_layer.hpp"
#include "ttt/rules/ttt_linear/ttt_linear.hpp"

TTT_NAMESPACE_BEGIN

/// TTT-Linear: the hidden state of each head is a linear model, W [D × D] and b [D].
/// Head width and mini-batch size may be fixed at compile time: `TttLinear<float, 64, 16>`.
template <class Scalar, Index HeadWidth = dynamic, Index MiniBatch = dynamic>
using TttLinear = TttLayer<rules::TttLinear<Scalar, HeadWidth, MiniBatch>>;

static_assert(TrainableSequenceLayer<TttLinear<float>>);

TTT_NAMESPACE_END
