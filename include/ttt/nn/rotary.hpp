// SPDX-License-Identifier: MIT
#pragma once

#include <initializer_list>

#include "ttt/core/context.hpp"
#include "ttt/core/segment_plan.hpp"
#include "ttt/kernels/rotary.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// By which angles the tokens of a layer are turned.
template <class Scalar>
struct RotaryAngles {
  const kernels::RotaryTable<Scalar>& table;  ///< of what is turned of a head; positions beyond it are computed
  kernels::RotaryPairs pairs;
  Index period = 0;      ///< positions count from 0 again after so many; 0: never
  Index head_width = 0;  ///< D, if only the first columns of a head are turned; 0: all are
};

/// Turns every head of the rows [N × heads · D] of each of `parts` in place by the angles of their tokens, or back,
/// which is the transpose that carries gradients. The first of the rows is row `start` of the planned call.
template <class Scalar>
void rotate_rows(const RotaryAngles<Scalar>& angles, kernels::RotaryTurn turn, SegmentPlan plan, Index start,
                 std::initializer_list<MatrixView<Scalar>> parts, Context& context) {
  constexpr Index rows_per_task = 64;
  const auto& table = angles.table;
  context.parallel_ranges(parts.begin()->rows(), rows_per_task, [&](Index first, Index count, Arena& arena) {
    Scalar* const far_cosines = arena.allocate<Scalar>(2 * table.pairs());
    Scalar* const far_sines = far_cosines + table.pairs();
    for_each_position(plan, start + first, count, [&](Index row, std::int64_t position) {
      if (angles.period > 0) position %= angles.period;
      const bool near = position < table.positions();
      if (!near) table.row(position, far_cosines, far_sines);
      const Scalar* const cosines = near ? table.cosines(static_cast<Index>(position)) : far_cosines;
      const Scalar* const sines = near ? table.sines(static_cast<Index>(position)) : far_sines;
      for (const MatrixView<Scalar>& part : parts) {
        const Index step = angles.head_width == 0 ? part.columns() : angles.head_width;
        const Index turned = angles.head_width == 0 ? step : table.head_width();
        for (Index column = 0; column < part.columns(); column += step)
          context.call<KernelId::rotary, Scalar, &kernels::rotate_heads<simd::Native, Scalar>>(
              cosines, sines, angles.pairs, turn, table.head_width(),
              VectorView<Scalar>(part.row(row - start) + column, turned));
      }
    });
  });
}

}  // namespace nn

TTT_NAMESPACE_END
