// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "ttt/layers/delta_layer/layer.hpp"
#include "ttt/nn/activation.hpp"
#include "ttt/nn/l2_norm.hpp"
#include "ttt/nn/residual.hpp"
#include "ttt/nn/row_pieces.hpp"
#include "ttt/nn/scale_heads.hpp"

TTT_NAMESPACE_BEGIN

namespace detail {

/// What is added to the squares under the root of the l2 norms of q and k.
inline constexpr double delta_key_epsilon = 1e-6;

/// 1 / √K.
inline double delta_query_scale(Index key_width) { return 1 / std::sqrt(static_cast<double>(key_width)); }

/// Calls use(stream, first of its columns).
template <class Streams, class Use>
void over_streams(const Streams& streams, Use&& use) {
  Index first = 0;
  for (auto& stream : streams) {
    use(stream, first);
    first += stream.columns();
  }
}

}  // namespace detail

template <class Element, class Options>
auto DeltaLayer<Element, Options>::lay_out(SegmentPlan plan, bool recorded, Arena& memory) const -> Values {
  const Index rows = total_rows(plan), heads = design_.value_heads, segments = static_cast<Index>(plan.size());
  const auto make = [&](Index columns) { return memory.matrix<Scalar>(rows, columns); };
  Values values;
  values.projected = make(design_.mixed_width());
  values.mixed = design_.conv_taps > 0 ? make(design_.mixed_width()) : values.projected;
  values.queries = make(design_.keys()), values.keys = make(design_.keys());
  if (design_.has_gate) values.gate = {rows, design_.values(), design_.gate_rank, memory};
  if (design_.decay != DeltaGate::none) {
    values.steps = {rows, design_.decays(), design_.decay_rank, memory};
    values.decay = make(design_.decays());
  }
  if constexpr (erases) {
    values.logits = make(heads), values.rates = make(heads);
    values.erase = make(heads * design_.key_width), values.written = make(design_.values());
  }
  values.inner = make(design_.values());
  values.initial_tails = memory.matrix<Scalar>(segments * design_.tail_rows(), design_.mixed_width());
  if (recorded) values.records = lay_out_records(rule_, plan, heads, memory);
  return values;
}

/// All that comes from x alone.
template <class Element, class Options>
void DeltaLayer<Element, Options>::project(const Parameters& parameters, MatrixView<const Scalar> x,
                                           const Values& values, Context& context) const {
  nn::in_pieces(x.rows(), context, [&](Index first, Index count, Context& own) {
    const auto part = [&](MatrixView<Scalar> all) { return all.rows(first, count); };
    const auto from = x.rows(first, count);
    detail::over_streams(parameters.streams(), [&](const auto& stream, Index column) {
      nn::linear_forward<Scalar>(stream.map, from, part(values.projected).columns(column, stream.columns()), own);
    });
    if (design_.has_gate) nn::low_rank_forward<Scalar>(parameters.gate, from, values.gate.rows(first, count), own);
    if constexpr (erases) {
      nn::linear_forward<Scalar>(parameters.rate, from, part(values.logits), own);
      nn::activation_forward<Scalar>(kernels::Activation::sigmoid, part(values.logits), part(values.rates), own);
      if (design_.largest_rate != 1)
        nn::scale<Scalar>(design_.largest_rate, part(values.rates), part(values.rates), own);
    }
    if (design_.decay == DeltaGate::none) return;
    const auto decay = part(values.decay), steps = part(values.steps.out);
    nn::low_rank_forward<Scalar>(parameters.decay_map, from, values.steps.rows(first, count), own);
    if (design_.decay == DeltaGate::step_width)
      return nn::decay_forward<Scalar>(parameters.decay, steps, {}, {}, decay, own);
    nn::activation_forward<Scalar>(kernels::Activation::log_sigmoid, steps, decay, own);
    nn::scale<Scalar>(1 / design_.decay_divisor, decay, decay, own);
  });
}

template <class Element, class Options>
void DeltaLayer<Element, Options>::convolve(const Parameters& parameters, const LayerCall<Scalar>& call,
                                            const Values& values, Context& context) const {
  if (design_.conv_taps == 0) return;
  const Arena::Frame frame(context.scratch());
  const auto tails = nn::conv_tails<Scalar>(
      call.segments, [&](State& state) { return tail(state); }, context.scratch());
  nn::convolution_tails<Scalar>(values.projected, call.plan, tails, values.initial_tails, context);
  detail::over_streams(parameters.streams(), [&](const auto& stream, Index column) {
    const auto part = [&](MatrixView<Scalar> all) { return all.columns(column, stream.columns()); };
    nn::short_convolution_forward<Scalar>(stream.conv, part(values.projected), call.plan, part(values.initial_tails),
                                          part(values.mixed), context);
  });
}

/// q, k, e and what is written.
template <class Element, class Options>
void DeltaLayer<Element, Options>::make_rows(const Values& values, Index first, Index count, Context& own) const {
  const Index keys = design_.keys(), width = design_.key_width;
  const auto part = [&](MatrixView<Scalar> all) { return all.rows(first, count); };
  const auto q = part(values.mixed).columns(0, keys), k = part(values.mixed).columns(keys, keys);
  const auto v = part(values.mixed).columns(2 * keys, design_.values());
  const double root = detail::delta_query_scale(width);
  if constexpr (erases) {
    nn::l2_norm_forward<Scalar>(q, width, detail::delta_key_epsilon, root, part(values.queries), own);
    nn::l2_norm_forward<Scalar>(k, width, detail::delta_key_epsilon, 1, part(values.keys), own);
    nn::scale_heads<Scalar>(part(values.rates), part(values.keys), part(values.erase), own);
    nn::scale_heads<Scalar>(part(values.rates), v, part(values.written), own);
  } else {
    nn::activation_forward<Scalar>(design_.feature_map, q, part(values.queries), own);
    nn::scale<Scalar>(root, part(values.queries), part(values.queries), own);
    nn::activation_forward<Scalar>(design_.feature_map, k, part(values.keys), own);
  }
}

template <class Element, class Options>
auto DeltaLayer<Element, Options>::Values::rows(Index first, Index count) const -> Values {
  const auto part = [&](MatrixView<Scalar> all) { return all.empty() ? all : all.rows(first, count); };
  return {part(projected),
          part(mixed),
          part(queries),
          part(keys),
          part(logits),
          part(rates),
          part(erase),
          part(written),
          part(decay),
          part(inner),
          gate.rows(first, count),
          steps.rows(first, count),
          {},
          {}};
}

template <class Element, class Options>
void DeltaLayer<Element, Options>::run(const Parameters& parameters, const LayerCall<Scalar>& call, Values& values,
                                       Context& context) const {
  project(parameters, call.x, values, context);
  convolve(parameters, call, values, context);
  nn::in_pieces(call.x.rows(), context,
                [&](Index first, Index count, Context& own) { make_rows(values, first, count, own); });
  const auto states = rule_states<Scalar>(call.segments, context.scratch());
  run_rule<Rule>(
      {rule_, call.plan, design_.value_heads, values.records}, states,
      [&](const PlannedSegment& segment, Index head) -> RuleViews<Rule> {
        return {{{}, rows(values, segment, head, design_.value_heads / design_.heads)}, answers(values, segment, head)};
      },
      context);
  nn::gated_projection_forward<Scalar>({design_.output(), parameters.norm}, parameters.output, values.inner,
                                       values.gate.out, call.y, context);
}

TTT_NAMESPACE_END
