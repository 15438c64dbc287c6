// SPDX-License-Identifier: MIT
/// @file
/// Activations of rows, by themselves and as gates of other rows: the gated units of Shazeer 2020, "GLU variants
/// improve transformer", equations 5 and 6, and the output gates of recurrent layers.
#pragma once

#include <array>
#include <string_view>
#include <type_traits>

#include "ttt/core/view.hpp"
#include "ttt/kernels/elementary.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

/// A function f of one element: x, x σ(x), the tanh-GELU (Hendrycks and Gimpel 2016), σ(x), 1 + ELU(x), which is
/// positive (Katharopoulos et al. 2020), or log σ(x).
enum class Activation { none, silu, gelu, sigmoid, elu_plus_one, log_sigmoid };
inline constexpr std::array<std::string_view, 6> names_of(Activation) {
  return {"none", "silu", "gelu", "sigmoid", "elu_plus_one", "log_sigmoid"};
}

/// The value and the derivative of an activation, which share what they can.
template <Activation activation, class P>
struct Activated;

template <class P>
struct Activated<Activation::none, P> {
  P x;
  TTT_INLINE P value() const { return x; }
  TTT_INLINE P derivative() const { return P(1); }
};
template <class Scalar, class Arch>
struct Activated<Activation::silu, simd::Pack<Scalar, Arch>> : Silu<Scalar, Arch> {
  TTT_INLINE explicit Activated(simd::Pack<Scalar, Arch> argument) : Silu<Scalar, Arch>(argument) {}
};
template <class Scalar, class Arch>
struct Activated<Activation::gelu, simd::Pack<Scalar, Arch>> : Gelu<Scalar, Arch> {
  TTT_INLINE explicit Activated(simd::Pack<Scalar, Arch> argument) : Gelu<Scalar, Arch>(argument) {}
};
template <class P>
struct Activated<Activation::sigmoid, P> {
  P s;
  TTT_INLINE explicit Activated(P argument) : s(sigmoid(argument)) {}
  TTT_INLINE P value() const { return s; }
  TTT_INLINE P derivative() const { return s * (P(1) - s); }
};
template <class P>
struct Activated<Activation::elu_plus_one, P> {
  P positive, exponential;
  TTT_INLINE explicit Activated(P x) : positive(simd::max(P(0), x)), exponential(weight_exp(simd::min(P(0), x))) {}
  TTT_INLINE P value() const { return positive + exponential; }
  TTT_INLINE P derivative() const { return exponential; }
};
template <class P>
struct Activated<Activation::log_sigmoid, P> {
  P negative;
  TTT_INLINE explicit Activated(P x) : negative(P(0) - x) {}
  TTT_INLINE P value() const { return P(0) - softplus(negative); }
  TTT_INLINE P derivative() const { return sigmoid(negative); }
};

/// Calls `body` with a function that makes the Activated of a pack.
template <class Body>
TTT_INLINE void with_activation(Activation activation, Body&& body) {
  const auto call = [&]<Activation known>(std::integral_constant<Activation, known>) TTT_INLINE_LAMBDA {
    body([](auto pack) TTT_INLINE_LAMBDA { return Activated<known, decltype(pack)>(pack); });
  };
  switch (activation) {
    case Activation::none:
      return call(std::integral_constant<Activation, Activation::none>());
    case Activation::silu:
      return call(std::integral_constant<Activation, Activation::silu>());
    case Activation::gelu:
      return call(std::integral_constant<Activation, Activation::gelu>());
    case Activation::sigmoid:
      return call(std::integral_constant<Activation, Activation::sigmoid>());
    case Activation::elu_plus_one:
      return call(std::integral_constant<Activation, Activation::elu_plus_one>());
    case Activation::log_sigmoid:
      return call(std::integral_constant<Activation, Activation::log_sigmoid>());
  }
}

/// y = f(x), both [N × C]. y is assigned and may equal x.
template <class Arch = simd::Native, class Scalar>
void activate_rows(Activation activation, MatrixView<const std::type_identity_t<Scalar>> x, MatrixView<Scalar> y) {
  with_activation(activation, [&](auto f) TTT_INLINE_LAMBDA {
    for (Index r = 0; r < y.rows(); ++r)
      simd::for_each_pack<Scalar, Arch>(y.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
        f(P::load(x.row(r) + c)).value().store(y.row(r) + c);
      });
  });
}

/// d_x = d_y ∘ f′(x), all [N × C]. d_x is assigned and may equal any input.
template <class Arch = simd::Native, class Scalar>
void activate_rows_backward(Activation activation, MatrixView<const std::type_identity_t<Scalar>> x,
                            MatrixView<const std::type_identity_t<Scalar>> d_y, MatrixView<Scalar> d_x) {
  with_activation(activation, [&](auto f) TTT_INLINE_LAMBDA {
    for (Index r = 0; r < d_x.rows(); ++r)
      simd::for_each_pack<Scalar, Arch>(d_x.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
        (P::load(d_y.row(r) + c) * f(P::load(x.row(r) + c)).derivative()).store(d_x.row(r) + c);
      });
  });
}

/// y = f(gate) ∘ x, all [N × C]. y is assigned and may equal gate or x.
template <class Arch = simd::Native, class Scalar>
void gate_rows(Activation activation, MatrixView<const std::type_identity_t<Scalar>> gate,
               MatrixView<const std::type_identity_t<Scalar>> x, MatrixView<Scalar> y) {
  with_activation(activation, [&](auto f) TTT_INLINE_LAMBDA {
    for (Index r = 0; r < y.rows(); ++r)
      simd::for_each_pack<Scalar, Arch>(y.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
        (f(P::load(gate.row(r) + c)).value() * P::load(x.row(r) + c)).store(y.row(r) + c);
      });
  });
}

/// d_gate = d_y ∘ x ∘ f′(gate), d_x = d_y ∘ f(gate), all [N × C]. Both are assigned; each may equal any input.
template <class Arch = simd::Native, class Scalar>
void gate_rows_backward(Activation activation, MatrixView<const std::type_identity_t<Scalar>> gate,
                        MatrixView<const std::type_identity_t<Scalar>> x,
                        MatrixView<const std::type_identity_t<Scalar>> d_y, MatrixView<Scalar> d_gate,
                        MatrixView<std::type_identity_t<Scalar>> d_x) {
  with_activation(activation, [&](auto f) TTT_INLINE_LAMBDA {
    for (Index r = 0; r < gate.rows(); ++r)
      simd::for_each_pack<Scalar, Arch>(gate.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
        const auto g = f(P::load(gate.row(r) + c));
        const P d = P::load(d_y.row(r) + c), value = P::load(x.row(r) + c);
        (d * value * g.derivative()).store(d_gate.row(r) + c);
        (d * g.value()).store(d_x.row(r) + c);
      });
  });
}

}  // namespace kernels

TTT_NAMESPACE_END
