// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/storage.hpp"
#include "ttt/kernels/rows.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// Where a forward leaves the states [R × C] that its backward starts from: the one before every `interval`-th step,
/// a step being a token or what a rule reads at once. A default one keeps nothing.
template <class Scalar>
class Checkpoints {
 public:
  Checkpoints() = default;
  /// In memory of an arena.
  Checkpoints(Index rows, Index columns, Index steps, Index interval, Arena& memory)
      : states_(memory.matrix<Scalar>((steps + interval - 1) / interval * rows, columns)),
        rows_(rows),
        interval_(interval) {}

  Index count() const { return states_.rows() / rows_; }
  Index interval() const { return interval_; }
  MatrixView<Scalar> at(Index i) const { return states_.rows(i * rows_, rows_); }

  /// All but the first `kept` states.
  Checkpoints from(Index kept) const {
    Checkpoints rest = *this;
    const Index before = kept * rows_;
    rest.states_ = states_.rows(before, states_.rows() - before);
    return rest;
  }

  /// Keeps the state before a step if its turn has come.
  template <class Arch>
  void keep(Index step, MatrixView<const Scalar> state) const {
    if (!states_.empty() && step % interval_ == 0) kernels::copy_rows<Arch>(state, at(step / interval_));
  }

 private:
  MatrixView<Scalar> states_;  // one below the other
  Index rows_ = 1, interval_ = 1;
};

}  // namespace rules

TTT_NAMESPACE_END
