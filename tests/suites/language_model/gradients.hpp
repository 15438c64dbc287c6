// SPDX-License-Identifier: MIT
/// @file
/// Losses, and contract 2.
#pragma once

#include <cmath>

#include "suites/language_model.hpp"

namespace ttt::suites {

template <TrainableLanguageModel Model>
Report LanguageModelSuite<Model>::losses() {
  Report report{"losses", 0, {}};
  const Ids ids = runs_.random_ids(tokens(), 11), targets = runs_.some_targets(tokens());
  const Matrix logits = runs_.whole(ids).logits;
  State state = runs_.fresh();
  const Segments segments{{tokens(), &state}};
  std::vector<double> rows(ids.size(), -1);
  const Loss loss = model().loss(parameters(), ids, targets, segments, {rows.data(), tokens()}, runs_.context());
  double sum = 0;
  for (Index t = 0; t < tokens(); ++t) {
    const auto place = static_cast<std::size_t>(t);
    const double expected = reference_loss(row(logits, t), targets[place]);
    // One rounding of a logit (below 32 here) and of Σ eˣ, V terms of it in the scalar.
    constexpr double bound = std::is_same_v<Scalar, double> ? 1e-13 : 3e-5;
    report.expect(std::abs(rows[place] - expected) <= bound, "row " + std::to_string(t));
    sum += rows[place];
  }
  report.expect(loss.sum == sum && loss.rows == counted_rows(targets), "the sum is not the sum of the rows");
  report.expect(std::abs(loss.mean() * static_cast<double>(loss.rows) - sum) <= 1e-12 * sum, "mean");
  gradients_add_up(report, ids, targets, loss);
  return report;
}

template <TrainableLanguageModel Model>
double LanguageModelSuite<Model>::reference_loss(const std::vector<Scalar>& logits, std::int64_t target) {
  if (target < 0) return 0;
  long double sum = 0;
  for (const Scalar logit : logits) sum += std::exp(static_cast<long double>(logit));
  return static_cast<double>(std::log(sum) - static_cast<long double>(logits[static_cast<std::size_t>(target)]));
}

template <TrainableLanguageModel Model>
void LanguageModelSuite<Model>::gradients_add_up(Report& report, const Ids& ids, const Ids& targets, const Loss& loss) {
  Store once = runs_.gradient_store(), twice = runs_.gradient_store();
  Record record;
  const auto add_to = [&](Store& gradients) {
    State state = runs_.fresh();
    const Segments segments{{tokens(), &state}};
    return model().loss_and_backward(parameters(), ids, targets, segments, 0.125, gradients.views(), {}, record,
                                     runs_.context());
  };
  const Loss again = add_to(once);
  report.expect(again.sum == loss.sum && again.rows == loss.rows, "loss and loss_and_backward disagree");
  for (int pass = 0; pass < 2; ++pass) add_to(twice);
  for (Index i = 0; i < once.arena().size(); ++i) once.arena()[i] *= 2;
  report.close("gradients add up", testing::parts_of_parameters(twice.views()),
               testing::parts_of_parameters(once.views()), std::is_same_v<Scalar, double> ? 1e-13 : 1e-5);
}

template <TrainableLanguageModel Model>
Report LanguageModelSuite<Model>::loss_gradients() {
  Report report{"gradients of the loss", 0, {}};
  const Index rows = 2 * K() + 3;
  const Ids ids = runs_.random_ids(2 * rows, 16), targets = runs_.some_targets(2 * rows);
  const double scale = 1 / static_cast<double>(counted_rows(targets));
  const State carried = runs_.after(K() + 1, 17);
  std::vector<State> states;
  const auto start = [&] {
    states = {carried, carried};
    return Segments{{rows, &states[0], true}, {rows, &states[1], false}};
  };
  Store gradients = runs_.gradient_store();
  Record record;
  model().loss_and_backward(parameters(), ids, targets, start(), scale, gradients.views(), {}, record, runs_.context());
  const auto loss = [&] { return scale * model().loss(parameters(), ids, targets, start(), {}, runs_.context()).sum; };
  parameter_gradients(report, gradients, loss);
  return report;
}

template <TrainableLanguageModel Model>
Report LanguageModelSuite<Model>::logit_and_state_gradients(LogitRows which) {
  const bool all = which == LogitRows::all;
  Report report{all ? "gradients of logits and states" : "gradients of last logits and states", 0, {}};
  const Index length = K() + 2;
  const Ids ids = runs_.random_ids(3 * length, 18);
  std::vector<State> initial{runs_.after(1, 19), runs_.after(K() - 1, 20), runs_.fresh()}, states, d_states = initial;
  for (std::size_t i = 0; i < d_states.size(); ++i) randomize(d_states[i], 22 + i);
  const std::vector<State> cotangents = d_states;
  const Matrix d_logits = testing::random_matrix<Scalar>(all ? 3 * length : 3, model().vocabulary(), 21);
  const auto forward = [&](Record* record) {
    states = initial;
    const Segments segments{{length, &states[0]}, {length, &states[1]}, {length, &states[2], true}};
    return runs_.forward(segments, ids, which, record);
  };
  const auto loss = [&] {
    const Matrix logits = forward(nullptr);
    return weighted_sum(logits, d_logits, states, cotangents);
  };
  Store gradients = runs_.gradient_store();
  Record record;
  forward(&record);
  const std::vector<State*> wanted{&d_states[0], &d_states[1], &d_states[2]};
  model().backward(parameters(), record, d_logits.view(), gradients.views(), wanted, runs_.context());
  parameter_gradients(report, gradients, loss);
  for (std::size_t i = 0; i < initial.size(); ++i)
    state_gradients(report, "state " + std::to_string(i), initial[i], d_states[i], loss);
  return report;
}

template <TrainableLanguageModel Model>
void LanguageModelSuite<Model>::parameter_gradients(Report& report, Store& gradients, FunctionRef<double()> loss) {
  const auto analytic = testing::parts_of_parameters(gradients.views());
  std::size_t part = 0;
  runs_.parameters().visit([&](std::string_view name, Tensor<double>& tensor, const ParameterInfo&) {
    compare_with_differences(
        report, std::string(name), analytic[part++].values, testing::sample_indices(tensor.size(), 6, 5, 24),
        [&](Index i) -> double& { return tensor[i]; }, loss);
  });
}

template <TrainableLanguageModel Model>
void LanguageModelSuite<Model>::state_gradients(Report& report, const std::string& where, State& initial,
                                                const State& d_initial, FunctionRef<double()> loss) {
  const auto analytic = testing::parts_of_state(d_initial);
  const auto& parts = initial.layout->parts();
  for (std::size_t part = 0; part < parts.size(); ++part)
    compare_with_differences(
        report, where + " " + parts[part].name, analytic[part].values,
        testing::sample_indices(parts[part].rows * parts[part].columns, 8, 6, 23),
        [&](Index i) -> double& { return testing::place_of(initial, parts[part], i); }, loss);
}

}  // namespace ttt::suites
