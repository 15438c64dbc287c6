// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/layers/mamba/forward.hpp"
#include "ttt/layers/mamba/layer.hpp"

TTT_NAMESPACE_BEGIN

template <class Element>
void Mamba<Element>::backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                              MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                              Context& context) const {
  Arena& scratch = context.scratch();
  detail::check_backward(name, *this, parameters, record, d_y, d_x, gradients, d_states, scratch);
  const Arena::Frame frame(scratch);
  const Values& values = record.values;
  const Index rows = d_y.rows(), inner = config_.inner_width;
  const auto d_projected = scratch.matrix<Scalar>(rows, 2 * inner), d_mixed = scratch.zeros<Scalar>(rows, inner);
  const auto d_selected = scratch.matrix<Scalar>(rows, config_.selected_width());
  const auto d_inner = scratch.matrix<Scalar>(rows, inner);
  nn::GatedOutputParameters<Scalar> no_norm;
  nn::gated_projection_backward<Scalar>({detail::mamba_output, no_norm}, parameters.output, values.inner,
                                        gate(values.projected), d_y, d_inner, gate(d_projected), no_norm,
                                        gradients.output, context);

  nn::add_scaled_heads_backward<Scalar>(parameters.skip, values.mixed, d_inner, d_mixed, gradients.skip, context);
  backward_rule(parameters, record, d_inner, d_mixed, d_selected, gradients, d_states, context);
  nn::linear_backward<Scalar>(parameters.selection, values.mixed, d_selected, d_mixed, gradients.selection, context,
                              kernels::Output::accumulate);
  nn::convolve_segments_backward<Scalar>(
      parameters.conv, unmixed(values.projected), record.call.plan(), d_states,
      [&](State& state) { return tail(state); }, values.initial_tails, d_mixed, unmixed(d_projected), gradients.conv,
      context);
  nn::linear_backward<Scalar>(parameters.input, record.x, d_projected, d_x, gradients.input, context);
}

/// From the gradient of o: adds to d_mixed, assigns d_selected, turns d_states.
template <class Element>
void Mamba<Element>::backward_rule(const Parameters& parameters, const Record& record, MatrixView<Scalar> d_inner,
                                   MatrixView<Scalar> d_mixed, MatrixView<Scalar> d_selected, Parameters& gradients,
                                   std::span<State* const> d_states, Context& context) const {
  Arena& scratch = context.scratch();
  const Values& values = record.values;
  const Index count = d_inner.rows(), groups = config_.groups(), channels = config_.channels();
  const Index states = config_.state_width;
  const auto d_values = scratch.matrix<Scalar>(count, config_.inner_width);
  const auto d_steps = scratch.matrix<Scalar>(count, config_.inner_width);
  // What each group says of the B and C that all share.
  const auto d_input = scratch.matrix<Scalar>(count, groups * states);
  const auto d_output = scratch.matrix<Scalar>(count, groups * states);
  const auto d_places = rule_states<Scalar>(d_states, scratch);
  run_rule_backward<Rule>(
      {rule_, record.call.plan(), groups, values.records}, d_places,
      [&](const PlannedSegment& segment, Index group) -> RuleBackwardViews<Rule> {
        return {input(values, segment, group),
                of_group(d_inner, segment, group, channels),
                {{},
                 {of_group(d_values, segment, group, channels), of_group(d_steps, segment, group, channels),
                  of_group(d_input, segment, group, states), of_group(d_output, segment, group, states)}}};
      },
      [&](Index group, const Scalar* d_rates) {  // d A_log = d A ∘ A
        if (gradients.log_rate.empty()) return;
        for (Index c = 0; c < channels; ++c)
          for (Index n = 0; n < states; ++n)
            gradients.log_rate[(group * channels + c) * states + n] +=
                d_rates[n * channels + c] * values.rates(group * states + n, c);
      },
      context);
  nn::add(d_values, d_mixed, context);
  fill(d_selected, Scalar(0));
  nn::in_pieces(count, context, [&](Index first, Index size, Context& own) {
    const auto d = d_selected.rows(first, size);
    nn::add_heads<Scalar>(groups, d_input.rows(first, size), input_columns(d), own);
    nn::add_heads<Scalar>(groups, d_output.rows(first, size), output_columns(d), own);
  });
  nn::DecayParameters<Scalar> step, d_step;
  step.bias = parameters.step_bias, d_step.bias = gradients.step_bias;
  nn::decay_backward<Scalar>(step, values.logits, {}, d_steps, {}, d_steps, d_step, context);
  nn::linear_backward<Scalar>(parameters.step_weight, narrow_steps(values.selected), d_steps, narrow_steps(d_selected),
                              gradients.step_weight, context);
}

TTT_NAMESPACE_END
