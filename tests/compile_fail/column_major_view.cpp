// SPDX-License-Identifier: MIT
// expect: pass ttt::as_tokens(matrix)
#include "ttt/core/eigen.hpp"

#if defined(TTT_BROKEN)
using Matrix = Eigen::MatrixXf;
#else
using Matrix = ttt::Tokens<float>;
#endif

auto rows(Matrix& matrix) { return ttt::view(matrix).rows(); }
