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
/// wait for one another. What is added must stay until `add_up`, which does the work.
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
    TTT_ASSERT(count_ < most, "more linear maps than one round has room for");
    sums_[count_++] = {x, d_y, gradient, {}};
  }

  void add_up() {
    const Arena::Frame frame(context_.scratch());
    Index packing = 0, products = 0;
    for (Sum& sum : std::span(sums_.data(), count_)) {
      const Index rows = sum.d_y.rows(), out = sum.d_y.columns();
      sum.packed = {context_.scratch().template allocate<Scalar>(PanelView<Scalar>::storage_size(rows, out)), rows,
                    out};
      packing += rows * out;
      products += rows * out * sum.x.columns();
    }
    const Index workers = context_.workers();
    share_out(
        packing,
        [&](const Sum& sum) {
          return Range{sum.packed.count(), (sum.packed.count() + workers - 1) / workers};
        },
        [](const Sum& sum, Index first, Index count) { kernels::pack_panels(sum.d_y, sum.packed, first, count); });
    share_out(
        products,
        [](const Sum& sum) {
          return Range{sum.x.columns(), rows_per_task};
        },
        [&](const Sum& sum, Index first, Index count) {
          context_.call<KernelId::matmul_to_panels, Scalar, &kernels::matmul_to_panels<simd::Native, Scalar>>(
              kernels::transposed(sum.x), sum.packed, sum.gradient, first, count);
        });
    count_ = 0;
  }

 private:
  static constexpr std::size_t most = 8;
  static constexpr Index rows_per_task = 48;  // of a gradient

  struct Sum {
    MatrixView<const Scalar> x, d_y;
    PanelView<Scalar> gradient, packed;
  };
  struct Range {
    Index length = 0, grain = 0;
    Index tasks() const { return length == 0 ? 0 : (length + grain - 1) / grain; }
  };

  /// Runs `task(sum, first, count)` over `range(sum)` of every sum, in all about `work` multiply-adds or loads.
  template <class RangeOf, class Task>
  void share_out(Index work, RangeOf&& range, Task&& task) {
    std::array<Index, most + 1> begin{};
    for (std::size_t i = 0; i < count_; ++i) begin[i + 1] = begin[i] + range(sums_[i]).tasks();
    context_.parallel(begin[count_], work, [&](Index index, Arena&) {
      const auto after = std::upper_bound(begin.begin(), begin.begin() + static_cast<Index>(count_), index);
      const auto i = static_cast<std::size_t>(after - begin.begin()) - 1;
      const auto [length, grain] = range(sums_[i]);
      const Index first = (index - begin[i]) * grain;
      task(sums_[i], first, std::min(grain, length - first));
    });
  }

  Context& context_;
  std::array<Sum, most> sums_;
  std::size_t count_ = 0;
};

}  // namespace nn

TTT_NAMESPACE_END
