// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/layers/delta_layer.hpp"

TTT_NAMESPACE_BEGIN

struct GatedLinearAttentionConfig {
  static constexpr const char* layer = "gated linear attention";
  static constexpr bool by_row = true, erases = false;

  Index width = 0;                                              ///< C
  Index heads = 1;                                              ///< H
  Index key_width = 0;                                          ///< K; 0: C / 2H, or C / H without decay
  Index value_width = 0;                                        ///< V; 0: C / H
  Index conv_taps = 0;                                          ///< 0: no convolution
  kernels::Activation feature_map = kernels::Activation::none;  ///< φ of queries and keys
  bool decay = true;                                            ///< without: linear attention
  Index decay_rank = 16;                                        ///< R
  double decay_divisor = 16;                                    ///< n
  bool gate = true;                                             ///< silu(x W_gᵀ) behind the norm
  double norm_epsilon = 1e-5;

  /// All but the width, for those who list options.
  template <class Visitor>
  void visit(Visitor&& option) {
    option("heads", heads, "heads");
    option("key_width", key_width, "width of a key; 0: half the width over the heads, all of it without decay");
    option("value_width", value_width, "width of a value; 0: the width over the heads");
    option("conv_taps", conv_taps, "taps of short convolutions; 0: none");
    option("feature_map", feature_map, "of queries and keys");
    option("decay", decay, "whether the memory fades (without: linear attention)");
    option("decay_rank", decay_rank, "of the map to the decays");
    option("decay_divisor", decay_divisor, "by how much they are weakened");
    option("gate", gate, "whether there is an output gate");
    option("norm_epsilon", norm_epsilon, "of the output norm");
  }
  friend bool operator==(const GatedLinearAttentionConfig&, const GatedLinearAttentionConfig&) = default;

  /// Puts in what zeros stand for. Throws Error, naming the option, for one that makes no layer.
  void resolve() {
    const std::string option = "gated linear attention option ";
    domain::size(option + "width", width);
    domain::size(option + "heads", heads);
    if (key_width == 0) key_width = width / (decay ? 2 * heads : heads);
    if (value_width == 0) value_width = width / heads;
    domain::size(option + "key_width", key_width);
    domain::size(option + "value_width", value_width);
    domain::at_least(option + "conv_taps", 0, conv_taps);
    domain::size(option + "decay_rank", decay_rank);
    domain::positive_float(option + "decay_divisor", decay_divisor);
    domain::positive_float(option + "norm_epsilon", norm_epsilon);
  }
  Fingerprint fingerprint() const {
    return {layer, {width, heads, key_width, value_width, conv_taps, decay, decay ? decay_rank : 0, gate}};
  }
  /// Names as in the models of flash-linear-attention.
  DeltaDesign design() const {
    return {.names = {{"q_proj.", "k_proj.", "v_proj."},
                      {"q_conv1d.", "k_conv1d.", "v_conv1d."},
                      "",
                      "gk_proj.",
                      "g_proj.",
                      gate    ? "g_norm_swish_gate."
                      : decay ? "g_norm."
                              : "norm.",
                      "o_proj."},
            .width = width,
            .heads = heads,
            .value_heads = heads,
            .key_width = key_width,
            .value_width = value_width,
            .conv_taps = conv_taps,
            .feature_map = feature_map,
            .decay = decay ? DeltaGate::log_sigmoid : DeltaGate::none,
            .decay_width = key_width,
            .decay_rank = decay_rank,
            .decay_divisor = decay_divisor,
            .has_gate = gate,
            .norm_epsilon = norm_epsilon};
  }
};

/// Gated linear attention (Yang et al. 2024, arXiv 2312.06635):
///
///   q, k, v = φ(x W_qᵀ) / √K, φ(x W_kᵀ), x W_vᵀ            φ is nothing; with taps, silu(conv(·)) of all three before
///   it g       = log σ((x A₀ᵀ) A₁ᵀ + b) / n                    [K] of each head S_t     = Diag(e^g) S_{t−1} + k vᵀ, o
///   = Sᵀ q          rules::Delta y       = (w ∘ o / rms(o) ∘ silu(x W_gᵀ)) W_oᵀ          per head; the gate is an
///   option
///
/// Without `decay` and `gate` it is linear attention, S_t = S_{t−1} + k vᵀ: with φ = 1 + ELU that of Katharopoulos et
/// al. 2020 (arXiv 2006.16236), whose sum Σ k by which o is divided is left out for the norm, as Qin et al. 2022 (arXiv
/// 2210.10340) do and flash-linear-attention does.
template <class Scalar>
using GatedLinearAttention = DeltaLayer<Scalar, GatedLinearAttentionConfig>;

static_assert(TrainableSequenceLayer<GatedLinearAttention<float>>);

TTT_NAMESPACE_END
