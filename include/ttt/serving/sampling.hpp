// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "ttt/core/error.hpp"
#include "ttt/core/random.hpp"
#include "ttt/core/view.hpp"

TTT_NAMESPACE_BEGIN

/// How the next token is drawn from logits.
struct SamplingConfig {
  double temperature = 1;  ///< divides the logits; 0: always the most likely token
  double top_p = 1;        ///< draws among the most likely tokens that together have this probability

  /// Throws Error for numbers that draw nothing.
  void check() const {
    if (!(temperature >= 0 && std::isfinite(temperature)))
      throw_unexpected("temperature", "a finite number of at least 0", std::to_string(temperature));
    if (!(top_p > 0 && top_p <= 1))
      throw_unexpected("top-p", "a probability above 0 and at most 1", std::to_string(top_p));
  }

  friend bool operator==(const SamplingConfig&, const SamplingConfig&) = default;
};

/// Draws tokens: softmax(logits / temperature), cut to the smallest set of most likely tokens whose probability reaches
/// `top_p` and scaled up to 1 again (Holtzman et al. 2020, "The curious case of neural text degeneration").
///
/// Token number n of a seed is drawn with random number n of its stream. Of equally likely tokens the one with the
/// smaller id comes first. Nothing is allocated after the construction.
class Sampler {
 public:
  /// Throws Error for numbers that draw nothing and for an empty vocabulary.
  Sampler(const SamplingConfig& config, Index vocabulary, std::uint64_t seed)
      : config_(config), random_(seed, "sampling") {
    config.check();
    if (vocabulary < 1) throw_unexpected("vocabulary of the sampler", "at least 1", std::to_string(vocabulary));
    candidates_.resize(static_cast<std::size_t>(vocabulary));
  }

  const SamplingConfig& config() const { return config_; }
  /// Random numbers used; set it to repeat or to go on with a stream.
  std::uint64_t& drawn() { return drawn_; }
  std::uint64_t drawn() const { return drawn_; }

  /// The next token, given logits [V], which must be finite.
  template <class Scalar>
  Index operator()(VectorView<const Scalar> logits) {
    TTT_ASSERT(logits.size() == static_cast<Index>(candidates_.size()), "one logit for each token");
    const auto largest = std::max_element(logits.begin(), logits.end());
    if (config_.temperature == 0) return largest - logits.begin();
    const auto maximum = static_cast<double>(*largest);
    double total = 0;
    for (Index id = 0; id < logits.size(); ++id) {
      const double weight = std::exp((static_cast<double>(logits[id]) - maximum) / config_.temperature);
      candidates_[static_cast<std::size_t>(id)] = {weight, id};
      total += weight;
    }
    const double uniform = random_.uniform(drawn_++);
    return config_.top_p < 1 ? draw_from_nucleus(uniform, total) : draw(candidates_.begin(), candidates_.end(), uniform * total);
  }

 private:
  struct Candidate {
    double weight;
    Index id;
  };
  using Iterator = std::vector<Candidate>::const_iterator;

  static bool less_likely(const Candidate& a, const Candidate& b) {
    return a.weight < b.weight || (a.weight == b.weight && a.id > b.id);
  }

  /// The candidate in which `place`, a part of the sum of the weights, falls.
  static Index draw(Iterator first, Iterator last, double place) {
    for (; first != last - 1; ++first)
      if ((place -= first->weight) < 0) break;
    return first->id;
  }

  /// A heap gives the most likely ones first, in linear time for a small nucleus of a large vocabulary.
  Index draw_from_nucleus(double uniform, double total) {
    const auto first = candidates_.begin();
    auto rest = candidates_.end();
    std::make_heap(first, rest, less_likely);
    double kept = 0;
    while (rest != first && kept < config_.top_p * total) {
      std::pop_heap(first, rest, less_likely);
      kept += (--rest)->weight;
    }
    return draw(rest, candidates_.end(), uniform * kept);
  }

  SamplingConfig config_;
  RandomStream random_;
  std::vector<Candidate> candidates_;
  std::uint64_t drawn_ = 0;
};

TTT_NAMESPACE_END
