// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <string>

#include "ttt/core/domain.hpp"

TTT_NAMESPACE_BEGIN

namespace training {

/// Learning rate that rises linearly to `peak` and falls along half a cosine to `final_fraction · peak`, where it
/// stays.
///
/// `warmup` and `total` are in the unit of the position they are asked for: updates, or, for a run limited by time,
/// shares of it (`{peak, 0.05, 1}`). For update s = 0, 1, … position s + 1 makes the first update count and ends the
/// warm-up with update `warmup`; position s with `final_fraction = 0` is the schedule of the transformers library,
/// whose first update has rate 0.
struct CosineSchedule {
  double peak = 3e-3;
  double warmup = 100;
  double total = 1000;
  double final_fraction = 0.1;

  double operator()(double position) const {
    if (position < warmup) return peak * position / warmup;
    if (position >= total) return peak * final_fraction;
    constexpr double pi = 3.14159265358979323846;
    const double cosine = 0.5 * (1 + std::cos(pi * (position - warmup) / (total - warmup)));
    return peak * (final_fraction + (1 - final_fraction) * cosine);
  }

  /// Throws Error naming the number that is outside of its domain.
  void check() const {
    domain::not_negative("schedule: peak", peak);
    domain::positive("schedule: total", total);
    domain::not_negative("schedule: warmup", warmup);
    domain::require(warmup <= total, "schedule: warmup", "at most the total of " + domain::text(total), warmup);
    domain::share("schedule: final fraction", final_fraction);
  }

  friend bool operator==(const CosineSchedule&, const CosineSchedule&) = default;
};

}  // namespace training

TTT_NAMESPACE_END
