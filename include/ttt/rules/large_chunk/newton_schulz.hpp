// SPDX-License-Identifier: MIT
/// @file
/// The orthogonal step of Muon (Jordan et al. 2024): U Vᵀ of G = U Σ Vᵀ, nearly, by five steps of a quintic
/// Newton-Schulz iteration, with the coefficients of LaCT's published code. As a map of σ / ‖G‖ it takes 0.003 … 1 into
/// 0.977 … 1.146; what is smaller than that is not lifted so far, 0 stays 0.
#pragma once

#include <array>
#include <cmath>

#include "ttt/kernels/rows.hpp"
#include "ttt/rules/large_chunk/product.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// a, b and c of X ← a X + (b A + c A²) X, A = X Xᵀ.
struct NewtonSchulzStep {
  double a, b, c;
};
inline constexpr std::array<NewtonSchulzStep, 5> newton_schulz_steps{{{4.0848, -6.8946, 2.9270},
                                                                      {3.9505, -6.3029, 2.6377},
                                                                      {3.7418, -5.5913, 2.3037},
                                                                      {2.8769, -3.1427, 1.2046},
                                                                      {2.8366, -3.0525, 1.2012}}};
/// Added to ‖G‖ where G is divided by it.
inline constexpr double newton_schulz_epsilon = 1e-7;

/// The iteration on one G, and its adjoint. Memory is taken from `scratch`, whose frame must outlive it.
template <class Arch, class Scalar>
class NewtonSchulz {
 public:
  /// For G of so many rows and columns; X is G or its transpose, so that A is the smaller square.
  NewtonSchulz(Index rows, Index columns, Arena& scratch)
      : turned_(rows > columns),
        rows_(turned_ ? columns : rows),
        columns_(turned_ ? rows : columns),
        square_(scratch.matrix<Scalar>(rows_, rows_)),
        polynomial_(scratch.matrix<Scalar>(rows_, rows_)),
        scratch_(scratch) {
    for (auto& x : iterates_) x = scratch.matrix<Scalar>(rows_, columns_);
  }

  /// step = X₅ from X₀ = G / (‖G‖ + ε). Both [R × C]; step may be G.
  void run(MatrixView<const Scalar> g, MatrixView<Scalar> step) {
    take(g, iterates_[0]);
    const Index size = rows_ * columns_;
    Scalar* const first = iterates_[0].data();
    length_ = std::sqrt(kernels::dot<Arch>(first, first, size));
    scale(Scalar(1) / (length_ + epsilon), first, size);
    for (std::size_t i = 0; i < newton_schulz_steps.size(); ++i) advance(i);
    take(iterates_.back(), step);
  }

  /// d_g from d_step, of the last `run`; assigned, may be in its place.
  void backward(MatrixView<const Scalar> d_step, MatrixView<Scalar> d_g) {
    const Arena::Frame frame(scratch_);
    const auto d = scratch_.matrix<Scalar>(rows_, columns_), d_before = scratch_.matrix<Scalar>(rows_, columns_);
    take(d_step, d);
    for (std::size_t i = newton_schulz_steps.size(); i-- > 0;) {
      retreat(i, d, d_before);
      kernels::copy_rows<Arch, Scalar>(d_before, d);
    }
    // X₀ = G s, s = 1 / (‖G‖ + ε).
    const Index size = rows_ * columns_;
    const Scalar s = Scalar(1) / (length_ + epsilon);
    const Scalar along = length_ > Scalar(0) ? kernels::dot<Arch>(d.data(), iterates_[0].data(), size) / length_ : 0;
    scale(s, d.data(), size);
    kernels::add_scaled<Arch>(-along, iterates_[0].data(), size, d.data());
    take(d, d_g);
  }

 private:
  using Matrix = MatrixView<Scalar>;
  static constexpr Scalar epsilon = static_cast<Scalar>(newton_schulz_epsilon);

  static void scale(Scalar factor, Scalar* x, Index count) { kernels::scale<Arch>(factor, x, count, x); }
  void take(MatrixView<const Scalar> from, Matrix to) const {
    if (turned_)
      kernels::transpose<Scalar>(from, to);
    else
      kernels::copy_rows<Arch, Scalar>(from, to);
  }
  /// A = X Xᵀ and B = b A + c A² of X_i.
  void polynomial(std::size_t i) {
    const auto [a, b, c] = newton_schulz_steps[i];
    const Matrix x = iterates_[i];
    detail::packed_product_transposed<Arch, Scalar>(x, x, square_, kernels::Output::assign, scratch_);
    detail::packed_product<Arch, Scalar>(square_, square_, polynomial_, kernels::Output::assign, scratch_);
    scale(static_cast<Scalar>(c), polynomial_.data(), rows_ * rows_);
    kernels::add_scaled<Arch>(static_cast<Scalar>(b), square_.data(), rows_ * rows_, polynomial_.data());
  }
  /// y = a x + B x.
  void multiply(Scalar a, Matrix x, Matrix y) {
    kernels::scale<Arch>(a, x.data(), rows_ * columns_, y.data());
    detail::packed_product<Arch, Scalar>(polynomial_, x, y, kernels::Output::accumulate, scratch_);
  }
  void advance(std::size_t i) {
    polynomial(i);
    multiply(static_cast<Scalar>(newton_schulz_steps[i].a), iterates_[i], iterates_[i + 1]);
  }
  /// From the gradient of X_{i+1} to that of X_i: dX = a dY + B dY + (dA + dAᵀ) X, dA = b dB + c (dB A + A dB),
  /// dB = dY Xᵀ.
  void retreat(std::size_t i, Matrix d_after, Matrix d_before) {
    using kernels::Output;
    const Arena::Frame frame(scratch_);
    const auto [a, b, c] = newton_schulz_steps[i];
    const auto d_b = scratch_.matrix<Scalar>(rows_, rows_), d_a = scratch_.matrix<Scalar>(rows_, rows_),
               turned = scratch_.matrix<Scalar>(rows_, rows_);
    polynomial(i);
    multiply(static_cast<Scalar>(a), d_after, d_before);
    detail::packed_product_transposed<Arch, Scalar>(d_after, iterates_[i], d_b, Output::assign, scratch_);
    detail::packed_product<Arch, Scalar>(d_b, square_, d_a, Output::assign, scratch_);
    detail::packed_product<Arch, Scalar>(square_, d_b, d_a, Output::accumulate, scratch_);
    scale(static_cast<Scalar>(c), d_a.data(), rows_ * rows_);
    kernels::add_scaled<Arch>(static_cast<Scalar>(b), d_b.data(), rows_ * rows_, d_a.data());
    kernels::transpose<Scalar>(d_a, turned);
    kernels::add_rows<Arch, Scalar>(turned, d_a);
    detail::packed_product<Arch, Scalar>(d_a, iterates_[i], d_before, Output::accumulate, scratch_);
  }

  bool turned_;
  Index rows_, columns_;
  Scalar length_ = 0;
  Matrix square_, polynomial_;
  std::array<Matrix, newton_schulz_steps.size() + 1> iterates_;
  Arena& scratch_;
};

}  // namespace rules

TTT_NAMESPACE_END
