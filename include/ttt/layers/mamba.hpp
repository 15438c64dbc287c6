// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/layers/layer.hpp"
#include "ttt/layers/mamba/layer.hpp"

TTT_NAMESPACE_BEGIN

static_assert(TrainableSequenceLayer<Mamba<float>>);

TTT_NAMESPACE_END
