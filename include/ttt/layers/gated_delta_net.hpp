// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/layers/delta_layer.hpp"

TTT_NAMESPACE_BEGIN

struct GatedDeltaNetConfig {
  static constexpr const char* layer = "Gated DeltaNet";
  static constexpr bool by_row = false, erases = true;

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
    detail::visit_delta_rule(*this, option);
    option("decay", decay, "whether the memory fades (without: DeltaNet)");
    option("gate", gate, "whether there is an output gate");
  }
  friend bool operator==(const GatedDeltaNetConfig&, const GatedDeltaNetConfig&) = default;

  /// Puts in what zeros stand for. Throws Error, naming the option, for one that makes no layer.
  void resolve() { detail::resolve_delta_rule(*this, "Gated DeltaNet option "); }
  Fingerprint fingerprint() const {
    return {layer, {width, heads, value_heads, key_width, value_width, conv_taps, decay, gate}};
  }
  /// Names as in the folders of qwen3_5.
  DeltaDesign design() const {
    DeltaDesign design = detail::delta_rule_design(*this);
    design.names = {{"in_proj_qkv."}, {"conv1d."}, "in_proj_b.", "in_proj_a.", "in_proj_z.", "norm.", "out_proj."};
    design.decay = decay ? DeltaGate::step_width : DeltaGate::none;
    design.has_gate = gate;
    return design;
  }
};

/// Gated DeltaNet (Yang, Kautz and Hatamizadeh 2025, arXiv 2412.06464), with grouped value heads as in Qwen3-Next:
///
///   q | k | v = silu(conv(x W_qkvᵀ))                          a causal convolution of a few taps over all columns
///   q, k      = q / (‖q‖ √K), k / ‖k‖                         per key head
///   β, g      = most σ(x W_bᵀ), −e^A softplus(x W_aᵀ + bias)   per value head
///   S_t       = e^g S_{t−1} (I − β k kᵀ) + β v kᵀ,   o = S q    rules::Delta
///   y         = (w ∘ o / rms(o) ∘ silu(x W_zᵀ)) W_oᵀ           per value head
///
/// Without `decay` it is DeltaNet (Schlag et al. 2021; Yang et al. 2024, arXiv 2406.06484); the gate is an option, too.
template <class Scalar>
using GatedDeltaNet = DeltaLayer<Scalar, GatedDeltaNetConfig>;

static_assert(TrainableSequenceLayer<GatedDeltaNet<float>>);

TTT_NAMESPACE_END
