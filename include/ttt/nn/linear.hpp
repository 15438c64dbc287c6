// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "ttt/core/context.hpp"
#include "ttt/core/tensor.hpp"
#include "ttt/kernels/matmul.hpp"
#include "ttt/kernels/matmul_bfloat16.hpp"
#include "ttt/nn/linear/large_products.hpp"
#include "ttt/nn/linear/weight_sums.hpp"
#include "ttt/nn/row_pieces.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// A linear map's weight [out × in], unbound, stored as panels.
template <class Scalar>
Tensor<Scalar> make_weight(Index out, Index in) {
  return Tensor<Scalar>(Shape{out, in}, Layout::panels);
}

namespace detail {

/// Rows per task of a product: small enough to share out, large enough to reuse a panel from cache.
inline constexpr Index rows_per_task = 96;

/// Length of equal shares of [0, total), none longer than `most`: equally many for each worker that the product of
/// `total`, `rows` and `columns` is worth sharing with.
inline Index share(Index total, Index most, Index rows, Index columns, const Context& context) {
  const Index workers = context.shares(total * rows * columns);
  const Index shares = std::max<Index>(1, (total + most * workers - 1) / (most * workers)) * workers;
  return std::max<Index>(1, (total + shares - 1) / shares);
}

/// y (+)= x · B in panels [first, first + count).
template <class Scalar, class Panels>
void multiply(MatrixView<const Scalar> x, Panels panels, MatrixView<Scalar> y, kernels::Output output, Index first,
              Index count, Context& context) {
  if constexpr (std::is_same_v<Panels, Bfloat16PanelView>)
    context.call<KernelId::bfloat16_matmul, Scalar, kernels::bfloat16_matmul<simd::Native>>(x, panels, y, output, first,
                                                                                            count);
  else
    context.call<KernelId::panel_matmul, Scalar, kernels::panel_matmul<simd::Native, Scalar>>(x, panels, y, output,
                                                                                              first, count);
}

/// y (+)= x · B, shared out over rows, or over panels when there are few rows. No element's chain depends on the split.
template <class Scalar, class Panels>
void product(MatrixView<const Scalar> x, Panels panels, MatrixView<Scalar> y, kernels::Output output,
             Context& context) {
  if (x.rows() > rows_per_task) {
    const Index each = share(x.rows(), rows_per_task, panels.rows(), panels.columns(), context);
    context.parallel_ranges(x.rows(), each, [&](Index first, Index count, Arena&) {
      multiply(x.rows(first, count), panels, y.rows(first, count), output, 0, panels.count(), context);
    });
  } else {
    const Index each = share(panels.count(), panels.count(), x.rows() * panels.width, panels.rows(), context);
    context.parallel_ranges(panels.count(), each, [&](Index first, Index count, Arena&) {
      multiply(x, panels, y, output, first, count, context);
    });
  }
}

/// Panels [rows × columns] in scratch, which `fill(panels, first, count)` writes in parallel.
template <class Scalar, class Fill>
PanelView<const Scalar> panels_of(Index rows, Index columns, Context& context, Fill&& fill) {
  const Index size = PanelView<Scalar>::storage_size(rows, columns);
  const PanelView<Scalar> panels(context.scratch().template allocate<Scalar>(size), rows, columns);
  const Index each = share(panels.count(), panels.count(), panels.width, rows, context);
  context.parallel_ranges(panels.count(), each, [&](Index first, Index count, Arena&) { fill(panels, first, count); });
  return panels;
}

/// Calls `body` with the panels of a weight: of Scalars, or of bfloat16.
template <class Scalar, class Body>
void with_panels(const Tensor<Scalar>& weight, Body&& body) {
  if constexpr (std::is_same_v<Scalar, float>)
    if (weight.layout() == Layout::bfloat16_panels) return body(weight.bfloat16_panels());
  body(weight.panels());
}

/// The panels of a weight as Scalars: in scratch if it is in bfloat16.
template <class Scalar>
PanelView<const Scalar> scalar_panels(const Tensor<Scalar>& weight, Context& context) {
  if constexpr (std::is_same_v<Scalar, float>)
    if (weight.layout() == Layout::bfloat16_panels) {
      const Bfloat16PanelView narrow = weight.bfloat16_panels();
      return panels_of<float>(narrow.rows(), narrow.columns(), context, [&](auto panels, Index first, Index count) {
        kernels::widen_panels(narrow, panels, first, count);
      });
    }
  return weight.panels();
}

/// Bᵀ in scratch: what d_x = d_y · Bᵀ multiplies by.
template <class Scalar>
PanelView<const Scalar> transposed_panels(PanelView<const Scalar> panels, Context& context) {
  return panels_of<Scalar>(panels.columns(), panels.rows(), context, [&](auto to, Index first, Index count) {
    kernels::transpose_panels(panels, to, first, count);
  });
}

/// d_x (+)= d_y · W, with the transpose of the weight where the caller has it (else empty).
template <class Scalar>
void input_gradient(const Tensor<Scalar>& weight, PanelView<const Scalar> transposed, MatrixView<const Scalar> d_y,
                    MatrixView<Scalar> d_x, kernels::Output output, Context& context) {
  const Arena::Frame frame(context.scratch());
  if (transposed.empty()) {
    const auto panels = scalar_panels(weight, context);
    if (hand_over_backward<Scalar>(d_y, panels, d_x, output, context)) return;
    transposed = transposed_panels(panels, context);
  }
  product<Scalar>(d_y, transposed, d_x, output, context);
}

}  // namespace detail

/// y = x · Wᵀ: x [N × in], W [out × in] in panels, y [N × out]. Assigns or accumulates; y must not overlap x. A weight
/// in bfloat16 gives the bits of the same weight in float.
template <class Scalar>
void linear_forward(const Tensor<Scalar>& weight, MatrixView<const std::type_identity_t<Scalar>> x,
                    MatrixView<std::type_identity_t<Scalar>> y, Context& context,
                    kernels::Output output = kernels::Output::assign) {
  detail::with_panels(weight, [&](auto panels) {
    if (!detail::hand_over_forward<Scalar>(x, panels, y, output, context))
      detail::product<Scalar>(x, panels, y, output, context);
  });
}

/// d_x = d_y · W and d_W += d_yᵀ · x. An empty `d_x` or `d_weight` is not wanted and costs nothing; `d_x` is assigned
/// or accumulated as `output` says, `d_weight` always accumulates, in Scalars also where the weight is in bfloat16.
template <class Scalar>
void linear_backward(const Tensor<Scalar>& weight, MatrixView<const std::type_identity_t<Scalar>> x,
                     MatrixView<const std::type_identity_t<Scalar>> d_y, MatrixView<std::type_identity_t<Scalar>> d_x,
                     Tensor<Scalar>& d_weight, Context& context, kernels::Output output = kernels::Output::assign) {
  if (!d_x.empty()) detail::input_gradient<Scalar>(weight, {}, d_y, d_x, output, context);
  in_rounds(x.rows(), context, [&](Index first, Index count) {
    WeightSums<Scalar> sums(context);
    sums.add(x.rows(first, count), d_y.rows(first, count), d_weight);
    sums.add_up();
  });
}

/// `linear_backward` for rows that come in rounds and pieces (see row_pieces.hpp): the weight is transposed once, into
/// scratch of the context. The bits are those of all rows at once, if their rounds come in order.
template <class Scalar>
class LinearBackward {
 public:
  LinearBackward(const Tensor<Scalar>& weight, Tensor<Scalar>& d_weight, Context& context)
      : weight_(weight), d_weight_(d_weight) {
    if (!context.large_products)
      transposed_ = detail::transposed_panels<Scalar>(detail::scalar_panels(weight, context), context);
  }

  /// d_x (+)= d_y · W for the rows of a piece; an empty d_x is not wanted.
  void input(MatrixView<const Scalar> d_y, MatrixView<Scalar> d_x, Context& own,
             kernels::Output output = kernels::Output::assign) const {
    if (!d_x.empty()) detail::input_gradient<Scalar>(weight_, transposed_, d_y, d_x, output, own);
  }

  /// d_W += d_yᵀ · x for the rows of a round, when `sums` are added up; an unbound gradient is not wanted.
  void weight(MatrixView<const Scalar> x, MatrixView<const Scalar> d_y, WeightSums<Scalar>& sums) const {
    sums.add(x, d_y, d_weight_);
  }

 private:
  const Tensor<Scalar>& weight_;
  Tensor<Scalar>& d_weight_;
  PanelView<const Scalar> transposed_;  // empty: each call transposes, or hands over
};

}  // namespace nn

TTT_NAMESPACE_END
