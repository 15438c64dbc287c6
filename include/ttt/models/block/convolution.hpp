// SPDX-License-Identifier: MIT
#pragma once

#include <span>

#include "ttt/nn/residual.hpp"
#include "ttt/nn/rms_norm.hpp"
#include "ttt/nn/short_convolution.hpp"

TTT_NAMESPACE_BEGIN

/// What the mamba backbone has in front of a block's layer: h = x + conv(norm(x)) over the tokens of a sequence.
template <class Element>
struct BlockConvolution {
  using Scalar = Element;
  using Tails = nn::ConvolutionTails<Scalar>;

  Tensor<Scalar> norm;  ///< [C]
  nn::ShortConvolutionParameters<Scalar> conv;

  void visit(ParameterVisitor<Scalar> visitor) {
    visitor("norm.weight", norm, parameter::one);
    visit_nested(visitor, "conv.", conv);
  }

  /// h, normed [N × C] and initial_tails [segments · (taps − 1) × C], the inputs before each segment, are assigned;
  /// none may overlap x [N × C]. `tails` advance.
  void forward(MatrixView<const Scalar> x, double epsilon, SegmentPlan plan, Tails tails,
               MatrixView<Scalar> initial_tails, MatrixView<Scalar> normed, MatrixView<Scalar> h,
               Context& context) const {
    nn::rms_norm_forward(norm, x, epsilon, normed, context);
    nn::convolution_tails<Scalar>(normed, plan, tails, initial_tails, context);
    nn::short_convolution_forward<Scalar>(conv, normed, plan, initial_tails, h, context);
    nn::add(x, h, context);
  }

  /// d_x [N × C], which holds the gradient of h, becomes that of x; `gradients` accumulate, `d_tails`, where there are
  /// some, go from the gradient of the inputs after the segments to that of those before.
  void backward(MatrixView<const Scalar> x, double epsilon, SegmentPlan plan, Tails d_tails,
                MatrixView<const Scalar> initial_tails, MatrixView<Scalar> d_x, BlockConvolution& gradients,
                Context& context) const {
    Arena& scratch = context.scratch();
    const Arena::Frame frame(scratch);
    const auto normed = scratch.matrix<Scalar>(x.rows(), x.columns());
    const auto d_normed = scratch.matrix<Scalar>(x.rows(), x.columns());
    const auto d_initial_tails = scratch.matrix<Scalar>(initial_tails.rows(), x.columns());
    nn::rms_norm_forward(norm, x, epsilon, normed, context);
    nn::short_convolution_backward<Scalar>(conv, normed, plan, initial_tails, d_x, d_normed, d_initial_tails,
                                           gradients.conv, context);
    nn::convolution_tails_backward<Scalar>(plan, d_tails, d_initial_tails, d_normed, context);
    nn::rms_norm_backward(norm, x, epsilon, d_normed, d_x, gradients.norm, context, kernels::Output::accumulate);
  }
};

TTT_NAMESPACE_END
