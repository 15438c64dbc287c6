// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/kernels/activation.hpp"
#include "ttt/layers/attention/call_backward.hpp"
#include "ttt/layers/attention/layer.hpp"
#include "ttt/nn/projections.hpp"
#include "ttt/nn/row_pieces.hpp"

TTT_NAMESPACE_BEGIN

/// Turns d_heads from the gradient of the gated heads into that of the heads, and assigns that of the gates.
template <class Element>
void Attention<Element>::backward_gate(const Record& record, MatrixView<Scalar> d_heads, MatrixView<Scalar> d_projected,
                                       Context& context) const {
  context.parallel_ranges(d_heads.rows(), gate_grain, [&](Index first, Index count, Arena&) {
    const auto d = by_head(d_heads.rows(first, count));
    context.call<KernelId::gate_rows_backward, Scalar, &kernels::gate_rows_backward<simd::Native, Scalar>>(
        kernels::Activation::sigmoid, gates_of(record.projected_queries.rows(first, count)),
        by_head(record.rows.heads.rows(first, count)), d, gates_of(d_projected.rows(first, count)), d);
  });
}

/// Norm and rotary embedding, for the rows of a round from `first` on: from the gradient d of what attends to that of
/// what was projected, of keys in d, of queries in d_projected, which may be those of d.
template <class Element>
void Attention<Element>::backward_norms(const Parameters& parameters, const Record& record, Index first, const Rows& d,
                                        MatrixView<Scalar> d_projected, Parameters& gradients, Context& context) const {
  const Index count = d.queries.rows();
  nn::in_pieces(count, context, [&](Index row, Index size, Context& own) {
    rotate(record.call.plan(), first + row, d.rows(row, size), kernels::RotaryTurn::back, own);
  });
  if (!config_.query_key_norm) return copy<Scalar>(by_head(d.queries), queries_of(d_projected));
  nn::rms_norm_backward(parameters.query_norm, queries_of(record.projected_queries.rows(first, count)), config_.norms(),
                        normed_rows(d.queries), queries_of(d_projected), gradients.query_norm, context);
  nn::rms_norm_backward(parameters.key_norm, normed_rows(record.projected_keys.rows(first, count)), config_.norms(),
                        normed_rows(d.keys), normed_rows(d.keys), gradients.key_norm, context);
}

template <class Element>
void Attention<Element>::backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                                  MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                                  Context& context) const {
  detail::check_backward(kind, *this, parameters, record, d_y, d_x, gradients, d_states, context.scratch());
  const Arena::Frame frame(context.scratch());
  const Rows& rows = record.rows;
  const Rows d_rows = allocate_rows(rows.queries.rows(), false, context.scratch());
  const auto d_projected = config_.output_gate
                               ? context.scratch().template matrix<Scalar>(d_y.rows(), config_.query_rows())
                               : d_rows.queries;
  nn::linear_backward(parameters.output, gate(record, context), d_y, d_rows.heads, gradients.output, context);
  if (config_.output_gate) backward_gate(record, d_rows.heads, d_projected, context);
  detail::attend_backward(layout_, std::span<const Piece>(record.pieces), rows, d_rows, d_states, context);

  const std::array<nn::Projection<Scalar>, 3> maps{
      {{parameters.query, gradients.query}, {parameters.key, gradients.key}, {parameters.value, gradients.value}}};
  const nn::ProjectionsBackward<Scalar> projections(maps, context);
  const bool in_rounds = config_.query_key_norm || config_.output_gate;
  nn::in_rounds(d_y.rows(), context, [&](Index first, Index count) {
    const Rows d = d_rows.rows(first, count);
    const auto d_queries = d_projected.rows(first, count);
    if (in_rounds) backward_norms(parameters, record, first, d, d_queries, gradients, context);
    const auto of_maps = [&](Index row, Index size) {
      return std::array<MatrixView<const Scalar>, 3>{d_queries.rows(row, size), d.keys.rows(row, size),
                                                     d.values.rows(row, size)};
    };
    nn::in_pieces(count, context, [&](Index row, Index size, Context& own) {
      const Index start = first + row;
      const auto d_piece = d_x.empty() ? d_x : d_x.rows(start, size);
      if (!in_rounds) rotate(record.call.plan(), start, d.rows(row, size), kernels::RotaryTurn::back, own);
      projections.input(of_maps(row, size), d_piece, own);
    });
    projections.weights(record.x.rows(first, count), of_maps(0, count), context);
    nn::bias_backward(d_queries, gradients.query_bias, context);
    nn::bias_backward(d.keys, gradients.key_bias, context);
    nn::bias_backward(d.values, gradients.value_bias, context);
  });
}

TTT_NAMESPACE_END
