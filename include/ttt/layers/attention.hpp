// SPDX-License-Identifier: MIT
/// @file
/// Causal multi-head attention with grouped key/value heads and rotary embedding, over everything (a cache that grows)
/// or over a sliding window (a ring): the layers that TTT layers compete with, named and shaped as in llama and
/// mistral.
#pragma once

#include "ttt/layers/attention/basic_attention.hpp"
#include "ttt/layers/layer.hpp"

TTT_NAMESPACE_BEGIN

/// Attention over everything: [T × C] → [T × C], the State grows with T up to its capacity.
template <class Scalar>
using Attention = BasicAttention<Scalar, AttentionMemory::growing>;

/// Attention over the last `window` tokens: the State is a ring of so many rows.
template <class Scalar>
using SlidingWindowAttention = BasicAttention<Scalar, AttentionMemory::ring>;

TTT_NAMESPACE_END
