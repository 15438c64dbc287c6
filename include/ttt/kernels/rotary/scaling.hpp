// SPDX-License-Identifier: MIT
/// @file
/// Frequencies of a rotary embedding, and the published ways to change them so that a model reaches further than it was
/// trained for.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string>
#include <string_view>
#include <vector>

#include "ttt/core/domain.hpp"
#include "ttt/core/storage.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

/// How much of each plain frequency f_j is kept; the rest of it is divided by the factor s:
///
///     f'_j = κ_j f_j + (1 − κ_j) f_j / s
///     linear:  κ_j = 0                                               (Chen et al. 2023, "Position interpolation")
///     llama3:  κ_j = clamp((L f_j / 2π − slow) / (fast − slow), 0, 1)        (Llama 3.1, `apply_scaling`)
///     longrope: κ_j = 0, and an s_j for each pair                                (Ding et al. 2024, "LongRoPE")
///     yarn:    κ_j = 1 − clamp((j − a) / (b − a), 0, 1),  a = ⌊d(fast)⌋, b = ⌈d(slow)⌉ within [0, D − 1],
///              d(n) = D ln(L / 2πn) / (2 ln θ)                       (Peng et al. 2023, "YaRN", equations 17 to 21)
///
/// L is the length that the model was trained for first, L f_j / 2π the turns of pair j in it, d(n) the pair that makes
/// n turns. yarn has cosines and sines times a magnitude, too (equation 22), and so has longrope. As transformers
/// computes them; of the two lists that a file has for longrope, one up to L and one beyond, this is the first, and
/// there are no positions beyond: the other one would turn what is already cached otherwise.
struct RotaryScaling {
  enum class Kind { none, linear, llama3, yarn, longrope };
  Kind kind = Kind::none;
  double factor = 1;                  ///< s
  Index original_positions = 0;       ///< L; llama3, yarn and longrope
  double slow_turns = 1;              ///< llama3 and yarn: pairs of fewer turns in L are divided by s,
  double fast_turns = 4;              ///< those of more are not
  double magnitude = 1;               ///< yarn and longrope: of cosines and sines
  bool whole_pairs = true;            ///< yarn: a and b are rounded to whole pairs
  std::vector<double> divisors = {};  ///< longrope: s_j

  /// "magnitude" that yarn recommends for a factor.
  static double yarn_magnitude(double factor, double weight = 1) {
    return factor <= 1 ? 1 : 0.1 * weight * std::log(factor) + 1;
  }
  /// All of it, for those who list options.
  template <class Visitor>
  void visit(Visitor&& option) {
    option("rope_type", kind, "how the rotary embedding is scaled");
    option("rope_factor", factor, "by how much");
    option("rope_original_positions", original_positions, "the length that the model was trained for first");
    option("rope_slow_turns", slow_turns, "pairs of fewer turns in that length are scaled");
    option("rope_fast_turns", fast_turns, "pairs of more turns are not");
    option("rope_magnitude", magnitude, "of cosines and sines");
    option("rope_whole_pairs", whole_pairs, "whether the range between them has whole pairs for bounds");
    option("rope_divisors", divisors, "of longrope, one for each pair");
  }
  bool has_turns() const { return kind == Kind::llama3 || kind == Kind::yarn; }
  bool has_magnitude() const { return kind == Kind::yarn || kind == Kind::longrope; }

  friend bool operator==(const RotaryScaling&, const RotaryScaling&) = default;
};

inline constexpr std::array<std::string_view, 5> names_of(RotaryScaling::Kind) {
  return {"default", "linear", "llama3", "yarn", "longrope"};
}

/// Throws Error, naming `subject` and the option, for numbers that make no frequencies.
inline void check(const RotaryScaling& scaling, double theta, const std::string& subject) {
  domain::positive_float(subject + "rope_theta", theta);
  const std::string option = subject + "rotary_scaling, ";
  domain::positive_float(option + "factor", scaling.factor);
  const bool yarn = scaling.kind == RotaryScaling::Kind::yarn;
  domain::positive_float(option + "magnitude", scaling.magnitude);
  domain::require(scaling.has_magnitude() || scaling.magnitude == 1, option + "magnitude",
                  "1 unless the kind is yarn or longrope", scaling.magnitude);
  const bool longrope = scaling.kind == RotaryScaling::Kind::longrope;
  if (longrope) domain::size(option + "original_positions", scaling.original_positions);
  if (!longrope && !scaling.divisors.empty())
    throw_unexpected(option + "divisors", "none unless the kind is longrope", std::to_string(scaling.divisors.size()));
  for (const double divisor : scaling.divisors) domain::positive_float(option + "divisors", divisor);
  if (!scaling.has_turns()) return;
  domain::size(option + "original_positions", scaling.original_positions);
  domain::positive_float(option + "slow_turns", scaling.slow_turns);
  domain::require(scaling.fast_turns > scaling.slow_turns && is_finite(scaling.fast_turns), option + "fast_turns",
                  "a finite number above slow_turns = " + domain::text(scaling.slow_turns), scaling.fast_turns);
  if (yarn)
    domain::require(theta > 1, subject + "rope_theta", "a number above 1, as yarn divides by its logarithm", theta);
}

/// What the pairs of a head turn by per position, and how long cosines and sines are.
struct RotaryFrequencies {
  Buffer<double> values;
  double magnitude = 1;
};

namespace detail {

/// κ_j of yarn.
inline double yarn_share(const RotaryScaling& scaling, Index head_width, double theta, Index pair) {
  const auto turning = [&](double turns) {
    const double positions = static_cast<double>(scaling.original_positions);
    return static_cast<double>(head_width) * std::log(positions / (2 * std::numbers::pi * turns)) /
           (2 * std::log(theta));
  };
  double begin = turning(scaling.fast_turns), end = turning(scaling.slow_turns);
  if (scaling.whole_pairs) begin = std::floor(begin), end = std::ceil(end);
  begin = std::max(begin, 0.0);
  end = std::min(end, static_cast<double>(head_width) - 1);
  if (begin == end) end += 0.001;
  return 1 - std::clamp((static_cast<double>(pair) - begin) / (end - begin), 0.0, 1.0);
}

/// κ_j of llama3, by the turns of the pair.
inline double llama3_share(const RotaryScaling& scaling, double frequency) {
  const double turns = static_cast<double>(scaling.original_positions) * frequency / (2 * std::numbers::pi);
  return std::clamp((turns - scaling.slow_turns) / (scaling.fast_turns - scaling.slow_turns), 0.0, 1.0);
}

}  // namespace detail

/// θ^(−2j/D) for the D/2 pairs of a head, scaled. In double whatever the layer computes in. Throws Error as `check`
/// does, and for a head width D that is odd or not positive.
inline RotaryFrequencies rotary_frequencies(Index head_width, double theta, const RotaryScaling& scaling = {}) {
  if (head_width <= 0 || head_width % 2 != 0)
    throw_unexpected("head width with rotary embedding", "an even, positive number", std::to_string(head_width));
  check(scaling, theta, "rotary embedding: ");
  const bool longrope = scaling.kind == RotaryScaling::Kind::longrope;
  if (longrope && static_cast<Index>(scaling.divisors.size()) != head_width / 2)
    throw_unexpected("rotary embedding: rotary_scaling, divisors",
                     std::to_string(head_width / 2) + ", one for each pair", std::to_string(scaling.divisors.size()));
  RotaryFrequencies frequencies{Buffer<double>(head_width / 2), scaling.magnitude};
  for (Index j = 0; j < head_width / 2; ++j) {
    double& frequency = frequencies.values[j];
    frequency = std::pow(theta, -2.0 * static_cast<double>(j) / static_cast<double>(head_width));
    if (scaling.kind == RotaryScaling::Kind::none) continue;
    double kept = 0;
    if (scaling.kind == RotaryScaling::Kind::llama3) kept = detail::llama3_share(scaling, frequency);
    if (scaling.kind == RotaryScaling::Kind::yarn) kept = detail::yarn_share(scaling, head_width, theta, j);
    const double divisor = longrope ? scaling.divisors[static_cast<std::size_t>(j)] : scaling.factor;
    frequency = kept * frequency + (1 - kept) * frequency / divisor;
  }
  return frequencies;
}

}  // namespace kernels

TTT_NAMESPACE_END
