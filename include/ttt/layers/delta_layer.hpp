// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/layers/delta_layer/layer.hpp"
#include "ttt/layers/layer.hpp"
