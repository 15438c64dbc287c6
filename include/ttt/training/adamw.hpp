// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "ttt/core/context.hpp"
#include "ttt/core/domain.hpp"
#include "ttt/kernels/simd.hpp"
#include "ttt/training/parameter_groups.hpp"

TTT_NAMESPACE_BEGIN

namespace training {

struct AdamWConfig {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;  ///< outside of the root; above 0 in the type of the parameters
  double weight_decay = 0.1;

  /// Throws Error naming the number that is outside of its domain.
  void check() const {
    domain::fraction("AdamW: beta1", beta1);
    domain::fraction("AdamW: beta2", beta2);
    domain::positive("AdamW: epsilon", epsilon);
    domain::not_negative("AdamW: weight decay", weight_decay);
  }

  friend bool operator==(const AdamWConfig&, const AdamWConfig&) = default;
};

/// The numbers of one update of one tensor.
struct AdamWCoefficients {
  double keep = 1;  ///< 1 − γλ
  double beta1 = 0, beta2 = 0;
  double step_size = 0;        ///< γ / (1 − β₁ᵗ)
  double correction_root = 1;  ///< √(1 − β₂ᵗ)
  double epsilon = 0;
};

/// One update of `count` contiguous parameters p with gradients g and moments m, v, in the order of PyTorch's AdamW:
/// p ← (1 − γλ) p;  m ← m + (1 − β₁)(g − m);  v ← β₂ v + (1 − β₂) g²;  p ← p − γ/(1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε).
template <class Arch = simd::Native, class Scalar>
void adamw_update(const AdamWCoefficients& coefficients, Index count, const Scalar* gradients, Scalar* parameters,
                  Scalar* first_moments, Scalar* second_moments) {
  const auto keep = static_cast<Scalar>(coefficients.keep), epsilon = static_cast<Scalar>(coefficients.epsilon);
  const auto rest1 = static_cast<Scalar>(1 - coefficients.beta1), rest2 = static_cast<Scalar>(1 - coefficients.beta2);
  const auto beta2 = static_cast<Scalar>(coefficients.beta2), step_size = static_cast<Scalar>(coefficients.step_size);
  const auto root = static_cast<Scalar>(coefficients.correction_root);
  simd::for_each_pack<Scalar, Arch>(count, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
    const P gradient = P::load(gradients + i);
    const P old_first = P::load(first_moments + i);
    const P first = old_first + P(rest1) * (gradient - old_first);
    const P second = P(beta2) * P::load(second_moments + i) + P(rest2) * gradient * gradient;
    const P denominator = simd::sqrt(second) / P(root) + P(epsilon);
    first.store(first_moments + i);
    second.store(second_moments + i);
    (P(keep) * P::load(parameters + i) - P(step_size) * first / denominator).store(parameters + i);
  });
}

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2, with PyTorch's bias correction), on the
/// arenas of parameters and gradients of one layout. Frozen tensors keep their bits.
template <class Scalar>
class AdamW {
 public:
  AdamW() = default;
  /// For the parameters of `store`, grouped by `rules`. Throws Error for settings that are no optimiser.
  template <class Parameters>
  AdamW(const AdamWConfig& config, const ParameterStore<Parameters>& store, std::span<const GroupRule> rules = {})
      : config_(checked(config)), groups_(store, rules), first_(store.arena().size()), second_(store.arena().size()) {}

  /// One update. The learning rate is that of this step, whatever schedule it comes from; a group's factor multiplies
  /// it. The bits do not depend on the number of workers. Throws Error, with nothing changed, for arenas of other
  /// parameters and for a rate that is negative or not finite.
  void step(Buffer<Scalar>& parameters, const Buffer<Scalar>& gradients, double learning_rate, Context& context) {
    groups_.check_arena(parameters, "parameters");
    groups_.check_arena(gradients, "gradients");
    domain::not_negative("learning rate of step " + std::to_string(steps_ + 1), learning_rate);
    ++steps_;
    const auto& slices = groups_.slices();
    context.parallel(static_cast<Index>(slices.size()), [&](Index index, Arena&) {
      const auto& slice = slices[static_cast<std::size_t>(index)];
      adamw_update(coefficients(groups_.tensor_of(slice), learning_rate), slice.size, gradients.data() + slice.offset,
                   parameters.data() + slice.offset, first_.data() + slice.offset, second_.data() + slice.offset);
    });
  }

  const AdamWConfig& config() const { return config_; }
  const ParameterGroups& groups() const { return groups_; }
  /// Updates done, on which the bias correction depends; together with the moments the whole memory of the optimiser.
  std::int64_t& steps() { return steps_; }
  std::int64_t steps() const { return steps_; }
  Buffer<Scalar>& first_moments() { return first_; }
  const Buffer<Scalar>& first_moments() const { return first_; }
  Buffer<Scalar>& second_moments() { return second_; }
  const Buffer<Scalar>& second_moments() const { return second_; }

 private:
  static const AdamWConfig& checked(const AdamWConfig& config) {
    config.check();
    // Padding has no gradient: with an epsilon that is rounded to nothing its update would be 0/0.
    constexpr double least = std::numeric_limits<Scalar>::min();
    domain::require(config.epsilon >= least, "AdamW: epsilon",
                    "at least " + domain::text(least) + ", the smallest number of its type with all digits",
                    config.epsilon);
    return config;
  }

  AdamWCoefficients coefficients(const ParameterGroup& tensor, double learning_rate) const {
    const double rate = learning_rate * tensor.learning_rate_factor;
    const auto steps = static_cast<double>(steps_);
    return {tensor.decays ? 1 - rate * config_.weight_decay : 1.0,
            config_.beta1,
            config_.beta2,
            rate / (1 - std::pow(config_.beta1, steps)),
            std::sqrt(1 - std::pow(config_.beta2, steps)),
            config_.epsilon};
  }

  AdamWConfig config_;
  ParameterGroups groups_;
  Buffer<Scalar> first_, second_;
  std::int64_t steps_ = 0;
};

}  // namespace training

TTT_NAMESPACE_END
