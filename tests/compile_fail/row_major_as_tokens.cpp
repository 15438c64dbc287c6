// SPDX-License-Identifier: MIT
// expect: this one is row-major already
#include "ttt/core/eigen.hpp"

#if defined(TTT_BROKEN)
using Matrix = ttt::Tokens<float>;
#else
using Matrix = Eigen::MatrixXf;
#endif

auto rows(Matrix& matrix) { return ttt::as_tokens(matrix).rows(); }
