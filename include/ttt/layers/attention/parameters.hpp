// SPDX-License-Identifier: MIT
#pragma once

#include <span>

#include "ttt/core/parameters.hpp"
#include "ttt/kernels/rotary.hpp"
#include "ttt/layers/attention/call.hpp"
#include "ttt/layers/call_checks.hpp"

TTT_NAMESPACE_BEGIN

struct AttentionConfig {
  Index width = 0;            ///< C
  Index heads = 1;            ///< query heads, H; a head has D = C / H channels
  Index key_value_heads = 0;  ///< keys and values are shared by H / key_value_heads query heads; 0 means H
  Index window = 0;           ///< SlidingWindowAttention: keys a query sees, itself included
  double rope_theta = 10000;
  kernels::RotaryPairs rotary_pairs = kernels::RotaryPairs::halves;

  Index key_value_count() const { return key_value_heads == 0 ? heads : key_value_heads; }
  Index head_width() const { return width / heads; }
  Index key_value_width() const { return key_value_count() * head_width(); }
};

/// What a layer of attention keeps of a sequence.
enum class AttentionMemory {
  growing,  ///< every key and value, up to the capacity of the State
  ring      ///< those of the last `window` tokens
};

template <class Element>
struct AttentionParameters {
  using Scalar = Element;
  Tensor<Scalar> query, key, value, output;
  Fingerprint layer{};  ///< that they are of

  void visit(ParameterVisitor<Scalar> visitor) {
    visitor("q_proj.weight", query, parameter::projection);
    visitor("k_proj.weight", key, parameter::projection);
    visitor("v_proj.weight", value, parameter::projection);
    visitor("o_proj.weight", output, parameter::projection);
  }
};

/// What a call of attention holds until its end, and for a backward.
template <class Scalar>
struct AttentionCall {
  MatrixView<const Scalar> x;
  AttentionRows<Scalar> rows;
  std::span<AttentionPiece<Scalar>> pieces;
};

template <class Scalar>
struct AttentionRecord : AttentionCall<Scalar> {
  RecordedCall call;
  Arena arena;
};

TTT_NAMESPACE_END
