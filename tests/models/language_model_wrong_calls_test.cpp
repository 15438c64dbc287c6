// SPDX-License-Identifier: MIT
#include <string_view>
#include <vector>

#include "suites/wrong_model_calls.hpp"
#include "support/catch.hpp"
#include "support/compiled_layers.hpp"
#include "support/tiny_config.hpp"

using namespace ttt;

namespace {

template <class Scalar>
Index check(std::string_view layer, Backbone backbone) {
  const ModelConfig config = testing::tiny_config(layer, backbone);
  const auto model = make_model<Scalar>(config);
  ModelConfig deep = config, untied = config, words = config;
  deep.depth = 3;
  untied.tied = false;
  words.vocabulary = 12;
  const std::string_view another = layer == "attention" ? "ttt-linear" : "attention";
  const suites::LayerCase options{.mini_batch = 5, .state_grows = layer == "attention"};
  return suites::check_wrong_model_calls(
      model, options,
      {make_model<Scalar>(testing::tiny_config(layer, backbone, 24)), make_model<Scalar>(deep),
       make_model<Scalar>(untied), make_model<Scalar>(words),
       make_model<Scalar>(testing::tiny_config(another, backbone))});
}

}  // namespace

TEST_CASE("Every wrong call of a language model is an Error that changes nothing") {
  for (const std::string_view layer : LayerKinds::names)
    for (const Backbone backbone : {Backbone::transformer, Backbone::mamba}) {
      CAPTURE(layer);
      CHECK(check<float>(layer, backbone) > 200);
    }
  CHECK(check<double>("ttt-linear", Backbone::mamba) > 200);
}
