// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cmath>

#include "ttt/core/lent_states.hpp"
#include "ttt/kernels/unit_silu.hpp"
#include "ttt/layers/attention/call_backward.hpp"
#include "ttt/layers/lact/channel_map.hpp"
#include "ttt/layers/lact/layer.hpp"
#include "ttt/nn/activation.hpp"
#include "ttt/nn/affine.hpp"
#include "ttt/nn/projections.hpp"
#include "ttt/nn/residual.hpp"
#include "ttt/nn/scale_heads.hpp"

TTT_NAMESPACE_BEGIN

/// silu(strength) norm(z): from d.mixed to d.strength and d.inner.
template <class Element>
void Lact<Element>::backward_answers(const Parameters& parameters, const Values& values, const Values& d,
                                     Parameters& gradients, Context& context) const {
  const nn::GatedOutput<Scalar> norm(config_.output(), parameters.norm);
  fill(d.inner, Scalar(0));
  fill(d.strength, Scalar(0));
  nn::in_pieces(d.mixed.rows(), context, [&](Index first, Index count, Context& own) {
    const auto part = [&](MatrixView<Scalar> all) { return all.rows(first, count); };
    const auto normed = own.scratch().template matrix<Scalar>(count, config_.width);
    const auto strength = own.scratch().template matrix<Scalar>(count, config_.fast_heads);
    norm.forward(part(values.inner), {}, normed, own);
    nn::activation_forward<Scalar>(kernels::Activation::silu, part(values.strength), strength, own);
    nn::scale_heads_backward<Scalar>(strength, normed, part(d.mixed), part(d.strength), part(d.inner), own);
    nn::activation_backward<Scalar>(kernels::Activation::silu, part(values.strength), part(d.strength),
                                    part(d.strength), own);
  });
  norm.backward(values.inner, {}, d.inner, d.inner, {}, gradients.norm, {}, context);
}

/// From the gradients of what rule and attention read to d.projected and those of the logits of η and m.
template <class Element>
void Lact<Element>::backward_inputs(const Parameters& parameters, const Values& values, const Values& d,
                                    Parameters& gradients, Context& context) const {
  Arena& scratch = context.scratch();
  const Arena::Frame frame(scratch);
  const Index width = config_.width;
  const std::array<detail::ChannelMap<Scalar>, 2> maps{{{parameters, 0, scratch}, {parameters, 1, scratch}}};
  const auto sums = scratch.zeros<Scalar>(4, width);  // of scale and offset, of queries, then of keys
  nn::detail::sum_over_rows(
      d.projected.rows(), VectorView<Scalar>(sums.data(), 4 * width), context,
      [&](Index first, Index count, VectorView<Scalar> own, Arena&) {
        for (Index i = 0; i < 2; ++i) {
          const auto& [scale, offset] = maps[static_cast<std::size_t>(i)];
          context.call<KernelId::unit_silu_backward, Scalar, &kernels::unit_silu_backward<simd::Native, Scalar>>(
              third(values.projected, i).rows(first, count), scale, offset, config_.fast_width(),
              static_cast<Scalar>(unit_epsilon), (i == 0 ? d.queries : d.keys).rows(first, count),
              third(d.projected, i).rows(first, count), VectorView<Scalar>(own.data() + 2 * i * width, width),
              VectorView<Scalar>(own.data() + (2 * i + 1) * width, width));
        }
      });
  for (Index i = 0; i < 4; ++i) {
    Tensor<Scalar>& wanted = i % 2 == 0 ? gradients.scale : gradients.offset;
    for (Index c = 0; c < width && !wanted.empty(); ++c) wanted.data()[2 * c + i / 2] += sums(i, c);
  }
  nn::in_pieces(d.projected.rows(), context, [&](Index first, Index count, Context& own) {
    const auto part = [&](MatrixView<Scalar> all) { return all.rows(first, count); };
    const auto d_value = third(part(d.projected), 2);
    if (config_.value_silu)
      nn::activation_backward<Scalar>(kernels::Activation::silu, third(part(values.projected), 2), part(d.values),
                                      d_value, own);
    else
      copy(part(d.values), d_value);
    for (Index t = first; t < first + count; ++t) {
      for (Index i = 0; i < d.rates.columns(); ++i) d.rates(t, i) *= -std::expm1(-values.rates(t, i));
      for (Index h = 0; h < config_.fast_heads && rule_.has_momentum(); ++h)
        d.momentum(t, h) *= values.momentum(t, h) * (Scalar(1) - values.momentum(t, h));
    }
    if (!attends()) return;
    nn::add<Scalar>(part(d.attention.queries), third(part(d.projected), 0), own);
    nn::add<Scalar>(part(d.attention.keys), third(part(d.projected), 1), own);
    nn::add<Scalar>(part(d.attention.values), d_value, own);
  });
}

/// q | k | v, η, the strength of answers and m: assigns d_x.
template <class Element>
void Lact<Element>::backward_projections(const Parameters& parameters, MatrixView<const Scalar> x, const Values& d,
                                         MatrixView<Scalar> d_x, Parameters& gradients, Context& context) const {
  const std::array<nn::Projection<Scalar>, 4> maps{{{parameters.projection, gradients.projection},
                                                    {parameters.rate, gradients.rate},
                                                    {parameters.strength, gradients.strength},
                                                    {parameters.momentum, gradients.momentum}}};
  const std::size_t used = rule_.has_momentum() ? 4 : 3;
  const nn::ProjectionsBackward<Scalar> projections{std::span(maps).first(used), context};
  const auto of_maps = [&](Index first, Index count) {
    const auto part = [&](MatrixView<Scalar> all) { return all.empty() ? all : all.rows(first, count); };
    return std::array<MatrixView<const Scalar>, 4>{part(d.projected), part(d.rates), part(d.strength),
                                                   part(d.momentum)};
  };
  nn::in_rounds(x.rows(), context, [&](Index first, Index count) {
    nn::in_pieces(count, context, [&](Index row, Index size, Context& own) {
      projections.input(of_maps(first + row, size), d_x.empty() ? d_x : d_x.rows(first + row, size), own);
    });
    const auto of_round = of_maps(first, count);
    projections.weights(x.rows(first, count), of_round, context);
    nn::bias_backward<Scalar>(of_round[1], gradients.rate_bias, context);
    nn::bias_backward<Scalar>(of_round[2], gradients.strength_bias, context);
    if (rule_.has_momentum()) nn::bias_backward<Scalar>(of_round[3], gradients.momentum_bias, context);
  });
}

template <class Element>
void Lact<Element>::backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                             MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                             Context& context) const {
  Arena& scratch = context.scratch();
  detail::check_backward(name, *this, parameters, record, d_y, d_x, gradients, d_states, scratch);
  const Arena::Frame frame(scratch);
  const Values& values = record.values;
  const SegmentPlan plan = record.call.plan();
  const Values d = lay_out_gradients(d_y.rows(), scratch);
  nn::linear_backward<Scalar>(parameters.output, values.mixed, d_y, d.mixed, gradients.output, context);
  backward_answers(parameters, values, d, gradients, context);
  const auto places = rule_states<Scalar>(d_states, scratch);
  run_rule_backward<Rule>(
      {rule_, plan, config_.fast_heads, values.records}, places,
      [&](const PlannedSegment& segment, Index head) -> RuleBackwardViews<Rule> {
        return {{{}, rows(values, segment, head)}, answers(d, segment, head), {{}, rows(d, segment, head)}};
      },
      [&](Index head, const Scalar* sums) {
        for (std::size_t i = 0; i < parameters.fast.size(); ++i) {
          parameters.fast[i].add_gradient(head, sums, gradients.fast[i]);
          sums += parameters.fast[i].size();
        }
      },
      context);
  if (config_.rotary) rotate(kernels::RotaryTurn::back, plan, 0, {d.queries, d.keys}, context);
  if (attends()) {
    detail::attend_backward<Scalar>(heads_, values.pieces, values.attention, d.attention, lend(d_states, 0, scratch),
                                    context);
    rotate(kernels::RotaryTurn::back, plan, 0, {d.attention.queries, d.attention.keys}, context);
  }
  backward_inputs(parameters, values, d, gradients, context);
  backward_projections(parameters, record.x, d, d_x, gradients, context);
}

TTT_NAMESPACE_END
