// SPDX-License-Identifier: MIT
#include "ttt/nn/bfloat16_products.hpp"

#include "nn/blocks.hpp"
#include "support/allocation_hook.hpp"

using namespace ttt;
using kernels::Output;
using numbers::Matrix;
using numbers::Owned;

namespace {

template <class Scalar>
struct Case {
  static constexpr Index in = 77, out = 131, rows = 205;  // more rows than one task has, parts of runs and panels

  Owned<Scalar> weight{{out, in}, Layout::panels, "weight"}, before{{out, in}, Layout::panels, "before"};
  Matrix<Scalar> x{rows, in, "x"}, d_y{rows, out, "d_y"}, stale_y{rows, out, "stale y"}, stale_x{rows, in, "stale x"};

  struct Result {
    Matrix<Scalar> y, d_x;
    Owned<Scalar> d_weight;
  };
  Result run(Context& context, Output output) const {
    Result all{stale_y, stale_x, before};
    nn::linear_forward(*weight, x.view(), all.y.view(), context, output);
    nn::linear_backward(*weight, x.view(), d_y.view(), all.d_x.view(), *all.d_weight, context, output);
    return all;
  }
};

}  // namespace

TEST_CASE("the three products of a linear map are those of the rounded factors, on any number of threads") {
  const Case<float> test;
  const Matrix<float> w = test.weight.matrix();  // [out × in]
  for (const Output output : {Output::assign, Output::accumulate}) {
    Matrix<float> y = test.stale_y, d_x = test.stale_x, d_weight(test.in, test.out);
    reference::matmul_pairs({test.x.view()}, {w.view(), true}, y.view(), output);
    reference::matmul_pairs({test.d_y.view()}, {w.view()}, d_x.view(), output);
    reference::matmul_pairs({test.x.view(), true}, {test.d_y.view()}, d_weight.view());
    numbers::on_each_executor([&](Context& context) {
      Bfloat16Products products(context.executor(), test.in * test.out * test.rows);
      context.large_products = &products;
      const auto found = test.run(context, output);
      CHECK(numbers::same_bits(found.y, y));
      CHECK(numbers::same_bits(found.d_x, d_x));
      Index wrong = 0;
      for (Index o = 0; o < test.out; ++o)
        for (Index i = 0; i < test.in; ++i) {
          const Index index = o * test.in + i;
          wrong += (*found.d_weight)[index] != (*test.before)[index] + d_weight(i, o);
        }
      CHECK(wrong == 0);
      CHECK((found.y.gaps_untouched() && found.d_x.gaps_untouched()));
    });
  }
}

TEST_CASE("a product that is too small stays with the library, bit for bit") {
  const Case<float> test;
  Context own, other;
  Bfloat16Products products(test.in * test.out * test.rows + 1);
  other.large_products = &products;
  const auto expected = test.run(own, Output::assign), found = test.run(other, Output::assign);
  CHECK(numbers::same_bits(found.y, expected.y));
  CHECK(numbers::same_bits(found.d_x, expected.d_x));
  CHECK(found.d_weight.values() == expected.d_weight.values());
}

TEST_CASE("products of doubles are the library's own") {
  const Case<double> test;
  for (const Output output : {Output::assign, Output::accumulate}) {
    Context own;
    const auto expected = test.run(own, output);
    numbers::on_each_executor([&](Context& context) {
      Bfloat16Products products(context.executor(), 1);
      context.large_products = &products;
      const auto found = test.run(context, output);
      CHECK(numbers::same_bits(found.y, expected.y));
      CHECK(numbers::same_bits(found.d_x, expected.d_x));
      const double bound = numbers::rounding<double>(test.rows, 16.0 * static_cast<double>(test.rows));
      CHECK(numbers::difference(found.d_weight.matrix(), expected.d_weight.matrix()) <= bound);
    });
  }
}

TEST_CASE("what has been multiplied once allocates nothing the second time") {
  Case<float> test;
  Matrix<float> y = test.stale_y, d_x = test.stale_x;
  Context context;
  Bfloat16Products products(context.executor(), 1);
  context.large_products = &products;
  const auto step = [&] {
    nn::linear_forward(*test.weight, test.x.view(), y.view(), context);
    nn::linear_backward(*test.weight, test.x.view(), test.d_y.view(), d_x.view(), *test.before, context);
  };
  step();
  const auto before = testing::allocations();
  step();
  CHECK(testing::allocations() == before);
}

TEST_CASE("it says whether it is faster here") {
  Bfloat16Products products;
  CHECK(products.smallest() == Bfloat16Products::default_smallest);
  CHECK(products.is_fast() == simd::fused_pairs);
  KernelTable table;
  table.instruction_set = "x86-64-v4";
  products.kernels = &table;
  CHECK_FALSE(products.is_fast());
  table.instruction_set = "x86-64-v4+avx512bf16";
  CHECK(products.is_fast());
}
