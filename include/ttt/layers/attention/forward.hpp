// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <string>

#include "ttt/core/error.hpp"
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
  if (config.rotary) kernels::check(config.rotary_scaling, config.rope_theta, option);
}

template <class Element>
std::shared_ptr<const StateLayout> Attention<Element>::state_layout(Index capacity) const {
  const bool ring = config_.memory == AttentionMemory::ring;
  if (!ring && capacity != 0) domain::size("attention: capacity of a State", capacity);
  const Index rows = ring ? rules::panel_end(config_.sinks) + rules::panel_end(config_.window) : capacity;
  const Index heads = config_.key_value_count(), width = config_.head_width();
  StateLayout layout(fingerprint_, ring ? StateLayout::unlimited : capacity);
  layout.add(heads, {{"keys", StateKind::cache, rules::panel_end(rows) * width}});
  layout.add(heads, {{"values", StateKind::cache, rows * width}});
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
  if (recorded && config_.query_key_norm) {
    held.projected_queries = arena.matrix<Scalar>(rows, config_.query_width());
    held.projected_keys = arena.matrix<Scalar>(rows, config_.key_value_width());
  }
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
  const auto normed = [&](const auto& weight, const auto& bias, const auto& norm, MatrixView<Scalar> kept,
                          MatrixView<Scalar> y) {
    const auto projected = kept.empty() ? y : kept.rows(first, count);
    nn::affine_forward(weight, bias, x, projected, context);
    if (config_.query_key_norm)
      nn::rms_norm_forward(norm, by_head(projected), config_.norm_epsilon, by_head(y), context);
  };
  normed(parameters.query, parameters.query_bias, parameters.query_norm, call.projected_queries, to.queries);
  normed(parameters.key, parameters.key_bias, parameters.key_norm, call.projected_keys, to.keys);
  nn::affine_forward(parameters.value, parameters.value_bias, x, to.values, context);
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
  nn::linear_forward(parameters.output, rows.heads, y, context);
  detail::update_states(layout_, pieces, rows, context);
  if (!record) return;
  static_cast<Call&>(*record) = held;
  record->call.end(fingerprint_);
}

TTT_NAMESPACE_END
