// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "ttt/core/context.hpp"
#include "ttt/core/error.hpp"
#include "ttt/kernels/cross_entropy.hpp"
#include "ttt/models/language_model.hpp"
#include "ttt/nn/linear.hpp"
#include "ttt/nn/row_pieces.hpp"

TTT_NAMESPACE_BEGIN

namespace detail {

/// Rows of logits held at a time: a round or some megabytes, and enough rows for the products to run at full
/// speed.
inline Index rows_of_logits(Index vocabulary, const Context& context) {
  return std::max<Index>(256, std::min((Index{1} << 22) / vocabulary, nn::rows_of_round(context)));
}

/// The sum in the order of the rows; ignored ones are 0.
inline Loss total_loss(VectorView<const double> row_losses, std::span<const std::int64_t> targets) {
  Loss loss{0, counted_rows(targets)};
  for (const double row : row_losses) loss.sum += row;
  return loss;
}

}  // namespace detail

/// Cross-entropy −log softmax(logits)[target] in nats of every row with a target; a negative target is ignored.
///
/// logits [N × V], targets [N]. row_losses [N] are assigned, 0 for ignored rows; d_logits [N × V] is assigned the
/// gradient of `scale · Σ losses`, zero for ignored rows, and may be logits itself. Empty ones are not wanted. Rows are
/// summed in order. Throws Error for a target that is not below V, before anything is written.
template <class Scalar>
Loss next_token_loss(MatrixView<const std::type_identity_t<Scalar>> logits, std::span<const std::int64_t> targets,
                     double scale, VectorView<double> row_losses, MatrixView<Scalar> d_logits, Context& context) {
  constexpr Index rows_per_task = 16;
  detail::check_targets(targets, logits.rows(), logits.columns());
  const Arena::Frame frame(context.scratch());
  if (row_losses.empty()) row_losses = context.scratch().template vector<double>(logits.rows());
  context.parallel_ranges(logits.rows(), rows_per_task, [&](Index first, Index count, Arena&) {
    for (Index r = first; r < first + count; ++r) {
      const std::int64_t target = targets[static_cast<std::size_t>(r)];
      row_losses[r] = 0;
      if (target >= 0)
        row_losses[r] = static_cast<double>(
            context.call<KernelId::cross_entropy_row, Scalar, &kernels::cross_entropy_row<simd::Native, Scalar>>(
                logits.row(r), static_cast<Index>(target), logits.columns(),
                d_logits.empty() ? nullptr : d_logits.row(r), static_cast<Scalar>(scale)));
      else if (!d_logits.empty())
        fill(d_logits.rows(r, 1), Scalar(0));
    }
  });
  return detail::total_loss(row_losses, targets);
}

/// `next_token_loss` of logits = features · Wᵀ in blocks of rows: memory for some megabytes of logits, whatever N.
///
/// weight [V × C], features [N × C]. With `d_weight` the gradients of `scale · Σ losses` too: d_features [N × C] is
/// assigned, `*d_weight` accumulates, as one backward of all rows at once would, bit for bit.
template <class Scalar>
Loss head_loss(const Tensor<Scalar>& weight, MatrixView<const Scalar> features, std::span<const std::int64_t> targets,
               double scale, VectorView<double> row_losses, MatrixView<Scalar> d_features, Tensor<Scalar>* d_weight,
               Context& context) {
  Arena& scratch = context.scratch();
  const Arena::Frame frame(scratch);
  const Index vocabulary = weight.shape()[0], block = detail::rows_of_logits(vocabulary, context);
  if (row_losses.empty()) row_losses = scratch.vector<double>(features.rows());
  std::optional<nn::LinearBackward<Scalar>> backward;
  if (d_weight) backward.emplace(weight, *d_weight, context);
  for (Index first = 0; first < features.rows(); first += block) {
    const Arena::Frame block_frame(scratch);
    const Index count = std::min(block, features.rows() - first);
    const auto rows = features.rows(first, count);
    const auto logits = scratch.matrix<Scalar>(count, vocabulary);
    nn::in_pieces(count, context, [&](Index row, Index size, Context& own) {
      const auto piece = logits.rows(row, size);
      const auto begin = static_cast<std::size_t>(first + row);
      nn::linear_forward<Scalar>(weight, rows.rows(row, size), piece, own);
      next_token_loss<Scalar>(piece, targets.subspan(begin, static_cast<std::size_t>(size)), scale,
                              VectorView<double>(row_losses.data() + begin, size),
                              backward ? piece : MatrixView<Scalar>(), own);
      if (backward) backward->input(piece, d_features.rows(first + row, size), own);
    });
    if (!backward) continue;
    nn::WeightSums<Scalar> sums(context);
    backward->weight(rows, logits, sums);
    sums.add_up();
  }
  return detail::total_loss(row_losses, targets);
}

TTT_NAMESPACE_END
