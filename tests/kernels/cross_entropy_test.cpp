// SPDX-License-Identifier: MIT
#include "ttt/kernels/cross_entropy.hpp"

#include <cmath>
#include <vector>

#include "kernels/golden.hpp"
#include "kernels/numbers.hpp"
#include "support/denormals.hpp"

using namespace ttt;
using numbers::Matrix;

namespace {

// log Σ eˣ − x[target] in long double.
template <class Scalar>
long double loss_of(const Matrix<Scalar>& logits, Index target) {
  long double sum = 0, largest = static_cast<long double>(logits(0, 0));
  for (const Scalar logit : logits.vector()) largest = std::max(largest, static_cast<long double>(logit));
  for (Index i = 0; i < logits.view().columns(); ++i) sum += std::exp(static_cast<long double>(logits(0, i)) - largest);
  return std::log(sum) + largest - static_cast<long double>(logits(0, target));
}

}  // namespace

TEMPLATE_TEST_CASE("cross-entropy is minus the logarithm of the target's probability", "", float, double) {
  for (const Index vocabulary : {1, 2, 7, 8, 33, 96, 517}) {
    const Matrix<TestType> logits(1, vocabulary, "logits", 2);
    const Index target = vocabulary / 3;
    Matrix<TestType> d(1, vocabulary), d_generic(1, vocabulary), in_place = logits;
    const auto scale = static_cast<TestType>(0.375);
    const auto native = kernels::cross_entropy_row(logits.row(0), target, vocabulary, d.row(0), scale);
    const auto generic =
        kernels::cross_entropy_row<simd::Generic>(logits.row(0), target, vocabulary, d_generic.row(0), scale);
    const auto over = kernels::cross_entropy_row(in_place.row(0), target, vocabulary, in_place.row(0), scale);
    const auto loss_only = kernels::cross_entropy_row(logits.row(0), target, vocabulary, nullptr, scale);
    const auto expected = static_cast<double>(loss_of(logits, target));
    // Blocks of eight packs, and the rounding of x − max inside the exponential.
    const double spread = 2 * numbers::largest(logits);
    const double bound = numbers::rounding<TestType>(8, 1 + spread);
    CHECK(std::abs(static_cast<double>(native) - expected) <= bound);
    CHECK(std::abs(static_cast<double>(generic) - expected) <= bound);
    CHECK(over == native);
    CHECK(loss_only == native);
    CHECK(numbers::same_bits(in_place, d));
    const double log_sum = expected + static_cast<double>(logits(0, target));
    Matrix<double> d_expected(1, vocabulary);
    for (Index i = 0; i < vocabulary; ++i)
      d_expected(0, i) = 0.375 * (std::exp(static_cast<double>(logits(0, i)) - log_sum) - (i == target ? 1 : 0));
    CHECK(numbers::difference(d, d_expected) <= bound);
    CHECK(numbers::difference(d_generic, d_expected) <= bound);
    CHECK(d.gaps_untouched());
  }
}

TEST_CASE("a float row of a large vocabulary loses less than 1e-6 in its sum") {
  const Index vocabulary = 32000;
  for (const double scale : {0.0, 0.5, 3.0}) {
    const Matrix<float> logits(1, vocabulary, "logits", scale);
    for (const Index target : {Index{0}, vocabulary / 2 + 1, vocabulary - 1}) {
      const auto expected = static_cast<double>(loss_of(logits, target));
      CHECK(std::abs(kernels::cross_entropy_row(logits.row(0), target, vocabulary, nullptr, 1.F) - expected) < 1e-6);
      CHECK(std::abs(kernels::cross_entropy_row<simd::Generic>(logits.row(0), target, vocabulary, nullptr, 1.F) -
                     expected) < 1e-6);
    }
  }
}

TEST_CASE("the gradient of cross-entropy is its gradient") {
  const Index vocabulary = 21, target = 4;
  Matrix<double> logits(1, vocabulary, "logits"), d(1, vocabulary);
  kernels::cross_entropy_row(logits.row(0), target, vocabulary, d.row(0), 1.5);
  numbers::check_gradient(
      logits, d, [&] { return 1.5 * kernels::cross_entropy_row(logits.row(0), target, vocabulary, nullptr, 0.0); });
}

TEMPLATE_TEST_CASE("logits of order 300 and more neither overflow nor lose the loss", "", float, double) {
  const Index vocabulary = 19;
  for (const double size : {300.0, 30000.0}) {
    Matrix<TestType> logits(1, vocabulary, "logits", size), d(1, vocabulary);
    for (Index target = 0; target < vocabulary; ++target) {
      const auto loss = kernels::cross_entropy_row(logits.row(0), target, vocabulary, d.row(0), TestType(1));
      CHECK(std::abs(static_cast<double>(loss) - static_cast<double>(loss_of(logits, target))) <=
            numbers::rounding<TestType>(8, 2 * numbers::largest(logits)));
      double sum = 0;
      for (Index i = 0; i < vocabulary; ++i) sum += static_cast<double>(d(0, i));
      CHECK(std::abs(sum) <= numbers::rounding<TestType>(vocabulary, 1));
    }
  }
}

TEST_CASE("the gradient of logits far below the others is zero, never denormal") {
  std::vector<float> logits, d(3001);
  for (int i = 0; i < 3001; ++i) logits.push_back(-0.05F * static_cast<float>(i));
  for (const float scale : {1.F, 1e-9F}) {
    kernels::cross_entropy_row(logits.data(), 0, 3001, d.data(), scale);
    CHECK(testing::denormals(d) == 0);
    CHECK((d[800] > 0 && d[900] == 0));
  }
  kernels::softmax_row(logits.data(), 3001);
  CHECK(testing::denormals(logits) == 0);
}

TEST_CASE("cross-entropy gives the golden losses and gradients") {
  const numbers::Golden golden("cross_entropy");
  const auto labels = golden.integers("labels");
  const auto per_token = golden.values("per_token");
  const Matrix<double> logits = golden.matrix("logits");
  const Index rows = logits.view().rows(), vocabulary = logits.view().columns();
  const auto counted =
      static_cast<double>(std::count_if(labels.begin(), labels.end(), [](auto label) { return label >= 0; }));
  Matrix<double> d(rows, vocabulary);
  double loss = 0;
  REQUIRE(counted > 0);
  REQUIRE(counted < static_cast<double>(rows));
  for (Index r = 0; r < rows; ++r) {
    const auto label = labels[static_cast<std::size_t>(r)];
    if (label < 0) continue;
    const double token = kernels::cross_entropy_row(logits.row(r), label, vocabulary, d.row(r), 1 / counted);
    const double expected = per_token[static_cast<std::size_t>(r)];
    CHECK(std::abs(token - expected) <= 1e-10 * std::max(1.0, expected));
    loss += token / counted;
  }
  CHECK(std::abs(loss - golden.values("loss")[0]) <= 1e-10 * golden.values("loss")[0]);
  golden.check_gradient("grad.logits", d);
}
