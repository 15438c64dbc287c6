// SPDX-License-Identifier: MIT
/// @file
/// Layers and models that many tests use, compiled once: what a test that compiles its own spends most of its time on.
#pragma once

#include "support/compiled_kernels.hpp"
#include "ttt/models/model_config.hpp"

// A layer, and how an AnySequenceLayer holds it.
#define TTT_TEST_LAYER(COMPILED, Scalar, ...) \
  COMPILED template class __VA_ARGS__;        \
  COMPILED template struct AnySequenceLayer<Scalar>::Model<__VA_ARGS__>

#define TTT_TEST_LAYERS(COMPILED, Scalar)                                                                              \
  TTT_TEST_LAYER(COMPILED, Scalar, TttLayer<rules::TttLinear<Scalar>>);                                                \
  TTT_TEST_LAYER(COMPILED, Scalar, TttLayer<rules::TttMlp<Scalar>>);                                                   \
  TTT_TEST_LAYER(COMPILED, Scalar, Attention<Scalar>);                                                                 \
  TTT_TEST_LAYER(COMPILED, Scalar, DeltaLayer<Scalar, GatedDeltaNetConfig>);                                           \
  TTT_TEST_LAYER(COMPILED, Scalar, DeltaLayer<Scalar, KimiDeltaAttentionConfig>);                                      \
  TTT_TEST_LAYER(COMPILED, Scalar, DeltaLayer<Scalar, GatedLinearAttentionConfig>);                                    \
  TTT_TEST_LAYER(COMPILED, Scalar, Mamba2<Scalar>);                                                                    \
  TTT_TEST_LAYER(COMPILED, Scalar, Mamba<Scalar>);                                                                     \
  TTT_TEST_LAYER(COMPILED, Scalar, Lact<Scalar>);                                                                      \
  TTT_TEST_LAYER(COMPILED, Scalar, GatedShortConvolution<Scalar>);                                                     \
  COMPILED template AnySequenceLayer<Scalar> LayerDescription::make<Scalar>(Index) const;                              \
  COMPILED template void append_block(std::vector<StackLayer<Scalar>>&, const BlockConfig&, AnySequenceLayer<Scalar>); \
  COMPILED template class CausalLm<Scalar>;                                                                            \
  COMPILED template CausalLm<Scalar> make_model(const ModelConfig&)

TTT_NAMESPACE_BEGIN

TTT_TEST_LAYERS(extern, float);
TTT_TEST_LAYERS(extern, double);

TTT_NAMESPACE_END
