// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cmath>

#include "ttt/layers/gated_delta_net/forward.hpp"
#include "ttt/layers/gated_delta_net/layer.hpp"
#include "ttt/nn/projections.hpp"

TTT_NAMESPACE_BEGIN

/// Of the rule's rows, a query and a write for each head; of the others, the places of a forward.
template <class Element>
auto GatedDeltaNet<Element>::lay_out_gradients(Index rows, Arena& memory) const -> Values {
  const Index heads = config_.value_heads, keys = heads * config_.key_width;
  const auto make = [&](Index columns) { return memory.matrix<Scalar>(rows, columns); };
  Values d;
  d.projected = make(config_.mixed_width()), d.mixed = make(config_.mixed_width());
  d.queries = make(keys), d.keys = make(keys), d.erase = make(keys);
  if (config_.gate) d.gate = make(config_.values());
  d.logits = make(heads), d.rates = make(heads);
  if (config_.decay) d.steps = make(heads), d.decay = make(heads);
  d.written = make(config_.values()), d.inner = make(config_.values());
  return d;
}

template <class Element>
void GatedDeltaNet<Element>::backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                                      MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                                      Context& context) const {
  Arena& scratch = context.scratch();
  detail::check_backward(name, *this, parameters, record, d_y, d_x, gradients, d_states, scratch);
  const Arena::Frame frame(scratch);
  const Values& values = record.values;
  const Index rows_of_call = d_y.rows(), keys = config_.keys(), width = config_.key_width;
  const SegmentPlan plan = record.call.plan();
  const Values d = lay_out_gradients(rows_of_call, scratch);

  nn::gated_projection_backward<Scalar>({config_.output(), parameters.norm}, parameters.output, values.inner,
                                        values.gate, d_y, d.inner, d.gate, gradients.norm, gradients.output, context);

  const auto d_places = rule_states<Scalar>(d_states, scratch);
  const auto of_head = [&](const PlannedSegment& segment, Index head) {
    const auto part = [&](MatrixView<Scalar> all, Index columns) {
      return all.empty() ? all : all.rows(segment.row, segment.length).columns(head * columns, columns);
    };
    return rules::DeltaRows<Scalar>{part(d.queries, width), part(d.erase, width), part(d.keys, width),
                                    part(d.written, config_.value_width), part(d.decay, 1)};
  };
  run_rule_backward<Rule>(
      {rule_, plan, config_.value_heads, values.records}, d_places,
      [&](const PlannedSegment& segment, Index head) -> RuleBackwardViews<Rule> {
        return {{{}, rows(values, segment, head)}, answers(d, segment, head), {{}, of_head(segment, head)}};
      },
      context);

  if (config_.decay)
    nn::decay_backward<Scalar>(parameters.decay, values.steps, {}, {}, d.decay, d.steps, gradients.decay, context);
  nn::in_pieces(rows_of_call, context, [&](Index first, Index count, Context& own) {
    const auto part = [&](MatrixView<Scalar> all) { return all.rows(first, count); };
    const auto mixed = part(values.mixed), d_mixed = part(d.mixed);
    const auto d_queries = d_mixed.columns(0, keys), d_keys = d_mixed.columns(keys, keys);
    const auto rates = part(values.rates), d_rates = part(d.rates);
    fill(d_rates, Scalar(0));
    fill(d_mixed, Scalar(0));
    nn::scale_heads_backward<Scalar>(rates, part(values.keys), part(d.erase), d_rates, d_keys, own);
    nn::scale_heads_backward<Scalar>(rates, mixed.columns(2 * keys, config_.values()), part(d.written), d_rates,
                                     d_mixed.columns(2 * keys, config_.values()), own);
    nn::activation_backward<Scalar>(kernels::Activation::sigmoid, part(values.logits), d_rates, part(d.logits), own);
    if (config_.negative_eigenvalues) nn::add<Scalar>(part(d.logits), part(d.logits), own);
    // The heads of a key share its query and its write, too.
    nn::add_heads<Scalar>(config_.value_heads, part(d.queries), d_queries, own);
    nn::add_heads<Scalar>(config_.value_heads, part(d.keys), d_keys, own);
    const double root = 1 / std::sqrt(static_cast<double>(width));
    nn::l2_norm_backward<Scalar>(mixed.columns(0, keys), width, detail::delta_key_epsilon, root, d_queries, d_queries,
                                 own);
    nn::l2_norm_backward<Scalar>(mixed.columns(keys, keys), width, detail::delta_key_epsilon, 1, d_keys, d_keys, own);
  });

  nn::convolve_segments_backward<Scalar>(
      parameters.conv, values.projected, plan, d_states, [&](State& state) { return tail(state); },
      values.initial_tails, d.mixed, d.projected, gradients.conv, context);

  backward_projections(parameters, record.x, d, d_x, gradients, context);
}

/// q | k | v, β, and what there is of Δ and the gate: assigns d_x.
template <class Element>
void GatedDeltaNet<Element>::backward_projections(const Parameters& parameters, MatrixView<const Scalar> x,
                                                  const Values& d, MatrixView<Scalar> d_x, Parameters& gradients,
                                                  Context& context) const {
  const nn::Projection<Scalar> step{parameters.step, gradients.step}, gate{parameters.gate, gradients.gate};
  const std::array<nn::Projection<Scalar>, 4> maps{
      {{parameters.mixed, gradients.mixed}, {parameters.rate, gradients.rate}, config_.decay ? step : gate, gate}};
  const auto used = static_cast<std::size_t>(2 + config_.decay + config_.gate);
  const nn::ProjectionsBackward<Scalar> projections(std::span<const nn::Projection<Scalar>>(maps).first(used), context);
  const auto of_maps = [&](Index first, Index count) {
    const auto part = [&](MatrixView<Scalar> all) { return all.empty() ? all : all.rows(first, count); };
    return std::array<MatrixView<const Scalar>, 4>{part(d.projected), part(d.logits),
                                                   part(config_.decay ? d.steps : d.gate), part(d.gate)};
  };
  nn::in_rounds(x.rows(), context, [&](Index first, Index count) {
    nn::in_pieces(count, context, [&](Index row, Index size, Context& own) {
      projections.input(of_maps(first + row, size), d_x.empty() ? d_x : d_x.rows(first + row, size), own);
    });
    projections.weights(x.rows(first, count), of_maps(first, count), context);
  });
}

TTT_NAMESPACE_END
