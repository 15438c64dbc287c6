// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "ttt/core/lent_states.hpp"
#include "ttt/layers/gated_delta_net/layer.hpp"
#include "ttt/nn/activation.hpp"
#include "ttt/nn/l2_norm.hpp"
#include "ttt/nn/residual.hpp"
#include "ttt/nn/row_pieces.hpp"
#include "ttt/nn/scale_heads.hpp"

TTT_NAMESPACE_BEGIN

namespace detail {

/// What is added to the squares under the root of the l2 norms of q and k.
inline constexpr double delta_key_epsilon = 1e-6;

}  // namespace detail

template <class Element>
auto GatedDeltaNet<Element>::lay_out(SegmentPlan plan, bool recorded, Arena& memory) const -> Values {
  const Index rows = total_rows(plan), heads = config_.value_heads, segments = static_cast<Index>(plan.size());
  const auto make = [&](Index columns) { return memory.matrix<Scalar>(rows, columns); };
  Values values;
  values.projected = make(config_.mixed_width()), values.mixed = make(config_.mixed_width());
  values.queries = make(config_.keys()), values.keys = make(config_.keys());
  if (config_.gate) values.gate = make(config_.values());
  values.logits = make(heads), values.rates = make(heads);
  if (config_.decay) values.steps = make(heads), values.decay = make(heads);
  values.erase = make(heads * config_.key_width);
  values.written = make(config_.values()), values.inner = make(config_.values());
  values.initial_tails = memory.matrix<Scalar>(segments * (config_.conv_taps - 1), config_.mixed_width());
  if (recorded) values.records = lay_out_records(rule_, plan, heads, memory);
  return values;
}

template <class Element>
rules::DeltaRows<Element> GatedDeltaNet<Element>::rows(const Values& values, const PlannedSegment& segment,
                                                       Index head) const {
  const Index key = head / (config_.value_heads / config_.heads);
  const auto part = [&](MatrixView<Scalar> all, Index column, Index columns) {
    return all.empty() ? all : all.rows(segment.row, segment.length).columns(column * columns, columns);
  };
  return {part(values.queries, key, config_.key_width), part(values.erase, head, config_.key_width),
          part(values.keys, key, config_.key_width), part(values.written, head, config_.value_width),
          part(values.decay, head, 1)};
}

/// All that the rule and the gate read, but for the convolution between.
template <class Element>
void GatedDeltaNet<Element>::project(const Parameters& parameters, MatrixView<const Scalar> x, const Values& values,
                                     Context& context) const {
  nn::in_pieces(x.rows(), context, [&](Index first, Index count, Context& own) {
    const auto part = [&](MatrixView<Scalar> all) { return all.empty() ? all : all.rows(first, count); };
    const auto from = x.rows(first, count);
    nn::linear_forward<Scalar>(parameters.mixed, from, part(values.projected), own);
    if (config_.gate) nn::linear_forward<Scalar>(parameters.gate, from, part(values.gate), own);
    nn::linear_forward<Scalar>(parameters.rate, from, part(values.logits), own);
    nn::activation_forward<Scalar>(kernels::Activation::sigmoid, part(values.logits), part(values.rates), own);
    if (config_.negative_eigenvalues) nn::add<Scalar>(part(values.rates), part(values.rates), own);
    if (!config_.decay) return;
    nn::linear_forward<Scalar>(parameters.step, from, part(values.steps), own);
    nn::decay_forward<Scalar>(parameters.decay, part(values.steps), {}, {}, part(values.decay), own);
  });
}

template <class Element>
void GatedDeltaNet<Element>::forward(const Parameters& parameters, MatrixView<const Scalar> x, Segments segments,
                                     MatrixView<Scalar> y, Context& context, Record* record) const {
  Arena& scratch = context.scratch();
  detail::check_forward<GatedDeltaNet>(name, *this, parameters, x, segments, y, scratch);
  const Arena::Frame frame(scratch);
  const SegmentPlan plan = record ? record->call.begin(segments) : plan_segments(segments, scratch);
  const auto hold = [&](Arena& memory) { return lay_out(plan, record != nullptr, memory); };
  const Values values = record ? record->memory.lay_out_anew(hold) : hold(scratch);
  project(parameters, x, values, context);
  nn::convolve_segments<Scalar>(
      parameters.conv, values.projected, segments, plan, [&](State& state) { return tail(state); },
      values.initial_tails, values.mixed, context);
  nn::in_pieces(x.rows(), context, [&](Index first, Index count, Context& own) {
    const auto mixed = values.mixed.rows(first, count);
    const Index keys = config_.keys(), width = config_.key_width;
    const double root = 1 / std::sqrt(static_cast<double>(width));
    nn::l2_norm_forward<Scalar>(mixed.columns(0, keys), width, detail::delta_key_epsilon, root,
                                values.queries.rows(first, count), own);
    nn::l2_norm_forward<Scalar>(mixed.columns(keys, keys), width, detail::delta_key_epsilon, 1,
                                values.keys.rows(first, count), own);
    const auto rates = values.rates.rows(first, count);
    nn::scale_heads<Scalar>(rates, values.keys.rows(first, count), values.erase.rows(first, count), own);
    nn::scale_heads<Scalar>(rates, mixed.columns(2 * keys, config_.values()), values.written.rows(first, count), own);
  });
  const auto states = rule_states<Scalar>(segments, scratch);
  run_rule<Rule>(
      {rule_, plan, config_.value_heads, values.records}, states,
      [&](const PlannedSegment& segment, Index head) -> RuleViews<Rule> {
        return {{{}, rows(values, segment, head)}, answers(values, segment, head)};
      },
      context);
  nn::gated_projection_forward<Scalar>({config_.output(), parameters.norm}, parameters.output, values.inner,
                                       values.gate, y, context);
  advance_positions(segments);
  if (!record) return;
  record->x = x;
  record->values = values;
  record->call.end(fingerprint_);
}

TTT_NAMESPACE_END
