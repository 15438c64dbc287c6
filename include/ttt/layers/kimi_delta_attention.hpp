// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/layers/delta_layer.hpp"

TTT_NAMESPACE_BEGIN

struct KimiDeltaAttentionConfig {
  static constexpr const char* layer = "Kimi Delta Attention";
  static constexpr bool by_row = true, erases = true;

  Index width = 0;        ///< C
  Index heads = 1;        ///< H_k
  Index value_heads = 0;  ///< H, a multiple of H_k: H / H_k share a query and a key; 0: H_k
  Index key_width = 0;    ///< K; 0: C / H_k
  Index value_width = 0;  ///< V; 0: K
  Index conv_taps = 4;
  Index rank = 0;                     ///< R of the maps to the decays and the gate; 0: V
  bool negative_eigenvalues = false;  ///< rates β up to 2 instead of 1
  double norm_epsilon = 1e-5;

  /// All but the width, for those who list options.
  template <class Visitor>
  void visit(Visitor&& option) {
    detail::visit_delta_rule(*this, option);
    option("rank", rank, "of the maps to the decays and the gate; 0: the width of a value");
  }
  friend bool operator==(const KimiDeltaAttentionConfig&, const KimiDeltaAttentionConfig&) = default;

  /// Puts in what zeros stand for. Throws Error, naming the option, for one that makes no layer.
  void resolve() {
    const std::string option = "Kimi Delta Attention option ";
    detail::resolve_delta_rule(*this, option);
    if (rank == 0) rank = value_width;
    domain::size(option + "rank", rank);
  }
  Fingerprint fingerprint() const {
    return {layer, {width, heads, value_heads, key_width, value_width, conv_taps, rank}};
  }
  /// Names as in the models of flash-linear-attention.
  DeltaDesign design() const {
    DeltaDesign design = detail::delta_rule_design(*this);
    design.names = {{"q_proj.", "k_proj.", "v_proj."},
                    {"q_conv1d.", "k_conv1d.", "v_conv1d."},
                    "b_proj.",
                    "f_proj.",
                    "g_proj.",
                    "o_norm.",
                    "o_proj."};
    design.decay = DeltaGate::step_width;
    design.decay_width = key_width;
    design.has_gate = true;
    design.decay_rank = design.gate_rank = rank;
    design.gate = kernels::Activation::sigmoid;
    return design;
  }
};

/// Kimi Delta Attention (Kimi Team 2025, "Kimi Linear", arXiv 2510.26692): Gated DeltaNet whose memory fades row by
/// row, with grouped value heads as an option:
///
///   q, k, v = silu(conv(x W_qᵀ)), silu(conv(x W_kᵀ)), silu(conv(x W_vᵀ))
///   q, k    = q / (‖q‖ √K), k / ‖k‖                                  per key head
///   β       = most σ(x W_bᵀ)                                         per value head
///   g       = −e^A softplus((x F₀ᵀ) F₁ᵀ + bias)                       A per value head, g [K] of each
///   S_t     = (I − β k kᵀ) Diag(e^g) S_{t−1} + β k vᵀ,   o = Sᵀ q      rules::Delta
///   y       = (w ∘ o / rms(o) ∘ σ((x G₀ᵀ) G₁ᵀ + b)) W_oᵀ              per value head
template <class Scalar>
using KimiDeltaAttention = DeltaLayer<Scalar, KimiDeltaAttentionConfig>;

static_assert(TrainableSequenceLayer<KimiDeltaAttention<float>>);

TTT_NAMESPACE_END
