// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <string>

#include "ttt/core/error.hpp"
#include "ttt/layers/attention/basic_attention.hpp"
#include "ttt/nn/row_pieces.hpp"

TTT_NAMESPACE_BEGIN

template <class Element, AttentionMemory memory>
void BasicAttention<Element, memory>::check(const Config& config) {
  const std::string option = "attention option ";
  domain::size(option + "width", config.width);
  if (config.heads < 1 || config.width % config.heads != 0)
    throw_unexpected(option + "heads", "a divisor of the width " + std::to_string(config.width),
                     std::to_string(config.heads));
  if (config.key_value_heads < 0 || config.heads % config.key_value_count() != 0)
    throw_unexpected(option + "key_value_heads", "0 or a divisor of the " + std::to_string(config.heads) + " heads",
                     std::to_string(config.key_value_heads));
  if (config.head_width() % 2 != 0)
    throw_unexpected(
        option + "heads",
        "an even head width for the rotary embedding, width " + std::to_string(config.width) + " over heads",
        std::to_string(config.heads));
  if (memory == AttentionMemory::ring) domain::size(option + "window", config.window);
  domain::positive_float(option + "rope_theta", config.rope_theta);
}

template <class Element, AttentionMemory memory>
std::shared_ptr<const StateLayout> BasicAttention<Element, memory>::state_layout(Index capacity) const {
  constexpr bool ring = memory == AttentionMemory::ring;
  if (!ring && capacity != 0) domain::size("attention: capacity of a State", capacity);
  const Index rows = ring ? rules::panel_end(config_.window) : capacity;
  const Index heads = config_.key_value_count(), width = config_.head_width();
  StateLayout layout(fingerprint_, ring ? StateLayout::unlimited : capacity);
  layout.add(heads, {{"keys", StateKind::cache, rules::panel_end(rows) * width}});
  layout.add(heads, {{"values", StateKind::cache, rows * width}});
  return std::make_shared<const StateLayout>(std::move(layout));
}

template <class Element, AttentionMemory memory>
auto BasicAttention<Element, memory>::allocate_rows(Index rows, bool recorded, Arena& arena) const -> Rows {
  Rows all;
  all.queries = arena.matrix<Scalar>(rows, width());
  all.keys = arena.matrix<Scalar>(rows, config_.key_value_width());
  all.values = arena.matrix<Scalar>(rows, config_.key_value_width());
  all.heads = arena.matrix<Scalar>(rows, width());
  if (recorded) all.log_sums = arena.matrix<Scalar>(rows, config_.heads);
  return all;
}

/// What a call of so many rows and segments holds; the pieces are only memory yet.
template <class Element, AttentionMemory memory>
auto BasicAttention<Element, memory>::lay_out(Index rows, std::size_t segments, bool recorded, Arena& arena) const
    -> AttentionCall<Scalar> {
  AttentionCall<Scalar> held;
  held.rows = allocate_rows(rows, recorded, arena);
  Piece* const pieces = arena.allocate<Piece>(static_cast<Index>(segments));
  if (pieces) held.pieces = {pieces, segments};
  return held;
}

template <class Element, AttentionMemory memory>
void BasicAttention<Element, memory>::forward(const Parameters& parameters, MatrixView<const Scalar> x,
                                              Segments segments, MatrixView<Scalar> y, Context& context,
                                              Record* record) const {
  detail::check_forward<BasicAttention>(kind, *this, parameters, x, segments, y, context.scratch());
  const Arena::Frame frame(context.scratch());
  const SegmentPlan plan = record ? record->call.begin(segments) : plan_segments(segments, context.scratch());
  const auto hold = [&](Arena& arena) { return lay_out(x.rows(), plan.size(), record != nullptr, arena); };
  AttentionCall<Scalar> held = record ? record->arena.lay_out_anew(hold) : hold(context.scratch());
  held.x = x;
  held.pieces = plan_pieces<Scalar>(segments, plan, layout_.shape, held.pieces);
  const Rows& rows = held.rows;
  const std::span<const Piece> pieces(held.pieces);
  nn::in_pieces(x.rows(), context, [&](Index first, Index count, Context& own) {
    const auto from = x.rows(first, count);
    const Rows to = rows.rows(first, count);
    nn::linear_forward(parameters.query, from, to.queries, own);
    nn::linear_forward(parameters.key, from, to.keys, own);
    nn::linear_forward(parameters.value, from, to.values, own);
    rotate(plan, first, to, kernels::RotaryTurn::forward, own);
  });
  if (record) detail::keep_prior(layout_, held.pieces, record->arena);
  detail::store_rows(layout_, held.pieces, rows, context);
  detail::attend(layout_, pieces, rows, context);
  nn::linear_forward(parameters.output, rows.heads, y, context);
  detail::update_states(layout_, pieces, rows, context);
  if (!record) return;
  static_cast<AttentionCall<Scalar>&>(*record) = held;
  record->call.end(fingerprint_);
}

TTT_NAMESPACE_END
