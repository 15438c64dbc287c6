// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>

#include "ttt/core/domain.hpp"
#include "ttt/layers/fixed_state_layer.hpp"
#include "ttt/nn/short_convolution.hpp"

TTT_NAMESPACE_BEGIN

struct ShortConvolutionConfig {
  Index width = 0;  ///< C
  Index taps = 4;
  bool bias = true;
  kernels::Activation activation = kernels::Activation::none;
};

/// y[t] = f(bias + Σ_j weight[:, j] ∘ x[t − taps + 1 + j]): the depthwise causal convolution in front of each block of
/// the mamba backbone (Sun et al. 2024, arXiv 2407.04620, section 2.8), as a layer of its own.
///
/// Models TrainableSequenceLayer. State: "tail", the inputs before the next token [(taps − 1) × C].
template <class Element>
class ShortConvolution : public FixedStateLayer<ShortConvolution<Element>, Element, ShortConvolutionConfig> {
  using Base = FixedStateLayer<ShortConvolution, Element, ShortConvolutionConfig>;

 public:
  static constexpr const char* name = "short convolution";
  using Scalar = Element;
  using Config = ShortConvolutionConfig;
  using State = ttt::State<Scalar>;

  struct Parameters : nn::ShortConvolutionParameters<Scalar> {
    Fingerprint layer{};  ///< that they are of
  };

  using Values = MatrixView<Scalar>;  ///< the initial tails [segments · (taps − 1) × C]
  using Record = LayerRecord<Scalar, Values>;

  /// Throws Error, naming it as `called`, for sizes that make no layer.
  explicit ShortConvolution(const Config& config, const std::string& called = name)
      : Base(config, Fingerprint("short convolution",
                                 {config.width, config.taps, config.bias, static_cast<Index>(config.activation)})) {
    domain::size(called + ": width", config.width);
    domain::size(called + ": taps of the convolution", config.taps);
    Base::lay_out_state([&](StateLayout& layout) {
      layout.add(config.taps - 1, {{"tail", StateKind::tail, config.width}});
    });
  }

  Parameters make_parameters() const {
    return {{config_.width, config_.taps, config_.bias, config_.activation}, Base::fingerprint_};
  }
  bool accepts(const Parameters& parameters) const {
    return parameters.layer == Base::fingerprint_ && !parameters.weight.empty();
  }
  using Base::accepts;
  void backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                Context& context) const {
    detail::check_backward(name, *this, parameters, record, d_y, d_x, gradients, d_states, context.scratch());
    nn::convolve_segments_backward<Scalar>(
        parameters, record.x, record.call.plan(), d_states, [&](State& state) { return tail(state); }, record.values,
        d_y, d_x, gradients, context);
  }

 private:
  friend Base;
  using Base::config_;

  MatrixView<Scalar> tail(State& state) const { return {state.values.data(), config_.taps - 1, config_.width}; }
  Values lay_out(SegmentPlan plan, bool, Arena& memory) const {
    return memory.matrix<Scalar>(static_cast<Index>(plan.size()) * (config_.taps - 1), config_.width);
  }
  void run(const Parameters& parameters, const LayerCall<Scalar>& call, const Values& initial_tails,
           Context& context) const {
    nn::convolve_segments<Scalar>(
        parameters, call.x, call.segments, call.plan, [&](State& state) { return tail(state); }, initial_tails, call.y,
        context);
  }
};

TTT_NAMESPACE_END
