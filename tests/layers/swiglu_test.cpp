// SPDX-License-Identifier: MIT
#include "ttt/layers/swiglu.hpp"

#include "layers/formula_parts.hpp"
#include "suites/sequence_layer.hpp"

using namespace ttt;
using namespace ttt::formula_parts;

namespace {

Matrix<double> formula(const NamedWeights& p, const Matrix<double>& x) {
  Matrix<double> y(x.rows(), x.columns());
  for (Index t = 0; t < x.rows(); ++t) {
    Row hidden = silu(map(p["gate_proj.weight"], row_of(x, t)));
    const Row up = map(p["up_proj.weight"], row_of(x, t));
    for (std::size_t f = 0; f < hidden.size(); ++f) hidden[f] *= up[f];
    assign(map(p["down_proj.weight"], hidden), y, t);
  }
  return y;
}

}  // namespace

TEST_CASE("A SwiGLU is a sequence layer without a state") {
  suites::check_sequence_layer(Swiglu<double>({6, 9}), {.formula = formula});
  suites::check_sequence_layer(Swiglu<float>({18, 5}), {.formula = formula});
  CHECK(state_bytes(Swiglu<float>({18, 5})) == 0);
}
