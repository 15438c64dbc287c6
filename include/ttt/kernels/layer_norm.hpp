// SPDX-License-Identifier: MIT
/// @file
/// Layer normalisation (Ba et al. 2016) and the gradient of ½‖LN(z) − target‖², the inner loss of the TTT layers
/// (Sun et al. 2024, "Learning to (Learn at Test Time)"), each with its backward. Rows are raw, so that rules can fuse.
///
/// Written with m and v the mean and the biased variance of a row, x̂ = (x − m) · s, s = 1/√(v + ε), and ⟨·⟩ a mean.
#pragma once

#include <array>
#include <cmath>
#include <type_traits>

#include "ttt/core/view.hpp"
#include "ttt/kernels/simd.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

namespace detail {

/// Means over a row of the `Count` values that `body(pack, i)` returns as an array; the order is that of `sum_packs`.
template <class Scalar, class Arch, std::size_t Count, class Body>
TTT_INLINE std::array<Scalar, Count> row_means(Index width, Body&& body) {
  using Wide = simd::Pack<Scalar, Arch>;
  using Lane = simd::Pack<Scalar, simd::Generic>;
  std::array<Wide, Count> wide;
  std::array<Lane, Count> lane;
  wide.fill(Wide(Scalar(0)));
  lane.fill(Lane(Scalar(0)));
  simd::for_each_pack<Scalar, Arch>(width, [&]<class P>(P pack, Index i) TTT_INLINE_LAMBDA {
    const std::array<P, Count> values = body(pack, i);
    for (std::size_t k = 0; k < Count; ++k)
      if constexpr (std::is_same_v<P, Lane>)
        lane[k] = lane[k] + values[k];
      else
        wide[k] = wide[k] + values[k];
  });
  std::array<Scalar, Count> means;
  for (std::size_t k = 0; k < Count; ++k)
    if constexpr (std::is_same_v<Wide, Lane>)
      means[k] = lane[k].value / static_cast<Scalar>(width);
    else
      means[k] = (simd::reduce_add(wide[k]) + lane[k].value) / static_cast<Scalar>(width);
  return means;
}

/// m and s of a row; two passes, because ⟨x²⟩ − m² cancels.
template <class Scalar>
struct RowMoments {
  Scalar mean, inverse_deviation;

  template <class P>
  TTT_INLINE P normalized(P x) const {
    return (x - P(mean)) * P(inverse_deviation);
  }
};

template <class Arch, class Scalar>
TTT_INLINE RowMoments<Scalar> row_moments(const Scalar* x, Index width, Scalar epsilon) {
  using std::sqrt;
  const Scalar mean = row_means<Scalar, Arch, 1>(
      width, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA { return std::array{P::load(x + i)}; })[0];
  const Scalar variance = row_means<Scalar, Arch, 1>(width, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
    const P centred = P::load(x + i) - P(mean);
    return std::array{centred * centred};
  })[0];
  return {mean, Scalar(1) / sqrt(variance + epsilon)};
}

/// *to += value, unless the gradient is not wanted.
template <class P, class Scalar>
TTT_INLINE void add_if_wanted(Scalar* to, Index i, P value) {
  if (to != nullptr) (P::load(to + i) + value).store(to + i);
}

}  // namespace detail

/// y = weight ∘ x̂ + bias over one row [width]. y is assigned and may equal x.
template <class Arch = simd::Native, class Scalar>
void layer_norm_row(const Scalar* x, const Scalar* weight, const Scalar* bias, Index width,
                    std::type_identity_t<Scalar> epsilon, Scalar* y) {
  const auto moments = detail::row_moments<Arch, Scalar>(x, width, epsilon);
  simd::for_each_pack<Scalar, Arch>(width, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
    simd::fma(P::load(weight + i), moments.normalized(P::load(x + i)), P::load(bias + i)).store(y + i);
  });
}

/// With u = weight ∘ d_y: d_x = s (u − ⟨u⟩ − x̂ ⟨u ∘ x̂⟩), d_weight += d_y ∘ x̂, d_bias += d_y.
///
/// d_x is assigned and may equal d_y or x; a null d_x, d_weight or d_bias is not wanted.
template <class Arch = simd::Native, class Scalar>
void layer_norm_row_backward(const Scalar* x, const Scalar* weight, Index width, std::type_identity_t<Scalar> epsilon,
                             const Scalar* d_y, std::type_identity_t<Scalar>* d_x,
                             std::type_identity_t<Scalar>* d_weight, std::type_identity_t<Scalar>* d_bias) {
  const auto moments = detail::row_moments<Arch, Scalar>(x, width, epsilon);
  const auto [mean, projection] = detail::row_means<Scalar, Arch, 2>(width, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
    const P d = P::load(d_y + i), normalized = moments.normalized(P::load(x + i));
    detail::add_if_wanted(d_weight, i, d * normalized);
    detail::add_if_wanted(d_bias, i, d);
    const P u = P::load(weight + i) * d;
    return std::array{u, u * normalized};
  });
  if (d_x == nullptr) return;
  simd::for_each_pack<Scalar, Arch>(
      width, [&, mean = mean, projection = projection]<class P>(P, Index i) TTT_INLINE_LAMBDA {
        const P centred = simd::fma(P::load(weight + i), P::load(d_y + i), P(-mean));
        const P normalized = moments.normalized(P::load(x + i));
        (P(moments.inverse_deviation) * simd::fma(normalized, P(-projection), centred)).store(d_x + i);
      });
}

/// ½‖LN(z) − target‖² over one row [width].
template <class Arch = simd::Native, class Scalar>
Scalar layer_norm_l2_loss_row(const Scalar* z, const Scalar* target, const Scalar* weight, const Scalar* bias,
                              Index width, std::type_identity_t<Scalar> epsilon) {
  const auto moments = detail::row_moments<Arch, Scalar>(z, width, epsilon);
  const Scalar sum = simd::sum_packs<Scalar, Arch>(width, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
    const P error =
        simd::fma(P::load(weight + i), moments.normalized(P::load(z + i)), P::load(bias + i) - P::load(target + i));
    return error * error;
  });
  return sum / 2;
}

/// The gradient of `layer_norm_l2_loss_row` in z: with u = weight ∘ (LN(z) − target), g = s (u − ⟨u⟩ − x̂ ⟨u ∘ x̂⟩).
///
/// g is assigned and may equal z or target.
template <class Arch = simd::Native, class Scalar>
void layer_norm_l2_gradient_row(const Scalar* z, const Scalar* target, const Scalar* weight, const Scalar* bias,
                                Index width, std::type_identity_t<Scalar> epsilon, Scalar* g) {
  const auto moments = detail::row_moments<Arch, Scalar>(z, width, epsilon);
  const auto load_u = [&]<class P>(P normalized, Index i) TTT_INLINE_LAMBDA {
    const P w = P::load(weight + i);
    return w * simd::fma(w, normalized, P::load(bias + i) - P::load(target + i));
  };
  const auto [mean, projection] = detail::row_means<Scalar, Arch, 2>(width, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
    const P normalized = moments.normalized(P::load(z + i)), u = load_u(normalized, i);
    return std::array{u, u * normalized};
  });
  simd::for_each_pack<Scalar, Arch>(
      width, [&, mean = mean, projection = projection]<class P>(P, Index i) TTT_INLINE_LAMBDA {
        const P normalized = moments.normalized(P::load(z + i));
        const P centred = load_u(normalized, i) - P(mean);
        (P(moments.inverse_deviation) * simd::fma(normalized, P(-projection), centred)).store(g + i);
      });
}

/// Backward of `layer_norm_l2_gradient_row` for the gradient d_g of its output.
///
/// With e = LN(z) − target, u = weight ∘ e and G = d_g, the output is s · h, h = u − ⟨u⟩ − x̂ ⟨u ∘ x̂⟩. Holding x̂ and s,
/// d_u = s (G − ⟨G⟩ − x̂ ⟨G ∘ x̂⟩); holding u and s, x̂ gets −s (⟨u ∘ x̂⟩ G + ⟨G ∘ x̂⟩ u); and u gives it weight² ∘ d_u
/// more, together Y. The deviation s itself gets Σ G ∘ h. Through x̂ and s of z:
/// d_z = s (Y − ⟨Y⟩ − x̂ (⟨Y ∘ x̂⟩ + s ⟨G ∘ h⟩)), d_target = −weight ∘ d_u, d_weight += d_u ∘ (e + weight ∘ x̂),
/// d_bias += weight ∘ d_u.
///
/// d_z and d_target are assigned and may each equal one of the inputs of its element; null outputs are not wanted.
template <class Arch = simd::Native, class Scalar>
void layer_norm_l2_gradient_row_backward(const Scalar* z, const Scalar* target, const Scalar* weight,
                                         const Scalar* bias, Index width, std::type_identity_t<Scalar> epsilon,
                                         const Scalar* d_g, std::type_identity_t<Scalar>* d_z,
                                         std::type_identity_t<Scalar>* d_target, std::type_identity_t<Scalar>* d_weight,
                                         std::type_identity_t<Scalar>* d_bias) {
  const auto moments = detail::row_moments<Arch, Scalar>(z, width, epsilon);
  const Scalar s = moments.inverse_deviation;
  const auto load_error = [&]<class P>(P normalized, Index i) TTT_INLINE_LAMBDA {
    return simd::fma(P::load(weight + i), normalized, P::load(bias + i) - P::load(target + i));
  };
  const auto means = detail::row_means<Scalar, Arch, 5>(width, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
    const P normalized = moments.normalized(P::load(z + i)), d = P::load(d_g + i);
    const P u = P::load(weight + i) * load_error(normalized, i);
    return std::array{u, u * normalized, d, d * normalized, d * u};
  });
  const Scalar mean_u = means[0], mean_ux = means[1], mean_d = means[2], mean_dx = means[3];
  const Scalar mean_dh = means[4] - mean_d * mean_u - mean_dx * mean_ux;

  const auto load_d_u = [&]<class P>(P normalized, Index i) TTT_INLINE_LAMBDA {
    return P(s) * simd::fma(normalized, P(-mean_dx), P::load(d_g + i) - P(mean_d));
  };
  const auto load_d_normalized = [&]<class P>(P normalized, P d_u, Index i) TTT_INLINE_LAMBDA {
    const P w = P::load(weight + i), u = w * load_error(normalized, i);
    return simd::fma(w * w, d_u, P(-s) * simd::fma(P(mean_ux), P::load(d_g + i), P(mean_dx) * u));
  };
  const auto [mean_y, mean_yx] = detail::row_means<Scalar, Arch, 2>(width, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
    const P normalized = moments.normalized(P::load(z + i)), d_u = load_d_u(normalized, i);
    const P y = load_d_normalized(normalized, d_u, i), w = P::load(weight + i);
    detail::add_if_wanted(d_weight, i, d_u * simd::fma(w, normalized, load_error(normalized, i)));
    detail::add_if_wanted(d_bias, i, w * d_u);
    return std::array{y, y * normalized};
  });
  const Scalar mean = mean_y, projection = mean_yx + s * mean_dh;
  simd::for_each_pack<Scalar, Arch>(width, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
    const P normalized = moments.normalized(P::load(z + i)), d_u = load_d_u(normalized, i);
    const P d_error = P::load(weight + i) * d_u;
    const P centred = load_d_normalized(normalized, d_u, i) - P(mean);
    if (d_z != nullptr) (P(s) * simd::fma(normalized, P(-projection), centred)).store(d_z + i);
    if (d_target != nullptr) (P(Scalar(0)) - d_error).store(d_target + i);
  });
}

/// `layer_norm_row` on every row of x [N × C]; y may equal x.
template <class Arch = simd::Native, class Scalar>
void layer_norm(MatrixView<const std::type_identity_t<Scalar>> x, VectorView<const std::type_identity_t<Scalar>> weight,
                VectorView<const std::type_identity_t<Scalar>> bias, std::type_identity_t<Scalar> epsilon,
                MatrixView<Scalar> y) {
  for (Index r = 0; r < x.rows(); ++r)
    layer_norm_row<Arch>(x.row(r), weight.data(), bias.data(), x.columns(), epsilon, y.row(r));
}

/// `layer_norm_row_backward` on every row of x [N × C], in order; empty outputs are not wanted.
template <class Arch = simd::Native, class Scalar>
void layer_norm_backward(MatrixView<const std::type_identity_t<Scalar>> x,
                         VectorView<const std::type_identity_t<Scalar>> weight, std::type_identity_t<Scalar> epsilon,
                         MatrixView<const std::type_identity_t<Scalar>> d_y, MatrixView<Scalar> d_x,
                         VectorView<std::type_identity_t<Scalar>> d_weight,
                         VectorView<std::type_identity_t<Scalar>> d_bias) {
  for (Index r = 0; r < x.rows(); ++r)
    layer_norm_row_backward<Arch>(x.row(r), weight.data(), x.columns(), epsilon, d_y.row(r),
                                  d_x.empty() ? nullptr : d_x.row(r), d_weight.data(), d_bias.data());
}

}  // namespace kernels

TTT_NAMESPACE_END
