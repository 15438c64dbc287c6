// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/layers/layer.hpp"
#include "ttt/layers/mamba2/layer.hpp"

TTT_NAMESPACE_BEGIN

static_assert(TrainableSequenceLayer<Mamba2<float>>);

TTT_NAMESPACE_END
