// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>

#include "ttt/core/domain.hpp"
#include "ttt/core/lent_states.hpp"
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
class ShortConvolution : public FixedStateLayer<ShortConvolution<Element>, Element> {
  using Base = FixedStateLayer<ShortConvolution, Element>;

 public:
  static constexpr const char* name = "short convolution";
  using Scalar = Element;
  using Config = ShortConvolutionConfig;
  using State = ttt::State<Scalar>;
  using Segments = std::span<const Segment<State>>;

  struct Parameters : nn::ShortConvolutionParameters<Scalar> {
    Fingerprint layer{};  ///< that they are of
  };

  struct Record {
    RecordedCall call;
    MatrixView<const Scalar> x;
    Arena memory;
    MatrixView<Scalar> initial_tails;  ///< [segments · (taps − 1) × C]
  };

  /// Throws Error, naming it as `called`, for sizes that make no layer.
  explicit ShortConvolution(const Config& config, const std::string& called = name)
      : Base(Fingerprint("short convolution",
                         {config.width, config.taps, config.bias, static_cast<Index>(config.activation)})),
        config_(config) {
    domain::size(called + ": width", config.width);
    domain::size(called + ": taps of the convolution", config.taps);
    Base::lay_out_state([&](StateLayout& layout) {
      layout.add(config.taps - 1, {{"tail", StateKind::tail, config.width}});
    });
  }

  const Config& config() const { return config_; }
  Index width() const { return config_.width; }
  Parameters make_parameters() const {
    return {{config_.width, config_.taps, config_.bias, config_.activation}, fingerprint_};
  }
  bool accepts(const Parameters& parameters) const {
    return parameters.layer == fingerprint_ && !parameters.weight.empty();
  }
  using Base::accepts;
  std::size_t record_bytes([[maybe_unused]] Index tokens) const {
    return static_cast<std::size_t>(Arena::count([&](Arena& memory) { lay_out(1, memory); }));
  }

  void forward(const Parameters& parameters, MatrixView<const Scalar> x, Segments segments, MatrixView<Scalar> y,
               Context& context, Record* record = nullptr) const {
    Arena& scratch = context.scratch();
    detail::check_forward<ShortConvolution>(name, *this, parameters, x, segments, y, scratch);
    const Arena::Frame frame(scratch);
    const SegmentPlan plan = record ? record->call.begin(segments) : plan_segments(segments, scratch);
    const auto hold = [&](Arena& memory) { return lay_out(plan.size(), memory); };
    const MatrixView<Scalar> initial_tails = record ? record->memory.lay_out_anew(hold) : hold(scratch);
    nn::convolve_segments<Scalar>(
        parameters, x, segments, plan, [&](State& state) { return tail(state); }, initial_tails, y, context);
    advance_positions(segments);
    if (!record) return;
    record->x = x;
    record->initial_tails = initial_tails;
    record->call.end(fingerprint_);
  }
  void backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                Context& context) const {
    detail::check_backward(name, *this, parameters, record, d_y, d_x, gradients, d_states, context.scratch());
    nn::convolve_segments_backward<Scalar>(
        parameters, record.x, record.call.plan(), d_states, [&](State& state) { return tail(state); },
        record.initial_tails, d_y, d_x, gradients, context);
  }

 private:
  using Base::fingerprint_;

  MatrixView<Scalar> tail(State& state) const { return {state.values.data(), config_.taps - 1, config_.width}; }
  MatrixView<Scalar> lay_out(std::size_t segments, Arena& memory) const {
    return memory.matrix<Scalar>(static_cast<Index>(segments) * (config_.taps - 1), config_.width);
  }

  Config config_;
};

TTT_NAMESPACE_END
