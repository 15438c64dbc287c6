// SPDX-License-Identifier: MIT
#include <string>
#include <vector>

#include "suites/language_model/runs.hpp"
#include "suites/layer_runs.hpp"
#include "suites/refusals.hpp"
#include "support/catch.hpp"
#include "support/compiled_layers.hpp"
#include "support/tiny_config.hpp"
#include "ttt/models/residual.hpp"
#include "ttt/serving/state_blob.hpp"

using namespace ttt;

namespace {

/// A State that has read something, and one each of layers or models that it does not belong to.
template <class State>
struct States {
  State saved;
  std::vector<State> others;
};

template <class State>
Index check_states(const States<State>& states) {
  suites::Refusals refusals("save and restore");
  const auto bytes = save_state(states.saved, "a model");
  const auto wrong = [&](const std::string& what, State& state, bool saves, bool restores) {
    const std::string before = suites::bits::of(state);
    if (!saves) refusals.refuse("save: " + what, "expected", [&] { save_state(state, "a model"); });
    if (!restores) refusals.refuse("restore: " + what, "expected", [&] { restore_state(state, bytes, "a model"); });
    refusals.expect(suites::bits::of(state) == before, what + " changed");
  };
  State none;
  wrong("a default-constructed State", none, false, false);
  State moved = states.saved;
  State wiped = std::move(moved);
  wrong("a State that was moved from", moved, false, false);
  State without = states.saved;
  const auto values = std::move(without.values);
  wrong("a State whose values were moved from", without, false, false);
  wiped.wipe();
  wrong("a wiped State", wiped, false, true);
  for (State other : states.others) wrong("a State of another layer", other, true, false);
  restore_state(wiped, bytes, "a model");
  refusals.expect(wiped == states.saved, "a wiped State that is restored differs from the saved one");
  suites::require(refusals.report());
  return refusals.cells();
}

template <class Layer>
typename Layer::State read_by(const Layer& layer) {
  return suites::LayerRuns<Layer>(layer, {.mini_batch = 5}).after(6);
}

template <class Layer>
Index check_layer(const Layer& layer, const std::vector<Layer>& others) {
  States<typename Layer::State> states{read_by(layer), {}};
  for (const Layer& other : others) states.others.push_back(read_by(other));
  return check_states(states);
}

TttConfig ttt_sizes(Index width) { return {.width = width, .heads = 3, .mini_batch = 4}; }
AttentionConfig attention_sizes(Index width) { return {.width = width, .heads = 3}; }
AttentionConfig ring_sizes(Index width) {
  return {.width = width, .heads = 3, .window = 5, .sinks = 2, .memory = AttentionMemory::ring};
}

CausalLm<float> model(std::string_view layer, Index width) {
  return make_model<float>(testing::tiny_config(layer, Backbone::transformer, width));
}

}  // namespace

TEST_CASE("A State without a sequence is not saved, and one of another layer is not restored") {
  using Linear = TttLinear<float>;
  using Mlp = TttMlp<double>;
  using Any = AnySequenceLayer<float>;
  CHECK(check_layer<Linear>(Linear(ttt_sizes(12)), {Linear(ttt_sizes(24))}) == 8);
  CHECK(check_layer<Mlp>(Mlp(ttt_sizes(12)), {Mlp(ttt_sizes(24))}) == 8);
  using Softmax = Attention<float>;
  CHECK(check_layer<Softmax>(Softmax(attention_sizes(12)), {Softmax(attention_sizes(24))}) == 8);
  CHECK(check_layer<Softmax>(Softmax(ring_sizes(12)), {Softmax(ring_sizes(24))}) == 8);
  CHECK(check_layer<Any>(Any(Linear(ttt_sizes(12))), {Any(Linear(ttt_sizes(24))), Any(Softmax(ring_sizes(12)))}) == 9);
  CHECK(check_layer(Residual({}, Linear(ttt_sizes(12))), {Residual({}, Linear(ttt_sizes(24)))}) == 8);
}

TEST_CASE("The same for language models") {
  for (const std::string_view layer : LayerKinds::names) {
    CAPTURE(layer);
    const auto read = [](const auto& model) {
      return suites::LanguageModelRuns<CausalLm<float>>(model, {.mini_batch = 5}).after(6, 1);
    };
    CHECK(check_states(States<CausalLm<float>::State>{
              read(model(layer, 12)),
              {read(model(layer, 24)), read(model(layer == "attention" ? "ttt-mlp" : "attention", 12))}}) == 9);
  }
}
