// SPDX-License-Identifier: MIT
#include "ttt/serving/sampling.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "support/allocation_hook.hpp"
#include "support/catch.hpp"

namespace {

template <std::size_t Size>
ttt::VectorView<const float> view(const std::array<float, Size>& logits) {
  return {logits.data(), static_cast<ttt::Index>(Size)};
}

template <std::size_t Size>
std::array<int, Size> histogram(ttt::Sampler& sampler, const std::array<float, Size>& logits, int draws) {
  std::array<int, Size> counts{};
  for (int i = 0; i < draws; ++i) ++counts[static_cast<std::size_t>(sampler(view(logits)))];
  return counts;
}

// Sum of Pearson's statistic over `seeds` streams: chi-squared with `seeds` times the free probabilities degrees of freedom.
template <std::size_t Size>
double chi_squared(const ttt::SamplingConfig& config, const std::array<float, Size>& logits,
                   const std::array<double, Size>& probabilities) {
  constexpr int seeds = 40, draws = 5000;
  double sum = 0;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    ttt::Sampler sampler(config, Size, seed);
    const auto counts = histogram(sampler, logits, draws);
    for (std::size_t i = 0; i < Size; ++i) {
      const double expected = probabilities[i] * draws, difference = counts[i] - expected;
      if (expected > 0) sum += difference * difference / expected;
    }
  }
  return sum;
}

constexpr std::array<float, 5> logits{0.5F, 2.0F, -1.0F, 2.0F, 1.0F};
// 0.999 quantiles of chi-squared with 40 · 4 and 40 · 2 degrees of freedom.
constexpr double quantile_160_degrees = 221.0, quantile_80_degrees = 124.8;

std::array<double, 5> softmax(double temperature) {
  std::array<double, 5> p{};
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) sum += p[i] = std::exp(static_cast<double>(logits[i]) / temperature);
  for (double& value : p) value /= sum;
  return p;
}

}  // namespace

TEST_CASE("temperature 0 takes the most likely token, the first of equals, and uses no random number") {
  ttt::Sampler sampler({.temperature = 0}, 5, 1);
  for (int i = 0; i < 10; ++i) CHECK(sampler(view(logits)) == 1);
  CHECK(sampler.drawn() == 0);
}

TEST_CASE("tokens are as frequent as softmax says, at any temperature") {
  for (const double temperature : {0.5, 1.0, 3.0}) {
    CAPTURE(temperature);
    CHECK(chi_squared({.temperature = temperature}, logits, softmax(temperature)) < quantile_160_degrees);
  }
}

TEST_CASE("top-p keeps the smallest set that reaches it, scaled up to 1") {
  // Softmax of the logits: 0.085 0.383 0.019 0.383 0.141 of tokens 0 … 4, about.
  std::array<double, 5> expected = softmax(1);
  expected[0] = expected[2] = 0;
  const double kept = expected[1] + expected[3] + expected[4];
  for (double& value : expected) value /= kept;
  ttt::Sampler sampler({.top_p = 0.8}, 5, 3);
  const auto counts = histogram(sampler, logits, 5000);
  CHECK(counts[0] == 0);
  CHECK(counts[2] == 0);
  CHECK(chi_squared({.top_p = 0.8}, logits, expected) < quantile_80_degrees);

  ttt::Sampler narrow({.top_p = 0.1}, 5, 3);
  CHECK(histogram(narrow, logits, 100)[1] == 100);
}

TEST_CASE("a seed gives one stream of tokens, which can be continued anywhere") {
  const ttt::SamplingConfig config{.temperature = 1.5, .top_p = 0.95};
  ttt::Sampler first(config, 5, 11), second(config, 5, 11), other(config, 5, 12), late(config, 5, 11);
  std::vector<ttt::Index> a, b, c, d;
  for (int i = 0; i < 64; ++i) {
    a.push_back(first(view(logits)));
    b.push_back(second(view(logits)));
    c.push_back(other(view(logits)));
  }
  CHECK(a == b);
  CHECK(a != c);
  late.drawn() = 32;
  for (int i = 0; i < 32; ++i) d.push_back(late(view(logits)));
  CHECK(d == std::vector<ttt::Index>(a.begin() + 32, a.end()));
}

TEST_CASE("logits far apart neither overflow nor draw the impossible") {
  const std::array<float, 3> extreme{-3e38F, 3e38F, 0};
  for (const double top_p : {0.9, 1.0}) {
    ttt::Sampler sampler({.temperature = 0.1, .top_p = top_p}, 3, 0);
    CHECK(histogram(sampler, extreme, 200)[1] == 200);
  }
  const std::array<float, 1> single{-5};
  ttt::Sampler sampler({.top_p = 0.5}, 1, 0);
  CHECK(sampler(view(single)) == 0);
}

TEST_CASE("drawing allocates nothing") {
  ttt::Sampler sampler({.temperature = 0.8, .top_p = 0.9}, 5, 0);
  const auto before = ttt::testing::allocations();
  for (int i = 0; i < 100; ++i) sampler(view(logits));
  CHECK(ttt::testing::allocations() == before);
}

TEST_CASE("numbers that draw nothing are refused") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  CHECK_THROWS_AS(ttt::Sampler({.temperature = -1}, 5, 0), ttt::Error);
  CHECK_THROWS_AS(ttt::Sampler({.temperature = infinity}, 5, 0), ttt::Error);
  CHECK_THROWS_AS(ttt::Sampler({.temperature = std::nan("")}, 5, 0), ttt::Error);
  CHECK_THROWS_AS(ttt::Sampler({.top_p = 0}, 5, 0), ttt::Error);
  CHECK_THROWS_AS(ttt::Sampler({.top_p = 1.5}, 5, 0), ttt::Error);
  CHECK_THROWS_AS(ttt::Sampler({}, 0, 0), ttt::Error);
}
