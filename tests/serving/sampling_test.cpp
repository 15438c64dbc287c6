// SPDX-License-Identifier: MIT
#include "ttt/serving/sampling.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "support/allocation_hook.hpp"
#include "support/catch.hpp"
#include "support/error_message.hpp"

namespace {

using ttt::testing::error_lacks;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr float forbidden = -std::numeric_limits<float>::infinity();

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

// Sum of Pearson's statistic over `seeds` streams: chi-squared with `seeds` times the free probabilities degrees of
// freedom.
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

TEST_CASE("top-k keeps so many of the most likely tokens, scaled up to 1, and beyond the vocabulary all") {
  std::array<double, 5> expected = softmax(1);
  expected[0] = expected[2] = 0;
  const double kept = expected[1] + expected[3] + expected[4];
  for (double& value : expected) value /= kept;
  ttt::Sampler sampler({.top_k = 3}, 5, 3);
  const auto counts = histogram(sampler, logits, 5000);
  CHECK(counts[0] == 0);
  CHECK(counts[2] == 0);
  CHECK(chi_squared({.top_k = 3}, logits, expected) < quantile_80_degrees);

  // Of the two most likely ones, which are alike, the one with the smaller id.
  for (const double temperature : {1e-300, 1.0, 1e300}) {
    ttt::Sampler one({.temperature = temperature, .top_k = 1}, 5, 3);
    CHECK(histogram(one, logits, 100)[1] == 100);
  }
  for (const ttt::Index top_k : {ttt::Index{5}, ttt::Index{6}, std::numeric_limits<ttt::Index>::max()}) {
    CAPTURE(top_k);
    ttt::Sampler all({}, 5, 9), cut({.top_k = top_k}, 5, 9);
    for (int i = 0; i < 200; ++i) CHECK(cut(view(logits)) == all(view(logits)));
  }
}

TEST_CASE("top-p is a share of what top-k leaves") {
  // Of tokens 1, 3 and 4, which have 0.907 of the probability, 1 and 3 have 0.845; of all five they have 0.766.
  ttt::Sampler both({.top_p = 0.8, .top_k = 3}, 5, 3), alone({.top_p = 0.8}, 5, 3);
  const auto counts = histogram(both, logits, 1000);
  CHECK(counts[1] + counts[3] == 1000);
  CHECK(counts[1] > 0);
  CHECK(counts[3] > 0);
  CHECK(histogram(alone, logits, 1000)[4] > 0);
}

TEST_CASE("logits far apart neither overflow nor draw the impossible") {
  constexpr std::array<float, 4> extreme{-3e38F, 3e38F, 0, -3.4028234e38F};
  constexpr std::array<double, 4> wider{-1.7e308, 1.7e308, 0, -1e308};
  for (const double temperature : {5e-324, 1e-300, 0.1, 1.0, 1e30})
    for (const double top_p : {5e-324, 0.9, std::nextafter(1.0, 0.0), 1.0})
      for (const ttt::Index top_k : {0, 1, 3, 4, 9}) {
        CAPTURE(temperature, top_p, top_k);
        ttt::Sampler sampler({temperature, top_p, top_k}, 4, 0);
        CHECK(histogram(sampler, extreme, 50)[1] == 50);
        CHECK(sampler(ttt::VectorView<const double>(wider.data(), 4)) == 1);
      }
  // At the largest temperature nothing is impossible.
  ttt::Sampler hot({.temperature = std::numeric_limits<double>::max()}, 4, 0);
  for (const int count : histogram(hot, extreme, 1000)) CHECK(count > 200);
}

TEST_CASE("a vocabulary of one token has one answer") {
  for (const float logit : {-5.0F, 3e38F, -3e38F, 0.0F})
    for (const double temperature : {0.0, 1e-300, 1.0, 1e300})
      for (const double top_p : {5e-324, 0.5, 1.0})
        for (const ttt::Index top_k : {0, 1, 2}) {
          ttt::Sampler sampler({temperature, top_p, top_k}, 1, 0);
          CHECK(sampler(view(std::array{logit})) == 0);
        }
}

TEST_CASE("of equal logits all are drawn, and cuts keep the smaller ids") {
  std::array<double, 5> uniform{}, half{};
  uniform.fill(0.2);
  half[0] = half[1] = half[2] = 1.0 / 3;
  for (const float logit : {0.0F, -3e38F, 3e38F}) {
    CAPTURE(logit);
    std::array<float, 5> equal{};
    equal.fill(logit);
    CHECK(chi_squared({}, equal, uniform) < quantile_160_degrees);
    CHECK(chi_squared({.top_p = 0.5}, equal, half) < quantile_80_degrees);
    CHECK(chi_squared({.top_k = 3}, equal, half) < quantile_80_degrees);
    ttt::Sampler sampler({.top_k = 3}, 5, 1), nucleus({.top_p = 0.5}, 5, 1), greedy({.temperature = 0}, 5, 1);
    for (ttt::Sampler* const cut : {&sampler, &nucleus}) {
      const auto counts = histogram(*cut, equal, 1000);
      CHECK(counts[3] + counts[4] == 0);
    }
    CHECK(greedy(view(equal)) == 0);
  }
}

TEST_CASE("forbidden tokens are never drawn, and a single one that is left always") {
  constexpr std::array<float, 5> masked{forbidden, 0.5F, forbidden, 0.25F, forbidden};
  constexpr std::array<float, 5> single{forbidden, forbidden, forbidden, -3e38F, forbidden};
  for (const double temperature : {0.0, 1e-300, 0.8, 1.0, 1e300})
    for (const double top_p : {0.3, 0.9, 1.0})
      for (const ttt::Index top_k : {0, 1, 2, 4, 9}) {
        CAPTURE(temperature, top_p, top_k);
        ttt::Sampler sampler({temperature, top_p, top_k}, 5, 4);
        const auto counts = histogram(sampler, masked, 200);
        CHECK(counts[1] + counts[3] == 200);
        CHECK(counts[1] > 0);
        CHECK(histogram(sampler, single, 20)[3] == 20);
      }
}

TEST_CASE("impossible tokens before, between and behind possible ones are never drawn") {
  std::vector<float> many(1002, -2000.0F);  // e^-2000 is 0
  for (std::size_t i = 1; i < many.size(); i += 3) many[i] = -static_cast<float>(i % 37);
  const ttt::VectorView<const float> all(many.data(), static_cast<ttt::Index>(many.size()));
  for (const double top_p : {std::nextafter(1.0, 0.0), 1.0})
    for (const ttt::Index top_k : {0, 300, 400}) {
      ttt::Sampler sampler({1, top_p, top_k}, all.size(), 8);
      for (int i = 0; i < 20000; ++i) REQUIRE(sampler(all) % 3 == 1);
    }
}

TEST_CASE("logits that say nothing are an error, and no random number is used") {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(), plus = std::numeric_limits<float>::infinity();
  for (const double temperature : {0.0, 1e-300, 1.0})
    for (const double top_p : {0.5, 1.0})
      for (const ttt::Index top_k : {0, 1, 9}) {
        CAPTURE(temperature, top_p, top_k);
        ttt::Sampler sampler({temperature, top_p, top_k}, 5, 4), fresh({temperature, top_p, top_k}, 5, 4);
        const auto draw = [&](const std::vector<float>& values) {
          sampler(ttt::VectorView<const float>(values.data(), static_cast<ttt::Index>(values.size())));
        };
        for (std::size_t id = 0; id < 5; ++id) {
          std::vector<float> values(logits.begin(), logits.end());
          const std::string name = "token " + std::to_string(id);
          values[id] = nan;
          CHECK(error_lacks([&] { draw(values); }, {name, "finite", "found nan"}) == "");
          values[id] = plus;
          CHECK(error_lacks([&] { draw(values); }, {name, "finite", "found inf"}) == "");
        }
        CHECK(error_lacks([&] { draw(std::vector<float>(5, nan)); }, {"token 0", "found nan"}) == "");
        CHECK(error_lacks([&] { draw(std::vector<float>(5, plus)); }, {"token 0", "found inf"}) == "");
        CHECK(error_lacks([&] { draw(std::vector<float>(5, forbidden)); }, {"every token is forbidden"}) == "");
        for (const std::size_t size : {0, 1, 4, 6, 1000})
          CHECK(error_lacks([&] { draw(std::vector<float>(size)); },
                            {"logits", "expected 5", "found " + std::to_string(size)}) == "");
        CHECK(sampler.drawn() == 0);
        for (int i = 0; i < 20; ++i) CHECK(sampler(view(logits)) == fresh(view(logits)));
      }
}

TEST_CASE("drawing allocates nothing") {
  for (const ttt::SamplingConfig& config :
       {ttt::SamplingConfig{0.8, 0.9, 0}, {0.8, 1, 0}, {0.8, 0.9, 3}, {0.8, 1, 9}, {0, 1, 0}}) {
    ttt::Sampler sampler(config, 5, 0);
    const auto before = ttt::testing::allocations();
    for (int i = 0; i < 100; ++i) sampler(view(logits));
    CHECK(ttt::testing::allocations() == before);
  }
}

TEST_CASE("numbers that draw nothing are refused by name") {
  const double nan = std::nan("");
  const auto refused = [](const ttt::SamplingConfig& config, const std::string& name, const std::string& found) {
    CAPTURE(name, found);
    CHECK(error_lacks([&] { ttt::Sampler(config, 5, 0); }, {name + " of the sampler", "found " + found}) == "");
  };
  refused({.temperature = -1}, "temperature", "-1");
  refused({.temperature = infinity}, "temperature", "inf");
  refused({.temperature = nan}, "temperature", "nan");
  refused({.top_p = 0}, "top-p", "0");
  refused({.top_p = -0.5}, "top-p", "-0.5");
  refused({.top_p = 1.5}, "top-p", "1.5");
  refused({.top_p = infinity}, "top-p", "inf");
  refused({.top_p = nan}, "top-p", "nan");
  refused({.top_k = -1}, "top-k", "-1");
  for (const ttt::Index vocabulary : {0, -5})
    CHECK(error_lacks([&] { ttt::Sampler({}, vocabulary, 0); },
                      {"vocabulary of the sampler", "at least 1", std::to_string(vocabulary)}) == "");
}
