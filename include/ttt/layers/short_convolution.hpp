// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <span>
#include <string>

#include "ttt/core/domain.hpp"
#include "ttt/core/lent_states.hpp"
#include "ttt/layers/call_checks.hpp"
#include "ttt/layers/sequence_layer.hpp"
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
class ShortConvolution {
 public:
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

  /// Throws Error, naming `name`, for sizes that make no layer.
  explicit ShortConvolution(const Config& config, const std::string& name = "short convolution")
      : config_(config),
        fingerprint_("short convolution",
                     {config.width, config.taps, config.bias, static_cast<Index>(config.activation)}) {
    domain::size(name + ": width", config.width);
    domain::size(name + ": taps of the convolution", config.taps);
    StateLayout layout(fingerprint_);
    layout.add(config.taps - 1, {{"tail", StateKind::tail, config.width}});
    state_layout_ = std::make_shared<const StateLayout>(std::move(layout));
  }

  const Config& config() const { return config_; }
  Index width() const { return config_.width; }
  Parameters make_parameters() const {
    return {{config_.width, config_.taps, config_.bias, config_.activation}, fingerprint_};
  }
  std::shared_ptr<const StateLayout> state_layout([[maybe_unused]] Index capacity = 0) const { return state_layout_; }
  State initial_state(const Parameters& parameters, [[maybe_unused]] Index capacity = 0) const {
    State state(state_layout_);
    reset(parameters, state);
    return state;
  }
  void reset(const Parameters& parameters, State& state) const {
    detail::check_reset(kind, *this, parameters, state);
    state.wipe();
    state.position = 0;
  }
  bool accepts(const Parameters& parameters) const {
    return parameters.layer == fingerprint_ && !parameters.weight.empty();
  }
  bool accepts_gradients(const Parameters& gradients) const { return gradients.layer == fingerprint_; }
  bool accepts(const State& state) const { return state.made_by(fingerprint_); }
  bool accepts(const Record& record) const { return record.call.layer() == fingerprint_; }
  std::size_t record_bytes([[maybe_unused]] Index tokens) const {
    return static_cast<std::size_t>(Arena::count([&](Arena& memory) { lay_out(1, memory); }));
  }

  void forward(const Parameters& parameters, MatrixView<const Scalar> x, Segments segments, MatrixView<Scalar> y,
               Context& context, Record* record = nullptr) const {
    Arena& scratch = context.scratch();
    detail::check_forward<ShortConvolution>(kind, *this, parameters, x, segments, y, scratch);
    const Arena::Frame frame(scratch);
    const SegmentPlan plan = record ? record->call.begin(segments) : plan_segments(segments, scratch);
    const auto hold = [&](Arena& memory) { return lay_out(plan.size(), memory); };
    const MatrixView<Scalar> initial_tails = record ? record->memory.lay_out_anew(hold) : hold(scratch);
    const auto tails = nn::conv_tails<Scalar>(
        segments, [&](State& state) { return tail(state); }, scratch);
    nn::convolution_tails<Scalar>(x, plan, tails, initial_tails, context);
    nn::short_convolution_forward<Scalar>(parameters, x, plan, initial_tails, y, context);
    advance_positions(segments);
    if (!record) return;
    record->x = x;
    record->initial_tails = initial_tails;
    record->call.end(fingerprint_);
  }
  void backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                Context& context) const {
    Arena& scratch = context.scratch();
    detail::check_backward(kind, *this, parameters, record, d_y, d_x, gradients, d_states, scratch);
    const Arena::Frame frame(scratch);
    const SegmentPlan plan = record.call.plan();
    const auto d_initial_tails = scratch.matrix<Scalar>(record.initial_tails.rows(), width());
    const auto d_tails = nn::conv_tails<Scalar>(
        plan, d_states, [&](State& state) { return tail(state); }, scratch);
    nn::short_convolution_backward<Scalar>(parameters, record.x, plan, record.initial_tails, d_y, d_x, d_initial_tails,
                                           gradients, context);
    nn::convolution_tails_backward<Scalar>(plan, d_tails, d_initial_tails, d_x, context);
  }

 private:
  static constexpr const char* kind = "short convolution";

  MatrixView<Scalar> tail(State& state) const { return {state.values.data(), config_.taps - 1, config_.width}; }
  MatrixView<Scalar> lay_out(std::size_t segments, Arena& memory) const {
    return memory.matrix<Scalar>(static_cast<Index>(segments) * (config_.taps - 1), config_.width);
  }

  Config config_;
  Fingerprint fingerprint_;
  std::shared_ptr<const StateLayout> state_layout_;
};

TTT_NAMESPACE_END
