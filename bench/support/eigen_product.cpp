// SPDX-License-Identifier: MIT
// Compiled on its own for AVX2 and FMA with Eigen's namespace renamed, so that no other unit can share its code.
#include <Eigen/Core>

#include "support/eigen_product.hpp"

namespace bench {

void eigen_product(const float* a, const float* b, float* c, std::ptrdiff_t rows, std::ptrdiff_t inner,
                   std::ptrdiff_t columns) {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Eigen::Map<Matrix>(c, rows, columns).noalias() =
      Eigen::Map<const Matrix>(a, rows, inner) * Eigen::Map<const Matrix>(b, inner, columns);
}

}  // namespace bench
