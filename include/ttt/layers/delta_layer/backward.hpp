// SPDX-License-Identifier: MIT
#pragma once

#include <array>

#include "ttt/layers/delta_layer/forward.hpp"
#include "ttt/layers/delta_layer/layer.hpp"
#include "ttt/nn/projections.hpp"

TTT_NAMESPACE_BEGIN

/// Of the rule's rows, a query and a write for each head; of the others, the places of a forward.
template <class Element, class Options>
auto DeltaLayer<Element, Options>::lay_out_gradients(Index rows, Arena& memory) const -> Values {
  const Index heads = design_.value_heads, keys = heads * design_.key_width;
  const auto make = [&](Index columns) { return memory.matrix<Scalar>(rows, columns); };
  Values d;
  d.projected = make(design_.mixed_width());
  d.mixed = design_.conv_taps > 0 ? make(design_.mixed_width()) : d.projected;
  d.queries = make(keys), d.keys = make(keys);
  if (design_.has_gate) d.gate = {rows, design_.values(), design_.gate_rank, memory};
  if (design_.decay != DeltaGate::none) {
    d.steps = {rows, design_.decays(), design_.decay_rank, memory};
    d.decay = make(design_.decays());
  }
  if constexpr (erases) {
    d.logits = make(heads), d.rates = make(heads);
    d.erase = make(keys), d.written = make(design_.values());
  }
  d.inner = make(design_.values());
  return d;
}

template <class Element, class Options>
void DeltaLayer<Element, Options>::backward(const Parameters& parameters, const Record& record,
                                            MatrixView<const Scalar> d_y, MatrixView<Scalar> d_x, Parameters& gradients,
                                            std::span<State* const> d_states, Context& context) const {
  Arena& scratch = context.scratch();
  detail::check_backward(name, *this, parameters, record, d_y, d_x, gradients, d_states, scratch);
  const Arena::Frame frame(scratch);
  const Values& values = record.values;
  const Values d = lay_out_gradients(d_y.rows(), scratch);
  nn::gated_projection_backward<Scalar>({design_.output(), parameters.norm}, parameters.output, values.inner,
                                        values.gate.out, d_y, d.inner, d.gate.out, gradients.norm, gradients.output,
                                        context);
  if (design_.has_gate) nn::low_rank_backward<Scalar>(parameters.gate, values.gate, d.gate, gradients.gate, context);
  backward_rule(record, d, d_states, context);
  backward_decay(parameters, values, d, gradients, context);
  nn::in_pieces(d_y.rows(), context,
                [&](Index first, Index count, Context& own) { backward_rows(values, d, first, count, own); });
  backward_convolution(parameters, record, d, gradients, d_states, context);
  backward_maps(parameters, record.x, d, d_x, gradients, context);
}

template <class Element, class Options>
void DeltaLayer<Element, Options>::backward_rule(const Record& record, const Values& d,
                                                 std::span<State* const> d_states, Context& context) const {
  const auto d_places = rule_states<Scalar>(d_states, context.scratch());
  run_rule_backward<Rule>(
      {rule_, record.call.plan(), design_.value_heads, record.values.records}, d_places,
      [&](const PlannedSegment& segment, Index head) -> RuleBackwardViews<Rule> {
        return {{{}, rows(record.values, segment, head, design_.value_heads / design_.heads)},
                answers(d, segment, head),
                {{}, rows(d, segment, head, 1)}};
      },
      context);
}

/// From g to x W_aᵀ.
template <class Element, class Options>
void DeltaLayer<Element, Options>::backward_decay(const Parameters& parameters, const Values& values, const Values& d,
                                                  Parameters& gradients, Context& context) const {
  if (design_.decay == DeltaGate::none) return;
  if (design_.decay == DeltaGate::step_width) {
    nn::decay_backward<Scalar>(parameters.decay, values.steps.out, {}, {}, d.decay, d.steps.out, gradients.decay,
                               context);
  } else {
    nn::scale<Scalar>(1 / design_.decay_divisor, d.decay, d.decay, context);
    nn::activation_backward<Scalar>(kernels::Activation::log_sigmoid, values.steps.out, d.decay, d.steps.out, context);
  }
  nn::low_rank_backward<Scalar>(parameters.decay_map, values.steps, d.steps, gradients.decay_map, context);
}

/// From the rows of the rule to what the convolution gave and to x W_bᵀ.
template <class Element, class Options>
void DeltaLayer<Element, Options>::backward_rows(const Values& values, const Values& d, Index first, Index count,
                                                 Context& own) const {
  const Index keys = design_.keys(), width = design_.key_width;
  const auto part = [&](MatrixView<Scalar> all) { return all.rows(first, count); };
  const auto mixed = part(values.mixed), d_mixed = part(d.mixed);
  const auto q = mixed.columns(0, keys), k = mixed.columns(keys, keys);
  const auto d_q = d_mixed.columns(0, keys), d_k = d_mixed.columns(keys, keys);
  const double root = detail::delta_query_scale(width);
  if constexpr (erases) {
    const auto rates = part(values.rates), d_rates = part(d.rates);
    fill(d_rates, Scalar(0));
    fill(d_mixed, Scalar(0));
    nn::scale_heads_backward<Scalar>(rates, part(values.keys), part(d.erase), d_rates, d_k, own);
    nn::scale_heads_backward<Scalar>(rates, mixed.columns(2 * keys, design_.values()), part(d.written), d_rates,
                                     d_mixed.columns(2 * keys, design_.values()), own);
    nn::activation_backward<Scalar>(kernels::Activation::sigmoid, part(values.logits), d_rates, part(d.logits), own);
    if (design_.largest_rate != 1) nn::scale<Scalar>(design_.largest_rate, part(d.logits), part(d.logits), own);
    // The heads of a key share its query and its write, too.
    nn::add_heads<Scalar>(design_.value_heads, part(d.queries), d_q, own);
    nn::add_heads<Scalar>(design_.value_heads, part(d.keys), d_k, own);
    nn::l2_norm_backward<Scalar>(q, width, detail::delta_key_epsilon, root, d_q, d_q, own);
    nn::l2_norm_backward<Scalar>(k, width, detail::delta_key_epsilon, 1, d_k, d_k, own);
  } else {
    nn::scale<Scalar>(root, part(d.queries), part(d.queries), own);
    nn::activation_backward<Scalar>(design_.feature_map, q, part(d.queries), d_q, own);
    nn::activation_backward<Scalar>(design_.feature_map, k, part(d.keys), d_k, own);
  }
}

template <class Element, class Options>
void DeltaLayer<Element, Options>::backward_convolution(const Parameters& parameters, const Record& record,
                                                        const Values& d, Parameters& gradients,
                                                        std::span<State* const> d_states, Context& context) const {
  if (design_.conv_taps == 0) return;
  Arena& scratch = context.scratch();
  const Arena::Frame frame(scratch);
  const Values& values = record.values;
  const SegmentPlan plan = record.call.plan();
  const auto d_initial_tails = scratch.matrix<Scalar>(values.initial_tails.rows(), design_.mixed_width());
  const auto d_tails = nn::conv_tails<Scalar>(
      plan, d_states, [&](State& state) { return tail(state); }, scratch);
  std::size_t i = 0;
  detail::over_streams(parameters.streams(), [&](const auto& stream, Index column) {
    const auto part = [&](MatrixView<Scalar> all) { return all.columns(column, stream.columns()); };
    nn::short_convolution_backward<Scalar>(stream.conv, part(values.projected), plan, part(values.initial_tails),
                                           part(d.mixed), part(d.projected), part(d_initial_tails),
                                           gradients.streams()[i++].conv, context);
  });
  nn::convolution_tails_backward<Scalar>(plan, d_tails, d_initial_tails, d.projected, context);
}

/// q | k | v, β, and what there is of g and the gate: assigns d_x.
template <class Element, class Options>
void DeltaLayer<Element, Options>::backward_maps(const Parameters& parameters, MatrixView<const Scalar> x,
                                                 const Values& d, MatrixView<Scalar> d_x, Parameters& gradients,
                                                 Context& context) const {
  nn::ProjectionsBackward<Scalar> maps;
  std::array<MatrixView<Scalar>, 6> d_y;
  std::size_t count = 0;
  const auto add = [&](const Tensor<Scalar>& map, Tensor<Scalar>& gradient, MatrixView<Scalar> d_map) {
    maps.add({map, gradient}, context);
    d_y[count++] = d_map;
  };
  detail::over_streams(parameters.streams(), [&](const auto& stream, Index column) {
    add(stream.map, gradients.streams()[count].map, d.projected.columns(column, stream.columns()));
  });
  if constexpr (erases) add(parameters.rate, gradients.rate, d.logits);
  if (design_.decay != DeltaGate::none) add(parameters.decay_map.first, gradients.decay_map.first, d.steps.narrow);
  if (design_.has_gate) add(parameters.gate.first, gradients.gate.first, d.gate.narrow);
  const auto of_maps = [&](Index first, Index size) {
    std::array<MatrixView<const Scalar>, 6> part;
    for (std::size_t i = 0; i < count; ++i) part[i] = d_y[i].rows(first, size);
    return part;
  };
  nn::in_rounds(x.rows(), context, [&](Index first, Index size) {
    nn::in_pieces(size, context, [&](Index row, Index rows, Context& own) {
      maps.input(of_maps(first + row, rows), d_x.empty() ? d_x : d_x.rows(first + row, rows), own);
    });
    maps.weights(x.rows(first, size), of_maps(first, size), context);
  });
}

TTT_NAMESPACE_END
