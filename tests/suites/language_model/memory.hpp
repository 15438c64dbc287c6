// SPDX-License-Identifier: MIT
/// @file
/// Contract 5: what is allocated, and what a model tells of it.
#pragma once

#include "suites/language_model.hpp"
#include "support/allocation_hook.hpp"

namespace ttt::suites {

template <TrainableLanguageModel Model>
Report LanguageModelSuite<Model>::memory() {
  Report report{"memory", 0, {}};
  Context context;
  State state = model().initial_state(parameters(), 4 * tokens());
  runs_.read(runs_.random_ids(3, 12), state);
  decoding_allocates_nothing(report, state, context);
  bytes_are_told(report);
  repeated_training_allocates_nothing(report, state, context);
  return report;
}

template <TrainableLanguageModel Model>
void LanguageModelSuite<Model>::decoding_allocates_nothing(Report& report, State& state, Context& context) {
  const Ids ids = runs_.random_ids(2 * K() + 2, 13);
  Matrix logits(1, model().vocabulary());
  const std::uint64_t before = testing::allocations();
  for (const auto& id : ids) {
    const Segment<State> segment{1, &state};
    model().forward(parameters(), {&id, 1}, {&segment, 1}, LogitRows::last, logits.view(), context);
  }
  const std::uint64_t count = testing::allocations() - before;
  report.expect(count == 0, "decoding allocates " + std::to_string(count) + " times");
}

template <TrainableLanguageModel Model>
void LanguageModelSuite<Model>::bytes_are_told(Report& report) const {
  report.expect(*model().state_layout(tokens()) == *model().initial_state(parameters(), tokens()).layout,
                "a State has another layout");
  report.expect(model().record_bytes(2 * tokens()) > model().record_bytes(tokens()), "record_bytes does not grow");
}

template <TrainableLanguageModel Model>
void LanguageModelSuite<Model>::repeated_training_allocates_nothing(Report& report, State& state, Context& context) {
  const Ids ids = runs_.random_ids(tokens(), 14), targets = runs_.some_targets(tokens());
  Store gradients = runs_.gradient_store();
  Record record;
  std::uint64_t repeated = 0;
  for (int step = 0; step < 2; ++step) {
    const std::uint64_t before = testing::allocations();
    const Segment<State> segment{tokens(), &state, true};
    model().loss_and_backward(parameters(), ids, targets, {&segment, 1}, 1, gradients.views(), {}, record, context);
    repeated = testing::allocations() - before;
  }
  report.expect(repeated == 0, "a repeated training step allocates " + std::to_string(repeated) + " times");
}

}  // namespace ttt::suites
