// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/layers/attention/basic_attention.hpp"
#include "ttt/layers/attention/call_backward.hpp"
#include "ttt/nn/projections.hpp"
#include "ttt/nn/row_pieces.hpp"

TTT_NAMESPACE_BEGIN

template <class Element, AttentionMemory memory>
void BasicAttention<Element, memory>::backward(const Parameters& parameters, const Record& record,
                                               MatrixView<const Scalar> d_y, MatrixView<Scalar> d_x,
                                               Parameters& gradients, std::span<State* const> d_states,
                                               Context& context) const {
  detail::check_backward(kind, *this, parameters, record, d_y, d_x, gradients, d_states, context.scratch());
  const Arena::Frame frame(context.scratch());
  const Rows& rows = record.rows;
  const Rows d_rows = allocate_rows(rows.queries.rows(), false, context.scratch());
  nn::linear_backward(parameters.output, rows.heads, d_y, d_rows.heads, gradients.output, context);
  detail::attend_backward(layout_, std::span<const Piece>(record.pieces), rows, d_rows, d_states, context);

  const std::array<nn::Projection<Scalar>, 3> maps{
      {{parameters.query, gradients.query}, {parameters.key, gradients.key}, {parameters.value, gradients.value}}};
  const nn::ProjectionsBackward<Scalar> projections(maps, context);
  const auto of_maps = [](const Rows& d) {
    return std::array<MatrixView<const Scalar>, 3>{d.queries, d.keys, d.values};
  };
  nn::in_rounds(d_y.rows(), context, [&](Index first, Index count) {
    nn::in_pieces(count, context, [&](Index row, Index size, Context& own) {
      const Index start = first + row;
      const auto d_piece = d_x.empty() ? d_x : d_x.rows(start, size);
      const Rows d = d_rows.rows(start, size);
      rotate(record.call.plan(), start, d, kernels::RotaryTurn::back, own);
      projections.input(of_maps(d), d_piece, own);
    });
    projections.weights(record.x.rows(first, count), of_maps(d_rows.rows(first, count)), context);
  });
}

TTT_NAMESPACE_END
