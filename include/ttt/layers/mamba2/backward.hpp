// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/layers/mamba2/forward.hpp"
#include "ttt/layers/mamba2/layer.hpp"

TTT_NAMESPACE_BEGIN

template <class Element>
void Mamba2<Element>::backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                               MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                               Context& context) const {
  Arena& scratch = context.scratch();
  detail::check_backward(name, *this, parameters, record, d_y, d_x, gradients, d_states, scratch);
  const Arena::Frame frame(scratch);
  const Values& values = record.values;
  const Index rows = d_y.rows();
  const auto d_projected = scratch.matrix<Scalar>(rows, config_.projected_width());
  const auto d_mixed = scratch.zeros<Scalar>(rows, config_.mixed_width());
  const auto d_inner = scratch.matrix<Scalar>(rows, config_.inner_width());
  nn::gated_projection_backward<Scalar>({config_.output(), parameters.norm}, parameters.output, values.inner,
                                        gate(values.projected), d_y, d_inner, gate(d_projected), gradients.norm,
                                        gradients.output, context);

  nn::add_scaled_heads_backward<Scalar>(parameters.skip, inputs(values.mixed), d_inner, inputs(d_mixed), gradients.skip,
                                        context);
  backward_rule(parameters, record, d_inner, d_mixed, logits(d_projected), gradients, d_states, context);
  nn::convolve_segments_backward<Scalar>(
      parameters.conv, unmixed(values.projected), record.call.plan(), d_states,
      [&](State& state) { return tail(state); }, values.initial_tails, d_mixed, unmixed(d_projected), gradients.conv,
      context);
  nn::linear_backward<Scalar>(parameters.input, record.x, d_projected, d_x, gradients.input, context);
}

/// From the gradient of o: adds to d_mixed, assigns d_logits, turns d_states.
template <class Element>
void Mamba2<Element>::backward_rule(const Parameters& parameters, const Record& record, MatrixView<Scalar> d_inner,
                                    MatrixView<Scalar> d_mixed, MatrixView<Scalar> d_logits, Parameters& gradients,
                                    std::span<State* const> d_states, Context& context) const {
  Arena& scratch = context.scratch();
  const Values& values = record.values;
  const Index count = d_inner.rows(), keys = config_.heads * config_.state_width;
  const auto d_queries = scratch.matrix<Scalar>(count, keys), d_write = scratch.matrix<Scalar>(count, keys);
  const auto d_written = scratch.matrix<Scalar>(count, config_.inner_width());
  const auto d_decay = scratch.matrix<Scalar>(count, config_.heads),
             d_steps = scratch.zeros<Scalar>(count, config_.heads);
  const auto d_places = rule_states<Scalar>(d_states, scratch);
  run_rule_backward<Rule>(
      {rule_, record.call.plan(), config_.heads, values.records}, d_places,
      [&](const PlannedSegment& segment, Index head) -> RuleBackwardViews<Rule> {
        return {{{}, rows(values, segment, head)},
                of_group(d_inner, segment, head, config_.head_width),
                {{},
                 {of_group(d_queries, segment, head, config_.state_width),
                  {},
                  of_group(d_write, segment, head, config_.state_width),
                  of_group(d_written, segment, head, config_.head_width),
                  of_group(d_decay, segment, head, 1)}}};
      },
      context);
  nn::in_pieces(count, context, [&](Index first, Index size, Context& own) {
    const auto part = [&](MatrixView<Scalar> all) { return all.rows(first, size); };
    const auto mixed = part(values.mixed), d = part(d_mixed);
    nn::scale_heads_backward<Scalar>(part(values.steps), inputs(mixed), part(d_written), part(d_steps), inputs(d), own);
    // The heads of a group share its B and C.
    const Index width = config_.key_width(), begin = config_.inner_width();
    nn::add_heads<Scalar>(config_.heads, part(d_write), d.columns(begin, width), own);
    nn::add_heads<Scalar>(config_.heads, part(d_queries), d.columns(begin + width, width), own);
  });
  nn::decay_backward<Scalar>(parameters.decay, logits(values.projected), limits(), d_steps, d_decay, d_logits,
                             gradients.decay, context);
}

TTT_NAMESPACE_END
