// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "ttt/core/domain.hpp"
#include "ttt/core/fingerprint.hpp"
#include "ttt/nn/decay.hpp"
#include "ttt/nn/gated_output.hpp"
#include "ttt/nn/linear.hpp"
#include "ttt/nn/short_convolution.hpp"

TTT_NAMESPACE_BEGIN

struct GatedDeltaNetConfig {
  Index width = 0;        ///< C
  Index heads = 1;        ///< H_k
  Index value_heads = 0;  ///< H, a multiple of H_k: H / H_k share a query and a key; 0: H_k
  Index key_width = 0;    ///< K; 0: C / H_k
  Index value_width = 0;  ///< V; 0: K
  Index conv_taps = 4;
  bool decay = true;                  ///< without: DeltaNet
  bool gate = true;                   ///< silu(x W_zᵀ) behind the norm
  bool negative_eigenvalues = false;  ///< rates β up to 2 instead of 1
  double norm_epsilon = 1e-6;

  /// All but the width, for those who list options.
  template <class Visitor>
  void visit(Visitor&& option) {
    option("heads", heads, "heads of queries and keys");
    option("value_heads", value_heads, "heads of values, which share those; 0: as many");
    option("key_width", key_width, "width of a key; 0: the width over the heads");
    option("value_width", value_width, "width of a value; 0: that of a key");
    option("conv_taps", conv_taps, "taps of the short convolution");
    option("decay", decay, "whether the memory fades (without: DeltaNet)");
    option("gate", gate, "whether there is an output gate");
    option("negative_eigenvalues", negative_eigenvalues, "rates up to 2 instead of 1");
    option("norm_epsilon", norm_epsilon, "of the output norm");
  }
  friend bool operator==(const GatedDeltaNetConfig&, const GatedDeltaNetConfig&) = default;

  Index keys() const { return heads * key_width; }
  Index values() const { return value_heads * value_width; }
  /// Columns of q | k | v.
  Index mixed_width() const { return 2 * keys() + values(); }
  nn::GatedOutputConfig output() const {
    return {nn::NormKind::rms, value_width, true, kernels::Activation::silu, false, norm_epsilon};
  }

  /// Puts in what zeros stand for. Throws Error, naming the option, for one that makes no layer.
  void resolve() {
    const std::string option = "Gated DeltaNet option ";
    domain::size(option + "width", width);
    domain::size(option + "heads", heads);
    if (value_heads == 0) value_heads = heads;
    if (key_width == 0) key_width = width / heads;
    if (value_width == 0) value_width = key_width;
    domain::size(option + "key_width", key_width);
    domain::size(option + "value_width", value_width);
    domain::size(option + "conv_taps", conv_taps);
    domain::positive_float(option + "norm_epsilon", norm_epsilon);
    if (value_heads < 1 || value_heads % heads != 0)
      throw_unexpected(option + "value_heads", "a multiple of the " + std::to_string(heads) + " key heads",
                       std::to_string(value_heads));
  }
};

/// Names as in the folders of qwen3_5.
template <class Element>
struct GatedDeltaNetParameters {
  using Scalar = Element;

  Tensor<Scalar> mixed;  ///< W_qkv [2 H_k · K + H · V × C]
  nn::ShortConvolutionParameters<Scalar> conv;
  Tensor<Scalar> gate, rate, step;  ///< W_z [H · V × C], W_b and W_a [H × C]
  nn::DecayParameters<Scalar> decay;
  nn::GatedOutputParameters<Scalar> norm;
  Tensor<Scalar> output;  ///< W_o [C × H · V]
  Fingerprint layer{};    ///< that they are of

  GatedDeltaNetParameters() = default;
  GatedDeltaNetParameters(const GatedDeltaNetConfig& config, Fingerprint of)
      : mixed(nn::make_weight<Scalar>(config.mixed_width(), config.width)),
        conv(config.mixed_width(), config.conv_taps, false, kernels::Activation::silu),
        rate(nn::make_weight<Scalar>(config.value_heads, config.width)),
        norm(config.output(), config.values()),
        output(nn::make_weight<Scalar>(config.width, config.values())),
        layer(of) {
    if (config.gate) gate = nn::make_weight<Scalar>(config.values(), config.width);
    if (!config.decay) return;
    step = nn::make_weight<Scalar>(config.value_heads, config.width);
    decay = {config.value_heads, config.value_heads};
  }

  void visit(ParameterVisitor<Scalar> visitor) {
    const auto there = [](const Tensor<Scalar>& tensor) { return tensor.shape().rank() > 0; };
    visitor("in_proj_qkv.weight", mixed, parameter::projection);
    visit_nested(visitor, "conv1d.", conv);
    if (there(gate)) visitor("in_proj_z.weight", gate, parameter::projection);
    visitor("in_proj_b.weight", rate, parameter::projection);
    if (there(step)) visitor("in_proj_a.weight", step, parameter::projection);
    if (there(step)) decay.visit(visitor);
    visit_nested(visitor, "norm.", norm);
    visitor("out_proj.weight", output, parameter::projection);
  }
};

TTT_NAMESPACE_END
