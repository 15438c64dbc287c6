// SPDX-License-Identifier: MIT
/// @file
/// The three products of a linear map, handed to `Context::large_products` if they are large enough: each function says
/// whether it did. That library knows row-major matrices only, so panels are copied to scratch and back.
#pragma once

#include "ttt/core/context.hpp"
#include "ttt/core/tensor.hpp"
#include "ttt/kernels/matmul.hpp"

TTT_NAMESPACE_BEGIN

namespace nn::detail {

/// Who takes a product of `multiply_adds`, or null.
inline LargeProducts* taker(Index multiply_adds, Context& context) {
  LargeProducts* const products = context.large_products;
  return products && multiply_adds > 0 && multiply_adds >= products->smallest() ? products : nullptr;
}

/// Runs `body(panel, rows)` on each panel and its columns of a row-major matrix of the same shape.
template <class Scalar, class Body>
void over_panels(PanelView<Scalar> panels, MatrixView<std::remove_const_t<Scalar>> matrix, Context& context,
                 Body&& body) {
  constexpr Index width = PanelView<Scalar>::width;
  context.parallel(panels.count(), panels.rows() * panels.columns(), [&](Index p, Arena&) {
    const Index columns = std::min(width, panels.columns() - p * width);
    body(MatrixView<Scalar>(panels.panel(p), panels.rows(), columns, width), matrix.columns(p * width, columns));
  });
}

/// The matrix [K × N] in row-major scratch.
template <class Scalar>
MatrixView<const Scalar> unpacked(PanelView<const Scalar> panels, Context& context) {
  const auto rows = context.scratch().template matrix<Scalar>(panels.rows(), panels.columns());
  over_panels(panels, rows, context,
              [](MatrixView<const Scalar> panel, MatrixView<Scalar> columns) { copy(panel, columns); });
  return rows;
}

/// y (+)= x · B for B in panels.
template <class Scalar>
bool hand_over_forward(MatrixView<const Scalar> x, PanelView<const Scalar> weight, MatrixView<Scalar> y,
                       kernels::Output output, Context& context) {
  LargeProducts* const products = taker(x.rows() * weight.rows() * weight.columns(), context);
  if (!products) return false;
  const Arena::Frame frame(context.scratch());
  products->multiply({x}, {unpacked(weight, context)}, y, output == kernels::Output::accumulate);
  return true;
}

/// Weights in bfloat16 stay here: widening all of them would cost more than another library saves.
template <class Scalar>
bool hand_over_forward(MatrixView<const Scalar>, Bfloat16PanelView, MatrixView<Scalar>, kernels::Output, Context&) {
  return false;
}

/// d_x (+)= d_y · Bᵀ for B in panels.
template <class Scalar>
bool hand_over_backward(MatrixView<const Scalar> d_y, PanelView<const Scalar> weight, MatrixView<Scalar> d_x,
                        kernels::Output output, Context& context) {
  LargeProducts* const products = taker(d_y.rows() * weight.rows() * weight.columns(), context);
  if (!products) return false;
  const Arena::Frame frame(context.scratch());
  products->multiply({d_y}, {unpacked(weight, context), true}, d_x, output == kernels::Output::accumulate);
  return true;
}

/// B += xᵀ · d_y for B in panels.
template <class Scalar>
bool hand_over_gradient(MatrixView<const Scalar> x, MatrixView<const Scalar> d_y, PanelView<Scalar> gradient,
                        Context& context) {
  LargeProducts* const products = taker(x.rows() * gradient.rows() * gradient.columns(), context);
  if (!products) return false;
  const Arena::Frame frame(context.scratch());
  const auto sum = context.scratch().template matrix<Scalar>(gradient.rows(), gradient.columns());
  products->multiply({x, true}, {d_y}, sum, false);
  over_panels(gradient, sum, context, [](MatrixView<Scalar> panel, MatrixView<Scalar> columns) {
    for (Index k = 0; k < panel.rows(); ++k)
      for (Index n = 0; n < panel.columns(); ++n) panel(k, n) += columns(k, n);
  });
  return true;
}

}  // namespace nn::detail

TTT_NAMESPACE_END
