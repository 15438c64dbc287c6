// SPDX-License-Identifier: MIT
/// @file
/// What the tests of blocks share: a tensor with memory of its own, and the same work on several numbers of threads.
#pragma once

#include <cmath>
#include <string_view>
#include <vector>

#include "kernels/golden.hpp"
#include "kernels/numbers.hpp"
#include "ttt/core/context.hpp"
#include "ttt/core/parameters.hpp"

namespace numbers {

/// A tensor together with its memory, which starts as zeros: a weight or a gradient.
template <class Scalar>
class Owned {
 public:
  explicit Owned(ttt::Shape shape, ttt::Layout layout = ttt::Layout::rows)
      : tensor_(shape, layout), values_(tensor_.storage_size()) {
    tensor_.bind(values_.data());
  }
  /// Standard normal elements by their row-major index, whatever the layout.
  Owned(ttt::Shape shape, ttt::Layout layout, std::string_view name) : Owned(shape, layout) {
    const ttt::RandomStream random(23, name);
    for (Index i = 0; i < tensor_.size(); ++i)
      tensor_[i] = static_cast<Scalar>(random.normal(static_cast<std::uint64_t>(i)));
  }
  Owned(const Owned& other) : tensor_(other.tensor_), values_(other.values_) { tensor_.bind(values_.data()); }
  Owned& operator=(const Owned&) = delete;

  ttt::Tensor<Scalar>& operator*() { return tensor_; }
  const ttt::Tensor<Scalar>& operator*() const { return tensor_; }
  /// All storage, padding included, for comparing bits.
  const ttt::Buffer<Scalar>& values() const { return values_; }
  /// The elements [first dimension × the others], in their published order.
  Matrix<Scalar> matrix() const {
    const Index rows = tensor_.shape()[0], columns = tensor_.size() / rows;
    Matrix<Scalar> result(rows, columns);
    for (Index i = 0; i < tensor_.size(); ++i) result(i / columns, i % columns) = tensor_[i];
    return result;
  }

 private:
  ttt::Tensor<Scalar> tensor_;
  ttt::Buffer<Scalar> values_;
};

/// Central differences through a tensor of any layout, as `check_gradient` does it for a matrix.
inline void check_tensor_gradient(ttt::Tensor<double>& values, const ttt::Tensor<double>& analytic,
                                  ttt::FunctionRef<double()> loss) {
  Matrix<double> copied(1, values.size()), gradient(1, values.size());
  for (Index i = 0; i < values.size(); ++i) {
    copied(0, i) = values[i];
    gradient(0, i) = analytic[i];
  }
  check_gradient(copied, gradient, [&] {
    for (Index i = 0; i < values.size(); ++i) values[i] = copied(0, i);
    return loss();
  });
  for (Index i = 0; i < values.size(); ++i) values[i] = copied(0, i);
}

/// Calls `work(context)` with one, two and three workers.
template <class Work>
void on_each_executor(Work&& work) {
  ttt::Context serial;
  work(serial);
  for (const Index workers : {2, 3}) {
    ttt::ThreadPool pool(workers);
    ttt::Context context(pool);
    work(context);
  }
}

}  // namespace numbers
