// SPDX-License-Identifier: MIT
#include "ttt/kernels/rotary/scaling.hpp"

#include <cmath>
#include <vector>

#include "kernels/numbers.hpp"
#include "support/error_message.hpp"
#include "ttt/kernels/rotary.hpp"

using namespace ttt;
using kernels::RotaryScaling;
using kernels::RotaryTable;
using Kind = RotaryScaling::Kind;
using numbers::Matrix;

namespace {

RotaryScaling llama3() {
  return {.kind = Kind::llama3, .factor = 8, .original_positions = 64, .slow_turns = 1, .fast_turns = 4};
}
RotaryScaling yarn() {
  return {.kind = Kind::yarn, .factor = 4, .original_positions = 64, .slow_turns = 1, .fast_turns = 32};
}

RotaryScaling longrope() {
  return {.kind = Kind::longrope, .original_positions = 64, .magnitude = 1.5, .divisors = {1, 1.25, 2, 8}};
}

/// Largest relative difference from the wanted frequencies; 1 when there are not as many.
double error(const kernels::RotaryFrequencies& found, const std::vector<double>& wanted) {
  if (found.values.size() != static_cast<Index>(wanted.size())) return 1;
  double largest = 0;
  for (std::size_t j = 0; j < wanted.size(); ++j)
    largest = std::max(largest, std::abs(found.values[static_cast<Index>(j)] / wanted[j] - 1));
  return largest;
}

std::string refusal(const RotaryScaling& scaling, double theta = 10000) {
  return testing::error_message([&] { kernels::rotary_frequencies(8, theta, scaling); });
}

}  // namespace

TEST_CASE("without a scaling frequencies are those of the paper, to the bit") {
  const auto plain = kernels::rotary_frequencies(10, 500.0);
  CHECK(plain.magnitude == 1);
  REQUIRE(plain.values.size() == 5);
  for (Index j = 0; j < 5; ++j) CHECK(plain.values[j] == std::pow(500.0, -2.0 * static_cast<double>(j) / 10));
}

TEST_CASE("linear scaling divides every frequency") {
  const auto plain = kernels::rotary_frequencies(10, 500.0);
  const auto scaled = kernels::rotary_frequencies(10, 500.0, {.kind = Kind::linear, .factor = 3});
  for (Index j = 0; j < 5; ++j) CHECK(scaled.values[j] == plain.values[j] / 3);
  CHECK(scaled.magnitude == 1);
}

TEST_CASE("longrope divides every frequency by a number of its own") {
  const auto plain = kernels::rotary_frequencies(8, 500.0), scaled = kernels::rotary_frequencies(8, 500.0, longrope());
  for (const auto& [pair, divisor] : {std::pair{0, 1.0}, {1, 1.25}, {2, 2.0}, {3, 8.0}})
    CHECK(scaled.values[pair] == plain.values[pair] / divisor);
  CHECK(scaled.magnitude == 1.5);
}

// Numbers that a transcription of transformers' functions to Python doubles prints.
TEST_CASE("llama3 and yarn give the frequencies of the published functions") {
  CHECK(error(kernels::rotary_frequencies(12, 5e5, llama3()),
              {1.0, 0.018723196287486372, 0.0015749013123685918, 0.00017677669529663688, 1.9842513149602502e-05,
               2.227246795350847e-06}) < 1e-14);
  CHECK(error(kernels::rotary_frequencies(16, 1e4, yarn()),
              {1.0, 0.23717082451262847, 0.05, 0.007905694150420948, 0.0025, 0.0007905694150420947, 0.00025,
               7.905694150420948e-05}) < 1e-14);
  RotaryScaling whole = yarn();  // pairs 2.2 and 3.7
  whole.original_positions = 640, whole.fast_turns = 8, whole.slow_turns = 1.5;
  CHECK(error(kernels::rotary_frequencies(16, 1e4, whole), {1.0, 0.31622776601683794, 0.1, 0.019764235376052368, 0.0025,
                                                            0.0007905694150420947, 0.00025, 7.905694150420948e-05}) <
        1e-14);
  RotaryScaling between = yarn();
  between.original_positions = 640, between.fast_turns = 8, between.slow_turns = 2, between.whole_pairs = false;
  CHECK(error(kernels::rotary_frequencies(16, 1e4, between),
              {1.0, 0.31622776601683794, 0.1, 0.01605891348672589, 0.0025, 0.0007905694150420947, 0.00025,
               7.905694150420948e-05}) < 1e-14);
  RotaryScaling one_pair = yarn();  // both ends of the ramp at pair 0
  one_pair.original_positions = 6, one_pair.fast_turns = 3, one_pair.slow_turns = 2;
  CHECK(error(kernels::rotary_frequencies(16, 1e4, one_pair),
              {1.0, 0.07905694150420949, 0.025, 0.007905694150420948, 0.0025, 0.0007905694150420947, 0.00025,
               7.905694150420948e-05}) < 1e-14);
  CHECK(std::abs(RotaryScaling::yarn_magnitude(4) - 1.138629436111989) < 1e-15);
  CHECK(RotaryScaling::yarn_magnitude(0.5) == 1);
}

TEMPLATE_TEST_CASE("a scaled table has one set of numbers, looked up and beyond", "", float, double) {
  RotaryScaling scaling = yarn();
  scaling.magnitude = 1.25;
  const auto frequencies = kernels::rotary_frequencies(10, 1e4, scaling);
  const RotaryTable<TestType> shorter(10, 2, 1e4, scaling), longer(10, 90, 1e4, scaling), plain(10, 90, 1e4);
  for (const Index position : {0, 1, 2, 89}) {
    Matrix<TestType> row(2, 5);
    shorter.row(position, row.row(0), row.row(1));
    for (Index j = 0; j < 5; ++j) {
      const double angle = static_cast<double>(position) * frequencies.values[j];
      CHECK(row(0, j) == static_cast<TestType>(1.25 * std::cos(angle)));
      CHECK(row(1, j) == static_cast<TestType>(1.25 * std::sin(angle)));
      CHECK((row(0, j) == longer.cosines(position)[j] && row(1, j) == longer.sines(position)[j]));
    }
  }
  CHECK(longer.cosines(89)[4] != plain.cosines(89)[4]);
}

TEST_CASE("numbers that make no frequencies are refused by name") {
  const auto with = [](RotaryScaling scaling, auto RotaryScaling::*option, auto value) {
    scaling.*option = value;
    return refusal(scaling);
  };
  const std::string scaling = "rotary embedding: rotary_scaling, ";
  CHECK(with(llama3(), &RotaryScaling::factor, 0.0).starts_with(scaling + "factor: expected"));
  CHECK(with({}, &RotaryScaling::magnitude, -1.0).starts_with(scaling + "magnitude: expected"));
  CHECK(with(llama3(), &RotaryScaling::magnitude, 1.5) ==
        scaling + "magnitude: expected 1 unless the kind is yarn or longrope, found 1.5");
  CHECK(with(yarn(), &RotaryScaling::original_positions, 0).starts_with(scaling + "original_positions: expected"));
  CHECK(with(yarn(), &RotaryScaling::slow_turns, 0.0).starts_with(scaling + "slow_turns: expected"));
  CHECK(with(llama3(), &RotaryScaling::fast_turns, 1.0) ==
        scaling + "fast_turns: expected a finite number above slow_turns = 1, found 1");
  CHECK(with(longrope(), &RotaryScaling::original_positions, 0).starts_with(scaling + "original_positions: expected"));
  CHECK(with(longrope(), &RotaryScaling::divisors, std::vector<double>{1, 0, 2, 8})
            .starts_with(scaling + "divisors: expected"));
  CHECK(with(longrope(), &RotaryScaling::divisors, std::vector<double>{1, 2, 8}) ==
        scaling + "divisors: expected 4, one for each pair, found 3");
  CHECK(with(yarn(), &RotaryScaling::divisors, std::vector<double>{1}) ==
        scaling + "divisors: expected none unless the kind is longrope, found 1");
  CHECK(refusal(yarn(), 1) ==
        "rotary embedding: rope_theta: expected a number above 1, as yarn divides by its logarithm, found 1");
  CHECK(refusal(llama3(), 1) == "");
}
