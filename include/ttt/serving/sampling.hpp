// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "ttt/core/domain.hpp"
#include "ttt/core/error.hpp"
#include "ttt/core/random.hpp"
#include "ttt/core/view.hpp"

TTT_NAMESPACE_BEGIN

/// How the next token is drawn from logits.
struct SamplingConfig {
  double temperature = 1;  ///< divides the logits; 0: always the most likely token
  double top_p = 1;        ///< draws among the most likely tokens that together have this probability
  Index top_k = 0;         ///< draws among so many of the most likely tokens; 0, or beyond the vocabulary: among all

  /// Throws Error for numbers that draw nothing.
  void check() const {
    domain::not_negative("temperature of the sampler", temperature);
    domain::require(top_p > 0 && top_p <= 1, "top-p of the sampler", "a number above 0 and at most 1", top_p);
    domain::at_least("top-k of the sampler", 0, top_k);
  }

  friend bool operator==(const SamplingConfig&, const SamplingConfig&) = default;
};

/// Draws tokens: softmax(logits / temperature), cut to the `top_k` most likely tokens (Fan et al. 2018, "Hierarchical
/// neural story generation"), of these to the smallest set of most likely ones whose share of their probability reaches
/// `top_p` (Holtzman et al. 2020, "The curious case of neural text degeneration"), and scaled up to 1 again.
///
/// Token number n of a seed is drawn with random number n of its stream. Of equal logits the one with the smaller id
/// comes first. A token whose probability is 0 is never drawn. Nothing is allocated after the construction.
class Sampler {
 public:
  /// Throws Error for numbers that draw nothing and for an empty vocabulary.
  Sampler(const SamplingConfig& config, Index vocabulary, std::uint64_t seed)
      : config_(config), vocabulary_(vocabulary), random_(seed, "sampling") {
    config.check();
    domain::at_least("vocabulary of the sampler", 1, vocabulary);
    candidates_.reserve(static_cast<std::size_t>(vocabulary));
  }

  const SamplingConfig& config() const { return config_; }
  /// Random numbers used; set it to repeat or to go on with a stream.
  std::uint64_t& drawn() { return drawn_; }
  std::uint64_t drawn() const { return drawn_; }

  /// The next token, given logits [V]: finite numbers, and −∞ for tokens that are forbidden. Throws Error for another
  /// number of them, for NaN and +∞, and when every token is forbidden; no random number is used then.
  template <class Scalar>
  Index operator()(VectorView<const Scalar> logits) {
    const Index most_likely = check_logits(logits);
    if (config_.temperature == 0) return most_likely;
    double total = weigh(logits, static_cast<double>(logits[most_likely]));
    if (config_.top_k > 0 && config_.top_k < count()) total = keep_top_k();
    auto first = candidates_.cbegin();
    if (config_.top_p < 1) first = find_nucleus(total);
    return draw(first, random_.uniform(drawn_++) * total);
  }

 private:
  struct Candidate {
    double logit, weight;  ///< weight: probability as a share of the most likely token's
    Index id;
  };
  using Iterator = std::vector<Candidate>::const_iterator;

  // By logits: at a high temperature different ones have the same weight.
  static bool more_likely(const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
  }
  static bool less_likely(const Candidate& a, const Candidate& b) { return more_likely(b, a); }

  Index count() const { return static_cast<Index>(candidates_.size()); }

  /// The first of the largest logits.
  template <class Scalar>
  Index check_logits(VectorView<const Scalar> logits) const {
    if (logits.size() != vocabulary_)
      throw_unexpected("logits", std::to_string(vocabulary_) + ", one for each token of the vocabulary",
                       std::to_string(logits.size()));
    constexpr double forbidden = -std::numeric_limits<double>::infinity();
    Index most_likely = 0;
    double largest = forbidden;
    for (Index id = 0; id < logits.size(); ++id) {
      const auto logit = static_cast<double>(logits[id]);
      if (!std::isfinite(logit) && logit != forbidden)
        throw_unexpected("logit of token " + std::to_string(id),
                         "a finite number, or -inf for a token that is forbidden", domain::text(logit));
      if (logit > largest) largest = logit, most_likely = id;
    }
    if (largest == forbidden)
      throw_unexpected("logits", "a token that may be drawn", "every token is forbidden (-inf)");
    return most_likely;
  }

  /// Makes candidates of the tokens that can be drawn, by id; the sum of their weights.
  template <class Scalar>
  double weigh(VectorView<const Scalar> logits, double largest) {
    candidates_.clear();
    double total = 0;
    for (Index id = 0; id < logits.size(); ++id) {
      const auto logit = static_cast<double>(logits[id]);
      const double weight = std::exp((logit - largest) / config_.temperature);
      if (weight > 0) candidates_.push_back({logit, weight, id});
      total += weight;
    }
    return total;
  }

  /// Leaves the most likely candidates, in their order; the sum of their weights.
  double keep_top_k() {
    const auto end = candidates_.begin() + config_.top_k;
    std::partial_sort(candidates_.begin(), end, candidates_.end(), more_likely);
    candidates_.erase(end, candidates_.end());
    double total = 0;
    for (const auto& candidate : candidates_) total += candidate.weight;
    return total;
  }

  /// The candidates from the result on have `top_p` of `total`, which becomes the sum of their weights. A heap gives
  /// the most likely ones first, in linear time for a small nucleus of a large vocabulary.
  Iterator find_nucleus(double& total) {
    const auto first = candidates_.begin();
    auto rest = candidates_.end();
    std::make_heap(first, rest, less_likely);
    double kept = 0;
    do {
      std::pop_heap(first, rest, less_likely);
      kept += (--rest)->weight;
    } while (rest != first && kept < config_.top_p * total);
    total = kept;
    return rest;
  }

  /// The candidate in which `place`, a part of the sum of the weights, falls.
  Index draw(Iterator first, double place) const {
    for (; first != candidates_.end() - 1; ++first)
      if ((place -= first->weight) < 0) break;
    return first->id;
  }

  SamplingConfig config_;
  Index vocabulary_;
  RandomStream random_;
  std::vector<Candidate> candidates_;
  std::uint64_t drawn_ = 0;
};

TTT_NAMESPACE_END
