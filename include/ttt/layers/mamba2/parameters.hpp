// SPDX-License-Identifier: MIT
#pragma once

#include <limits>
#include <string>

#include "ttt/core/domain.hpp"
#include "ttt/core/fingerprint.hpp"
#include "ttt/nn/decay.hpp"
#include "ttt/nn/gated_output.hpp"
#include "ttt/nn/linear.hpp"
#include "ttt/nn/short_convolution.hpp"

TTT_NAMESPACE_BEGIN

struct Mamba2Config {
  Index width = 0;          ///< C
  Index heads = 1;          ///< H
  Index head_width = 0;     ///< V; 0: 2C / H. H · V is the inner width
  Index groups = 1;         ///< G, a divisor of H: so many heads share their B and C
  Index state_width = 128;  ///< K
  Index conv_taps = 4;
  double smallest_step = 0, largest_step = std::numeric_limits<double>::infinity();  ///< of Δ
  double norm_epsilon = 1e-5;

  /// All but the width, for those who list options.
  template <class Visitor>
  void visit(Visitor&& option) {
    option("heads", heads, "heads");
    option("head_width", head_width, "width of a head; 0: twice the width over the heads");
    option("groups", groups, "heads of one share their keys and queries");
    option("state_width", state_width, "width of a key");
    option("conv_taps", conv_taps, "taps of the short convolution");
    option("smallest_step", smallest_step, "of the step width");
    option("largest_step", largest_step, "of the step width");
    option("norm_epsilon", norm_epsilon, "of the output norm");
  }
  friend bool operator==(const Mamba2Config&, const Mamba2Config&) = default;

  Index inner_width() const { return heads * head_width; }
  /// Columns of B, and of C.
  Index key_width() const { return groups * state_width; }
  /// Columns of x | B | C.
  Index mixed_width() const { return inner_width() + 2 * key_width(); }
  /// Columns of z | x | B | C | Δ.
  Index projected_width() const { return inner_width() + mixed_width() + heads; }
  nn::GatedOutputConfig output() const {
    return {nn::NormKind::rms, inner_width() / groups, false, kernels::Activation::silu, true, norm_epsilon};
  }

  /// Puts in what zeros stand for. Throws Error, naming the option, for one that makes no layer.
  void resolve() {
    const std::string option = "Mamba-2 option ";
    domain::size(option + "width", width);
    domain::size(option + "heads", heads);
    if (head_width == 0) head_width = 2 * width / heads;
    domain::size(option + "head_width", head_width);
    domain::size(option + "state_width", state_width);
    domain::size(option + "conv_taps", conv_taps);
    domain::positive_float(option + "norm_epsilon", norm_epsilon);
    if (groups < 1 || heads % groups != 0)
      throw_unexpected(option + "groups", "a divisor of the " + std::to_string(heads) + " heads",
                       std::to_string(groups));
    domain::not_negative(option + "smallest_step", smallest_step);
    domain::require(largest_step > smallest_step, option + "largest_step",
                    "a number above smallest_step = " + domain::text(smallest_step), largest_step);
  }
  Fingerprint fingerprint() const { return {"Mamba-2", {width, heads, head_width, groups, state_width, conv_taps}}; }
};

/// Names as in the folders of mamba2.
template <class Element>
struct Mamba2Parameters {
  using Scalar = Element;

  Tensor<Scalar> input;  ///< rows z | x | B | C | Δ [2 H · V + 2 G · K + H × C]
  nn::ShortConvolutionParameters<Scalar> conv;
  nn::DecayParameters<Scalar> decay;
  Tensor<Scalar> skip;  ///< D [H]
  nn::GatedOutputParameters<Scalar> norm;
  Tensor<Scalar> output;  ///< [C × H · V]
  Fingerprint layer{};    ///< that they are of

  Mamba2Parameters() = default;
  Mamba2Parameters(const Mamba2Config& config, Fingerprint of)
      : input(nn::make_weight<Scalar>(config.projected_width(), config.width)),
        conv(config.mixed_width(), config.conv_taps, true, kernels::Activation::silu),
        decay(config.heads, config.heads),
        skip(Shape{config.heads}),
        norm(config.output(), config.inner_width()),
        output(nn::make_weight<Scalar>(config.width, config.inner_width())),
        layer(of) {}

  void visit(ParameterVisitor<Scalar> visitor) {
    visitor("in_proj.weight", input, parameter::projection);
    visit_nested(visitor, "conv1d.", conv);
    decay.visit(visitor);
    visitor("D", skip, parameter::one);
    visit_nested(visitor, "norm.", norm);
    visitor("out_proj.weight", output, parameter::projection);
  }
};

TTT_NAMESPACE_END
