// SPDX-License-Identifier: MIT
/// @file
/// Training with products in bfloat16:
///
///     ttt::Bfloat16Products products(context.executor());
///     context.large_products = &products;
#pragma once

#include <string_view>

#include "ttt/kernels/matmul_pairs.hpp"
#include "ttt/nn/linear.hpp"

TTT_NAMESPACE_BEGIN

/// The products of linear maps, of at least `smallest` multiply-adds, with both factors rounded to bfloat16 and sums in
/// float: forward, gradients of inputs and gradients of weights. A processor with AVX512-BF16 does two multiply-adds in
/// place of one; every other gives the same bits, but for denormals, which that instruction takes for zero, no faster
/// than float. Weights, their gradients and the optimiser, norms, rules and fast weights stay as they are, and so do
/// products of doubles.
///
/// Of the library's promises, products that are handed over keep these: the same bits for any number of threads and any
/// other rows, causality, and, once memory has grown to the largest product, no allocation. Splitting a sequence, or
/// decoding it, changes results by the rounding of its inputs to eight bits where pieces fall below `smallest`; and
/// gradients are those of the rounded products. It is meant for training: with few rows, as in decoding, rounding a
/// weight costs more than its product. One object serves one Context at a time.
class Bfloat16Products final : public LargeProducts {
 public:
  static constexpr Index default_smallest = Index{1} << 22;  // 256 rows at width 128

  explicit Bfloat16Products(Index smallest = default_smallest) : smallest_(smallest) {}
  explicit Bfloat16Products(Executor& executor, Index smallest = default_smallest)
      : context_(executor), smallest_(smallest) {}

  /// As Context::kernels: those of another instruction set.
  const KernelTable* kernels = nullptr;

  /// Whether products run on the instructions that make them faster than in float.
  bool is_fast() const {
    return kernels ? std::string_view(kernels->instruction_set).ends_with("+avx512bf16") : simd::fused_pairs;
  }

  Index smallest() const override { return smallest_; }

  void multiply(Factor<float> a, Factor<float> b, MatrixView<float> c, bool accumulate) override {
    context_.kernels = kernels;
    const Arena::Frame frame(context_.scratch());
    const Index inner = kernels::pair_count(a.columns());
    const auto panels =
        nn::detail::panels_of<float>(inner, b.columns(), context_, [&](auto to, Index first, Index count) {
          context_.call<KernelId::pair_panels, float, &kernels::pair_panels<simd::Native>>(b, to, first, count);
        });
    over_rows(c.rows(), inner, c.columns(), [&](Index first, Index count, Arena& arena) {
      float* const pairs = arena.allocate<float>(count * inner);
      context_.call<KernelId::matmul_pairs, float, &kernels::matmul_pairs<simd::Native>>(
          a.part(first, count), pairs, panels, c.rows(first, count), output(accumulate));
    });
  }

  void multiply(Factor<double> a, Factor<double> b, MatrixView<double> c, bool accumulate) override {
    context_.kernels = kernels;
    const Arena::Frame frame(context_.scratch());
    const MatrixView<const double> left = plain(a), right = plain(b);
    const auto panels = nn::detail::panels_of<double>(
        right.rows(), right.columns(), context_,
        [&](auto to, Index first, Index count) { kernels::pack_panels(right, to, first, count); });
    nn::detail::product<double>(left, panels, c, output(accumulate), context_);
  }

 private:
  static kernels::Output output(bool accumulate) {
    return accumulate ? kernels::Output::accumulate : kernels::Output::assign;
  }

  /// Runs `task(first, count, arena)` on the shares of a product's rows.
  template <class Task>
  void over_rows(Index rows, Index inner, Index columns, Task&& task) {
    context_.parallel_ranges(rows, nn::detail::share(rows, nn::detail::rows_per_task, inner, columns, context_), task);
  }

  /// The factor as it lies in memory, in scratch if it was transposed.
  MatrixView<const double> plain(const Factor<double>& factor) {
    if (!factor.transposed) return factor.matrix;
    const auto rows = context_.scratch().matrix<double>(factor.rows(), factor.columns());
    kernels::transpose(factor.matrix, rows);
    return rows;
  }

  Context context_;
  Index smallest_;
};

TTT_NAMESPACE_END
