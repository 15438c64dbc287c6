// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/layers/gated_delta_net/layer.hpp"
#include "ttt/layers/layer.hpp"

TTT_NAMESPACE_BEGIN

static_assert(TrainableSequenceLayer<GatedDeltaNet<float>>);

TTT_NAMESPACE_END
