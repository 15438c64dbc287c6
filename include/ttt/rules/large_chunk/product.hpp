// SPDX-License-Identifier: MIT
/// @file
/// Products with right factors that are packed first: what a chunk of many tokens is made of.
#pragma once

#include "ttt/kernels/matmul.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

namespace detail {

/// B [K × N] in panels, in scratch.
template <class Scalar>
PanelView<Scalar> panels_of(MatrixView<const Scalar> b, Arena& scratch) {
  const PanelView<Scalar> panels(scratch.allocate<Scalar>(PanelView<Scalar>::storage_size(b.rows(), b.columns())),
                                 b.rows(), b.columns());
  kernels::pack_panels<Scalar>(b, panels);
  return panels;
}

/// Bᵀ [N × K] of a view B [K × N] in panels, in scratch.
template <class Scalar>
PanelView<Scalar> transposed_panels_of(MatrixView<const Scalar> b, Arena& scratch) {
  constexpr Index width = PanelView<Scalar>::width;
  const PanelView<Scalar> panels(scratch.allocate<Scalar>(PanelView<Scalar>::storage_size(b.columns(), b.rows())),
                                 b.columns(), b.rows());
  for (Index p = 0; p < panels.count(); ++p) {
    const Index rows = std::min(width, b.rows() - p * width);
    const MatrixView<Scalar> panel(panels.panel(p), b.columns(), width);
    kernels::transpose<Scalar>(b.rows(p * width, rows), panel.columns(0, rows));
    fill(panel.columns(rows, width - rows), Scalar(0));
  }
  return panels;
}

/// C [R × N] (+)= A [R × K] · B [K × N].
template <class Arch, class Scalar>
void packed_product(kernels::Left<Scalar> a, MatrixView<const Scalar> b, MatrixView<Scalar> c, kernels::Output output,
                    Arena& scratch) {
  const Arena::Frame frame(scratch);
  kernels::matmul<Arch, Scalar>(a, panels_of<Scalar>(b, scratch), c, output);
}
/// C [R × N] (+)= A [R × K] · Bᵀ, B [N × K].
template <class Arch, class Scalar>
void packed_product_transposed(kernels::Left<Scalar> a, MatrixView<const Scalar> b, MatrixView<Scalar> c,
                               kernels::Output output, Arena& scratch) {
  const Arena::Frame frame(scratch);
  kernels::matmul<Arch, Scalar>(a, transposed_panels_of<Scalar>(b, scratch), c, output);
}

}  // namespace detail

}  // namespace rules

TTT_NAMESPACE_END
