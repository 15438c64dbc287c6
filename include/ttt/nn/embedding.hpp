// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>

#include "ttt/core/context.hpp"
#include "ttt/core/tensor.hpp"
#include "ttt/nn/linear.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

namespace detail {

/// Tokens, or channels, per task.
inline constexpr Index embedding_grain = 32;

/// Element (id, c) of a weight [V × C] in panels is `row_in_panels(…)[c * panel_width]`.
template <class Scalar>
Scalar* row_in_panels(PanelView<Scalar> panels, std::int64_t id) {
  TTT_ASSERT(id >= 0 && id < panels.columns(), "a token id lies outside of the vocabulary");
  return &panels(0, static_cast<Index>(id));
}

/// Assigns `scale` times row `id` of the weight whose panels these are to `to` [C].
template <class Scalar>
void copy_row(PanelView<const Scalar> panels, std::int64_t id, Scalar scale, Scalar* to) {
  const Scalar* source = row_in_panels(panels, id);
  for (Index c = 0; c < panels.rows(); ++c) to[c] = scale * source[c * panel_width<Scalar>];
}
inline void copy_row(Bfloat16PanelView panels, std::int64_t id, float scale, float* to) {
  TTT_ASSERT(id >= 0 && id < panels.columns(), "a token id lies outside of the vocabulary");
  for (Index c = 0; c < panels.rows(); ++c) to[c] = scale * panels(c, static_cast<Index>(id));
}

}  // namespace detail

/// y[n] = scale · weight[ids[n]]: weight [V × C] in panels, of bfloat16 too, as a tied head wants it; y [N × C] is
/// assigned.
template <class Scalar>
void embedding_forward(const Tensor<Scalar>& weight, std::span<const std::int64_t> ids,
                       MatrixView<std::type_identity_t<Scalar>> y, Context& context, double scale = 1) {
  TTT_ASSERT(static_cast<Index>(ids.size()) == y.rows(), "there is one id per row");
  detail::with_panels(weight, [&](auto panels) {
    context.parallel_ranges(y.rows(), detail::embedding_grain, [&](Index first, Index count, Arena&) {
      for (Index n = first; n < first + count; ++n)
        detail::copy_row(panels, ids[static_cast<std::size_t>(n)], static_cast<Scalar>(scale), y.row(n));
    });
  });
}

/// d_weight[ids[n]] += scale · d_y[n], n ascending: threads share out channels, so that repeated ids are added in token
/// order. An unbound `d_weight` is not wanted.
template <class Scalar>
void embedding_backward(std::span<const std::int64_t> ids, MatrixView<const std::type_identity_t<Scalar>> d_y,
                        Tensor<Scalar>& d_weight, Context& context, double scale = 1) {
  constexpr Index width = panel_width<Scalar>;
  if (d_weight.empty()) return;
  TTT_ASSERT(static_cast<Index>(ids.size()) == d_y.rows(), "there is one id per row");
  context.parallel_ranges(d_y.columns(), detail::embedding_grain, [&](Index first, Index count, Arena&) {
    for (Index n = 0; n < d_y.rows(); ++n) {
      Scalar* target = detail::row_in_panels(d_weight.panels(), ids[static_cast<std::size_t>(n)]);
      for (Index c = first; c < first + count; ++c) target[c * width] += static_cast<Scalar>(scale) * d_y(n, c);
    }
  });
}

}  // namespace nn

TTT_NAMESPACE_END
