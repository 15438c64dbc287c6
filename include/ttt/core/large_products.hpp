// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/view.hpp"

TTT_NAMESPACE_BEGIN

/// A factor of a product, as it lies in memory or transposed.
template <class Scalar>
struct Factor {
  MatrixView<const Scalar> matrix;
  bool transposed = false;

  Index rows() const { return transposed ? matrix.columns() : matrix.rows(); }
  Index columns() const { return transposed ? matrix.rows() : matrix.columns(); }
  /// Rows [first, first + count) of the factor.
  Factor part(Index first, Index count) const {
    return {transposed ? matrix.columns(first, count) : matrix.rows(first, count), transposed};
  }
};

/// Another matrix product, which `Context::large_products` names: linear maps hand it their products of at least
/// `smallest()` multiply-adds and keep the others, those of a decoded token among them.
///
/// It may give up two of the library's promises, and says which. The bits of a row then depend on the other rows of its
/// product, on the number of threads and on what is behind it; and a product handed over may allocate, lock, and use
/// threads of its own.
class LargeProducts {
 public:
  virtual ~LargeProducts() = default;

  /// R · K · N from which a product [R × K] · [K × N] is handed over.
  virtual Index smallest() const = 0;
  /// C [R × N] = (or +=) A [R × K] · B [K × N], none of them empty, C apart from A and B. Called outside of tasks, by
  /// the thread that calls the layer.
  virtual void multiply(Factor<float> a, Factor<float> b, MatrixView<float> c, bool accumulate) = 0;
  virtual void multiply(Factor<double> a, Factor<double> b, MatrixView<double> c, bool accumulate) = 0;
};

TTT_NAMESPACE_END
