// SPDX-License-Identifier: MIT
#include "ttt/models/parallel.hpp"

#include <string>
#include <vector>

#include "suites/sequence_layer.hpp"
#include "support/catch.hpp"
#include "support/compiled_layers.hpp"
#include "support/decay_layer.hpp"
#include "support/error_message.hpp"
#include "support/tiny_config.hpp"

using namespace ttt;

namespace {

template <class Scalar>
using Any = AnySequenceLayer<Scalar>;

/// A layer that decays beside attention.
template <class Scalar>
Parallel<Scalar> two(Index width = 12) {
  return Parallel<Scalar>(
      {Any<Scalar>(testing::DecayLayer<Scalar>(width)), testing::tiny_layer("attention").make<Scalar>(width)});
}

}  // namespace

TEST_CASE("Layers side by side are a sequence layer") {
  suites::check_sequence_layer(two<double>(), {.state_grows = true});
  suites::check_sequence_layer(two<float>(), {.state_grows = true});
  const Any<double> ring = testing::tiny_layer("sliding-window").make<double>(12);
  suites::check_sequence_layer(Parallel<double>({ring, testing::tiny_layer("gated-delta-net").make<double>(12), ring}),
                               {.one_form = false});
}

TEST_CASE("Layers side by side give the gated sum of what each gives") {
  const auto layer = two<double>();
  ParameterStore<Parallel<double>::Parameters> store(layer.make_parameters());
  initialize(store.views(), 1);
  for (Index c = 0; c < 12; ++c) {
    CHECK(store.views().gates[0].data()[c] == 0.5);
    store.views().gates[1].data()[c] = 0.1 * static_cast<double>(c);
  }
  const auto x = testing::random_matrix<double>(9, 12, 2);
  testing::Matrix<double> y(9, 12);
  std::vector<testing::Matrix<double>> own(2, y);
  Context context;
  auto state = layer.initial_state(store.views(), 9);
  const Segment<State<double>> segment{9, &state};
  layer.forward(store.views(), x.view(), {&segment, 1}, y.view(), context);
  CHECK(state.position == 9);
  for (const std::size_t i : {0, 1}) {
    const auto& each = layer.layers()[i];
    auto alone = each.initial_state(store.views().layers[i], 9);
    const Segment<State<double>> part{9, &alone};
    each.forward(store.views().layers[i], x.view(), {&part, 1}, own[i].view(), context);
  }
  for (Index r = 0; r < 9; ++r)
    for (Index c = 0; c < 12; ++c)
      CHECK(y(r, c) == Approx(0.5 * own[0](r, c) + 0.1 * static_cast<double>(c) * own[1](r, c)).epsilon(1e-13));
}

TEST_CASE("Layers side by side name their parameters and parts of a State by their place") {
  const auto layer = two<float>();
  std::string names;
  auto parameters = layer.make_parameters();
  parameters.visit(
      [&](std::string_view name, Tensor<float>&, const ParameterInfo&) { names += std::string(name) + " "; });
  CHECK(names ==
        "0.decay 0.shift 0.initial 0.gate 1.q_proj.weight 1.k_proj.weight 1.v_proj.weight 1.o_proj.weight "
        "1.gate ");
  CHECK(layer.state_layout(5)->parts().front().name.starts_with("0."));
  CHECK(layer.state_layout(5)->parts().back().name == "1.values");
  CHECK(layer.state_layout(5)->capacity() == 5);
}

TEST_CASE("Layers that cannot be side by side are refused by name") {
  CHECK(testing::error_message([] { Parallel<float>({}); }) ==
        "layers side by side: expected at least one, found none");
  CHECK(testing::error_message([] {
          Parallel<float>({Any<float>(testing::DecayLayer<float>(4)), Any<float>(testing::DecayLayer<float>(5))});
        }) == "width of layer 1 beside another: expected 4, found 5");
}
