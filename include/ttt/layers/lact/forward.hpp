// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "ttt/kernels/unit_silu.hpp"
#include "ttt/layers/lact/channel_map.hpp"
#include "ttt/layers/lact/layer.hpp"
#include "ttt/nn/activation.hpp"
#include "ttt/nn/affine.hpp"
#include "ttt/nn/residual.hpp"
#include "ttt/nn/scale_heads.hpp"

TTT_NAMESPACE_BEGIN

/// All that the rule and the attention read.
template <class Element>
void Lact<Element>::project(const Parameters& parameters, MatrixView<const Scalar> x, SegmentPlan plan,
                            const Values& values, Context& context) const {
  const detail::ChannelMap<Scalar> of_queries(parameters, 0, context.scratch()),
      of_keys(parameters, 1, context.scratch());
  const auto least = static_cast<Scalar>(std::log(std::expm1(least_rate)));
  nn::in_pieces(x.rows(), context, [&](Index first, Index count, Context& own) {
    const auto part = [&](MatrixView<Scalar> all) { return all.rows(first, count); };
    const auto from = x.rows(first, count), projected = part(values.projected);
    nn::linear_forward<Scalar>(parameters.projection, from, projected, own);
    const auto unit = [&](Index i, const detail::ChannelMap<Scalar>& map, MatrixView<Scalar> to) {
      own.template call<KernelId::unit_silu, Scalar, &kernels::unit_silu<simd::Native, Scalar>>(
          third(projected, i), map.scale, map.offset, config_.fast_width(), static_cast<Scalar>(unit_epsilon), to);
    };
    unit(0, of_queries, part(values.queries));
    unit(1, of_keys, part(values.keys));
    if (config_.rotary)
      rotate(kernels::RotaryTurn::forward, plan, first, {part(values.queries), part(values.keys)}, own);
    if (config_.value_silu)
      nn::activation_forward<Scalar>(kernels::Activation::silu, third(projected, 2), part(values.values), own);

    nn::affine_forward<Scalar>(parameters.rate, parameters.rate_bias, from, part(values.rates), own);
    using Lane = simd::Pack<Scalar, simd::Generic>;
    for (Index t = first; t < first + count; ++t)
      for (Scalar* rate = values.rates.row(t); rate < values.rates.row(t) + values.rates.columns(); ++rate)
        *rate = kernels::softplus(Lane(*rate + least)).value;
    nn::affine_forward<Scalar>(parameters.strength, parameters.strength_bias, from, part(values.strength), own);
    if (rule_.has_momentum()) {
      nn::affine_forward<Scalar>(parameters.momentum, parameters.momentum_bias, from, part(values.momentum), own);
      nn::activation_forward<Scalar>(kernels::Activation::sigmoid, part(values.momentum), part(values.momentum), own);
    }
    if (!attends()) return;
    const auto rows = values.attention.rows(first, count);
    copy(third(projected, 0), rows.queries);
    copy(third(projected, 1), rows.keys);
    rotate(kernels::RotaryTurn::forward, plan, first, {rows.queries, rows.keys}, own);
  });
}

/// y = (attention + silu(strength) norm(z)) W_oᵀ.
template <class Element>
void Lact<Element>::combine(const Parameters& parameters, const Values& values, MatrixView<Scalar> y,
                            Context& context) const {
  const nn::GatedOutput<Scalar> norm(config_.output(), parameters.norm);
  nn::in_pieces(y.rows(), context, [&](Index first, Index count, Context& own) {
    const auto part = [&](MatrixView<Scalar> all) { return all.rows(first, count); };
    const auto normed = own.scratch().template matrix<Scalar>(count, config_.width);
    const auto strength = own.scratch().template matrix<Scalar>(count, config_.fast_heads);
    norm.forward(part(values.inner), {}, normed, own);
    nn::activation_forward<Scalar>(kernels::Activation::silu, part(values.strength), strength, own);
    nn::scale_heads<Scalar>(strength, normed, part(values.mixed), own);
    if (attends()) nn::add<Scalar>(part(values.attention.heads), part(values.mixed), own);
    nn::linear_forward<Scalar>(parameters.output, part(values.mixed), part(y), own);
  });
}

template <class Element>
void Lact<Element>::run(const Parameters& parameters, const LayerCall<Scalar>& call, Values& values,
                        Context& context) const {
  project(parameters, call.x, call.plan, values, context);
  if (attends()) {
    values.pieces =
        plan_pieces<Scalar>(lend(call.segments, 0, context.scratch()), call.plan, heads_.shape, values.pieces);
    if (call.memory) detail::keep_prior(heads_, values.pieces, *call.memory);
    detail::store_rows(heads_, values.pieces, values.attention, context);
    detail::attend<Scalar>(heads_, values.pieces, values.attention, context);
  }
  const auto states = rule_states<Scalar>(call.segments, context.scratch());
  run_rule<Rule>(
      {rule_, call.plan, config_.fast_heads, values.records}, states,
      [&](Index head, Scalar* state) { load_initial(parameters, head, state); },
      [&](const PlannedSegment& segment, Index head) -> RuleViews<Rule> {
        return {{{}, rows(values, segment, head)}, answers(values, segment, head)};
      },
      context);
  combine(parameters, values, call.y, context);
  if (attends()) detail::update_states<Scalar>(heads_, values.pieces, values.attention, context);
}

TTT_NAMESPACE_END
