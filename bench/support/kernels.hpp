// SPDX-License-Identifier: MIT
/// @file
/// How kernels are measured on one thread: what goes over rows beside a plain copy, products beside a large product.
#pragma once

#include <benchmark/benchmark.h>

#include <utility>
#include <vector>

#include "support/machine.hpp"
#include "ttt/core/function_ref.hpp"
#include "ttt/core/storage.hpp"

namespace bench {

using ttt::FunctionRef;
using ttt::MatrixView;

/// What a kernel reads and writes: numbers with variance 1.
class Operands {
 public:
  MatrixView<float> matrix(Index rows, Index columns);

 private:
  std::vector<ttt::Buffer<float>> values_;
};

/// Operands of a kernel that goes over rows; their shape is the case's arguments.
class RowOperands {
 public:
  explicit RowOperands(benchmark::State& state) : state_(state), rows_(state.range(0)), width_(state.range(1)) {}

  Index rows() const { return rows_; }
  Index width() const { return width_; }
  Index size() const { return rows_ * width_; }
  MatrixView<float> matrix() { return operands_.matrix(rows_, width_); }
  ttt::VectorView<float> vector() { return {operands_.matrix(1, width_).data(), width_}; }

  /// Counts elements and bytes per second of a call that reads and writes `moved` floats once. `of_copy` is its rate
  /// beside that of a plain copy that moves as many, so between the same levels of cache.
  void measure(Index moved, FunctionRef<void()> call);

 private:
  benchmark::State& state_;
  Index rows_, width_;
  Operands operands_;
};

/// A mini-batch of one head, then what the second-level cache holds, then what it does not.
inline void row_sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"rows", "width"})->Unit(benchmark::kMicrosecond)->UseManualTime();
  for (const auto& [rows, width] : {std::pair{16, 64}, {32, 768}, {2048, 768}}) bench->Args({rows, width});
}

/// Counts FLOP/s. `of_large_product` is that rate beside the rate of our large product of floats in this process.
void measure_product(benchmark::State& state, double flops, FunctionRef<void()> call);

}  // namespace bench
