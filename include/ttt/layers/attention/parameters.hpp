// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "ttt/core/parameters.hpp"
#include "ttt/core/state_layout.hpp"
#include "ttt/kernels/rotary.hpp"
#include "ttt/layers/attention/call.hpp"
#include "ttt/layers/call_checks.hpp"
#include "ttt/nn/linear.hpp"
#include "ttt/nn/rms_norm.hpp"

TTT_NAMESPACE_BEGIN

/// What a layer of attention keeps of a sequence.
enum class AttentionMemory {
  growing,  ///< every key and value, up to the capacity of the State
  ring      ///< those of the sinks and of the last `window` tokens: of one size, never full
};

inline constexpr std::array<std::string_view, 2> names_of(AttentionMemory) { return {"growing", "ring"}; }

struct AttentionConfig {
  Index width = 0;            ///< C
  Index heads = 1;            ///< query heads, H
  Index key_value_heads = 0;  ///< keys and values are shared by H / key_value_heads query heads; 0 means H
  Index window = 0;           ///< W, keys a query sees, itself included; 0: all
  Index sinks = 0;            ///< S, first tokens of a sequence that stay visible behind the window
  AttentionMemory memory = AttentionMemory::growing;
  double rope_theta = 10000;
  kernels::RotaryPairs rotary_pairs = kernels::RotaryPairs::halves;
  Index head_channels = 0;      ///< D; 0 means C / H
  bool bias = false;            ///< of queries, keys and values
  bool query_key_norm = false;  ///< queries and keys are normed per head, before they are rotated
  double norm_epsilon = 1e-6;   ///< of that norm
  bool whole_norm = false;      ///< it goes over all heads of a row at once, as in OLMo 2
  bool one_plus_norm = false;   ///< it is times 1 + weight
  double score_scale = 0;       ///< what scores are times; 0: 1 / √D
  bool output_gate = false;  ///< heads are times σ(gate), as in Qwen3-Next; W_q has the rows of a query, then its gate
  bool rotary = true;        ///< false: no position embedding at all
  Index rotary_channels = 0;  ///< of each head, the first ones, that are turned; 0: all
  kernels::RotaryScaling rotary_scaling = {};

  /// All but the width, for those who list options.
  template <class Visitor>
  void visit(Visitor&& option) {
    option("heads", heads, "heads of queries");
    option("key_value_heads", key_value_heads, "heads of keys and values, which those share; 0: as many");
    option("window", window, "tokens that a query sees, itself included; 0: all");
    option("sinks", sinks, "first tokens that stay visible behind the window");
    option("memory", memory, "of every token, or a ring of those that are seen");
    option("head_channels", head_channels, "width of a head; 0: the width over the heads");
    option("bias", bias, "biases of queries, keys and values");
    option("query_key_norm", query_key_norm, "an RMS norm of queries and keys");
    option("norm_epsilon", norm_epsilon, "of that norm");
    option("whole_norm", whole_norm, "whether it goes over all heads at once");
    option("one_plus_norm", one_plus_norm, "whether it is times 1 + weight");
    option("score_scale", score_scale, "what scores are times; 0: 1 over the root of the width of a head");
    option("output_gate", output_gate, "whether heads are gated");
    option("rotary", rotary, "whether there is a rotary embedding");
    option("rotary_channels", rotary_channels, "channels of a head that it turns; 0: all");
    option("rope_theta", rope_theta, "base of the rotary embedding");
    option("rotary_pairs", rotary_pairs, "channels that are turned together");
    rotary_scaling.visit(option);
  }
  friend bool operator==(const AttentionConfig&, const AttentionConfig&) = default;

  Index key_value_count() const { return key_value_heads == 0 ? heads : key_value_heads; }
  Index head_width() const { return head_channels == 0 && heads > 0 ? width / heads : head_channels; }
  Index query_width() const { return heads * head_width(); }
  Index key_value_width() const { return key_value_count() * head_width(); }
  /// Rows of W_q: queries, or in turn a query and its gate.
  Index query_rows() const { return output_gate ? 2 * query_width() : query_width(); }
  Index rotary_width() const { return rotary_channels == 0 ? head_width() : rotary_channels; }
  nn::RmsNormConfig norms() const { return {norm_epsilon, one_plus_norm}; }
  /// Tokens of a sequence that there are angles for.
  Index positions() const {
    const bool bounded = rotary && rotary_scaling.kind == kernels::RotaryScaling::Kind::longrope;
    return bounded ? rotary_scaling.original_positions : StateLayout::unlimited;
  }
};

/// Weights of a layer of attention under their published names; what the configuration leaves out has an empty shape
/// and is not visited.
template <class Element>
struct AttentionParameters {
  using Scalar = Element;
  Tensor<Scalar> query, key, value, output;         ///< [H·D × C] or [H·2D × C], twice [H_kv·D × C], [C × H·D]
  Tensor<Scalar> query_bias, key_bias, value_bias;  ///< [H·D], twice [H_kv·D]
  Tensor<Scalar> query_norm, key_norm;              ///< [D], the same for all heads, or [H·D] and [H_kv·D]
  ParameterInfo norm_start = parameter::one;
  Fingerprint layer{};  ///< that they are of

  AttentionParameters() = default;
  explicit AttentionParameters(const AttentionConfig& config, const Fingerprint& of)
      : query(nn::make_weight<Scalar>(config.query_rows(), config.width)),
        key(nn::make_weight<Scalar>(config.key_value_width(), config.width)),
        value(key),
        output(nn::make_weight<Scalar>(config.width, config.query_width())),
        norm_start(config.norms().start()),
        layer(of) {
    if (config.bias) query_bias = Tensor<Scalar>(Shape{config.query_rows()});
    if (config.bias) key_bias = value_bias = Tensor<Scalar>(Shape{config.key_value_width()});
    if (!config.query_key_norm) return;
    query_norm = Tensor<Scalar>(Shape{config.whole_norm ? config.query_width() : config.head_width()});
    key_norm = Tensor<Scalar>(Shape{config.whole_norm ? config.key_value_width() : config.head_width()});
  }

  void visit(ParameterVisitor<Scalar> visitor) {
    const auto optional = [&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo& info) {
      if (tensor.shape().rank() > 0) visitor(name, tensor, info);
    };
    visitor("q_proj.weight", query, parameter::projection);
    visitor("k_proj.weight", key, parameter::projection);
    visitor("v_proj.weight", value, parameter::projection);
    visitor("o_proj.weight", output, parameter::projection);
    optional("q_proj.bias", query_bias, parameter::zero);
    optional("k_proj.bias", key_bias, parameter::zero);
    optional("v_proj.bias", value_bias, parameter::zero);
    optional("q_norm.weight", query_norm, norm_start);
    optional("k_norm.weight", key_norm, norm_start);
  }
};

/// What a call of attention holds until its end, and for a backward.
template <class Scalar>
struct AttentionCall {
  MatrixView<const Scalar> x;
  AttentionRows<Scalar> rows;
  /// Before their norm, where there is one and a Record; queries also with gates, which stand between them.
  MatrixView<Scalar> projected_queries, projected_keys;
  std::span<AttentionPiece<Scalar>> pieces;
};

template <class Scalar>
struct AttentionRecord : AttentionCall<Scalar> {
  RecordedCall call;
  Arena arena;
};

TTT_NAMESPACE_END
