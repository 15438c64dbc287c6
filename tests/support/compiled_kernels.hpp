// SPDX-License-Identifier: MIT
/// @file
/// The kernels and rules that a dispatch unit has, for the instruction set of the build, compiled once: two thirds of
/// what a test of a layer or a program would compile are they.
#pragma once

#include "ttt/dispatch/unit.hpp"

#ifndef TTT_TEST_DEFINES
#define TTT_TEST_DEFINES extern
#endif

// A function template that has one overload with these arguments.
#define TTT_TEST_FUNCTION(...) TTT_TEST_DEFINES template decltype(__VA_ARGS__) __VA_ARGS__
#define TTT_TEST_RULE(...)                                           \
  TTT_TEST_FUNCTION(rules::rule_forward<simd::Native, __VA_ARGS__>); \
  TTT_TEST_FUNCTION(rules::rule_backward<simd::Native, __VA_ARGS__>)
#define TTT_TEST_PRODUCT(Scalar, Inner)                                                                   \
  TTT_TEST_DEFINES template void kernels::detail::block_product<simd::Native, Scalar>(                    \
      const kernels::Left<Scalar>&, MatrixView<const Scalar>, Inner, kernels::detail::ChainStart<Scalar>, \
      MatrixView<Scalar>)

#define TTT_TEST_KERNELS(Scalar)                                                                          \
  TTT_TEST_PRODUCT(Scalar, kernels::detail::AllInner);                                                    \
  TTT_TEST_PRODUCT(Scalar, kernels::detail::CausalInner);                                                 \
  TTT_TEST_PRODUCT(Scalar, kernels::detail::AnticausalInner);                                             \
  TTT_TEST_DEFINES template void kernels::matmul<simd::Native, Scalar>(                                   \
      kernels::Left<Scalar>, PanelView<const Scalar>, MatrixView<Scalar>, kernels::Output, Index, Index); \
  TTT_TEST_FUNCTION(kernels::matmul_to_panels<simd::Native, Scalar>);                                     \
  TTT_TEST_FUNCTION(kernels::transpose<Scalar>);                                                          \
  TTT_TEST_FUNCTION(kernels::layer_norm<simd::Native, Scalar>);                                           \
  TTT_TEST_FUNCTION(kernels::layer_norm_row_backward<simd::Native, Scalar>);                              \
  TTT_TEST_FUNCTION(kernels::rms_norm<simd::Native, Scalar>);                                             \
  TTT_TEST_FUNCTION(kernels::rms_norm_row_backward<simd::Native, Scalar>);                                \
  TTT_TEST_FUNCTION(kernels::activate_rows<simd::Native, Scalar>);                                        \
  TTT_TEST_FUNCTION(kernels::activate_rows_backward<simd::Native, Scalar>);                               \
  TTT_TEST_FUNCTION(kernels::gate_rows<simd::Native, Scalar>);                                            \
  TTT_TEST_FUNCTION(kernels::gate_rows_backward<simd::Native, Scalar>);                                   \
  TTT_TEST_FUNCTION(kernels::l2_norm<simd::Native, Scalar>);                                              \
  TTT_TEST_FUNCTION(kernels::l2_norm_backward<simd::Native, Scalar>);                                     \
  TTT_TEST_FUNCTION(kernels::decay_rows<simd::Native, Scalar>);                                           \
  TTT_TEST_FUNCTION(kernels::decay_rows_backward<simd::Native, Scalar>);                                  \
  TTT_TEST_FUNCTION(kernels::scan_rates<simd::Native, Scalar>);                                           \
  TTT_TEST_FUNCTION(kernels::scale_heads<simd::Native, Scalar>);                                          \
  TTT_TEST_FUNCTION(kernels::scale_heads_backward<simd::Native, Scalar>);                                 \
  TTT_TEST_FUNCTION(kernels::add_scaled_heads<simd::Native, Scalar>);                                     \
  TTT_TEST_FUNCTION(kernels::causal_convolution<simd::Native, Scalar>);                                   \
  TTT_TEST_FUNCTION(kernels::causal_convolution_backward<simd::Native, Scalar>);                          \
  TTT_TEST_FUNCTION(kernels::rotate_heads<simd::Native, Scalar>);                                         \
  TTT_TEST_FUNCTION(kernels::add_rows<simd::Native, Scalar>);                                             \
  TTT_TEST_FUNCTION(kernels::cross_entropy_row<simd::Native, Scalar>);                                    \
  TTT_TEST_FUNCTION(rules::attention_forward<simd::Native, Scalar>);                                      \
  TTT_TEST_FUNCTION(rules::attention_backward<simd::Native, Scalar>);                                     \
  TTT_TEST_RULE(rules::TttSequence<rules::TttLinear<Scalar>>);                                            \
  TTT_TEST_RULE(rules::TttSequence<rules::TttMlp<Scalar>>);                                               \
  TTT_TEST_RULE(rules::Delta<Scalar, rules::DeltaDecay::by_row, true>);                                   \
  TTT_TEST_RULE(rules::Delta<Scalar, rules::DeltaDecay::by_row, false>);                                  \
  TTT_TEST_RULE(rules::Delta<Scalar, rules::DeltaDecay::one, true>);                                      \
  TTT_TEST_RULE(rules::Delta<Scalar, rules::DeltaDecay::one, false>);                                     \
  TTT_TEST_RULE(rules::SelectiveScan<Scalar>);                                                            \
  TTT_TEST_RULE(rules::LargeChunk<rules::InnerSwiglu<Scalar>>)

TTT_NAMESPACE_BEGIN

TTT_TEST_KERNELS(float);
TTT_TEST_KERNELS(double);
TTT_TEST_DEFINES template void kernels::matmul<simd::Native>(kernels::Left<float>, Bfloat16PanelView, MatrixView<float>,
                                                             kernels::Output, Index, Index);
TTT_TEST_FUNCTION(kernels::matmul_pairs<simd::Native>);
TTT_TEST_FUNCTION(kernels::pair_panels<simd::Native>);

TTT_NAMESPACE_END
