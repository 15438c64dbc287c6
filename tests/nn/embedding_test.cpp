// SPDX-License-Identifier: MIT
#include "ttt/nn/embedding.hpp"

#include "nn/blocks.hpp"

using namespace ttt;
using numbers::Matrix;
using numbers::Owned;

namespace {

constexpr Index vocabulary = 45;

// Every few ids again, so that gradients meet in one row.
std::vector<std::int64_t> ids_of(Index tokens) {
  std::vector<std::int64_t> ids;
  for (Index n = 0; n < tokens; ++n) ids.push_back(n % 3 == 0 ? vocabulary - 1 : (n * 17) % vocabulary);
  return ids;
}

}  // namespace

TEMPLATE_TEST_CASE("an embedding copies the rows of its weight", "", float, double) {
  for (const Index width : {1, 19, 70})
    for (const Index tokens : {0, 1, 5, 77}) {
      const Owned<TestType> weight({vocabulary, width}, Layout::panels, "weight");
      const Matrix<TestType> rows = weight.matrix();
      const auto ids = ids_of(tokens);
      numbers::on_each_executor([&](Context& context) {
        Matrix<TestType> y(tokens, width);
        nn::embedding_forward(*weight, ids, y.view(), context);
        for (Index n = 0; n < tokens; ++n)
          CHECK(numbers::same_bits(std::as_const(y).view().rows(n, 1),
                                   rows.view().rows(ids[static_cast<std::size_t>(n)], 1)));
        CHECK(y.gaps_untouched());
      });
    }
}

TEMPLATE_TEST_CASE("the gradient of an embedding is added row by row in the order of the tokens", "", float, double) {
  for (const Index width : {1, 19, 70})
    for (const Index tokens : {0, 1, 5, 77}) {
      const Owned<TestType> before({vocabulary, width}, Layout::panels, "before");
      const Matrix<TestType> d_y(tokens, width, "d_y");
      const auto ids = ids_of(tokens);
      Matrix<TestType> expected = before.matrix();
      for (Index n = 0; n < tokens; ++n)
        for (Index c = 0; c < width; ++c) expected(ids[static_cast<std::size_t>(n)], c) += d_y(n, c);
      numbers::on_each_executor([&](Context& context) {
        Owned<TestType> d_weight = before;
        nn::embedding_backward(ids, d_y.view(), *d_weight, context);
        CHECK(numbers::same_bits(d_weight.matrix(), expected));
      });
    }
}

TEST_CASE("an unbound gradient of an embedding is not wanted") {
  Context context;
  const Matrix<float> d_y(5, 7, "d_y");
  Tensor<float> unwanted(Shape{vocabulary, 7}, Layout::panels);
  nn::embedding_backward(ids_of(5), d_y.view(), unwanted, context);
  CHECK(unwanted.empty());
}

TEST_CASE("an embedding in bfloat16 copies its rounded rows") {
  for (const Index width : {1, 19, 70}) {
    const Owned<float> weight({vocabulary, width}, Layout::panels, "weight");
    Owned<float> narrow({vocabulary, width}, Layout::bfloat16_panels);
    for (Index i = 0; i < vocabulary * width; ++i) (*narrow).set(i, (*weight)[i]);
    const auto ids = ids_of(77);
    Matrix<float> y(77, width);
    Context context;
    nn::embedding_forward(*narrow, ids, y.view(), context);
    Index wrong = 0;
    for (Index n = 0; n < 77; ++n)
      for (Index c = 0; c < width; ++c)
        wrong += y(n, c) == rounded_to_bfloat16((*weight)[ids[static_cast<std::size_t>(n)] * width + c]) ? 0 : 1;
    CHECK(wrong == 0);
  }
}
