// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/layers/mamba/layer.hpp"
#include "ttt/nn/decay.hpp"
#include "ttt/nn/gated_output.hpp"
#include "ttt/nn/residual.hpp"
#include "ttt/nn/row_pieces.hpp"
#include "ttt/nn/scale_heads.hpp"

TTT_NAMESPACE_BEGIN

namespace detail {

/// What stands behind the scan: no norm, silu as gate.
inline constexpr nn::GatedOutputConfig mamba_output{nn::NormKind::none};

}  // namespace detail

template <class Element>
auto Mamba<Element>::lay_out(SegmentPlan plan, bool recorded, Arena& memory) const -> Values {
  const Index rows = total_rows(plan), inner = config_.inner_width, segments = static_cast<Index>(plan.size());
  Values values;
  values.projected = memory.matrix<Scalar>(rows, 2 * inner), values.mixed = memory.matrix<Scalar>(rows, inner);
  values.selected = memory.matrix<Scalar>(rows, config_.selected_width());
  values.logits = memory.matrix<Scalar>(rows, inner), values.steps = memory.matrix<Scalar>(rows, inner);
  values.inner = memory.matrix<Scalar>(rows, inner);
  values.rates = memory.matrix<Scalar>(config_.groups() * config_.state_width, config_.channels());
  values.initial_tails = memory.matrix<Scalar>(segments * (config_.conv_taps - 1), inner);
  if (recorded) values.records = lay_out_records(rule_, plan, config_.groups(), memory);
  return values;
}

template <class Element>
auto Mamba<Element>::input(const Values& values, const PlannedSegment& segment, Index group) const ->
    typename Rule::Input {
  const Index channels = config_.channels(), states = config_.state_width;
  return {values.rates.rows(group * states, states),
          rules::ScanRows<Scalar>{of_group(values.mixed, segment, group, channels),
                                  of_group(values.steps, segment, group, channels),
                                  of_group(input_columns(values.selected), segment, 0, states),
                                  of_group(output_columns(values.selected), segment, 0, states)}};
}

/// δ | B | C, Δ and A of what the convolution gave.
template <class Element>
void Mamba<Element>::select(const Parameters& parameters, const Values& values, Context& context) const {
  nn::in_pieces(values.mixed.rows(), context, [&](Index first, Index count, Context& own) {
    const auto selected = values.selected.rows(first, count), logits = values.logits.rows(first, count);
    nn::linear_forward<Scalar>(parameters.selection, values.mixed.rows(first, count), selected, own);
    nn::linear_forward<Scalar>(parameters.step_weight, narrow_steps(selected), logits, own);
    nn::DecayParameters<Scalar> step;
    step.bias = parameters.step_bias;
    nn::decay_forward<Scalar>(step, logits, {}, values.steps.rows(first, count), {}, own);
  });
  const Index channels = config_.channels(), states = config_.state_width;
  context.parallel(config_.groups(), rule_.token_work() * config_.groups(), [&](Index group, Arena&) {
    context.call<KernelId::scan_rates, Scalar, &kernels::scan_rates<simd::Native, Scalar>>(
        parameters.log_rate.matrix().rows(group * channels, channels), values.rates.rows(group * states, states));
  });
}

template <class Element>
void Mamba<Element>::run(const Parameters& parameters, const LayerCall<Scalar>& call, Values& values,
                         Context& context) const {
  nn::linear_forward<Scalar>(parameters.input, call.x, values.projected, context);
  nn::convolve_segments<Scalar>(
      parameters.conv, unmixed(values.projected), call.segments, call.plan, [&](State& state) { return tail(state); },
      values.initial_tails, values.mixed, context);
  select(parameters, values, context);
  const auto states = rule_states<Scalar>(call.segments, context.scratch());
  run_rule<Rule>(
      {rule_, call.plan, config_.groups(), values.records}, states,
      [&](const PlannedSegment& segment, Index group) -> RuleViews<Rule> {
        return {input(values, segment, group), of_group(values.inner, segment, group, config_.channels())};
      },
      context);
  nn::in_pieces(call.x.rows(), context, [&](Index first, Index count, Context& own) {
    nn::add_scaled_heads<Scalar>(parameters.skip, values.mixed.rows(first, count), values.inner.rows(first, count),
                                 own);
  });
  const nn::GatedOutputParameters<Scalar> no_norm;
  nn::gated_projection_forward<Scalar>({detail::mamba_output, no_norm}, parameters.output, values.inner,
                                       gate(values.projected), call.y, context);
}

TTT_NAMESPACE_END
