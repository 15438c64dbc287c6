// SPDX-License-Identifier: MIT
#include "ttt/kernels/elementary.hpp"

#include <cmath>
#include <vector>

#include "kernels/architectures.hpp"
#include "kernels/golden.hpp"
#include "kernels/numbers.hpp"
#include "support/denormals.hpp"

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

// σ where it becomes 0.
template <class Scalar>
double smallest_sigma() {
  return std::exp(sizeof(Scalar) == 4 ? -43.5 : -354.0);
}

long double logistic(long double x) { return 1 / (1 + std::exp(-x)); }

// Of the tanh-GELU x σ(v): 1 − σ(v) is σ(−v), which loses nothing where σ is near 1.
struct ExactGelu {
  static constexpr long double root = 1.5957691216057307117L, cubic = 0.044715L;
  long double x, s, rest, dv, ddv;
  explicit ExactGelu(long double argument)
      : x(argument),
        s(logistic(root * (x + cubic * x * x * x))),
        rest(logistic(-root * (x + cubic * x * x * x))),
        dv(root * (1 + 3 * cubic * x * x)),
        ddv(root * 6 * cubic * x) {}
};

// On the packs of every architecture, from next to zero to the limits of exp: error ≤ allowed(|x|, exact) · ε.
template <class Scalar, class Function, class Exact, class Allowed>
void check_error(const char* name, Function function, Exact exact, Allowed allowed) {
  for (const double range : {1e-3, 1.0, 4.0, 20.0, sizeof(Scalar) == 4 ? 87.0 : 708.0}) {
    INFO(name << " for |x| <= " << range);
    const auto x = points<Scalar>(-range, range, 20001);
    std::vector<long double> values;
    for (Index i = 0; i < x.view().columns(); ++i) values.push_back(exact(static_cast<long double>(x(0, i))));
    CHECK(numbers::same_bits(apply<simd::Native>(x, function), apply<simd::Generic>(x, function)));
    const auto check = [&]<class Arch>() {
      const auto y = apply<Arch>(x, function);
      long double worst = 0;
      for (Index i = 0; i < x.view().columns(); ++i) {
        const long double value = values[static_cast<std::size_t>(i)];
        const long double error = std::abs(static_cast<long double>(y(0, i)) - value);
        // x = 0 may allow no error at all.
        if (error != 0) worst = std::max(worst, error / allowed(std::abs(static_cast<long double>(x(0, i))), value));
      }
      CHECK(static_cast<double>(worst) <= ulp<Scalar>);
    };
    check.template operator()<simd::Generic>();
    architectures::for_each(check);
  }
}

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

TEMPLATE_TEST_CASE("sigmoid, tanh, softplus and silu with its derivative have the stated errors", "", float, double) {
  // What is exactly 0 where σ is below 2^-63 (2^-511) is off by all of its value there.
  const auto relative = [](long double bound) {
    return [=](long double x, long double exact) {
      const bool is_zero = std::abs(exact) < std::max(1.0L, x) * static_cast<long double>(smallest_sigma<TestType>());
      return is_zero ? std::abs(exact) / static_cast<long double>(ulp<TestType>) : bound * std::abs(exact);
    };
  };
  check_error<TestType>(
      "sigmoid", [](auto p) { return kernels::sigmoid(p); }, logistic, relative(1.5L));
  check_error<TestType>(
      "silu", [](auto p) { return kernels::silu(p); }, [](long double x) { return x * logistic(x); }, relative(2));
  check_error<TestType>(
      "softplus", [](auto p) { return kernels::softplus(p); },
      [](long double x) { return std::max(0.0L, x) + std::log1p(std::exp(-std::abs(x))); }, relative(2));
  check_error<TestType>(
      "tanh", [](auto p) { return kernels::tanh(p); }, [](long double x) { return std::tanh(x); },
      [](long double, long double) { return 2.0L; });
  check_error<TestType>(
      "silu derivative", [](auto p) { return kernels::Silu(p).derivative(); },
      [](long double x) { return logistic(x) * (1 + x * logistic(-x)); },
      [](long double x, long double) { return 1.5L * std::max(1.0L, x); });
  check_error<TestType>(
      "silu second derivative", [](auto p) { return kernels::Silu(p).second_derivative(); },
      [](long double x) { return logistic(x) * logistic(-x) * (2 + x * (logistic(-x) - logistic(x))); },
      [](long double x, long double) { return 1.5L * std::max(1.0L, x); });
}

TEMPLATE_TEST_CASE("tanh-GELU and its first two derivatives have the stated errors", "", float, double) {
  const auto absolute = [](long double bound) { return [=](long double, long double) { return bound; }; };
  check_error<TestType>(
      "value", [](auto p) { return kernels::gelu(p); }, [](long double x) { return x * ExactGelu(x).s; },
      [](long double x, long double) { return 1.5L * x; });
  const auto first = [](long double x) {
    const ExactGelu e(x);
    return e.s + e.x * e.s * e.rest * e.dv;
  };
  check_error<TestType>(
      "derivative", [](auto p) { return kernels::Gelu(p).derivative(); }, first, absolute(2));
  const auto second = [](long double x) {
    const ExactGelu e(x);
    return e.s * e.rest * (2 * e.dv + e.x * e.ddv + e.x * (e.rest - e.s) * e.dv * e.dv);
  };
  check_error<TestType>(
      "second derivative", [](auto p) { return kernels::Gelu(p).second_derivative(); }, second, absolute(3));
}

TEMPLATE_TEST_CASE("what saturates is zero, never denormal, and so are products of two of them", "", float, double) {
  // In every pack of arguments some far beyond the limits, and many around each of them.
  const double limit = sizeof(TestType) == 4 ? 43.5 : 354;
  const auto check = [&](const char* name, auto function) {
    INFO(name);
    for (const double range : {limit * 1.01, 2.1 * limit, 1e3, 1e10, 1e30})
      for (const double first : {-range, -1.02 * limit}) {
        const auto x = points<TestType>(first, range, 10007);
        const auto y = apply<simd::Native>(x, function);
        CHECK(numbers::same_bits(y, apply<simd::Generic>(x, function)));
        std::vector<TestType> values, squares;
        for (Index i = 0; i < x.view().columns(); ++i) {
          values.push_back(y(0, i));
          squares.push_back(y(0, i) * y(0, i));
        }
        CHECK(testing::denormals(values) == 0);
        CHECK(testing::denormals(squares) == 0);
      }
  };
  check("sigmoid", [](auto p) { return kernels::sigmoid(p); });
  check("softplus", [](auto p) { return kernels::softplus(p); });
  check("silu", [](auto p) { return kernels::silu(p); });
  check("silu derivative", [](auto p) { return kernels::Silu(p).derivative(); });
  check("weight", [](auto p) { return kernels::weight_exp(simd::min(decltype(p)(TestType(0)), p)); });
  check("gelu", [](auto p) { return kernels::gelu(p); });
}

TEMPLATE_TEST_CASE("derivatives of a saturated tanh-GELU are 0 and 1, of an overflowing one not finite", "", float,
                   double) {
  const auto slope = [](auto p) { return kernels::Gelu(p).derivative(); };
  const auto curvature = [](auto p) { return kernels::Gelu(p).second_derivative(); };
  const double limit = sizeof(TestType) == 4 ? 9 : 20;
  for (const double sign : {-1.0, 1.0}) {
    const auto x = points<TestType>(sign * limit, sign * 1e4, 4001);
    const auto first = apply<simd::Native>(x, slope), second = apply<simd::Native>(x, curvature);
    for (Index i = 0; i < 4001; ++i) {
      CHECK(first(0, i) == (sign > 0 ? 1 : 0));
      CHECK(second(0, i) == 0);
    }
  }
  Matrix<TestType> x(1, 16);
  for (Index i = 0; i < 16; ++i) x(0, i) = std::numeric_limits<TestType>::quiet_NaN();
  for (const auto& y : {apply<simd::Native>(x, slope), apply<simd::Native>(x, curvature),
                        apply<simd::Native>(x, [](auto p) { return kernels::gelu(p); }),
                        apply<simd::Native>(x, [](auto p) { return kernels::silu(p); }),
                        apply<simd::Native>(x, [](auto p) { return kernels::softplus(p); })})
    for (Index i = 0; i < 16; ++i) CHECK(std::isnan(y(0, i)));
}

TEST_CASE("tanh-GELU gives the golden values and derivatives") {
  const numbers::Golden golden("gelu_tanh");
  const Matrix<double> x = golden.matrix("x");
  golden.check_value("y", apply<simd::Native>(x, [](auto p) { return kernels::gelu(p); }));
  golden.check_value("dy_dx", apply<simd::Native>(x, [](auto p) { return kernels::Gelu(p).derivative(); }));
  golden.check_value("d2y_dx2", apply<simd::Native>(x, [](auto p) { return kernels::Gelu(p).second_derivative(); }));
}
