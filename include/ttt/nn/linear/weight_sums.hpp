// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <span>

#include "ttt/core/context.hpp"
#include "ttt/core/tensor.hpp"
#include "ttt/kernels/matmul.hpp"
#include "ttt/nn/linear/large_products.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// The products dW += d_yᵀ · x of several linear maps, shared out together: the more tasks at once, the less workers
/// wait for one another, and an x that several maps read is transposed once. What is added must stay until `add_up`,
/// which does the work in scratch of the size of all factors: rows come in rounds. Beyond eight maps those added before
/// are shared out first.
template <class Scalar>
class WeightSums {
 public:
  explicit WeightSums(Context& context) : context_(context) {}

  /// d_weight [out × in] in panels += d_yᵀ · x for x [N × in], d_y [N × out]; an unbound d_weight is not wanted. No
  /// element's chain over the N rows depends on how the work is shared out.
  void add(MatrixView<const Scalar> x, MatrixView<const Scalar> d_y, Tensor<Scalar>& d_weight) {
    if (d_weight.empty()) return;
    const PanelView<Scalar> gradient = d_weight.panels();
    if (detail::hand_over_gradient<Scalar>(x, d_y, gradient, context_)) return;
    if (sum_count_ == most) add_up();
    sums_[sum_count_++] = {input_of(x), d_y, gradient, {}};
  }

  void add_up() {
    const Arena::Frame frame(context_.scratch());
    const Index elements = allocate_factors(), products = multiply_adds(), workers = context_.workers();
    share_out(
        sum_count_ + input_count_, elements,
        [&](std::size_t i) {
          const Index length = i < sum_count_ ? sums_[i].packed.count() : inputs_[i - sum_count_].transposed.rows();
          return Range{length, (length + workers - 1) / workers};
        },
        [&](std::size_t i, Index first, Index count) {
          if (i < sum_count_) return kernels::pack_panels(sums_[i].d_y, sums_[i].packed, first, count);
          const Input& input = inputs_[i - sum_count_];
          context_.call<KernelId::transpose, Scalar, &kernels::transpose<Scalar>>(input.x.columns(first, count),
                                                                                  input.transposed.rows(first, count));
        });
    share_out(
        sum_count_, products,
        [&](std::size_t i) {
          return Range{sums_[i].gradient.rows(), rows_per_task};
        },
        [&](std::size_t i, Index first, Index count) {
          const Sum& sum = sums_[i];
          context_.call<KernelId::matmul_to_panels, Scalar, &kernels::matmul_to_panels<simd::Native, Scalar>>(
              inputs_[sum.input].transposed, sum.packed, sum.gradient, first, count);
        });
    sum_count_ = input_count_ = 0;
  }

 private:
  static constexpr std::size_t most = 8;
  static constexpr Index rows_per_task = 48;  // of a gradient

  struct Input {
    MatrixView<const Scalar> x;
    MatrixView<Scalar> transposed;  // [in × N]
  };
  struct Sum {
    std::size_t input = 0;
    MatrixView<const Scalar> d_y;
    PanelView<Scalar> gradient, packed;
  };
  struct Range {
    Index length = 0, grain = 0;
    Index tasks() const { return length == 0 ? 0 : (length + grain - 1) / grain; }
  };

  /// Index of x among the inputs, which it joins unless another map reads it too.
  std::size_t input_of(MatrixView<const Scalar> x) {
    for (std::size_t i = 0; i < input_count_; ++i)
      if (const auto& other = inputs_[i].x; other.data() == x.data() && other.rows() == x.rows() &&
                                            other.columns() == x.columns() && other.stride() == x.stride())
        return i;
    inputs_[input_count_] = {x, {}};
    return input_count_++;
  }

  /// Scratch for xᵀ and for d_y in panels; returns the elements of all.
  Index allocate_factors() {
    Arena& scratch = context_.scratch();
    Index elements = 0;
    for (Input& input : std::span(inputs_.data(), input_count_)) {
      input.transposed = scratch.matrix<Scalar>(input.x.columns(), input.x.rows());
      elements += input.x.columns() * input.x.rows();
    }
    for (Sum& sum : std::span(sums_.data(), sum_count_)) {
      const Index rows = sum.d_y.rows(), out = sum.d_y.columns();
      sum.packed = {scratch.allocate<Scalar>(PanelView<Scalar>::storage_size(rows, out)), rows, out};
      elements += rows * out;
    }
    return elements;
  }

  Index multiply_adds() const {
    Index sum = 0;
    for (const Sum& each : std::span(sums_.data(), sum_count_))
      sum += each.d_y.rows() * each.gradient.rows() * each.gradient.columns();
    return sum;
  }

  /// Runs `task(i, first, count)` over `range(i)` for every i < items, in all about `work` multiply-adds or loads.
  template <class RangeOf, class Task>
  void share_out(std::size_t items, Index work, RangeOf&& range, Task&& task) {
    std::array<Index, 2 * most + 1> begin{};
    for (std::size_t i = 0; i < items; ++i) begin[i + 1] = begin[i] + range(i).tasks();
    context_.parallel(begin[items], work, [&](Index index, Arena&) {
      const auto after = std::upper_bound(begin.begin(), begin.begin() + static_cast<Index>(items), index);
      const auto i = static_cast<std::size_t>(after - begin.begin()) - 1;
      const auto [length, grain] = range(i);
      const Index first = (index - begin[i]) * grain;
      task(i, first, std::min(grain, length - first));
    });
  }

  Context& context_;
  std::array<Sum, most> sums_;
  std::array<Input, most> inputs_;
  std::size_t sum_count_ = 0, input_count_ = 0;
};

}  // namespace nn

TTT_NAMESPACE_END
