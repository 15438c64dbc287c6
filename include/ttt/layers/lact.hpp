// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/layers/lact/layer.hpp"
#include "ttt/layers/layer.hpp"

TTT_NAMESPACE_BEGIN

static_assert(TrainableSequenceLayer<Lact<float>>);

TTT_NAMESPACE_END
