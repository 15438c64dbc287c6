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
  Index inner_width = 0;   ///< I; 0: 2C
  Index state_width = 16;  ///< K numbers for each channel
  Index step_rank = 0;     ///< R of the map that step widths come from; 0: C / 16, rounded up
  Index conv_taps = 4;

  /// All but the width, for those who list options.
  template <class Visitor>
  void visit(Visitor&& option) {
    option("inner_width", inner_width, "channels that are scanned; 0: twice the width");
    option("state_width", state_width, "numbers that a channel remembers");
    option("step_rank", step_rank, "rank of the map to step widths; 0: a 16th of the width");
    option("conv_taps", conv_taps, "taps of the short convolution");
  }
  friend bool operator==(const MambaConfig&, const MambaConfig&) = default;

  /// Columns of Δ | B | C.
  Index selected_width() const { return step_rank + 2 * state_width; }
  /// Channels that are scanned together; the state has theirs side by side.
  Index channels() const { return inner_width % 64 == 0 ? 64 : inner_width; }
  Index groups() const { return inner_width / channels(); }

  /// Puts in what zeros stand for. Throws Error, naming the option, for one that makes no layer.
  void resolve() {
    const std::string option = "Mamba option ";
    domain::size(option + "width", width);
    if (inner_width == 0) inner_width = 2 * width;
    if (step_rank == 0) step_rank = (width + 15) / 16;
    domain::size(option + "inner_width", inner_width);
    domain::size(option + "state_width", state_width);
    domain::size(option + "step_rank", step_rank);
    domain::size(option + "conv_taps", conv_taps);
  }
  Fingerprint fingerprint() const { return {"Mamba", {width, inner_width, state_width, step_rank, conv_taps}}; }
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
        step_weight(nn::make_weight<Scalar>(config.inner_width, config.step_rank)),
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
