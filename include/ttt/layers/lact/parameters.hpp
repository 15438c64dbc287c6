// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cmath>
#include <string>

#include "ttt/core/domain.hpp"
#include "ttt/core/fingerprint.hpp"
#include "ttt/nn/gated_output.hpp"
#include "ttt/nn/initial_matrix.hpp"
#include "ttt/nn/linear.hpp"
#include "ttt/rules/large_chunk/large_chunk.hpp"

TTT_NAMESPACE_BEGIN

struct LactConfig {
  Index width = 0;       ///< C
  Index heads = 1;       ///< of the attention, and of the rotary embedding
  Index fast_heads = 1;  ///< H, of the fast weights; D = C / H
  Index hidden = 0;      ///< F, of the inner model; 0: D
  Index chunk = 2048;    ///< K
  Index window = 2048;   ///< tokens that attention sees; 0: there is none
  Index rank = 0;        ///< of the initial W0 and W2, which are then A R + ½ I; 0: they are full
  rules::ChunkStep step = rules::ChunkStep::momentum;
  bool value_silu = true;  ///< of the inner model's values
  bool rotary = true;      ///< of the inner model's queries and keys; those of the attention always are turned
  double rope_theta = 1e6;
  double norm_epsilon = 1e-6;

  /// All but the width, for those who list options.
  template <class Visitor>
  void visit(Visitor&& option) {
    option("heads", heads, "heads of the attention");
    option("fast_heads", fast_heads, "heads of the fast weights");
    option("hidden", hidden, "hidden width of a fast head; 0: as wide as it");
    option("chunk", chunk, "tokens per step of the fast weights");
    option("window", window, "tokens that attention sees beside them; 0: no attention");
    option("rank", rank, "of the initial fast weights W0 and W2; 0: full");
    option("step", step, "what a chunk's sum becomes");
    option("value_silu", value_silu, "whether fast values go through silu");
    option("rotary", rotary, "whether fast queries and keys are turned, too");
    option("rope_theta", rope_theta, "base of the rotary embedding");
    option("norm_epsilon", norm_epsilon, "of the output norm");
  }
  friend bool operator==(const LactConfig&, const LactConfig&) = default;

  Index fast_width() const { return width / fast_heads; }
  Index head_width() const { return width / heads; }
  bool turns() const { return rotary || window > 0; }
  nn::GatedOutputConfig output() const {
    return {nn::NormKind::rms, fast_width(), true, kernels::Activation::none, false, norm_epsilon};
  }

  /// Puts in what zeros stand for. Throws Error, naming the option, for one that makes no layer.
  void resolve() {
    const std::string option = "LaCT option ";
    domain::size(option + "width", width);
    const auto divides = [&](const char* name, Index heads_of) {
      domain::size(option + name, heads_of);
      if (width % heads_of != 0)
        throw_unexpected(option + name, "a divisor of the width " + std::to_string(width), std::to_string(heads_of));
    };
    divides("heads", heads);
    divides("fast_heads", fast_heads);
    if (turns() && head_width() % 2 != 0)
      throw_unexpected(option + "heads",
                       "an even head width for the rotary embedding, width " + std::to_string(width) + " over heads",
                       std::to_string(heads));
    if (hidden == 0) hidden = fast_width();
    domain::size(option + "hidden", hidden);
    domain::size(option + "hidden, times the width", hidden * width);
    domain::size(option + "chunk", chunk);
    if (window != 0) domain::size(option + "window", window);
    if (rank != 0) domain::size(option + "rank", rank);
    domain::positive_float(option + "rope_theta", rope_theta);
    domain::positive_float(option + "norm_epsilon", norm_epsilon);
  }
  Fingerprint fingerprint() const {
    return {"LaCT",
            {width, heads, fast_heads, hidden, chunk, window, rank, static_cast<Index>(step), value_silu, rotary}};
  }
};

/// Under their published names.
template <class Element>
struct LactParameters {
  using Scalar = Element;

  Tensor<Scalar> projection;                      ///< of q | k | v [3C × C]
  Tensor<Scalar> scale, offset;                   ///< of fast queries and of fast keys, channel by channel [C × 2]
  Tensor<Scalar> rate, rate_bias;                 ///< of W0, W1 and W2 of each head [3H × C], [3H]
  Tensor<Scalar> momentum, momentum_bias;         ///< [H × C], [H]
  Tensor<Scalar> strength, strength_bias;         ///< what the answers of each head are times [H × C], [H]
  std::array<nn::InitialMatrix<Scalar>, 3> fast;  ///< W0, W1, W2
  nn::GatedOutputParameters<Scalar> norm;         ///< [D]
  Tensor<Scalar> output;                          ///< [C × C]
  Fingerprint layer{};                            ///< that they are of

  LactParameters() = default;
  LactParameters(const LactConfig& config, Fingerprint of)
      : projection(nn::make_weight<Scalar>(3 * config.width, config.width)),
        scale(Shape{config.width, 2}),
        offset(scale),
        rate(nn::make_weight<Scalar>(3 * config.fast_heads, config.width)),
        rate_bias(Shape{3 * config.fast_heads}),
        strength(nn::make_weight<Scalar>(config.fast_heads, config.width)),
        strength_bias(Shape{config.fast_heads}),
        fast{initial("w0", config, config.hidden, config.fast_width(), config.rank),
             initial("w1", config, config.fast_width(), config.hidden, 0),
             initial("w2", config, config.hidden, config.fast_width(), config.rank)},
        norm(config.output(), config.width),
        output(nn::make_weight<Scalar>(config.width, config.width)),
        layer(of) {
    if (config.step == rules::ChunkStep::plain) return;
    momentum = strength;
    momentum_bias = strength_bias;
  }

  void visit(ParameterVisitor<Scalar> visitor) {
    visitor("qkv.weight", projection, parameter::projection);
    visitor("qk_scale", scale, parameter::one);
    visitor("qk_offset", offset, parameter::zero);
    visitor("lr_proj.weight", rate, parameter::fast_weight);
    visitor("lr_proj.bias", rate_bias, parameter::zero);
    if (momentum.shape().rank() > 0) {
      visitor("momentum_proj.0.weight", momentum, parameter::fast_weight);
      visitor("momentum_proj.0.bias", momentum_bias, parameter::zero);
    }
    visitor("ttt_scale_proj.weight", strength, parameter::fast_weight);
    visitor("ttt_scale_proj.bias", strength_bias, parameter::zero);
    for (auto& matrix : fast) matrix.visit(visitor);
    visit_nested(visitor, "ttt_norm.", norm);
    visitor("o_proj.weight", output, parameter::projection);
  }

 private:
  static nn::InitialMatrix<Scalar> initial(const char* name, const LactConfig& config, Index outputs, Index inputs,
                                           Index rank) {
    const double spread = 1 / std::sqrt(static_cast<double>(inputs));
    return {name, {config.fast_heads, outputs, inputs}, {parameter::draw::normal, spread, false}, rank,
            0.5,  nn::InitialPlace::transposed};
  }
};

TTT_NAMESPACE_END
