// SPDX-License-Identifier: MIT
#pragma once

#include <span>

#include "ttt/core/domain.hpp"
#include "ttt/layers/fixed_state_layer.hpp"
#include "ttt/layers/gated_short_convolution/parameters.hpp"
#include "ttt/layers/layer.hpp"
#include "ttt/nn/row_pieces.hpp"

TTT_NAMESPACE_BEGIN

/// y = (C ∘ conv(B ∘ u)) W_outᵀ with B | C | u = x W_inᵀ: a convolution between two gates that do without activations
/// (Liquid AI 2025, "LFM2 technical report", arXiv 2511.23404, section 2; `Lfm2ShortConv` of transformers).
///
/// Models TrainableSequenceLayer. State: "conv", what the convolution read before the next token [(taps − 1) × C].
template <class Element>
class GatedShortConvolution
    : public FixedStateLayer<GatedShortConvolution<Element>, Element, GatedShortConvolutionConfig> {
  using Base = FixedStateLayer<GatedShortConvolution, Element, GatedShortConvolutionConfig>;

 public:
  static constexpr const char* name = "gated short convolution";
  using Scalar = Element;
  using Config = GatedShortConvolutionConfig;
  using Parameters = GatedShortConvolutionParameters<Scalar>;
  using State = ttt::State<Scalar>;

  /// What a call holds until its end, and for a backward.
  struct Values {
    MatrixView<Scalar> projected;     ///< B | C | u [N × 3C]
    MatrixView<Scalar> gated, mixed;  ///< in front of the convolution and behind it [N × C]
    MatrixView<Scalar> initial_tails;
  };
  using Record = LayerRecord<Scalar, Values>;
  using Base::width;

  /// Throws Error for a configuration that makes no layer.
  explicit GatedShortConvolution(const Config& config)
      : Base(config, Fingerprint(name, {config.width, config.conv_taps})) {
    domain::size("gated short convolution option width", config.width);
    domain::size("gated short convolution option conv_taps", config.conv_taps);
    Base::lay_out_state([&](StateLayout& layout) {
      layout.add(config.conv_taps - 1, {{"conv", StateKind::tail, config.width}});
    });
  }

  Parameters make_parameters() const {
    return {nn::make_weight<Scalar>(3 * width(), width()),
            {width(), config_.conv_taps, false},
            nn::make_weight<Scalar>(width(), width()),
            {},
            Base::fingerprint_};
  }

  void backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                Context& context) const {
    Arena& scratch = context.scratch();
    detail::check_backward(name, *this, parameters, record, d_y, d_x, gradients, d_states, scratch);
    const Arena::Frame frame(scratch);
    const Values& values = record.values;
    const auto d_projected = scratch.matrix<Scalar>(d_y.rows(), 3 * width());
    const auto d_mixed = scratch.matrix<Scalar>(d_y.rows(), width()), d_gated = column(d_projected, 2);
    nn::gated_projection_backward<Scalar>(gate(parameters), parameters.output, values.mixed,
                                          column(values.projected, 1), d_y, d_mixed, column(d_projected, 1),
                                          gradients.norm, gradients.output, context);
    nn::convolve_segments_backward<Scalar>(
        parameters.conv, values.gated, record.call.plan(), d_states, [&](State& state) { return tail(state); },
        values.initial_tails, d_mixed, d_gated, gradients.conv, context);
    gate(parameters)
        .backward(column(values.projected, 2), column(values.projected, 0), d_gated, d_gated, column(d_projected, 0),
                  gradients.norm, {}, context);
    nn::linear_backward<Scalar>(parameters.input, record.x, d_projected, d_x, gradients.input, context);
  }

 private:
  friend Base;
  using Base::config_;

  /// A product with what stands for a gate, without a norm.
  static nn::GatedOutput<Scalar> gate(const Parameters& parameters) {
    return {{.norm = nn::NormKind::none, .activation = kernels::Activation::none}, parameters.norm};
  }
  /// B, C or u.
  MatrixView<Scalar> column(MatrixView<Scalar> projected, Index which) const {
    return projected.columns(which * width(), width());
  }
  MatrixView<Scalar> tail(State& state) const { return Base::last_rows(state, config_.conv_taps - 1, width()); }
  Values lay_out(SegmentPlan plan, bool, Arena& memory) const {
    const Index rows = total_rows(plan), segments = static_cast<Index>(plan.size());
    Values values;
    values.projected = memory.matrix<Scalar>(rows, 3 * width());
    values.gated = memory.matrix<Scalar>(rows, width()), values.mixed = memory.matrix<Scalar>(rows, width());
    values.initial_tails = memory.matrix<Scalar>(segments * (config_.conv_taps - 1), width());
    return values;
  }
  void run(const Parameters& parameters, const LayerCall<Scalar>& call, Values& values, Context& context) const {
    nn::in_pieces(call.x.rows(), context, [&](Index first, Index count, Context& own) {
      const auto projected = values.projected.rows(first, count);
      nn::linear_forward<Scalar>(parameters.input, call.x.rows(first, count), projected, own);
      gate(parameters).forward(column(projected, 2), column(projected, 0), values.gated.rows(first, count), own);
    });
    nn::convolve_segments<Scalar>(
        parameters.conv, values.gated, call.segments, call.plan, [&](State& state) { return tail(state); },
        values.initial_tails, values.mixed, context);
    nn::gated_projection_forward<Scalar>(gate(parameters), parameters.output, values.mixed, column(values.projected, 1),
                                         call.y, context);
  }
};

static_assert(TrainableSequenceLayer<GatedShortConvolution<float>>);

TTT_NAMESPACE_END
