// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/fingerprint.hpp"
#include "ttt/core/parameters.hpp"
#include "ttt/nn/gated_output.hpp"
#include "ttt/nn/linear.hpp"
#include "ttt/nn/short_convolution.hpp"

TTT_NAMESPACE_BEGIN

struct GatedShortConvolutionConfig {
  Index width = 0;  ///< C
  Index conv_taps = 3;

  /// All but the width, for those who list options.
  template <class Visitor>
  void visit(Visitor&& option) {
    option("conv_taps", conv_taps, "taps of the convolution");
  }
  friend bool operator==(const GatedShortConvolutionConfig&, const GatedShortConvolutionConfig&) = default;
};

/// Names as in the folders of lfm2.
template <class Element>
struct GatedShortConvolutionParameters {
  using Scalar = Element;

  Tensor<Scalar> input;  ///< rows B | C | u [3C × C]
  nn::ShortConvolutionParameters<Scalar> conv;
  Tensor<Scalar> output;                     ///< [C × C]
  nn::GatedOutputParameters<Scalar> norm{};  ///< there is none
  Fingerprint layer{};                       ///< that they are of

  void visit(ParameterVisitor<Scalar> visitor) {
    visitor("in_proj.weight", input, parameter::projection);
    visit_nested(visitor, "conv.", conv);
    visitor("out_proj.weight", output, parameter::projection);
  }
};

TTT_NAMESPACE_END
