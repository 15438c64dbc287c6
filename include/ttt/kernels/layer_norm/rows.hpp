// SPDX-License-Identifier: MIT
/// @file
/// The layer norms of the TTT inner model, f(x) = x + LN(z(x)) with loss ½‖f(k) − v‖² = ½‖LN(z) − (v − k)‖², on blocks
/// of rows [n × D]. They compute what the row kernels of layer_norm.hpp do, which also take the widths that are no
/// multiple of a pack; here as many rows as a pack has lanes go together, so that their means are one pack and nobody
/// waits for the sum across a register. A row gives the same bits whatever the other rows.
#pragma once

#include "ttt/kernels/layer_norm.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

/// Weight and bias of the inner norm of one head.
template <class Scalar>
struct NormRows {
  const Scalar* weight;  ///< γ [D]
  const Scalar* bias;    ///< β [D]
  Scalar epsilon;
};
/// Gradients of both, which accumulate.
template <class Scalar>
struct NormRowsGradient {
  Scalar* weight;
  Scalar* bias;
};

namespace detail {

/// Up to a pack's worth of rows, whose means over the columns are the lanes of a pack.
template <class P, class Scalar>
struct RowGroup {
  Index rows, width;
  Scalar mean[static_cast<std::size_t>(P::size)], inverse_deviation[static_cast<std::size_t>(P::size)];

  /// Calls body(r, c) for every pack.
  template <class Body>
  TTT_INLINE void each(Body&& body) const {
    for (Index r = 0; r < rows; ++r)
      for (Index c = 0; c < width; c += P::size) body(r, c);
  }
  /// Means of the values of body(r, c), which returns an array; lane r belongs to row r.
  template <std::size_t Count, class Body>
  TTT_INLINE std::array<P, Count> means(Body&& body) const {
    std::array<std::array<P, static_cast<std::size_t>(P::size)>, Count> sums;
    for (auto& sum : sums) sum.fill(P(Scalar(0)));
    for (Index r = 0; r < rows; ++r) {
      std::array<P, Count> sum;
      sum.fill(P(Scalar(0)));
      for (Index c = 0; c < width; c += P::size) {
        const std::array<P, Count> values = body(r, c);
        for (std::size_t k = 0; k < Count; ++k) sum[k] = sum[k] + values[k];
      }
      for (std::size_t k = 0; k < Count; ++k) sums[k][static_cast<std::size_t>(r)] = sum[k];
    }
    std::array<P, Count> result;
    for (std::size_t k = 0; k < Count; ++k) result[k] = simd::lane_sums(sums[k]) / P(static_cast<Scalar>(width));
    return result;
  }
  /// The moments of the rows of z; leaves z − mean in `centred`, which may be z.
  TTT_INLINE void find_moments(MatrixView<const Scalar> z, Scalar epsilon, MatrixView<Scalar> centred) {
    means<1>([&](Index r, Index c) TTT_INLINE_LAMBDA { return std::array{P::load(z.row(r) + c)}; })[0].store(mean);
    const P variance = means<1>([&](Index r, Index c) TTT_INLINE_LAMBDA {
      const P difference = P::load(z.row(r) + c) - P(mean[r]);
      difference.store(centred.row(r) + c);
      return std::array{difference * difference};
    })[0];
    (P(Scalar(1)) / simd::sqrt(variance + P(epsilon))).store(inverse_deviation);
  }
};

/// Calls body(group, first) for groups of rows; false when the width does not fill packs.
template <class Arch, class Scalar, class Body>
TTT_INLINE bool for_each_group(Index rows, Index width, Body&& body) {
  using P = simd::Pack<Scalar, Arch>;
  if (width % P::size != 0) return false;
  for (Index first = 0; first < rows; first += P::size) {
    RowGroup<P, Scalar> group;
    group.rows = std::min(P::size, rows - first);
    group.width = width;
    body(group, first);
  }
  return true;
}

/// The packs of the lanes of which row r needs number r in every lane.
template <std::size_t Count, class P, class Scalar = decltype(simd::reduce_add(P()))>
struct LaneValues {
  Scalar values[Count][static_cast<std::size_t>(P::size)];

  TTT_INLINE explicit LaneValues(const std::array<P, Count>& packs) {
    for (std::size_t k = 0; k < Count; ++k) packs[k].store(values[k]);
  }
  TTT_INLINE P operator()(std::size_t k, Index r) const { return P(values[k][r]); }
};

}  // namespace detail

/// out = x + LN(z), row by row. out must not overlap x or z.
template <class Arch = simd::Native, class Scalar>
void residual_norm_rows(const NormRows<Scalar>& norm, MatrixView<const Scalar> x, MatrixView<const Scalar> z,
                        MatrixView<Scalar> out) {
  using P = simd::Pack<Scalar, Arch>;
  const Index width = x.columns();
  const bool done = detail::for_each_group<Arch, Scalar>(x.rows(), width, [&](auto& group, Index first) {
    const auto x_rows = x.rows(first, group.rows);
    const auto out_rows = out.rows(first, group.rows);
    group.find_moments(z.rows(first, group.rows), norm.epsilon, out_rows);
    group.each([&](Index r, Index c) TTT_INLINE_LAMBDA {
      const P normalized = P::load(out_rows.row(r) + c) * P(group.inverse_deviation[r]);
      const P y = simd::fma(P::load(norm.weight + c), normalized, P::load(norm.bias + c));
      (P::load(x_rows.row(r) + c) + y).store(out_rows.row(r) + c);
    });
  });
  for (Index r = 0; !done && r < x.rows(); ++r) {
    layer_norm_row<Arch>(z.row(r), norm.weight, norm.bias, width, norm.epsilon, out.row(r));
    for (Index c = 0; c < width; ++c) out(r, c) += x(r, c);
  }
}

/// Backward of `residual_norm_rows` in z (the gradient of x is d_out itself): assigns d_z, adds to d_norm.
/// d_z must not overlap d_out.
template <class Arch = simd::Native, class Scalar>
void residual_norm_rows_backward(const NormRows<Scalar>& norm, MatrixView<const Scalar> z,
                                 MatrixView<const Scalar> d_out, MatrixView<Scalar> d_z,
                                 const NormRowsGradient<Scalar>& d_norm) {
  using P = simd::Pack<Scalar, Arch>;
  const Index width = z.columns();
  const bool done = detail::for_each_group<Arch, Scalar>(z.rows(), width, [&](auto& group, Index first) {
    const auto d = d_out.rows(first, group.rows);
    const auto to = d_z.rows(first, group.rows);
    group.find_moments(z.rows(first, group.rows), norm.epsilon, to);
    const detail::LaneValues<2, P> means(group.template means<2>([&](Index r, Index c) TTT_INLINE_LAMBDA {
      const P normalized = P::load(to.row(r) + c) * P(group.inverse_deviation[r]), gradient = P::load(d.row(r) + c);
      normalized.store(to.row(r) + c);
      simd::fma(gradient, normalized, P::load(d_norm.weight + c)).store(d_norm.weight + c);
      (P::load(d_norm.bias + c) + gradient).store(d_norm.bias + c);
      const P u = P::load(norm.weight + c) * gradient;
      return std::array{u, u * normalized};
    }));
    group.each([&](Index r, Index c) TTT_INLINE_LAMBDA {
      const P u = simd::fma(P::load(norm.weight + c), P::load(d.row(r) + c), P(Scalar(0)) - means(0, r));
      const P normalized = P::load(to.row(r) + c);
      ((u - normalized * means(1, r)) * P(group.inverse_deviation[r])).store(to.row(r) + c);
    });
  });
  for (Index r = 0; !done && r < z.rows(); ++r)
    layer_norm_row_backward<Arch>(z.row(r), norm.weight, width, norm.epsilon, d_out.row(r), d_z.row(r), d_norm.weight,
                                  d_norm.bias);
}

/// g = ∂/∂z ½‖LN(z) − (v − k)‖², row by row. g must not overlap keys or values and may be z.
template <class Arch = simd::Native, class Scalar>
void reconstruction_gradient_rows(const NormRows<Scalar>& norm, MatrixView<const Scalar> z,
                                  MatrixView<const Scalar> keys, MatrixView<const Scalar> values,
                                  MatrixView<Scalar> g) {
  using P = simd::Pack<Scalar, Arch>;
  const Index width = z.columns();
  const bool done = detail::for_each_group<Arch, Scalar>(z.rows(), width, [&](auto& group, Index first) {
    const auto k = keys.rows(first, group.rows), v = values.rows(first, group.rows);
    const auto to = g.rows(first, group.rows);
    group.find_moments(z.rows(first, group.rows), norm.epsilon, to);
    const auto load_u = [&](P normalized, Index r, Index c) TTT_INLINE_LAMBDA {
      const P weight = P::load(norm.weight + c), target = P::load(v.row(r) + c) - P::load(k.row(r) + c);
      return weight * simd::fma(weight, normalized, P::load(norm.bias + c) - target);
    };
    const detail::LaneValues<2, P> means(group.template means<2>([&](Index r, Index c) TTT_INLINE_LAMBDA {
      const P normalized = P::load(to.row(r) + c) * P(group.inverse_deviation[r]), u = load_u(normalized, r, c);
      normalized.store(to.row(r) + c);
      return std::array{u, u * normalized};
    }));
    group.each([&](Index r, Index c) TTT_INLINE_LAMBDA {
      const P normalized = P::load(to.row(r) + c), u = load_u(normalized, r, c) - means(0, r);
      ((u - normalized * means(1, r)) * P(group.inverse_deviation[r])).store(to.row(r) + c);
    });
  });
  for (Index r = 0; !done && r < z.rows(); ++r) {
    for (Index c = 0; c < width; ++c) g(r, c) = values(r, c) - keys(r, c);
    layer_norm_l2_gradient_row<Arch>(z.row(r), g.row(r), norm.weight, norm.bias, width, norm.epsilon, g.row(r));
  }
}

/// Backward of `reconstruction_gradient_rows` (see `layer_norm_l2_gradient_row_backward` for the letters): assigns d_z
/// and d_values, adds to d_keys and d_norm. No output may overlap an input.
template <class Arch = simd::Native, class Scalar>
void reconstruction_gradient_rows_backward(const NormRows<Scalar>& norm, MatrixView<const Scalar> z,
                                           MatrixView<const Scalar> keys, MatrixView<const Scalar> values,
                                           MatrixView<const Scalar> d_g, MatrixView<Scalar> d_z,
                                           MatrixView<Scalar> d_keys, MatrixView<Scalar> d_values,
                                           const NormRowsGradient<Scalar>& d_norm) {
  using P = simd::Pack<Scalar, Arch>;
  const Index width = z.columns();
  const bool done = detail::for_each_group<Arch, Scalar>(z.rows(), width, [&](auto& group, Index first) {
    const auto k = keys.rows(first, group.rows), v = values.rows(first, group.rows), d = d_g.rows(first, group.rows);
    const auto to = d_z.rows(first, group.rows), to_keys = d_keys.rows(first, group.rows),
               to_values = d_values.rows(first, group.rows);
    group.find_moments(z.rows(first, group.rows), norm.epsilon, to);
    const auto scale = [&](Index r) TTT_INLINE_LAMBDA { return P(group.inverse_deviation[r]); };
    // x̂ stays in d_z and e = LN(z) − (v − k) in d_values until they are replaced.
    const auto sums = group.template means<5>([&](Index r, Index c) TTT_INLINE_LAMBDA {
      const P normalized = P::load(to.row(r) + c) * scale(r), gradient = P::load(d.row(r) + c);
      const P target = P::load(v.row(r) + c) - P::load(k.row(r) + c), weight = P::load(norm.weight + c);
      const P error = simd::fma(weight, normalized, P::load(norm.bias + c) - target), u = weight * error;
      normalized.store(to.row(r) + c);
      error.store(to_values.row(r) + c);
      return std::array{u, u * normalized, gradient, gradient * normalized, gradient * u};
    });
    const detail::LaneValues<5, P> means(sums);
    const P mean_dh = sums[4] - sums[2] * sums[0] - sums[3] * sums[1];
    auto projections = group.template means<2>([&](Index r, Index c) TTT_INLINE_LAMBDA {
      const P normalized = P::load(to.row(r) + c), gradient = P::load(d.row(r) + c), weight = P::load(norm.weight + c);
      const P error = P::load(to_values.row(r) + c), u = weight * error;
      const P d_u = scale(r) * (gradient - means(2, r) - normalized * means(3, r)), d_error = weight * d_u;
      const P y = weight * d_error - scale(r) * simd::fma(means(1, r), gradient, means(3, r) * u);
      simd::fma(d_u, simd::fma(weight, normalized, error), P::load(d_norm.weight + c)).store(d_norm.weight + c);
      (P::load(d_norm.bias + c) + d_error).store(d_norm.bias + c);
      (P::load(to_keys.row(r) + c) + d_error).store(to_keys.row(r) + c);
      (P(Scalar(0)) - d_error).store(to_values.row(r) + c);
      y.store(to.row(r) + c);
      return std::array{y, y * normalized};
    });
    projections[1] = projections[1] + P::load(group.inverse_deviation) * mean_dh;
    const detail::LaneValues<2, P> last(projections);
    const auto z_rows = z.rows(first, group.rows);
    group.each([&](Index r, Index c) TTT_INLINE_LAMBDA {
      const P normalized = (P::load(z_rows.row(r) + c) - P(group.mean[r])) * scale(r);
      const P centred = P::load(to.row(r) + c) - last(0, r);
      (scale(r) * (centred - normalized * last(1, r))).store(to.row(r) + c);
    });
  });
  for (Index r = 0; !done && r < z.rows(); ++r) {
    Scalar* target = d_values.row(r);
    for (Index c = 0; c < width; ++c) target[c] = values(r, c) - keys(r, c);
    layer_norm_l2_gradient_row_backward<Arch>(z.row(r), target, norm.weight, norm.bias, width, norm.epsilon, d_g.row(r),
                                              d_z.row(r), target, d_norm.weight, d_norm.bias);
    for (Index c = 0; c < width; ++c) d_keys(r, c) -= target[c];
  }
}

}  // namespace kernels

TTT_NAMESPACE_END
