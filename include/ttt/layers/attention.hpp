// SPDX-License-Identifier: MIT
/// @file
/// Causal multi-head attention with grouped key/value heads and rotary embedding, over everything or over a window with
/// or without sinks: the layer that TTT layers compete with, named and shaped as in llama and mistral.
#pragma once

#include "ttt/layers/attention/layer.hpp"
#include "ttt/layers/layer.hpp"
