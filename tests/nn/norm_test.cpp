// SPDX-License-Identifier: MIT
#include "ttt/nn/norm.hpp"

#include "nn/blocks.hpp"

using namespace ttt;
using nn::NormKind;
using numbers::Matrix;
using numbers::Owned;

TEMPLATE_TEST_CASE("a norm of groups is that of each group by itself, its weights shared or not", "", float, double) {
  const Index rows = 70, groups = 3, group = 11;
  Context context;
  for (const NormKind kind : {NormKind::none, NormKind::rms, NormKind::layer})
    for (const Index weights : {group, groups * group}) {
      const Owned<TestType> weight({weights}, Layout::rows, "weight"), bias({weights}, Layout::rows, "bias");
      const Matrix<TestType> x(rows, groups * group, "x"), d_y(rows, groups * group, "d_y");
      const nn::Norm<TestType> norm{kind, (*weight).vector(), (*bias).vector(), group, 1e-5};
      Matrix<TestType> y(rows, groups * group), in_place = x, d_x(rows, groups * group), expected = y, d_expected = y;
      Matrix<TestType> sums(2, weights), expected_sums(2, weights);
      norm.rows(x.view(), y.view(), context);
      norm.rows(in_place.view(), in_place.view(), context);
      for (Index r = 0; r < rows; ++r) {
        norm.row_backward(x.row(r), groups * group, d_y.row(r), d_x.row(r), sums.row(0), sums.row(1), context);
        for (Index g = 0; g < groups * group; g += group) {
          const Index own = weights == group ? 0 : g;
          const TestType *const w = (*weight).data() + own, *const b = (*bias).data() + own;
          TestType *const d_w = expected_sums.row(0) + own, *const d_b = expected_sums.row(1) + own;
          if (kind == NormKind::none) {
            std::copy_n(x.row(r) + g, group, expected.row(r) + g);
            std::copy_n(d_y.row(r) + g, group, d_expected.row(r) + g);
          } else if (kind == NormKind::rms) {
            kernels::rms_norm_row(x.row(r) + g, w, group, TestType(1e-5), expected.row(r) + g);
            kernels::rms_norm_row_backward(x.row(r) + g, w, group, TestType(1e-5), d_y.row(r) + g,
                                           d_expected.row(r) + g, d_w);
          } else {
            kernels::layer_norm_row(x.row(r) + g, w, b, group, TestType(1e-5), expected.row(r) + g);
            kernels::layer_norm_row_backward(x.row(r) + g, w, group, TestType(1e-5), d_y.row(r) + g,
                                             d_expected.row(r) + g, d_w, d_b);
          }
        }
      }
      CHECK(numbers::same_bits(y, expected));
      CHECK(numbers::same_bits(in_place, expected));
      CHECK(numbers::same_bits(d_x, d_expected));
      CHECK(numbers::same_bits(sums, expected_sums));
      CHECK((y.gaps_untouched() && d_x.gaps_untouched() && sums.gaps_untouched()));
    }
}
