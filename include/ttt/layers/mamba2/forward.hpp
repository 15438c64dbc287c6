// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/lent_states.hpp"
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
  return {of_head(queries, segment, group, config_.state_width),
          {},
          of_head(keys, segment, group, config_.state_width),
          of_head(values.written, segment, head, config_.head_width),
          of_head(values.decay, segment, head, 1)};
}

template <class Element>
void Mamba2<Element>::forward(const Parameters& parameters, MatrixView<const Scalar> x, Segments segments,
                              MatrixView<Scalar> y, Context& context, Record* record) const {
  Arena& scratch = context.scratch();
  detail::check_forward<Mamba2>(name, *this, parameters, x, segments, y, scratch);
  const Arena::Frame frame(scratch);
  const SegmentPlan plan = record ? record->call.begin(segments) : plan_segments(segments, scratch);
  const auto hold = [&](Arena& memory) { return lay_out(plan, record != nullptr, memory); };
  const Values values = record ? record->memory.lay_out_anew(hold) : hold(scratch);
  nn::in_pieces(x.rows(), context, [&](Index first, Index count, Context& own) {
    const auto projected = values.projected.rows(first, count);
    nn::linear_forward<Scalar>(parameters.input, x.rows(first, count), projected, own);
    nn::decay_forward<Scalar>(parameters.decay, logits(projected), limits(), values.steps.rows(first, count),
                              values.decay.rows(first, count), own);
  });
  nn::convolve_segments<Scalar>(
      parameters.conv, unmixed(values.projected), segments, plan, [&](State& state) { return tail(state); },
      values.initial_tails, values.mixed, context);
  nn::in_pieces(x.rows(), context, [&](Index first, Index count, Context& own) {
    nn::scale_heads<Scalar>(values.steps.rows(first, count), inputs(values.mixed.rows(first, count)),
                            values.written.rows(first, count), own);
  });
  const auto states = rule_states<Scalar>(segments, scratch);
  run_rule<Rule>(
      {rule_, plan, config_.heads, values.records}, states,
      [&](const PlannedSegment& segment, Index head) -> RuleViews<Rule> {
        return {{{}, rows(values, segment, head)}, of_head(values.inner, segment, head, config_.head_width)};
      },
      context);
  nn::in_pieces(x.rows(), context, [&](Index first, Index count, Context& own) {
    nn::add_scaled_heads<Scalar>(parameters.skip, inputs(values.mixed.rows(first, count)),
                                 values.inner.rows(first, count), own);
  });
  nn::gated_projection_forward<Scalar>({config_.output(), parameters.norm}, parameters.output, values.inner,
                                       gate(values.projected), y, context);
  advance_positions(segments);
  if (!record) return;
  record->x = x;
  record->values = values;
  record->call.end(fingerprint_);
}

TTT_NAMESPACE_END
