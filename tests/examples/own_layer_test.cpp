// SPDX-License-Identifier: MIT
// The layer of examples/06_own_layer.hpp keeps the contracts of the library's own.
#include "../../examples/06_own_layer.hpp"

#include "layers/formula_parts.hpp"
#include "suites/sequence_layer.hpp"

using namespace ttt;
using namespace ttt::formula_parts;

namespace {

Matrix<double> formula(const NamedWeights& p, const Matrix<double>& x) {
  Matrix<double> y(x.rows(), x.columns());
  Row s(static_cast<std::size_t>(x.columns()));
  for (Index t = 0; t < x.rows(); ++t) {
    const Row token = row_of(x, t), logits = map(p["keep.weight"], token);
    for (std::size_t c = 0; c < s.size(); ++c) s[c] += (1 - sigmoid(logits[c])) * (token[c] - s[c]);
    assign(s, y, t);
  }
  return y;
}

}  // namespace

TEST_CASE("The layer of the example is a sequence layer") {
  suites::check_sequence_layer(GatedAverage<double>(5), {.formula = formula});
  suites::check_sequence_layer(GatedAverage<float>(7), {.formula = formula});
}
