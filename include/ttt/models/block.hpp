// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ttt/layers/short_convolution.hpp"
#include "ttt/layers/swiglu.hpp"
#include "ttt/models/residual.hpp"
#include "ttt/models/stack.hpp"

TTT_NAMESPACE_BEGIN

/// Where a block norms what its layers read and say.
enum class NormPlacement {
  before,  ///< x + layer(norm(x))
  after,   ///< x + norm(layer(x)), as in OLMo 2
  around   ///< x + norm(layer(norm(x))), as in Gemma
};
inline constexpr std::array<std::string_view, 3> names_of(NormPlacement) { return {"before", "after", "around"}; }

/// What a block has around its layer.
struct BlockConfig {
  Index width = 0;             ///< C
  Index hidden = 0;            ///< F of the SwiGLU; 0: there is none
  bool temporal_conv = false;  ///< a convolution in front: the *mamba backbone*; without: the *transformer backbone*
  Index conv_taps = 4;
  double norm_epsilon = 1e-6;
  NormPlacement norms = NormPlacement::before;
  bool one_plus_norms = false;                                 ///< norms are times 1 + weight
  kernels::Activation activation = kernels::Activation::silu;  ///< of the SwiGLU
  double residual_scale = 1;                                   ///< what layers say is times
  friend bool operator==(const BlockConfig&, const BlockConfig&) = default;
};

/// Appends the residuals of the next block of the published models, generic in its layer:
///
///     x = x + conv(norm(x))          (with temporal_conv)
///     x = x + layer(norm(x))
///     x = x + swiglu(norm(x))        (with hidden units)
///
/// or with norms behind the layers, or on both sides, and what is added times a scale.
/// The backbones of Sun et al. 2024, "Learning to (learn at test time)", appendix. Throws Error, naming the block, when
/// a size is not positive or the layer's width is not the block's.
template <class Scalar>
void append_block(std::vector<StackLayer<Scalar>>& stack, const BlockConfig& config, AnySequenceLayer<Scalar> layer) {
  using Any = AnySequenceLayer<Scalar>;
  const Index block = stack.empty() ? 0 : stack.back().block + 1;
  const std::string name = "block " + std::to_string(block);
  domain::size(name + ": width", config.width);
  if (layer.width() != config.width)
    throw_unexpected(name + ": width of its layer", std::to_string(config.width), std::to_string(layer.width()));
  const auto append = [&](const char* layer_name, const char* norm, const char* post_norm, auto inner) {
    const ResidualConfig residual{layer_name,
                                  config.norms == NormPlacement::after ? "" : norm,
                                  config.norms == NormPlacement::before ? "" : post_norm,
                                  config.norm_epsilon,
                                  config.one_plus_norms,
                                  config.residual_scale};
    stack.push_back({block, layer_name, Any(Residual<decltype(inner)>(residual, std::move(inner), name))});
  };
  if (config.temporal_conv)
    append("conv.conv", "conv.norm", "conv.post_norm",
           ShortConvolution<Scalar>({config.width, config.conv_taps}, name));
  append("seq_modeling_block", "seq_norm", "seq_post_norm", std::move(layer));
  if (config.hidden != 0)
    append("mlp", "ffn_norm", "ffn_post_norm", Swiglu<Scalar>({config.width, config.hidden, config.activation}, name));
}

TTT_NAMESPACE_END
