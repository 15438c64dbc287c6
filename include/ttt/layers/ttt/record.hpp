// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <span>

#include "ttt/layers/run_rule.hpp"
#include "ttt/rules/ttt/sequence.hpp"

TTT_NAMESPACE_BEGIN

/// What the rows of one call become on their way through a TTT layer; all views into one arena.
template <class Scalar>
struct TttActivations {
  MatrixView<const Scalar> x;  ///< [N × C]
  MatrixView<Scalar> shared;   ///< [N × C] shared query/key projection before the convolutions, else empty
  MatrixView<Scalar> queries;  ///< [N × C] rotated; empty in the simplified order
  MatrixView<Scalar> keys;     ///< [N × C] rotated
  MatrixView<Scalar> values;   ///< [N × C]
  MatrixView<Scalar> rates;    ///< [H × N] inner learning rates η
  MatrixView<Scalar> inner;    ///< [N × C] the rule's output
  MatrixView<Scalar> gate;     ///< [N × C] x W_g, else empty
  VectorView<Scalar> factors;  ///< [K] position factors τ
  SegmentPlan plan;            ///< of the call
  Index row = 0;               ///< of the call, where the views begin

  /// Rows [first, first + count) of all views; the plan is still that of the call.
  TttActivations piece(Index first, Index count) const {
    TttActivations part = *this;
    part.x = x.rows(first, count);
    for (auto* view : {&part.shared, &part.queries, &part.keys, &part.values, &part.inner, &part.gate})
      if (!view->empty()) *view = view->rows(first, count);
    if (!rates.empty()) part.rates = rates.columns(first, count);
    part.row = row + first;
    return part;
  }

  /// Rows of one segment and head.
  rules::TttRows<const Scalar> rows(const PlannedSegment& segment, Index head, Index width) const {
    const auto to_write = gradient_rows(segment, head, width);
    return {to_write.queries, to_write.keys, to_write.values, to_write.rates};
  }
  /// The same rows to write to, of a struct of gradients.
  rules::TttRows<Scalar> gradient_rows(const PlannedSegment& segment, Index head, Index width) const {
    const auto part = [&](MatrixView<Scalar> all) { return of_group(all, segment, head, width); };
    return {part(queries), part(keys), part(values), {rates.row(head) + segment.row, segment.length}};
  }
};

/// What a call of a TTT layer holds until its end, and for a backward.
template <class Scalar>
struct TttCall {
  TttActivations<Scalar> activations;
  MatrixView<Scalar> initial_tails;  ///< convolution tails before each segment, [segments · (taps − 1) × C]
  std::span<rules::TttSequenceRecord<Scalar>> records;  ///< the rule's, [segments × H]; empty without a backward
};

TTT_NAMESPACE_END
