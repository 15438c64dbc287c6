// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/tensor.hpp"
#include "ttt/kernels/layer_norm.hpp"
#include "ttt/kernels/matmul.hpp"
#include "ttt/kernels/rms_norm.hpp"
#include "ttt/nn/row_sums.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

enum class NormKind { none, rms, layer };

/// A norm over every `group` columns of every row of x [N × C]. Weight and, of a layer norm, bias have C elements, or
/// `group`, which then serve all groups. Without any kind of norm, x itself.
template <class Scalar>
struct Norm {
  NormKind kind;
  VectorView<const Scalar> weight, bias;
  Index group;
  double epsilon;

  /// y = norm(x) for the rows of a task. y is assigned and may equal x.
  void rows(MatrixView<const Scalar> x, MatrixView<Scalar> y, Context& context) const {
    if (kind == NormKind::none && x.data() != y.data()) copy(x, y);
    for_each_group(x.columns(), [&](Index column, Index own) {
      const auto from = x.columns(column, group);
      const auto to = y.columns(column, group);
      const VectorView<const Scalar> by(weight.data() + own, group);
      if (kind == NormKind::rms)
        context.call<KernelId::rms_norm, Scalar, &kernels::rms_norm<simd::Native, Scalar>>(
            from, by, static_cast<Scalar>(epsilon), to);
      else
        context.call<KernelId::layer_norm, Scalar, &kernels::layer_norm<simd::Native, Scalar>>(
            from, by, VectorView<const Scalar>(bias.data() + own, group), static_cast<Scalar>(epsilon), to);
    });
  }

  /// Backward for a row [C]: assigns d_x, which may equal d_y, and adds to d_weight and d_bias; null ones are not
  /// wanted.
  void row_backward(const Scalar* x, Index columns, const Scalar* d_y, Scalar* d_x, Scalar* d_weight, Scalar* d_bias,
                    Context& context) const {
    if (kind == NormKind::none && d_x && d_x != d_y) std::copy_n(d_y, columns, d_x);
    const auto at = [](Scalar* wanted, Index column) { return wanted ? wanted + column : nullptr; };
    for_each_group(columns, [&](Index column, Index own) {
      const auto given = static_cast<Scalar>(epsilon);
      if (kind == NormKind::rms)
        context.call<KernelId::rms_norm_row_backward, Scalar, &kernels::rms_norm_row_backward<simd::Native, Scalar>>(
            x + column, weight.data() + own, group, given, d_y + column, at(d_x, column), at(d_weight, own));
      else
        context
            .call<KernelId::layer_norm_row_backward, Scalar, &kernels::layer_norm_row_backward<simd::Native, Scalar>>(
                x + column, weight.data() + own, group, given, d_y + column, at(d_x, column), at(d_weight, own),
                at(d_bias, own));
    });
  }

 private:
  /// Calls `body(column, weight's)` with where each group begins.
  template <class Body>
  void for_each_group(Index columns, Body&& body) const {
    if (kind == NormKind::none) return;
    TTT_ASSERT(columns % group == 0 && (weight.size() == group || weight.size() == columns),
               "a norm goes over equal groups of columns, and has weights for all columns or for those of a group");
    for (Index column = 0; column < columns; column += group) body(column, column % weight.size());
  }
};

namespace detail {

template <class Scalar>
void norm_forward(const Norm<Scalar>& norm, MatrixView<const Scalar> x, MatrixView<Scalar> y, Context& context) {
  context.parallel_ranges(x.rows(), rows_per_range, [&](Index first, Index count, Arena&) {
    norm.rows(x.rows(first, count), y.rows(first, count), context);
  });
}

/// d_x is assigned or accumulated; d_weight and d_bias are unbound where not wanted.
template <class Scalar>
void norm_backward(const Norm<Scalar>& norm, MatrixView<const Scalar> x, MatrixView<const Scalar> d_y,
                   MatrixView<Scalar> d_x, Tensor<Scalar>& d_weight, Tensor<Scalar>& d_bias, Context& context,
                   kernels::Output output) {
  const bool accumulate = output == kernels::Output::accumulate;
  sum_gradients<Scalar, 2>(x.rows(), {&d_weight, &d_bias}, context,
                           [&](Index first, Index count, const auto& sums, Arena& arena) {
                             write_rows(first, count, d_x, accumulate, arena, [&](Scalar* d_row, Index r) {
                               norm.row_backward(x.row(r), x.columns(), d_y.row(r), d_row, sums[0], sums[1], context);
                             });
                           });
}

}  // namespace detail

}  // namespace nn

TTT_NAMESPACE_END
