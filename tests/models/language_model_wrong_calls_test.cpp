// SPDX-License-Identifier: MIT
#include <vector>

#include "suites/wrong_model_calls.hpp"
#include "support/catch.hpp"
#include "support/compiled_layers.hpp"

using namespace ttt;

namespace {

ModelConfig sizes(const char* layer, Index width, Backbone backbone) {
  ModelConfig config;
  config.layer = layer;
  config.backbone = backbone;
  config.vocabulary = 11;
  config.width = width;
  config.hidden = 10;
  config.depth = 2;
  config.heads = 3;
  config.mini_batch = 4;
  config.window = 5;
  return published(config);
}

template <class Scalar>
Index check(const char* layer, Backbone backbone) {
  const auto model = make_model<Scalar>(sizes(layer, 12, backbone));
  ModelConfig deep = sizes(layer, 12, backbone), untied = deep, words = deep;
  deep.depth = 3;
  untied.tied = false;
  words.vocabulary = 12;
  const char* const another = std::string_view(layer) == "attention" ? "ttt-linear" : "attention";
  const suites::LayerCase options{.mini_batch = 4, .state_grows = std::string_view(layer) == "attention"};
  return suites::check_wrong_model_calls(
      model, options,
      {make_model<Scalar>(sizes(layer, 24, backbone)), make_model<Scalar>(deep), make_model<Scalar>(untied),
       make_model<Scalar>(words), make_model<Scalar>(sizes(another, 12, backbone))});
}

}  // namespace

TEST_CASE("Every wrong call of a language model is an Error that changes nothing") {
  for (const char* const layer : {"ttt-linear", "ttt-mlp", "attention", "sliding-window"})
    for (const Backbone backbone : {Backbone::transformer, Backbone::mamba}) {
      CAPTURE(layer);
      CHECK(check<float>(layer, backbone) > 200);
    }
  CHECK(check<double>("ttt-linear", Backbone::mamba) > 200);
}
