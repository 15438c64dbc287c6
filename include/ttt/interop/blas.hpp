// SPDX-License-Identifier: MIT
/// @file
/// Large matrix products by a BLAS. Link `ttt::blas`:
///
///     BlasProducts blas;
///     context.large_products = &blas;
#pragma once

#include <cblas.h>

#include "ttt/core/large_products.hpp"

TTT_NAMESPACE_BEGIN

/// Products through cblas_sgemm and cblas_dgemm, of at least `smallest` multiply-adds. See LargeProducts for what of
/// the library's promises that gives up: one answer for any threads and neighbours, and products that neither allocate
/// nor lock. The BLAS keeps its own threads, set by its own means; they work between those of the Context, not beside.
class BlasProducts final : public LargeProducts {
 public:
  static constexpr Index default_smallest = Index{1} << 24;  // some 28 rows at width 768

  explicit BlasProducts(Index smallest = default_smallest) : smallest_(smallest) {}

  Index smallest() const override { return smallest_; }
  void multiply(Factor<float> a, Factor<float> b, MatrixView<float> c, bool accumulate) override {
    cblas_sgemm(CblasRowMajor, transpose(a), transpose(b), size(a.rows()), size(b.columns()), size(a.columns()), 1,
                a.matrix.data(), size(a.matrix.stride()), b.matrix.data(), size(b.matrix.stride()), accumulate ? 1 : 0,
                c.data(), size(c.stride()));
  }
  void multiply(Factor<double> a, Factor<double> b, MatrixView<double> c, bool accumulate) override {
    cblas_dgemm(CblasRowMajor, transpose(a), transpose(b), size(a.rows()), size(b.columns()), size(a.columns()), 1,
                a.matrix.data(), size(a.matrix.stride()), b.matrix.data(), size(b.matrix.stride()), accumulate ? 1 : 0,
                c.data(), size(c.stride()));
  }

 private:
  template <class Scalar>
  static CBLAS_TRANSPOSE transpose(const Factor<Scalar>& factor) {
    return factor.transposed ? CblasTrans : CblasNoTrans;
  }
  static int size(Index extent) {
    TTT_ASSERT(extent <= 0x7fffffff, "a BLAS counts with 32 bits");
    return static_cast<int>(extent);
  }

  Index smallest_;
};

TTT_NAMESPACE_END
