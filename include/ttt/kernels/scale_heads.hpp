// SPDX-License-Identifier: MIT
/// @file
/// A number for each head times the columns of the head: the rates of the delta rules (β k, β v), the step widths of
/// Mamba-2 (Δ x), and its skip D x.
///
///     y_h = r_h x_{h / G}       r [N × H], or [1 × H] for all rows; x [N × H_k · W]; y [N × H · W]; G = H / H_k
#pragma once

#include <type_traits>

#include "ttt/kernels/rows.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

namespace detail {

/// Calls `body(r, head, rate, column of x, column of y)` for every head of every row.
template <class Scalar, class Body>
TTT_INLINE void over_heads(MatrixView<const Scalar> rates, Index x_columns, MatrixView<const Scalar> y, Body&& body) {
  const Index heads = rates.columns(), width = y.columns() / heads, group = heads / (x_columns / width);
  for (Index r = 0; r < y.rows(); ++r)
    for (Index h = 0; h < heads; ++h)
      body(r, h, rates(rates.rows() == 1 ? 0 : r, h), h / group * width, h * width, width);
}

/// Whether every column is a head of its own: then packs go over the heads.
template <class Scalar>
bool heads_are_columns(MatrixView<const Scalar> rates, Index x_columns, Index y_columns) {
  return rates.columns() == y_columns && x_columns == y_columns;
}
/// Calls `body(r, rates of row r)` for those.
template <class Scalar, class Body>
TTT_INLINE void over_rows(MatrixView<const Scalar> rates, Index rows, Body&& body) {
  for (Index r = 0; r < rows; ++r) body(r, rates.row(rates.rows() == 1 ? 0 : r));
}

}  // namespace detail

/// y_h = r_h x_{h / G}, assigned; y may equal x where G = 1.
template <class Arch = simd::Native, class Scalar>
void scale_heads(MatrixView<const std::type_identity_t<Scalar>> rates, MatrixView<const std::type_identity_t<Scalar>> x,
                 MatrixView<Scalar> y) {
  if (detail::heads_are_columns<Scalar>(rates, x.columns(), y.columns()))
    return detail::over_rows<Scalar>(rates, y.rows(), [&](Index r, const Scalar* rate) TTT_INLINE_LAMBDA {
      simd::for_each_pack<Scalar, Arch>(y.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
        (P::load(rate + c) * P::load(x.row(r) + c)).store(y.row(r) + c);
      });
    });
  detail::over_heads<Scalar>(rates, x.columns(), y,
                             [&](Index r, Index, Scalar rate, Index from, Index to, Index width)
                                 TTT_INLINE_LAMBDA { scale<Arch>(rate, x.row(r) + from, width, y.row(r) + to); });
}

/// y_h += r_h x_{h / G}.
template <class Arch = simd::Native, class Scalar>
void add_scaled_heads(MatrixView<const std::type_identity_t<Scalar>> rates,
                      MatrixView<const std::type_identity_t<Scalar>> x, MatrixView<Scalar> y) {
  if (detail::heads_are_columns<Scalar>(rates, x.columns(), y.columns()))
    return detail::over_rows<Scalar>(rates, y.rows(), [&](Index r, const Scalar* rate) TTT_INLINE_LAMBDA {
      simd::for_each_pack<Scalar, Arch>(y.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
        simd::fma(P::load(rate + c), P::load(x.row(r) + c), P::load(y.row(r) + c)).store(y.row(r) + c);
      });
    });
  detail::over_heads<Scalar>(rates, x.columns(), y,
                             [&](Index r, Index, Scalar rate, Index from, Index to, Index width)
                                 TTT_INLINE_LAMBDA { add_scaled<Arch>(rate, x.row(r) + from, width, y.row(r) + to); });
}

/// Backward of both: d_x_{h / G} += r_h d_y_h, and d_r_h += ⟨d_y_h, x_{h / G}⟩, of all rows in order where the rates
/// are for all. An empty d_r is not wanted. d_x overlaps nothing.
template <class Arch = simd::Native, class Scalar>
void scale_heads_backward(MatrixView<const std::type_identity_t<Scalar>> rates,
                          MatrixView<const std::type_identity_t<Scalar>> x,
                          MatrixView<const std::type_identity_t<Scalar>> d_y,
                          MatrixView<std::type_identity_t<Scalar>> d_rates, MatrixView<Scalar> d_x) {
  if (detail::heads_are_columns<Scalar>(rates, x.columns(), d_y.columns()))
    return detail::over_rows<Scalar>(rates, d_y.rows(), [&](Index r, const Scalar* rate) TTT_INLINE_LAMBDA {
      Scalar* const d_rate = d_rates.empty() ? nullptr : d_rates.row(d_rates.rows() == 1 ? 0 : r);
      simd::for_each_pack<Scalar, Arch>(d_y.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
        const P d = P::load(d_y.row(r) + c);
        if (d_rate) simd::fma(d, P::load(x.row(r) + c), P::load(d_rate + c)).store(d_rate + c);
        simd::fma(P::load(rate + c), d, P::load(d_x.row(r) + c)).store(d_x.row(r) + c);
      });
    });
  detail::over_heads<Scalar>(
      rates, x.columns(), d_y, [&](Index r, Index h, Scalar rate, Index from, Index to, Index width) TTT_INLINE_LAMBDA {
        if (!d_rates.empty())
          d_rates(d_rates.rows() == 1 ? 0 : r, h) += dot<Arch>(d_y.row(r) + to, x.row(r) + from, width);
        add_scaled<Arch>(rate, d_y.row(r) + to, width, d_x.row(r) + from);
      });
}

}  // namespace kernels

TTT_NAMESPACE_END
