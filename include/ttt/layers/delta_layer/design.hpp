// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <string>

#include "ttt/core/domain.hpp"
#include "ttt/core/fingerprint.hpp"
#include "ttt/nn/gated_output.hpp"

TTT_NAMESPACE_BEGIN

/// What the tensors of a layer of the delta family are called; those of a map without "weight". Three maps and
/// convolutions for q, k and v, or one for q | k | v, the others null.
struct DeltaNames {
  std::array<const char*, 3> maps, convolutions;
  const char *rate, *decay, *gate, *norm, *output;
};

/// What g comes from: nothing, a step width Δ as g = −e^A Δ, or a number as g = log σ(a) / divisor.
enum class DeltaGate { none, step_width, log_sigmoid };

/// What stands around the rule in a layer of the delta family (see DeltaLayer), as its options say it.
struct DeltaDesign {
  DeltaNames names{};
  Index width = 0;                                              ///< C
  Index heads = 0, value_heads = 0;                             ///< H_k, H
  Index key_width = 0, value_width = 0;                         ///< K, V
  Index conv_taps = 0;                                          ///< 0: no convolution, nor the silu behind it
  double largest_rate = 1;                                      ///< of β: 1 or 2
  kernels::Activation feature_map = kernels::Activation::none;  ///< φ of q and k where there is no β
  DeltaGate decay = DeltaGate::none;
  Index decay_width = 1;  ///< numbers g of a head: 1 or K
  Index decay_rank = 0;   ///< of the map they come from; 0: a plain one
  double decay_divisor = 1;
  bool has_gate = false;
  Index gate_rank = 0;
  kernels::Activation gate = kernels::Activation::silu;
  double norm_epsilon = 0;

  Index keys() const { return heads * key_width; }
  Index values() const { return value_heads * value_width; }
  Index decays() const { return value_heads * decay_width; }
  /// Columns of q | k | v.
  Index mixed_width() const { return 2 * keys() + values(); }
  Index tail_rows() const { return conv_taps > 0 ? conv_taps - 1 : 0; }
  nn::GatedOutputConfig output() const { return {nn::NormKind::rms, value_width, true, gate, false, norm_epsilon}; }
};

namespace detail {

/// Lists the options that all delta rules with grouped value heads have.
template <class Config, class Visitor>
void visit_delta_rule(Config& config, Visitor& option) {
  option("heads", config.heads, "heads of queries and keys");
  option("value_heads", config.value_heads, "heads of values, which share those; 0: as many");
  option("key_width", config.key_width, "width of a key; 0: the width over the heads");
  option("value_width", config.value_width, "width of a value; 0: that of a key");
  option("conv_taps", config.conv_taps, "taps of the short convolutions");
  option("negative_eigenvalues", config.negative_eigenvalues, "rates up to 2 instead of 1");
  option("norm_epsilon", config.norm_epsilon, "of the output norm");
}

/// What stands around the rule by these options.
template <class Config>
DeltaDesign delta_rule_design(const Config& config) {
  return {.width = config.width,
          .heads = config.heads,
          .value_heads = config.value_heads,
          .key_width = config.key_width,
          .value_width = config.value_width,
          .conv_taps = config.conv_taps,
          .largest_rate = config.negative_eigenvalues ? 2.0 : 1.0,
          .norm_epsilon = config.norm_epsilon};
}

/// Puts in what zeros stand for in the options of delta rules with grouped value heads. Throws Error, naming one as
/// `option` and its name, for those that make no layer.
template <class Config>
void resolve_delta_rule(Config& config, const std::string& option) {
  domain::size(option + "width", config.width);
  domain::size(option + "heads", config.heads);
  if (config.value_heads == 0) config.value_heads = config.heads;
  if (config.key_width == 0) config.key_width = config.width / config.heads;
  if (config.value_width == 0) config.value_width = config.key_width;
  domain::size(option + "key_width", config.key_width);
  domain::size(option + "value_width", config.value_width);
  domain::size(option + "conv_taps", config.conv_taps);
  domain::positive_float(option + "norm_epsilon", config.norm_epsilon);
  if (config.value_heads < 1 || config.value_heads % config.heads != 0)
    throw_unexpected(option + "value_heads", "a multiple of the " + std::to_string(config.heads) + " key heads",
                     std::to_string(config.value_heads));
}

}  // namespace detail

TTT_NAMESPACE_END
