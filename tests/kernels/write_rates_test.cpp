// SPDX-License-Identifier: MIT
#include "ttt/kernels/write_rates.hpp"

#include <cmath>

#include "kernels/numbers.hpp"
#include "support/central_difference.hpp"

using namespace ttt;
using numbers::Matrix;

namespace {

constexpr Index rows = 3, key_heads = 2;

template <class Scalar>
struct Case {
  Case(Index heads, Index key_width, Index value_width, double largest_rate)
      : logits(rows, heads, "logits", 2),
        keys(rows, key_heads * key_width, "keys"),
        values(rows, heads * value_width, "values"),
        rates(rows, heads),
        erase(rows, heads * key_width),
        written(rows, heads * value_width),
        most(static_cast<Scalar>(largest_rate)) {}

  kernels::WriteRates<Scalar> call() {
    return {logits.view(), keys.view(), values.view(), rates.view(), erase.view(), written.view(), key_heads, most};
  }

  Matrix<Scalar> logits, keys, values, rates, erase, written;
  Scalar most;
};

}  // namespace

TEMPLATE_TEST_CASE("rates, erased and written rows are their formulas, on every pack", "", float, double) {
  for (const Index heads : {2, 6})
    for (const Index width : {1, 5, 8, 19}) {
      Case<TestType> native(heads, width, width + 1, 2), generic = native;
      kernels::write_rates(native.call());
      kernels::write_rates<simd::Generic>(generic.call());
      CHECK(numbers::same_bits(native.rates, generic.rates));
      for (Index r = 0; r < rows; ++r)
        for (Index h = 0; h < heads; ++h) {
          const double rate = 2 / (1 + std::exp(-static_cast<double>(native.logits(r, h))));
          const double bound = numbers::rounding<TestType>(4, 4 * rate);
          CHECK(std::abs(static_cast<double>(native.rates(r, h)) - rate) <= bound);
          for (Index c = 0; c < width; ++c)
            CHECK(std::abs(static_cast<double>(native.erase(r, h * width + c)) -
                           rate * static_cast<double>(native.keys(r, h / (heads / key_heads) * width + c))) <= bound);
          for (Index c = 0; c <= width; ++c)
            CHECK(std::abs(static_cast<double>(native.written(r, h * (width + 1) + c)) -
                           rate * static_cast<double>(native.values(r, h * (width + 1) + c))) <= bound);
        }
      CHECK(native.erase.gaps_untouched());
      CHECK(native.written.gaps_untouched());
    }
}

TEST_CASE("backward of rates is their gradient, summed over the heads of a key") {
  const Index heads = 4, width = 5;
  Case<double> of(heads, width, 3, 1);
  kernels::write_rates(of.call());
  const Matrix<double> d_queries(rows, heads * width, "dq"), d_write(rows, heads * width, "dc"),
      d_erase(rows, heads * width, "de"), d_written(rows, heads * 3, "dw");
  Matrix<double> d_b = of.logits, d_v = of.values, d_q(rows, key_heads * width, "q"), d_k = of.keys;
  kernels::write_rates_backward(of.call(), {d_queries.view(), d_write.view(), d_erase.view(), d_written.view()},
                                d_b.view(), d_v.view(), d_q.view(), d_k.view());
  // A write is the key itself.
  const auto loss = [&] {
    kernels::write_rates(of.call());
    double sum = 0;
    for (Index r = 0; r < rows; ++r)
      for (Index h = 0; h < heads; ++h) {
        for (Index c = 0; c < width; ++c)
          sum += of.erase(r, h * width + c) * d_erase(r, h * width + c) +
                 of.keys(r, h / 2 * width + c) * d_write(r, h * width + c);
        for (Index c = 0; c < 3; ++c) sum += of.written(r, h * 3 + c) * d_written(r, h * 3 + c);
      }
    return sum;
  };
  for (Index r = 0; r < rows; ++r) {
    for (Index h = 0; h < heads; ++h)
      CHECK(d_b(r, h) == Approx(testing::central_difference(loss, of.logits(r, h))).margin(1e-8));
    for (Index c = 0; c < heads * 3; ++c)
      CHECK(d_v(r, c) == Approx(testing::central_difference(loss, of.values(r, c))).margin(1e-8));
    for (Index c = 0; c < key_heads * width; ++c) {
      CHECK(d_k(r, c) == Approx(testing::central_difference(loss, of.keys(r, c))).margin(1e-8));
      const Index first = c / width * 2 * width + c % width;
      CHECK(d_q(r, c) == Approx(d_queries(r, first) + d_queries(r, first + width)));
    }
  }
}
