// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <string>

#include "ttt/core/error.hpp"
#include "ttt/kernels/activation.hpp"
#include "ttt/layers/attention/layer.hpp"
#include "ttt/nn/row_pieces.hpp"

TTT_NAMESPACE_BEGIN

namespace detail {

/// Throws Error unless the heads have a width, and one of pairs where these are rotated.
inline void check_heads(const AttentionConfig& config, const std::string& option) {
  const bool divided = config.head_channels == 0;
  if (divided && (config.heads < 1 || config.width % config.heads != 0))
    throw_unexpected(option + "heads", "a divisor of the width " + std::to_string(config.width),
                     std::to_string(config.heads));
  domain::size(option + "heads", config.heads);
  domain::size(option + "head_channels", config.head_width());
  domain::size(option + "heads, times head_channels", config.query_width());
  if (!config.rotary || config.head_width() % 2 == 0) return;
  if (divided)
    throw_unexpected(
        option + "heads",
        "an even head width for the rotary embedding, width " + std::to_string(config.width) + " over heads",
        std::to_string(config.heads));
  throw_unexpected(option + "head_channels", "an even number, for the rotary embedding",
                   std::to_string(config.head_channels));
}

/// Throws Error unless window, sinks and memory go together.
inline void check_window(const AttentionConfig& config, const std::string& option) {
  if (config.window != 0) domain::size(option + "window", config.window);
  if (config.sinks != 0) domain::size(option + "sinks", config.sinks);
  if (config.window != 0) return;
  if (config.memory == AttentionMemory::ring)
    throw_unexpected(option + "window", "at least 1, for a ring as memory", "0");
  if (config.sinks != 0) throw_unexpected(option + "sinks", "0 without a window", std::to_string(config.sinks));
}

}  // namespace detail

template <class Element>
void Attention<Element>::check(const Config& config) {
  const std::string option = "attention option ";
  domain::size(option + "width", config.width);
  detail::check_heads(config, option);
  if (config.key_value_heads < 0 || config.heads % config.key_value_count() != 0)
    throw_unexpected(option + "key_value_heads", "0 or a divisor of the " + std::to_string(config.heads) + " heads",
                     std::to_string(config.key_value_heads));
  detail::check_window(config, option);
  if (config.query_key_norm) domain::positive_float(option + "norm_epsilon", config.norm_epsilon);
  if (config.score_scale != 0) domain::positive_float(option + "score_scale", config.score_scale);
  if (config.output_gate && config.whole_norm)
    throw_unexpected(option + "whole_norm", "false with an output_gate", "true");
  if (!config.rotary) return;
  kernels::check(config.rotary_scaling, config.rope_theta, option);
  if (config.rotary_channels < 0 || config.rotary_channels > config.head_width() || config.rotary_channels % 2 != 0)
    throw_unexpected(option + "rotary_channels",
                     "an even number of at most the head width " + std::to_string(config.head_width()),
                     std::to_string(config.rotary_channels));
}

template <class Element>
std::shared_ptr<const StateLayout> Attention<Element>::state_layout(Index capacity) const {
  const bool ring = config_.memory == AttentionMemory::ring;
  if (!ring && capacity != 0) domain::size("attention: capacity of a State", capacity);
  capacity = std::min(capacity, config_.positions());
  StateLayout layout(fingerprint_, ring ? config_.positions() : capacity);
  layout_.lay_out_cache(layout, ring ? layout_.ring_rows() : capacity);
  return std::make_shared<const StateLayout>(std::move(layout));
}

template <class Element>
auto Attention<Element>::allocate_rows(Index rows, bool recorded, Arena& arena) const -> Rows {
  Rows all;
  all.queries = arena.matrix<Scalar>(rows, config_.query_width());
  all.keys = arena.matrix<Scalar>(rows, config_.key_value_width());
  all.values = arena.matrix<Scalar>(rows, config_.key_value_width());
  all.heads = arena.matrix<Scalar>(rows, config_.query_width());
  if (recorded) all.log_sums = arena.matrix<Scalar>(rows, config_.heads);
  return all;
}

/// What a call of so many rows and segments holds; the pieces are only memory yet.
template <class Element>
auto Attention<Element>::lay_out(Index rows, std::size_t segments, bool recorded, Arena& arena) const -> Call {
  Call held;
  held.rows = allocate_rows(rows, recorded, arena);
  const bool keeps = recorded && config_.query_key_norm;
  if (keeps || config_.output_gate) held.projected_queries = arena.matrix<Scalar>(rows, config_.query_rows());
  if (keeps) held.projected_keys = arena.matrix<Scalar>(rows, config_.key_value_width());
  Piece* const pieces = arena.allocate<Piece>(static_cast<Index>(segments));
  if (pieces) held.pieces = {pieces, segments};
  return held;
}

/// Assigns queries, keys and values of rows [first, first + count), the former two normed and not rotated.
template <class Element>
void Attention<Element>::project(const Parameters& parameters, const Call& call, Index first, Index count,
                                 Context& context) const {
  const auto x = call.x.rows(first, count);
  const Rows to = call.rows.rows(first, count);
  const auto queries = call.projected_queries.empty() ? to.queries : call.projected_queries.rows(first, count);
  const auto keys = call.projected_keys.empty() ? to.keys : call.projected_keys.rows(first, count);
  nn::affine_forward(parameters.query, parameters.query_bias, x, queries, context);
  nn::affine_forward(parameters.key, parameters.key_bias, x, keys, context);
  if (config_.query_key_norm) {
    nn::rms_norm_forward(parameters.query_norm, queries_of(queries), config_.norms(), normed_rows(to.queries), context);
    nn::rms_norm_forward(parameters.key_norm, normed_rows(keys), config_.norms(), normed_rows(to.keys), context);
  } else if (config_.output_gate) {
    copy<Scalar>(queries_of(queries), by_head(to.queries));
  }
  nn::affine_forward(parameters.value, parameters.value_bias, x, to.values, context);
}

/// What W_o reads: the heads, or σ(gate) ∘ heads in scratch.
template <class Element>
auto Attention<Element>::gate(const Call& call, Context& context) const -> MatrixView<Scalar> {
  if (!config_.output_gate) return call.rows.heads;
  const auto gated = context.scratch().template matrix<Scalar>(call.rows.heads.rows(), config_.query_width());
  context.parallel_ranges(gated.rows(), gate_grain, [&](Index first, Index count, Arena&) {
    context.call<KernelId::gate_rows, Scalar, &kernels::gate_rows<simd::Native, Scalar>>(
        kernels::Activation::sigmoid, gates_of(call.projected_queries.rows(first, count)),
        by_head(call.rows.heads.rows(first, count)), by_head(gated.rows(first, count)));
  });
  return gated;
}

template <class Element>
void Attention<Element>::forward(const Parameters& parameters, MatrixView<const Scalar> x, Segments segments,
                                 MatrixView<Scalar> y, Context& context, Record* record) const {
  detail::check_forward<Attention>(kind, *this, parameters, x, segments, y, context.scratch());
  const Arena::Frame frame(context.scratch());
  const SegmentPlan plan = record ? record->call.begin(segments) : plan_segments(segments, context.scratch());
  const auto hold = [&](Arena& arena) { return lay_out(x.rows(), plan.size(), record != nullptr, arena); };
  Call held = record ? record->arena.lay_out_anew(hold) : hold(context.scratch());
  held.x = x;
  held.pieces = plan_pieces<Scalar>(segments, plan, layout_.shape, held.pieces);
  const Rows& rows = held.rows;
  const std::span<const Piece> pieces(held.pieces);
  nn::in_pieces(x.rows(), context, [&](Index first, Index count, Context& own) {
    project(parameters, held, first, count, own);
    rotate(plan, first, rows.rows(first, count), kernels::RotaryTurn::forward, own);
  });
  if (record) detail::keep_prior(layout_, held.pieces, record->arena);
  detail::store_rows(layout_, held.pieces, rows, context);
  detail::attend(layout_, pieces, rows, context);
  nn::linear_forward(parameters.output, gate(held, context), y, context);
  detail::update_states(layout_, pieces, rows, context);
  if (!record) return;
  static_cast<Call&>(*record) = held;
  record->call.end(fingerprint_);
}

TTT_NAMESPACE_END
