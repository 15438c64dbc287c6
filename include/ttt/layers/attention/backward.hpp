// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/layers/attention/call_backward.hpp"
#include "ttt/layers/attention/layer.hpp"
#include "ttt/nn/projections.hpp"
#include "ttt/nn/row_pieces.hpp"

TTT_NAMESPACE_BEGIN

/// Norm and rotary embedding, for the rows of a round from `first` on: d goes from the gradient of what attends to that
/// of what was projected.
template <class Element>
void Attention<Element>::backward_norms(const Parameters& parameters, const Record& record, Index first, const Rows& d,
                                        Parameters& gradients, Context& context) const {
  const Index count = d.queries.rows();
  nn::in_pieces(count, context, [&](Index row, Index size, Context& own) {
    rotate(record.call.plan(), first + row, d.rows(row, size), kernels::RotaryTurn::back, own);
  });
  const auto norm = [&](const auto& weight, MatrixView<Scalar> projected, MatrixView<Scalar> d_rows, auto& d_weight) {
    nn::rms_norm_backward(weight, by_head(projected.rows(first, count)), config_.norm_epsilon, by_head(d_rows),
                          by_head(d_rows), d_weight, context);
  };
  norm(parameters.query_norm, record.projected_queries, d.queries, gradients.query_norm);
  norm(parameters.key_norm, record.projected_keys, d.keys, gradients.key_norm);
}

template <class Element>
void Attention<Element>::backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                                  MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
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
    const Rows d = d_rows.rows(first, count);
    if (config_.query_key_norm) backward_norms(parameters, record, first, d, gradients, context);
    nn::in_pieces(count, context, [&](Index row, Index size, Context& own) {
      const Index start = first + row;
      const auto d_piece = d_x.empty() ? d_x : d_x.rows(start, size);
      const Rows piece = d.rows(row, size);
      if (!config_.query_key_norm) rotate(record.call.plan(), start, piece, kernels::RotaryTurn::back, own);
      projections.input(of_maps(piece), d_piece, own);
    });
    projections.weights(record.x.rows(first, count), of_maps(d), context);
    nn::bias_backward(d.queries, gradients.query_bias, context);
    nn::bias_backward(d.keys, gradients.key_bias, context);
    nn::bias_backward(d.values, gradients.value_bias, context);
  });
}

TTT_NAMESPACE_END
