// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "ttt/layers/run_rule.hpp"
#include "ttt/layers/ttt/pieces.hpp"
#include "ttt/layers/ttt/ttt_layer.hpp"

TTT_NAMESPACE_BEGIN

/// Without a Record the inner loop goes in pieces too: memory does not grow with the length of the call.
template <class Rule>
void TttLayer<Rule>::forward(const Parameters& parameters, MatrixView<const Scalar> x, Segments segments,
                             MatrixView<Scalar> y, Context& context, Record* record) const {
  const Index most = std::max(nn::rows_of_round(context), rule().mini_batch());
  if (record || x.rows() <= most) return Base::forward(parameters, x, segments, y, context, record);
  detail::check_forward<TttLayer>(name, *this, parameters, x, segments, y, context.scratch());
  const Arena::Frame frame(context.scratch());
  SegmentPieces<State> pieces(segments, rule().mini_batch(), most, context.scratch());
  for (Index row = 0; !pieces.done();) {
    const SegmentsFrom statistics(context.statistics, pieces.first());
    const Segments piece = pieces.next();
    const Index count = total_rows(piece);
    Base::forward(parameters, x.rows(row, count), piece, y.rows(row, count), context);
    row += count;
  }
}

template <class Rule>
void TttLayer<Rule>::run(const Parameters& parameters, const LayerCall<Scalar>& call, Values& values,
                         Context& context) const {
  values.activations.x = call.x;
  const Activations& a = values.activations;
  project(parameters, call.segments, values.initial_tails, a, context);
  inner_loop(parameters, call.segments, a, values.records, context);
  nn::in_pieces(call.x.rows(), context, [&](Index first, Index count, Context& own) {
    const auto gated = own.scratch().template matrix<Scalar>(count, width());
    const Activations piece = a.piece(first, count);
    nn::GatedOutput(gated_output(config_), parameters.post_norm).forward(piece.inner, piece.gate, gated, own);
    nn::linear_forward<Scalar>(parameters.output, gated, call.y.rows(first, count), own);
  });
}

template <class Rule>
auto TttLayer<Rule>::lay_out(SegmentPlan plan, bool recorded, Arena& memory) const -> Values {
  const Index rows = total_rows(plan), segments = static_cast<Index>(plan.size());
  Values all;
  Activations& a = all.activations;
  a.plan = plan;
  if (config_.has_queries()) a.queries = memory.matrix<Scalar>(rows, width());
  for (auto* part : {&a.keys, &a.values, &a.inner}) *part = memory.matrix<Scalar>(rows, width());
  if (config_.share_query_key) a.shared = memory.matrix<Scalar>(rows, width());
  if (config_.gate) a.gate = memory.matrix<Scalar>(rows, width());
  a.rates = memory.matrix<Scalar>(config_.heads, rows);
  a.factors = memory.vector<Scalar>(rule().mini_batch());
  all.initial_tails = memory.matrix<Scalar>(segments * tail_rows(), width());
  if (recorded) all.records = lay_out_records(rule_, plan, config_.heads, memory);
  return all;
}

template <class Rule>
void TttLayer<Rule>::load_initial(const Parameters& parameters, Index head, Scalar* state) const {
  Scalar* weights = state;
  for (const auto& weight : parameters.fast) {
    weight.load(head, weights);
    weights += weight.size();
  }
  std::fill(weights, state + rule_.state_size(), Scalar(0));
}

/// q, k, v, the gate's pre-activation, η and τ.
template <class Rule>
void TttLayer<Rule>::project(const Parameters& parameters, Segments segments, MatrixView<Scalar> initial_tails,
                             const Activations& all, Context& context) const {
  for (Index r = 0; r < rule().mini_batch(); ++r)
    all.factors[r] = std::max(Scalar(0), Scalar(1) / static_cast<Scalar>(r + 1) + parameters.position[r]);
  nn::in_pieces(all.x.rows(), context, [&](Index first, Index count, Context& own) {
    const Activations a = all.piece(first, count);
    if (config_.has_queries())
      nn::linear_forward<Scalar>(parameters.query, a.x, config_.share_query_key ? a.shared : a.queries, own);
    if (!config_.share_query_key) nn::linear_forward<Scalar>(parameters.key, a.x, a.keys, own);
    nn::linear_forward<Scalar>(parameters.value, a.x, a.values, own);
    if (config_.gate) nn::linear_forward<Scalar>(parameters.gate, a.x, a.gate, own);
    learning_rates(parameters, a, own);
    if (!config_.share_query_key) rotate(a, kernels::RotaryTurn::forward, own);
  });
  if (!config_.share_query_key) return;
  const auto tails = nn::conv_tails<Scalar>(
      segments, [&](State& state) { return tail(state); }, context.scratch());
  nn::convolution_tails<Scalar>(all.shared, all.plan, tails, initial_tails, context);
  nn::short_convolution_forward<Scalar>(parameters.conv_query, all.shared, all.plan, initial_tails, all.queries,
                                        context);
  nn::short_convolution_forward<Scalar>(parameters.conv_key, all.shared, all.plan, initial_tails, all.keys, context);
  rotate(all, kernels::RotaryTurn::forward, context);
}

/// η [H × N].
template <class Rule>
void TttLayer<Rule>::learning_rates(const Parameters& parameters, const Activations& a, Context& context) const {
  const Arena::Frame frame(context.scratch());
  const auto logits = context.scratch().template matrix<Scalar>(a.x.rows(), config_.heads);
  nn::linear_forward<Scalar>(parameters.rate_weight, a.x, logits, context);
  context.parallel(config_.heads, steps_per_rate * logits.rows() * config_.heads, [&](Index h, Arena&) {
    using Lane = simd::Pack<Scalar, simd::Generic>;
    for (Index n = 0; n < logits.rows(); ++n)
      a.rates(h, n) =
          static_cast<Scalar>(base_rate()) * kernels::sigmoid(Lane(logits(n, h) + parameters.rate_bias[h])).value;
  });
}

/// z = rule(q, k, v; η, τ).
template <class Rule>
void TttLayer<Rule>::inner_loop(const Parameters& parameters, Segments segments, const Activations& a, Records records,
                                Context& context) const {
  Arena& scratch = context.scratch();
  if (context.statistics) records = with_losses(parameters, a.plan, records, scratch);
  const auto states = rule_states<Scalar>(segments, scratch);
  run_rule<Sequence>(
      {rule_, a.plan, config_.heads, records}, states,
      [&](Index h, Scalar* state) { load_initial(parameters, h, state); },
      [&](const PlannedSegment& segment, Index h) -> RuleViews<Sequence> {
        return {input(parameters, a, segment, h), of_group(a.inner, segment, h, rule().head_width())};
      },
      context);
  if (context.statistics) report(a.plan, records, context);
}

/// The records, or empty ones, with a place for the losses of each part.
template <class Rule>
auto TttLayer<Rule>::with_losses(const Parameters& parameters, SegmentPlan plan, Records records, Arena& memory) const
    -> Records {
  const Index heads = config_.heads, count = static_cast<Index>(plan.size()) * heads;
  const auto initial = memory.matrix<Scalar>(heads, rule_.state_size());
  for (Index h = 0; h < heads; ++h) load_initial(parameters, h, initial.row(h));
  const Records all(memory.allocate<typename Sequence::Record>(count), static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < all.size(); ++i) {
    const PlannedSegment& segment = plan[i / static_cast<std::size_t>(heads)];
    const Index parts = rule_.parts(segment.position, segment.length).size();
    all[i] = {records.empty() ? nullptr : records[i].checkpoints, memory.allocate<rules::PartLoss>(parts),
              initial.row(static_cast<Index>(i) % heads)};
  }
  return all;
}

template <class Rule>
void TttLayer<Rule>::report(SegmentPlan plan, Records records, Context& context) const {
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const auto list = rule_.parts(plan[i].position, plan[i].length);
    const auto of_heads = records.subspan(i * static_cast<std::size_t>(config_.heads));
    for (Index p = 0; p < list.size(); ++p)
      for (Index head = 0; head < config_.heads; ++head) {
        const rules::PartLoss& loss = of_heads[static_cast<std::size_t>(head)].losses[p];
        context.statistics->inner_loss({context.block, static_cast<Index>(i), head, plan[i].position + list.row(p),
                                        list[p].count, loss.at_initial, loss.before_update, loss.after_update});
      }
  }
}

TTT_NAMESPACE_END
