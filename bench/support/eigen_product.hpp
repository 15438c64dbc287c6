// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

namespace bench {

/// C [rows × columns] = A [rows × inner] · B [inner × columns], row-major and contiguous, on the calling thread.
void eigen_product(const float* a, const float* b, float* c, std::ptrdiff_t rows, std::ptrdiff_t inner,
                   std::ptrdiff_t columns);

}  // namespace bench
