// SPDX-License-Identifier: MIT
#include "ttt/nn/rotary.hpp"

#include "nn/blocks.hpp"
#include "support/allocation_hook.hpp"

using namespace ttt;
using kernels::RotaryPairs;
using kernels::RotaryTurn;
using numbers::Matrix;

namespace {

constexpr Index head_width = 10, table_positions = 40;

// Two pieces of one stream whose positions leave the table, a document that begins in it, another sequence.
const std::vector<PlannedSegment> plan{
    {0, 5, 37}, {5, 80, 42, false, true}, {85, 30, 0, true, true}, {115, 5, 1'000'003}};
constexpr Index rows = 120;

/// Head after head and row after row with the kernel.
template <class Scalar>
Matrix<Scalar> by_hand(Matrix<Scalar> x, const nn::RotaryAngles<Scalar>& angles, bool back) {
  std::vector<Scalar> cosines(head_width / 2), sines(head_width / 2);
  for (const PlannedSegment& segment : plan)
    for (Index t = 0; t < segment.length; ++t) {
      const std::int64_t position = segment.position + t;
      angles.table.row(angles.period > 0 ? position % angles.period : position, cosines.data(), sines.data());
      for (Index column = 0; column < x.view().columns(); column += head_width) {
        Scalar* const head = x.view().row(segment.row + t) + column;
        (back ? kernels::rotate_back<simd::Native, Scalar>
              : kernels::rotate<simd::Native, Scalar>)(cosines.data(), sines.data(), angles.pairs, head_width, head,
                                                       head);
      }
    }
  return x;
}

}  // namespace

TEMPLATE_TEST_CASE("rows of a call are turned by the positions of their tokens, and back, whatever the threads", "",
                   float, double) {
  const kernels::RotaryTable<TestType> table(head_width, table_positions, 10000.0);
  const Matrix<TestType> queries(rows, 4 * head_width, "q"), keys(rows, 2 * head_width, "k");
  for (const auto pairs : {RotaryPairs::interleaved, RotaryPairs::halves})
    for (const Index period : {0, 16, 50})
      for (const bool back : {false, true}) {
        const nn::RotaryAngles<TestType> angles{table, pairs, period};
        const auto expected_queries = by_hand(queries, angles, back), expected_keys = by_hand(keys, angles, back);
        const RotaryTurn turn = back ? RotaryTurn::back : RotaryTurn::forward;
        numbers::on_each_executor([&](Context& context) {
          Matrix<TestType> q = queries, k = keys;
          nn::rotate_rows<TestType>(angles, turn, plan, 0, {q.view(), k.view()}, context);
          CHECK((numbers::same_bits(q, expected_queries) && numbers::same_bits(k, expected_keys)));
          CHECK((q.gaps_untouched() && k.gaps_untouched()));
          Matrix<TestType> pieces = queries;
          for (Index first = 0; first < rows; first += 7) {
            const Index count = std::min<Index>(7, rows - first);
            nn::rotate_rows<TestType>(angles, turn, plan, first, {pieces.view().rows(first, count)}, context);
          }
          CHECK(numbers::same_bits(pieces, expected_queries));
        });
      }
}

TEST_CASE("turning rows allocates nothing once the context exists, and no rows are no work") {
  const kernels::RotaryTable<float> table(head_width, table_positions, 10000.0);
  Matrix<float> x(rows, head_width, "x"), nothing(0, head_width);
  Context context;
  const auto turn = [&] {
    nn::rotate_rows<float>({table, RotaryPairs::halves}, RotaryTurn::forward, plan, 0, {x.view()}, context);
  };
  turn();
  const auto before = testing::allocations();
  turn();
  CHECK(testing::allocations() == before);
  nn::rotate_rows<float>({table, RotaryPairs::halves}, RotaryTurn::forward, {}, 0, {nothing.view()}, context);
}
