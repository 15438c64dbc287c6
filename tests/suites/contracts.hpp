// SPDX-License-Identifier: MIT
/// @file
/// What the suites of layers and of language models share: a language model keeps the contracts of its layers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "suites/layer_formula.hpp"
#include "support/catch.hpp"
#include "support/central_difference.hpp"
#include "support/compare.hpp"
#include "support/random_matrix.hpp"
#include "ttt/core/parameters.hpp"

namespace ttt::suites {

using testing::Report;

/// Relative to the largest magnitude of the tensor, as the contracts say.
template <class Scalar>
inline constexpr double value_tolerance = std::is_same_v<Scalar, float> ? 1e-5 : 1e-12;
template <class Scalar>
inline constexpr double formula_tolerance = std::is_same_v<Scalar, float> ? 1e-4 : 1e-11;
template <class Scalar>
inline constexpr double gradient_tolerance = std::is_same_v<Scalar, float> ? 1e-4 : 1e-11;

/// What a suite has to know of a layer, or of the layers of a model.
struct LayerCase {
  Index mini_batch = 4;      ///< K; for a layer without mini-batches any length at which something changes
  bool state_grows = false;  ///< its size depends on the capacity
  /// One pass and any pieces have the same bits; without, a chunk form and a recurrence agree up to rounding, and a
  /// number that overflows may be lost in one of them only.
  bool one_form = true;
  std::uint64_t seed = 1;  ///< of weights and data
  double spread = 0.2;     ///< standard deviation of what is added to every initial weight
  /// The last word on each weight, by its name, row-major index and drawn value: keeps clamped ones off their clamp.
  std::function<double(std::string_view name, Index index, double value)> prepare = nullptr;
  Formula formula = nullptr;  ///< what the outputs of the layer are; null: not told
};

/// Outputs are assigned, so this, which stands in them before, must vanish.
template <class Scalar>
inline constexpr Scalar unwritten = Scalar(777);

/// The published initial values are so small that some parts hardly matter; with noise on them every part counts.
template <class Parameters>
void draw_weights(Parameters& parameters, const LayerCase& options) {
  using Scalar = typename Parameters::Scalar;
  initialize(parameters, options.seed);
  parameters.visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo&) {
    const RandomStream noise(options.seed + 1, name);
    // A small row of an embedding would make the norm behind it too curved for central differences.
    const double spread = name.find("embed") != std::string_view::npos ? 1 : options.spread;
    for (Index i = 0; i < tensor.size(); ++i) {
      const double drawn = static_cast<double>(tensor[i]) + spread * noise.normal(static_cast<std::uint64_t>(i));
      tensor[i] = static_cast<Scalar>(options.prepare ? options.prepare(name, i, drawn) : drawn);
    }
  });
}

/// Lengths from 0 to `longest` that add up to `length`.
inline std::vector<Index> random_pieces(Index length, Index longest, std::uint64_t seed) {
  const RandomStream random(seed, "pieces");
  std::vector<Index> pieces;
  for (std::uint64_t draw = 0; length > 0; ++draw) {
    const auto drawn = static_cast<Index>(random.below(draw, static_cast<std::uint64_t>(longest + 1)));
    pieces.push_back(std::min(length, drawn));
    length -= pieces.back();
  }
  return pieces;
}

/// Standard normal numbers in every place of a State; the same for the same seed.
template <class Scalar>
void randomize(State<Scalar>& state, std::uint64_t seed) {
  for (const StatePart& part : state.layout->parts()) {
    const RandomStream random(seed, part.name);
    for (Index i = 0; i < part.rows * part.columns; ++i)
      testing::place_of(state, part, i) = static_cast<Scalar>(random.normal(static_cast<std::uint64_t>(i)));
  }
}

/// Σ weights ∘ outputs + Σ cotangents ∘ final states: what a backward from `weights` and `cotangents` differentiates.
template <class State>
double weighted_sum(const testing::Matrix<double>& outputs, const testing::Matrix<double>& weights,
                    const std::vector<State>& states, const std::vector<State>& cotangents) {
  double sum = 0;
  for (Index r = 0; r < outputs.rows(); ++r)
    for (Index c = 0; c < outputs.columns(); ++c) sum += outputs(r, c) * weights(r, c);
  for (std::size_t i = 0; i < states.size(); ++i) {
    const auto values = testing::parts_of_state(states[i]), factors = testing::parts_of_state(cotangents[i]);
    for (std::size_t part = 0; part < values.size(); ++part)
      for (std::size_t e = 0; e < values[part].values.size(); ++e)
        sum += values[part].values[e] * factors[part].values[e];
  }
  return sum;
}

/// Contract 2 at the `chosen` places of one tensor: `analytic` against central differences of `loss`.
inline void compare_with_differences(Report& report, const std::string& name, const std::vector<double>& analytic,
                                     const std::vector<Index>& chosen, FunctionRef<double&(Index)> place,
                                     FunctionRef<double()> loss) {
  const double bound = 1e-7 * std::max(1.0, testing::largest_magnitude(analytic));
  for (const Index i : chosen) {
    const double numeric = testing::central_difference(loss, place(i));
    const double found = analytic[static_cast<std::size_t>(i)];
    report.expect(std::abs(found - numeric) <= bound,
                  "d " + name + ": " + testing::describe(static_cast<std::size_t>(i), found, numeric, bound));
  }
}

/// Asserts a report: nothing failed, and something was compared.
inline void require(const Report& report) {
  INFO(report.text());
  CHECK(report.comparisons > 0);
  CHECK(report.failures.empty());
}

}  // namespace ttt::suites
