// SPDX-License-Identifier: MIT
/// @file
/// Several documents, or pieces of one, on one State.
#pragma once

#include "suites/sequence_layer.hpp"

namespace ttt::suites {

template <TrainableSequenceLayer Layer>
Report SequenceLayerSuite<Layer>::documents() const {
  Report report{"documents", 0, {}};
  const Index k = K();
  using Lengths = std::vector<std::pair<Index, Index>>;
  for (const auto& [first, second] : Lengths{{k + 1, 2 * k + 1}, {1, k}, {0, 3}, {k, k}, {2 * k, 0}})
    two_documents(report, first, second);
  for (const auto& [first, second] : Lengths{{k + 1, 2 * k + 1}, {1, k}, {0, 3}, {k, k}})
    one_stream(report, first, second);
  return report;
}

template <TrainableSequenceLayer Layer>
void SequenceLayerSuite<Layer>::two_documents(Report& report, Index first, Index second) const {
  const std::string where = "documents of " + std::to_string(first) + " and " + std::to_string(second);
  const Index rows = first + second;
  const Matrix x = runs_.random(rows, 55), d_y = runs_.random(rows, 56);
  Context context;
  Record record;
  Matrix y(rows, width()), d_x(rows, width());
  State state = runs_.after(K() / 2 + 1);
  runs_.forward(x.view(), {{first, &state, true}, {second, &state, true}}, y.view(), context, &record);
  auto gradients = runs_.gradient_store();
  State d_state = runs_.cotangent(state, 101);
  State* const d_states[] = {&d_state, &d_state};
  runs_.layer().backward(runs_.parameters(), record, d_y.view(), d_x.view(), gradients.views(),
                         std::span<State* const>(d_states), context);

  State one = runs_.fresh(), two = runs_.fresh();
  Matrix expected(rows, width());
  copy(runs_.read(x.rows(0, first), one).view(), expected.rows(0, first));
  copy(runs_.read(x.rows(first, second), two).view(), expected.rows(first, second));
  same(report, where, y, expected);
  report.expect(state == two, where + ": the state is not that of the second document alone");

  State nothing = one;
  nothing.wipe();
  const auto sum =
      runs_.in_pieces({first, runs_.fresh(), true}, {first}, x.rows(0, first), d_y.rows(0, first), &nothing);
  const State last = runs_.cotangent(two, 101);
  const auto other =
      runs_.in_pieces({second, runs_.fresh(), true}, {second}, x.rows(first, second), d_y.rows(first, second), &last);
  auto total = testing::parts_of_parameters(sum.gradients.views());
  const auto more = testing::parts_of_parameters(other.gradients.views());
  for (std::size_t t = 0; t < total.size(); ++t)
    for (std::size_t i = 0; i < total[t].values.size(); ++i) total[t].values[i] += more[t].values[i];
  report.close(where + ": gradient", testing::parts_of_parameters(gradients.views()), total,
               gradient_tolerance<Scalar>);
  Matrix d_expected(rows, width());
  copy(sum.d_x.view(), d_expected.rows(0, first));
  copy(other.d_x.view(), d_expected.rows(first, second));
  report.close(where, testing::parts_of(std::as_const(d_x).view(), "d_x"),
               testing::parts_of(std::as_const(d_expected).view(), "d_x"), gradient_tolerance<Scalar>);
  for (const auto& part : testing::parts_of_state(d_state))
    report.expect(testing::largest_magnitude(part.values) == 0,
                  where + ": a reset lets the gradient of " + part.name + " through");
}

template <TrainableSequenceLayer Layer>
void SequenceLayerSuite<Layer>::one_stream(Report& report, Index first, Index second) const {
  const std::string where = "a stream of " + std::to_string(first) + " and " + std::to_string(second);
  const Index rows = first + second;
  const Matrix x = runs_.random(rows, 57), d_y = runs_.random(rows, 58);
  const Start<State> start{rows, runs_.after(1), false};
  Context context;
  Outcome<Layer> out{Matrix(rows, width()), Matrix(rows, width()), {start.state}, {}, runs_.gradient_store()};
  Record record;
  State& state = out.states[0];
  runs_.forward(x.view(), {{first, &state, false}, {second, &state, false}}, out.y.view(), context, &record);
  const Outcome<Layer> whole = runs_.in_pieces(start, {rows}, x.view(), d_y.view());
  out.d_states.push_back(runs_.cotangent(whole.states[0], 100));
  State* const d_states[] = {&out.d_states[0], &out.d_states[0]};
  runs_.layer().backward(runs_.parameters(), record, d_y.view(), out.d_x.view(), out.gradients.views(),
                         std::span<State* const>(d_states), context);
  close(report, where, out, whole);

  State nothing = state;
  nothing.wipe();
  const Outcome<Layer> unwanted = runs_.in_pieces(start, {rows}, x.view(), d_y.view(), &nothing);
  auto gradients = runs_.gradient_store();
  runs_.layer().backward(runs_.parameters(), record, d_y.view(), out.d_x.view(), gradients.views(), {}, context);
  report.close(where + ", no state gradients: gradient", testing::parts_of_parameters(gradients.views()),
               testing::parts_of_parameters(unwanted.gradients.views()), gradient_tolerance<Scalar>);
  report.close(where + ", no state gradients", testing::parts_of(std::as_const(out.d_x).view(), "d_x"),
               testing::parts_of(unwanted.d_x.view(), "d_x"), gradient_tolerance<Scalar>);
}

}  // namespace ttt::suites
