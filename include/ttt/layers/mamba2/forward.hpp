// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/layers/mamba2/layer.hpp"
#include "ttt/nn/row_pieces.hpp"
#include "ttt/nn/scale_heads.hpp"

TTT_NAMESPACE_BEGIN

template <class Element>
auto Mamba2<Element>::lay_out(SegmentPlan plan, bool recorded, Arena& memory) const -> Values {
  const Index rows = total_rows(plan), segments = static_cast<Index>(plan.size());
  Values values;
  values.projected = memory.matrix<Scalar>(rows, config_.projected_width());
  values.mixed = memory.matrix<Scalar>(rows, config_.mixed_width());
  values.steps = memory.matrix<Scalar>(rows, config_.heads), values.decay = memory.matrix<Scalar>(rows, config_.heads);
  values.written = memory.matrix<Scalar>(rows, config_.inner_width());
  values.inner = memory.matrix<Scalar>(rows, config_.inner_width());
  values.initial_tails = memory.matrix<Scalar>(segments * (config_.conv_taps - 1), config_.mixed_width());
  if (recorded) values.records = lay_out_records(rule_, plan, config_.heads, memory);
  return values;
}

template <class Element>
rules::DeltaRows<Element> Mamba2<Element>::rows(const Values& values, const PlannedSegment& segment, Index head) const {
  const Index group = head / (config_.heads / config_.groups);
  const auto keys = values.mixed.columns(config_.inner_width(), config_.key_width());
  const auto queries = values.mixed.columns(config_.inner_width() + config_.key_width(), config_.key_width());
  return {of_group(queries, segment, group, config_.state_width),
          {},
          of_group(keys, segment, group, config_.state_width),
          of_group(values.written, segment, head, config_.head_width),
          of_group(values.decay, segment, head, 1)};
}

template <class Element>
void Mamba2<Element>::run(const Parameters& parameters, const LayerCall<Scalar>& call, Values& values,
                          Context& context) const {
  nn::in_pieces(call.x.rows(), context, [&](Index first, Index count, Context& own) {
    const auto projected = values.projected.rows(first, count);
    nn::linear_forward<Scalar>(parameters.input, call.x.rows(first, count), projected, own);
    nn::decay_forward<Scalar>(parameters.decay, logits(projected), limits(), values.steps.rows(first, count),
                              values.decay.rows(first, count), own);
  });
  nn::convolve_segments<Scalar>(
      parameters.conv, unmixed(values.projected), call.segments, call.plan, [&](State& state) { return tail(state); },
      values.initial_tails, values.mixed, context);
  nn::in_pieces(call.x.rows(), context, [&](Index first, Index count, Context& own) {
    nn::scale_heads<Scalar>(values.steps.rows(first, count), inputs(values.mixed.rows(first, count)),
                            values.written.rows(first, count), own);
  });
  const auto states = rule_states<Scalar>(call.segments, context.scratch());
  run_rule<Rule>(
      {rule_, call.plan, config_.heads, values.records}, states,
      [&](const PlannedSegment& segment, Index head) -> RuleViews<Rule> {
        return {{{}, rows(values, segment, head)}, of_group(values.inner, segment, head, config_.head_width)};
      },
      context);
  nn::in_pieces(call.x.rows(), context, [&](Index first, Index count, Context& own) {
    nn::add_scaled_heads<Scalar>(parameters.skip, inputs(values.mixed.rows(first, count)),
                                 values.inner.rows(first, count), own);
  });
  nn::gated_projection_forward<Scalar>({config_.output(), parameters.norm}, parameters.output, values.inner,
                                       gate(values.projected), call.y, context);
}

TTT_NAMESPACE_END
