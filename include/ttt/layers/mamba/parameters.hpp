// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <string>

#include "ttt/core/domain.hpp"
#include "ttt/core/fingerprint.hpp"
#include "ttt/nn/linear.hpp"
#include "ttt/nn/short_convolution.hpp"

TTT_NAMESPACE_BEGIN

struct MambaConfig {
  Index width = 0;         ///< C
  Index inner_width = 0;   ///< I, twice C as a rule
  Index state_width = 16;  ///< K numbers for each channel
  Index step_rank = 0;     ///< R of the map that step widths come from; 0: C / 16, rounded up
  Index conv_taps = 4;

  Index rank() const { return step_rank == 0 ? (width + 15) / 16 : step_rank; }
  /// Columns of Δ | B | C.
  Index selected_width() const { return rank() + 2 * state_width; }
  /// Channels that are scanned together; the state has theirs side by side.
  Index channels() const { return inner_width % 64 == 0 ? 64 : inner_width; }
  Index groups() const { return inner_width / channels(); }

  /// Throws Error, naming the option, for one that makes no layer.
  void check() const {
    const std::string option = "Mamba option ";
    domain::size(option + "width", width);
    domain::size(option + "inner_width", inner_width);
    domain::size(option + "state_width", state_width);
    domain::size(option + "step_rank", rank());
    domain::size(option + "conv_taps", conv_taps);
  }
};

/// Names as in the folders of mamba.
template <class Element>
struct MambaParameters {
  using Scalar = Element;

  Tensor<Scalar> input;  ///< rows x | z [2I × C]
  nn::ShortConvolutionParameters<Scalar> conv;
  Tensor<Scalar> selection;               ///< rows Δ | B | C [R + 2K × I]
  Tensor<Scalar> step_weight, step_bias;  ///< [I × R], [I]
  Tensor<Scalar> log_rate;                ///< log −A [I × K]
  Tensor<Scalar> skip;                    ///< D [I]
  Tensor<Scalar> output;                  ///< [C × I]
  Fingerprint layer{};                    ///< that they are of

  MambaParameters() = default;
  MambaParameters(const MambaConfig& config, Fingerprint of)
      : input(nn::make_weight<Scalar>(2 * config.inner_width, config.width)),
        conv(config.inner_width, config.conv_taps, true, kernels::Activation::silu),
        selection(nn::make_weight<Scalar>(config.selected_width(), config.inner_width)),
        step_weight(nn::make_weight<Scalar>(config.inner_width, config.rank())),
        step_bias(Shape{config.inner_width}),
        log_rate(Shape{config.inner_width, config.state_width}),
        skip(Shape{config.inner_width}),
        output(nn::make_weight<Scalar>(config.width, config.inner_width)),
        layer(of) {}

  void visit(ParameterVisitor<Scalar> visitor) {
    const double rank = static_cast<double>(step_weight.shape()[1]);
    visitor("in_proj.weight", input, parameter::projection);
    visit_nested(visitor, "conv1d.", conv);
    visitor("x_proj.weight", selection, parameter::projection);
    visitor("dt_proj.weight", step_weight, {parameter::draw::uniform, 1 / std::sqrt(rank), true});
    visitor("dt_proj.bias", step_bias, parameter::step_bias);
    visitor("A_log", log_rate, parameter::log_positions(log_rate.shape()[1]));
    visitor("D", skip, parameter::one);
    visitor("out_proj.weight", output, parameter::projection);
  }
};

TTT_NAMESPACE_END
