// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/layers/run_rule.hpp"
#include "ttt/layers/ttt/ttt_layer.hpp"
#include "ttt/nn/projections.hpp"

TTT_NAMESPACE_BEGIN

template <class Rule>
void TttLayer<Rule>::backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                              MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                              Context& context) const {
  detail::check_backward(name, *this, parameters, record, d_y, d_x, gradients, d_states, context.scratch());
  const Activations& a = record.values.activations;
  Arena& scratch = context.scratch();
  const Arena::Frame frame(scratch);
  if (d_x.empty()) d_x = scratch.matrix<Scalar>(a.x.rows(), width());
  Activations d;
  d.x = d_x, d.plan = a.plan;
  if (config_.has_queries()) d.queries = scratch.matrix<Scalar>(a.x.rows(), width());
  for (auto* part : {&d.keys, &d.values, &d.inner}) *part = scratch.matrix<Scalar>(a.x.rows(), width());
  d.rates = scratch.zeros<Scalar>(config_.heads, a.x.rows());

  backward_output(parameters, a, d_y, d_x, d.inner, gradients, context);
  backward_inner_loop(parameters, record, d, gradients, d_states, context);
  backward_projections(parameters, record, d, d_x, gradients, d_states, context);
}

/// y = (LN(z) ∘ gelu(gate)) W_oᵀ: assigns d_z and, where there is a gate, its share of d_x.
template <class Rule>
void TttLayer<Rule>::backward_output(const Parameters& parameters, const Activations& all, MatrixView<const Scalar> d_y,
                                     MatrixView<Scalar> d_x, MatrixView<Scalar> d_inner, Parameters& gradients,
                                     Context& context) const {
  Arena& scratch = context.scratch();
  const Arena::Frame frame(scratch);
  const nn::LinearBackward output(parameters.output, gradients.output, context);
  std::optional<nn::LinearBackward<Scalar>> gate;
  if (config_.gate) gate.emplace(parameters.gate, gradients.gate, context);
  const nn::GatedOutput<Scalar> gated_output(ttt::gated_output(config_), parameters.post_norm);
  nn::in_rounds(all.x.rows(), context, [&](Index first, Index count) {
    const Activations a = all.piece(first, count);
    const MatrixView<const Scalar> d_out = d_y.rows(first, count);
    const auto gated = scratch.matrix<Scalar>(count, width()), d_gated = scratch.matrix<Scalar>(count, width());
    const auto d_gate = gate ? scratch.matrix<Scalar>(count, width()) : MatrixView<Scalar>();
    nn::in_pieces(count, context, [&](Index row, Index size, Context& own) {
      output.input(d_out.rows(row, size), d_gated.rows(row, size), own);
    });
    gated_output.backward(a.inner, a.gate, d_gated, d_inner.rows(first, count), d_gate, gradients.post_norm, gated,
                          context);
    nn::WeightSums<Scalar> sums(context);
    output.weight(gated, d_out, sums);
    if (gate) gate->weight(a.x, d_gate, sums);
    sums.add_up();
    if (!gate) return;
    nn::in_pieces(count, context, [&](Index row, Index size, Context& own) {
      gate->input(d_gate.rows(row, size), d_x.rows(first + row, size), own);
    });
  });
}

template <class Rule>
void TttLayer<Rule>::backward_inner_loop(const Parameters& parameters, const Record& record, const Activations& d,
                                         Parameters& gradients, std::span<State* const> d_states,
                                         Context& context) const {
  const Activations& a = record.values.activations;
  const auto places = rule_states<Scalar>(d_states, context.scratch());
  const auto sums = run_rule_backward<Sequence>(
      {rule_, a.plan, config_.heads, record.values.records}, places,
      [&](const PlannedSegment& segment, Index h) -> RuleBackwardViews<Sequence> {
        return {input(parameters, a, segment, h),
                of_group(d.inner, segment, h, rule().head_width()),
                {{}, d.gradient_rows(segment, h, rule().head_width())}};
      },
      [&](Index h, const Scalar* of_head) { add_head_sums(parameters, h, of_head, gradients); }, context);
  if (gradients.position.empty()) return;
  const Index place = sums.columns() - rule().mini_batch();
  for (Index task = 0; task < sums.rows(); ++task)
    for (Index r = 0; r < rule().mini_batch(); ++r)  // clamped factors get no gradient
      if (a.factors[r] > Scalar(0)) gradients.position[r] += sums(task, place + r);
}

/// Adds to the gradients of W₀ and the inner norm of a head.
template <class Rule>
void TttLayer<Rule>::add_head_sums(const Parameters& parameters, Index h, const Scalar* sums,
                                   Parameters& gradients) const {
  for (std::size_t i = 0; i < gradients.fast.size(); ++i) {
    parameters.fast[i].add_gradient(h, sums, gradients.fast[i]);
    sums += parameters.fast[i].size();
  }
  const auto add = [&](Tensor<Scalar>& tensor, Index size) {
    if (!tensor.empty()) kernels::add_scaled<simd::Native>(Scalar(1), sums, size, tensor.data() + h * size);
    sums += size;
  };
  add(gradients.norm_weight, rule().head_width());
  add(gradients.norm_bias, rule().head_width());
}

/// η = base / D · sigmoid(x w_hᵀ + b_h): assigns what its linear map gets.
template <class Rule>
void TttLayer<Rule>::backward_learning_rates(const Activations& a, const Activations& d, MatrixView<Scalar> d_logits,
                                             Context& context) const {
  const auto base = static_cast<Scalar>(base_rate());
  context.parallel(config_.heads, steps_per_rate * d_logits.rows() * config_.heads, [&](Index h, Arena&) {
    for (Index n = 0; n < d_logits.rows(); ++n)
      d_logits(n, h) =
          base == Scalar(0) ? Scalar(0) : d.rates(h, n) * a.rates(h, n) * (Scalar(1) - a.rates(h, n) / base);
  });
}

/// Learning rates, rotations, convolutions and projections of q, k and v: adds to the gate's share of d_x, turns the
/// tails of d_states.
template <class Rule>
void TttLayer<Rule>::backward_projections(const Parameters& parameters, const Record& record, const Activations& d_all,
                                          MatrixView<Scalar> d_x, Parameters& gradients,
                                          std::span<State* const> d_states, Context& context) const {
  using kernels::Output;
  Arena& scratch = context.scratch();
  const Arena::Frame frame(scratch);
  const bool shared = config_.share_query_key, has_queries = config_.has_queries();
  const nn::Projection<Scalar> key{parameters.key, gradients.key};
  const std::array<nn::Projection<Scalar>, 4> maps{
      {{parameters.rate_weight, gradients.rate_weight},
       {parameters.value, gradients.value},
       has_queries ? nn::Projection<Scalar>{parameters.query, gradients.query} : key,
       key}};
  // Between a shared query and key and their projection stand the convolutions.
  const nn::ProjectionsBackward<Scalar> projections{std::span(maps).first(shared ? 2 : has_queries ? 4 : 3), context};
  const auto of_maps = [&](MatrixView<const Scalar> d_logits, const Activations& d) {
    return std::array<MatrixView<const Scalar>, 4>{d_logits, d.values, has_queries ? d.queries : d.keys, d.keys};
  };
  nn::in_rounds(d_x.rows(), context, [&](Index first, Index count) {
    const Activations a_round = record.values.activations.piece(first, count), d_round = d_all.piece(first, count);
    const auto d_logits = scratch.matrix<Scalar>(count, config_.heads);
    nn::in_pieces(count, context, [&](Index row, Index size, Context& own) {
      const Activations a = a_round.piece(row, size), d = d_round.piece(row, size);
      backward_learning_rates(a, d, d_logits.rows(row, size), own);
      rotate(d, kernels::RotaryTurn::back, own);
      projections.input(of_maps(d_logits.rows(row, size), d), d_x.rows(first + row, size), own,
                        config_.gate ? Output::accumulate : Output::assign);
    });
    if (!gradients.rate_bias.empty())
      kernels::add_column_sums<simd::Native, Scalar>(d_logits, {gradients.rate_bias.data(), 1, config_.heads});
    projections.weights(a_round.x, of_maps(d_logits, d_round), context);
  });
  if (!shared) return;
  const auto d_shared = scratch.matrix<Scalar>(d_x.rows(), width());
  backward_convolutions(parameters, record, d_all, d_shared, gradients, d_states, context);
  nn::linear_backward(parameters.query, record.values.activations.x, d_shared, d_x, gradients.query, context,
                      Output::accumulate);
}

/// q and k = two temporal convolutions of x W_qᵀ: assigns the gradient of that, turns the tails of d_states.
template <class Rule>
void TttLayer<Rule>::backward_convolutions(const Parameters& parameters, const Record& record, const Activations& d,
                                           MatrixView<Scalar> d_shared, Parameters& gradients,
                                           std::span<State* const> d_states, Context& context) const {
  const Activations& a = record.values.activations;
  Arena& scratch = context.scratch();
  const auto d_initial_tails = scratch.matrix<Scalar>(record.values.initial_tails.rows(), width());
  const auto convolution = [&](const auto& conv, MatrixView<Scalar> d_y, auto& d_conv, kernels::Output output) {
    nn::short_convolution_backward<Scalar>(conv, a.shared, a.plan, record.values.initial_tails, d_y, d_shared,
                                           d_initial_tails, d_conv, context, output);
  };
  convolution(parameters.conv_query, d.queries, gradients.conv_query, kernels::Output::assign);
  convolution(parameters.conv_key, d.keys, gradients.conv_key, kernels::Output::accumulate);
  const auto d_tails = nn::conv_tails<Scalar>(
      a.plan, d_states, [&](State& state) { return tail(state); }, scratch);
  nn::convolution_tails_backward<Scalar>(a.plan, d_tails, d_initial_tails, d_shared, context);
}

TTT_NAMESPACE_END
