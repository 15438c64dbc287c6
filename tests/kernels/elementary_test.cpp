// SPDX-License-Identifier: MIT
#include "ttt/kernels/elementary.hpp"

#include <cmath>

#include "kernels/golden.hpp"
#include "kernels/architectures.hpp"
#include "kernels/numbers.hpp"

using namespace ttt;
using numbers::Matrix;

namespace {

template <class Scalar>
constexpr double ulp = static_cast<double>(std::numeric_limits<Scalar>::epsilon());

// `function` on packs of Arch over a row.
template <class Arch, class Scalar, class Function>
Matrix<Scalar> apply(const Matrix<Scalar>& x, Function function) {
  Matrix<Scalar> y(1, x.view().columns());
  simd::for_each_pack<Scalar, Arch>(x.view().columns(),
                                    [&]<class P>(P, Index i) { function(P::load(x.row(0) + i)).store(y.row(0) + i); });
  return y;
}

// An odd number of points over [first, last], so that the last is done by the tail.
template <class Scalar>
Matrix<Scalar> points(double first, double last, Index count) {
  Matrix<Scalar> x(1, count);
  for (Index i = 0; i < count; ++i)
    x(0, i) = static_cast<Scalar>(first + (last - first) * static_cast<double>(i) / static_cast<double>(count - 1));
  return x;
}

struct Exact {
  long double u, du, ddu, t;
  explicit Exact(long double x)
      : u(0.79788456080286535588L * (x + 0.044715L * x * x * x)),
        du(0.79788456080286535588L * (1 + 3 * 0.044715L * x * x)),
        ddu(0.79788456080286535588L * 6 * 0.044715L * x),
        t(std::tanh(u)) {}
};

}  // namespace

TEMPLATE_TEST_CASE("exp is within 2 ulp over the normal numbers, the same on every pack", "", float, double) {
  const double limit = sizeof(TestType) == 4 ? 87 : 708;
  for (const double range : {limit, 1.0, 1e-3}) {
    const auto x = points<TestType>(-range, range, 20001);
    const auto function = [](auto pack) { return kernels::exp(pack); };
    const auto native = apply<simd::Native>(x, function), generic = apply<simd::Generic>(x, function);
    CHECK(numbers::same_bits(native, generic));
    const auto check = [&]<class Arch>() {
      const auto y = apply<Arch>(x, function);
      double worst = 0;
      for (Index i = 0; i < x.view().columns(); ++i) {
        const long double exact = std::exp(static_cast<long double>(x(0, i)));
        worst = std::max(worst, static_cast<double>(std::abs((static_cast<long double>(y(0, i)) - exact) / exact)));
      }
      CHECK(worst <= 2 * ulp<TestType>);
    };
    check.template operator()<simd::Generic>();
    architectures::for_each(check);
  }
}

TEMPLATE_TEST_CASE("exp is exact at 0, finite and normal at the ends, and keeps NaN", "", float, double) {
  const auto infinity = std::numeric_limits<TestType>::infinity(), nan = std::numeric_limits<TestType>::quiet_NaN();
  const auto check = [&](auto arch) {
    using Arch = decltype(arch);
    Matrix<TestType> x(1, 24);
    for (Index i = 0; i < 24; ++i) {
      constexpr int kinds = 6;
      const TestType values[kinds] = {0, infinity, -infinity, nan, TestType(1e30), TestType(-1e30)};
      x(0, i) = values[i % kinds];
    }
    const auto y = apply<Arch>(x, [](auto pack) { return kernels::exp(pack); });
    for (Index i = 0; i < 24; i += 6) {
      CHECK(y(0, i) == 1);
      for (const Index large : {i + 1, i + 4}) CHECK((std::isfinite(y(0, large)) && y(0, large) > TestType(1e38)));
      for (const Index small : {i + 2, i + 5})
        CHECK((y(0, small) >= std::numeric_limits<TestType>::min() && y(0, small) < TestType(1e-37)));
      CHECK(std::isnan(y(0, i + 3)));
    }
  };
  check(simd::Native());
  check(simd::Generic());
}

TEMPLATE_TEST_CASE("sigmoid, tanh and silu with its derivative", "", float, double) {
  for (const double range : {0.01, 4.0, 60.0}) {
    const auto x = points<TestType>(-range, range, 4001);
    const auto check = [&](auto function, auto exact, double relative, double absolute) {
      const auto native = apply<simd::Native>(x, function), generic = apply<simd::Generic>(x, function);
      CHECK(numbers::same_bits(native, generic));
      double worst = 0;
      for (Index i = 0; i < x.view().columns(); ++i) {
        const long double value = exact(static_cast<long double>(x(0, i)));
        const auto error = static_cast<double>(std::abs(static_cast<long double>(native(0, i)) - value));
        const double spread = 1 + std::abs(static_cast<double>(x(0, i)));
        worst = std::max(worst, error / (relative * std::abs(static_cast<double>(value)) + absolute * spread));
      }
      CHECK(worst <= 1);
    };
    const auto logistic = [](long double v) { return 1 / (1 + std::exp(-v)); };
    constexpr double eps = ulp<TestType>;
    // exp 2 ulp, sum and quotient half each; silu half more. tanh and 1 − s lose digits to the
    // 1 they are near, and the derivative of silu multiplies 1 − s by x.
    check([](auto p) { return kernels::sigmoid(p); }, logistic, 3 * eps, 0);
    check([](auto p) { return kernels::silu(p); }, [&](long double v) { return v * logistic(v); }, 4 * eps, 0);
    check([](auto p) { return kernels::tanh(p); }, [](long double v) { return std::tanh(v); }, 0, 4 * eps);
    check([](auto p) { return kernels::silu_derivative(p); },
          [&](long double v) { return logistic(v) * (1 + v * (1 - logistic(v))); }, 4 * eps, 8 * eps);
  }
}

TEMPLATE_TEST_CASE("tanh-GELU and its first two derivatives", "", float, double) {
  for (const double range : {0.01, 2.0, 30.0}) {
    const auto x = points<TestType>(-range, range, 4001);
    const auto check = [&](auto function, auto exact, double power) {
      const auto native = apply<simd::Native>(x, function), generic = apply<simd::Generic>(x, function);
      CHECK(numbers::same_bits(native, generic));
      double worst = 0;
      for (Index i = 0; i < x.view().columns(); ++i) {
        const auto v = static_cast<long double>(x(0, i));
        const Exact at(v);
        // tanh is up to 4 ulp off and 1 − tanh² up to 8, which is multiplied by x u′ or x u′² until tanh is 1 exactly.
        const bool open = std::abs(at.u) < 20;
        const double magnitude = 1 + static_cast<double>(std::abs(v) * (open ? std::pow(at.du, power) : 0.0L));
        const auto error = static_cast<double>(std::abs(static_cast<long double>(native(0, i)) - exact(v, at)));
        worst = std::max(worst, error / (magnitude + static_cast<double>(std::abs(v))));
      }
      CHECK(worst <= 8 * ulp<TestType>);
    };
    check([](auto p) { return kernels::gelu(p); }, [](long double v, const Exact& e) { return 0.5L * v * (1 + e.t); },
          0);
    check([](auto p) { return kernels::Gelu(p).derivative(); },
          [](long double v, const Exact& e) { return 0.5L * (1 + e.t) + 0.5L * v * (1 - e.t * e.t) * e.du; }, 1);
    check([](auto p) { return kernels::Gelu(p).second_derivative(); },
          [](long double v, const Exact& e) {
            return (1 - e.t * e.t) * (e.du + 0.5L * v * e.ddu - v * e.t * e.du * e.du);
          },
          2);
  }
}

TEST_CASE("tanh-GELU gives the golden values and derivatives") {
  const numbers::Golden golden("gelu_tanh");
  const Matrix<double> x = golden.matrix("x");
  golden.check_value("y", apply<simd::Native>(x, [](auto p) { return kernels::gelu(p); }));
  golden.check_value("dy_dx", apply<simd::Native>(x, [](auto p) { return kernels::Gelu(p).derivative(); }));
  golden.check_value("d2y_dx2", apply<simd::Native>(x, [](auto p) { return kernels::Gelu(p).second_derivative(); }));
}
