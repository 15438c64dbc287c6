// SPDX-License-Identifier: MIT
/// @file
/// Contract 2, and what may be left out of a backward.
#pragma once

#include "suites/sequence_layer.hpp"

namespace ttt::suites {

template <TrainableSequenceLayer Layer>
Report SequenceLayerSuite<Layer>::gradients() {
  static_assert(std::is_same_v<Scalar, double>, "central differences need double");
  Report report{"gradients", 0, {}};
  const Index first = 2 * K() + 1, second = K() + 3;
  const typename Runs::Starts starts{{first, runs_.fresh(), true}, {second, runs_.after(K() + (K() + 1) / 2), false}};
  Matrix x = runs_.random(first + second, 30);
  const Matrix d_y = runs_.random(first + second, 31);
  Context context;
  const Outcome<Layer> analytic = runs_.together(starts, x.view(), d_y.view(), context);
  typename Runs::Starts moved = starts;
  std::vector<State> cotangents;
  for (std::size_t i = 0; i < starts.size(); ++i) cotangents.push_back(runs_.cotangent(analytic.states[i], 100 + i));
  const auto loss = [&] { return this->loss(moved, x, d_y, cotangents, context); };

  parameter_gradients(report, loss, analytic);
  compare_gradient(
      report, "x", testing::parts_of(analytic.d_x.view(), "x")[0].values, {},
      [&](Index i) -> double& { return x.view().data()[i]; }, loss);
  const auto used = testing::parts_of_state(starts[1].state);
  const auto d_state = testing::parts_of_state(analytic.d_states[1]);
  const auto& parts = moved[1].state.layout->parts();
  for (std::size_t part = 0; part < parts.size(); ++part)
    compare_gradient(
        report, "initial state " + parts[part].name, d_state[part].values, used[part].values,
        [&](Index i) -> double& { return testing::place_of(moved[1].state, parts[part], i); }, loss);
  return report;
}

template <TrainableSequenceLayer Layer>
double SequenceLayerSuite<Layer>::loss(const typename Runs::Starts& starts, const Matrix& x, const Matrix& d_y,
                                       const std::vector<State>& cotangents, Context& context) const {
  std::vector<State> states;
  for (const auto& start : starts) states.push_back(start.state);
  std::vector<Segment<State>> segments;
  for (std::size_t i = 0; i < starts.size(); ++i) segments.push_back({starts[i].length, &states[i], starts[i].reset});
  Matrix y(x.rows(), width());
  runs_.forward(x.view(), segments, y.view(), context);
  return weighted_sum(y, d_y, states, cotangents);
}

template <TrainableSequenceLayer Layer>
void SequenceLayerSuite<Layer>::parameter_gradients(Report& report, FunctionRef<double()> loss,
                                                    const Outcome<Layer>& analytic) {
  const auto gradients = testing::parts_of_parameters(analytic.gradients.views());
  std::size_t part = 0;
  runs_.parameters().visit([&](std::string_view name, Tensor<double>& tensor, const ParameterInfo&) {
    compare_gradient(
        report, std::string(name), gradients[part].values, {}, [&](Index i) -> double& { return tensor[i]; }, loss);
    ++part;
  });
}

template <TrainableSequenceLayer Layer>
void SequenceLayerSuite<Layer>::compare_gradient(Report& report, const std::string& name,
                                                 const std::vector<double>& analytic, const std::vector<double>& used,
                                                 FunctionRef<double&(Index)> place, FunctionRef<double()> loss) const {
  std::vector<Index> places, chosen;
  for (Index i = 0; i < static_cast<Index>(analytic.size()); ++i)
    if (used.empty() || used[static_cast<std::size_t>(i)] != 0) places.push_back(i);
  for (const Index sample : testing::sample_indices(static_cast<Index>(places.size()), 96, 64, 3))
    chosen.push_back(places[static_cast<std::size_t>(sample)]);
  compare_with_differences(report, name, analytic, chosen, place, loss);
}

template <TrainableSequenceLayer Layer>
Report SequenceLayerSuite<Layer>::optional_gradients() const {
  Report report{"optional gradients", 0, {}};
  const Index length = 2 * K() + 1;
  const Matrix x = runs_.random(length, 40), d_y = runs_.random(length, 41);
  const Start<State> start{length, runs_.after(1), true};
  Context context;
  const Outcome<Layer> all = runs_.together({start}, x.view(), d_y.view(), context);
  const auto expected = testing::parts_of_parameters(all.gradients.views());
  for (std::size_t left_out = 0; left_out <= expected.size(); ++left_out)
    unwanted_gradient(report, start, x, d_y, all, expected, left_out);

  Record record;
  State state = start.state, other = start.state;
  Matrix y(length, width());
  runs_.forward(runs_.random(K() + 3, 42).view(), {{2, &other, false}, {K() + 1, &other, true}},
                Matrix(K() + 3, width()).view(), context, &record);
  runs_.forward(x.view(), {{length, &state, true}}, y.view(), context, &record);
  auto sum = runs_.gradient_store();
  sum.views().visit([](std::string_view, Tensor<Scalar>& tensor, const ParameterInfo&) {
    for (Index i = 0; i < tensor.size(); ++i) tensor[i] = Scalar(0.5);
  });
  const auto before = testing::parts_of_parameters(sum.views());
  State d_state = runs_.cotangent(state, 100);
  State* const d_states[] = {&d_state};
  runs_.layer().backward(runs_.parameters(), record, d_y.view(), {}, sum.views(), std::span<State* const>(d_states),
                         context);
  auto total = before;
  for (std::size_t t = 0; t < total.size(); ++t)
    for (std::size_t i = 0; i < total[t].values.size(); ++i) total[t].values[i] += expected[t].values[i];
  report.close("added to other gradients, from a used record", testing::parts_of_parameters(sum.views()), total,
               gradient_tolerance<Scalar>);
  no_state_gradient(report, x, d_y);
  return report;
}

template <TrainableSequenceLayer Layer>
void SequenceLayerSuite<Layer>::unwanted_gradient(Report& report, const Start<State>& start, const Matrix& x,
                                                  const Matrix& d_y, const Outcome<Layer>& all,
                                                  const testing::Parts<Scalar>& expected, std::size_t left_out) const {
  const bool none = left_out == expected.size();
  Context context;
  State state = start.state;
  Record record;
  Matrix y(x.rows(), width()), d_x(x.rows(), width());
  runs_.forward(x.view(), {{x.rows(), &state, start.reset}}, y.view(), context, &record);
  auto gradients = runs_.gradient_store();
  std::size_t tensors = 0;
  gradients.views().visit([&](std::string_view, Tensor<Scalar>& tensor, const ParameterInfo&) {
    if (none || tensors == left_out) tensor.bind(nullptr);
    ++tensors;
  });
  State d_state = runs_.cotangent(state, 100);
  State* const d_states[] = {&d_state};
  runs_.layer().backward(runs_.parameters(), record, d_y.view(), d_x.view(), gradients.views(),
                         std::span<State* const>(d_states), context);
  testing::Parts<Scalar> rest = expected;
  if (none)
    rest.clear();
  else
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(left_out));
  report.same_bits(none ? "no gradient wanted" : "without " + expected[left_out].name,
                   testing::parts_of_parameters(gradients.views()), rest);
  report.same_bits("without " + (none ? "any gradient" : expected[left_out].name),
                   testing::parts_of(std::as_const(d_x).view(), "d_x"), testing::parts_of(all.d_x.view(), "d_x"));
}

template <TrainableSequenceLayer Layer>
void SequenceLayerSuite<Layer>::no_state_gradient(Report& report, const Matrix& x, const Matrix& d_y) const {
  const Index length = x.rows();
  Context context;
  State state = runs_.after(1);
  Record record;
  Matrix y(length, width());
  runs_.forward(x.view(), {{length, &state, false}}, y.view(), context, &record);
  State zero = state;
  zero.wipe();
  State* const given[] = {&zero};
  State* const null[] = {nullptr};
  std::vector<testing::Parts<Scalar>> results;
  for (const std::span<State* const> d_states : {std::span<State* const>(given), std::span<State* const>(null), {}}) {
    auto gradients = runs_.gradient_store();
    Matrix d_x(length, width());
    runs_.layer().backward(runs_.parameters(), record, d_y.view(), d_x.view(), gradients.views(), d_states, context);
    results.push_back(testing::parts_of_parameters(gradients.views()));
    results.back().push_back(testing::parts_of(std::as_const(d_x).view(), "d_x")[0]);
  }
  report.close("a null state gradient", results[1], results[0], gradient_tolerance<Scalar>);
  report.same_bits("no state gradients", results[2], results[1]);
}

}  // namespace ttt::suites
