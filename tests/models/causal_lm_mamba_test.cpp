// SPDX-License-Identifier: MIT
// A published Mamba and a Mamba-2, stacks of residuals without MLPs: logits, loss, gradients and what they say next.
#include <algorithm>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "ttt/layers/mamba.hpp"
#include "ttt/layers/mamba2.hpp"
#include "ttt/models/causal_lm.hpp"
#include "ttt/nn/named_values.hpp"

using namespace ttt;

namespace {

constexpr Index vocabulary = 96, width = 32, depth = 2, sequences = 2;

template <class Scalar>
CausalLm<Scalar> make_model(const std::string& name) {
  const Mamba<Scalar> mamba({.width = width, .inner_width = 64, .state_width = 8, .step_rank = 2});
  const Mamba2<Scalar> mamba2({.width = width, .heads = 4, .head_width = 16, .state_width = 8, .norm_epsilon = 1e-6});
  const auto mixer = name == "mamba" ? AnySequenceLayer(Residual({"mixer", "norm"}, mamba))
                                     : AnySequenceLayer(Residual({"mixer", "norm"}, mamba2));
  std::vector<StackLayer<Scalar>> layers;
  for (Index block = 0; block < depth; ++block) layers.push_back({block, "mixer", mixer});
  return {{.vocabulary = vocabulary, .width = width, .tied = name == "mamba"}, Stack<Scalar>(std::move(layers))};
}

std::string published_name(std::string name) {
  if (name == "model.embed_tokens.weight") return "backbone.embeddings.weight";
  if (name == "model.norm.weight") return "backbone.norm_f.weight";
  return name.starts_with("model.") ? "backbone." + name.substr(6) : name;
}

template <class Scalar>
struct Golden {
  using Model = CausalLm<Scalar>;

  golden::Set weights, set;
  Model model;
  ParameterStore<typename Model::Parameters> store{model.make_parameters()};
  std::vector<std::int64_t> ids;
  Context context;

  explicit Golden(const std::string& kind)
      : weights(golden::load("model/" + kind + "/model")),
        set(golden::load("model/" + kind + "/golden")),
        model(make_model<Scalar>(kind)) {
    std::vector<std::string> names;
    store.views().visit([&](std::string_view name, auto&, const ParameterInfo&) { names.emplace_back(name); });
    CHECK(names.size() == weights.arrays.size());
    for (const std::string& name : names) {
      const auto& array = weights.at(published_name(name));
      Shape shape;
      store.views().visit([&](std::string_view other, Tensor<Scalar>& tensor, const ParameterInfo&) {
        if (other == name) shape = tensor.shape();
      });
      const std::vector<Scalar> values(array.values.begin(), array.values.end());
      nn::assign_values(store.views(), name, shape, std::span(values));
    }
    for (const double id : set.at("input_ids").values) ids.push_back(static_cast<std::int64_t>(id));
  }

  Index tokens() const { return static_cast<Index>(ids.size()) / sequences; }
  /// Logits of all rows, read in pieces of `length`.
  std::vector<Scalar> logits(Index length) {
    std::vector<Scalar> all(ids.size() * vocabulary);
    for (Index row = 0; row < sequences; ++row) {
      auto state = model.initial_state(store.views());
      for (Index first = 0; first < tokens(); first += length) {
        const Index count = std::min(length, tokens() - first), place = row * tokens() + first;
        const Segment<State<Scalar>> segment{count, &state};
        model.forward(store.views(),
                      std::span(ids).subspan(static_cast<std::size_t>(place), static_cast<std::size_t>(count)),
                      {&segment, 1}, LogitRows::all, {all.data() + place * vocabulary, count, vocabulary}, context);
      }
    }
    return all;
  }
};

}  // namespace

TEMPLATE_TEST_CASE("Mamba and Mamba-2 give the published logits, whole, in pieces and token by token", "", float,
                   double) {
  const std::string name = GENERATE("mamba", "mamba2");
  CAPTURE(name);
  Golden<TestType> golden(name);
  const auto& values = golden.set.at("logits_f64").values;
  const std::vector<TestType> expected(values.begin(), values.end());
  for (const Index length : {golden.tokens(), Index{7}, Index{1}}) {
    CAPTURE(length);
    CHECK(testing::far_apart(golden.logits(length), expected, std::is_same_v<TestType, float> ? 1e-5 : 1e-9) == "");
  }
}

TEST_CASE("Mamba and Mamba-2 have the published loss and gradients") {
  const std::string name = GENERATE("mamba", "mamba2");
  CAPTURE(name);
  Golden<double> golden(name);
  std::vector<std::int64_t> targets(golden.ids.begin() + 1, golden.ids.end());
  targets.push_back(-1);
  targets[static_cast<std::size_t>(golden.tokens() - 1)] = -1;
  std::vector<State<double>> states(sequences, golden.model.initial_state(golden.store.views()));
  std::vector<Segment<State<double>>> segments;
  for (auto& state : states) segments.push_back({golden.tokens(), &state, true});
  ParameterStore gradients(golden.model.make_parameters());
  CausalLm<double>::Record record;
  const double scale = 1 / static_cast<double>(counted_rows(targets));
  const Loss loss = golden.model.loss_and_backward(golden.store.views(), golden.ids, targets, segments, scale,
                                                   gradients.views(), {}, record, golden.context);
  CHECK(loss.mean() == Approx(golden.set.at("loss_f64").values[0]).epsilon(1e-9));
  for (const auto& part : testing::parts_of_parameters(gradients.views())) {
    CAPTURE(part.name);
    // The published gradients are of a run in float.
    CHECK(testing::far_apart(part.values, golden.set.at("grad." + published_name(part.name)).values, 1e-4) == "");
  }
}

TEST_CASE("Mamba and Mamba-2 go on as published, a token at a time") {
  const std::string name = GENERATE("mamba", "mamba2");
  CAPTURE(name);
  Golden<float> golden(name);
  std::vector<std::int64_t> prompt, said;
  for (const double id : golden.set.at("greedy_prompt").values) prompt.push_back(static_cast<std::int64_t>(id));
  auto state = golden.model.initial_state(golden.store.views());
  std::vector<float> logits(vocabulary);
  const auto& expected = golden.set.at("greedy_ids").values;
  while (said.size() < expected.size()) {
    const Segment<State<float>> segment{static_cast<Index>(prompt.size()), &state};
    golden.model.forward(golden.store.views(), prompt, {&segment, 1}, LogitRows::last, {logits.data(), 1, vocabulary},
                         golden.context);
    said.push_back(std::max_element(logits.begin(), logits.end()) - logits.begin());
    prompt = {said.back()};
  }
  CHECK(said == std::vector<std::int64_t>(expected.begin(), expected.end()));
}
