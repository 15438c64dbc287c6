// SPDX-License-Identifier: MIT
#include "ttt/models/stack.hpp"

#include <array>
#include <atomic>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/decay_layer.hpp"
#include "support/error_message.hpp"
#include "support/random_matrix.hpp"
#include "ttt/models/residual.hpp"

using namespace ttt;
using testing::Matrix;

namespace {

constexpr Index width = 5, rows = 7;

Stack<double> make_stack() {
  std::vector<StackLayer<double>> layers;
  for (const Index block : {0, 0, 1, 2})
    layers.push_back({block, layers.size() == 1 ? "second" : "first",
                      AnySequenceLayer(Residual({}, testing::DecayLayer<double>(width)))});
  return Stack<double>(std::move(layers));
}

/// A stack with weights, a State and everything that a call needs.
struct Run {
  Stack<double> stack = make_stack();
  ParameterStore<Stack<double>::Parameters> store{stack.make_parameters()}, gradients{stack.make_parameters()};
  State<double> state = make_state();
  Stack<double>::Record record;
  Context context;
  Matrix<double> x = testing::random_matrix<double>(rows, width, 3),
                 d_y = testing::random_matrix<double>(rows, width, 4);

  Run() {
    initialize(store.views(), 1);
    stack.reset(store.views(), state);
    state.position = 0;
  }
  State<double> make_state() const {
    StateLayout layout(stack.fingerprint());
    stack.lay_out_states(layout, 0);
    return State<double>(std::make_shared<const StateLayout>(layout));
  }
  Matrix<double> forward(std::initializer_list<StackRange> ranges, bool recorded = true) {
    const Arena::Frame frame(context.scratch());
    const Segment<State<double>> segment{rows, &state, true};
    Stack<double>::Record* const to = recorded ? &record : nullptr;
    const auto slots = stack.make_slots(rows, context, to);
    copy(x.view(), stack.slot(slots, rows, 0));
    MatrixView<double> output;
    for (const StackRange range : ranges)
      output = stack.forward(store.views(), {&segment, 1}, range, slots, context, to);
    Matrix<double> y(rows, width);
    copy(output, y.view());
    return y;
  }
  Matrix<double> backward(std::initializer_list<StackRange> ranges) {
    Matrix<double> d = d_y;
    for (const StackRange range : ranges)
      stack.backward(store.views(), record, range, d.view(), gradients.views(), {}, context);
    return d;
  }
};

std::string differ(const Matrix<double>& a, const Matrix<double>& b) {
  return testing::bits_differ(testing::parts_of(a.view(), "")[0].values, testing::parts_of(b.view(), "")[0].values);
}

}  // namespace

TEST_CASE("Parameters and states of a stack have the names of its blocks") {
  Run run;
  std::vector<std::string> names;
  run.store.views().visit([&](std::string_view name, auto&, const ParameterInfo&) { names.emplace_back(name); });
  REQUIRE(names.size() == 16);
  CHECK(names[0] == "layers.0.norm.weight");
  CHECK(names[5] == "layers.0.layer.decay");
  CHECK(names[15] == "layers.2.layer.initial");
  REQUIRE(run.state.layout->parts().size() == 8);
  CHECK(run.state.layout->parts()[3].name == "layers.0.second.last");
  CHECK(run.state.layout->parts()[6].name == "layers.2.first.sum");
}

TEST_CASE("A range of layers runs forward and backward alone") {
  Run whole, ranges, plain;
  const auto y = whole.forward({whole.stack.all()});
  CHECK(differ(ranges.forward({{0, 1}, {1, 3}, {3, 4}}), y) == "");
  CHECK(differ(plain.forward({{0, 2}, {2, 4}}, false), y) == "");
  CHECK(whole.state == ranges.state);
  CHECK(whole.state == plain.state);
  const auto d_x = whole.backward({whole.stack.all()});
  CHECK(differ(ranges.backward({{3, 4}, {1, 3}, {0, 1}}), d_x) == "");
  CHECK(whole.gradients.arena() == ranges.gradients.arena());
  CHECK_FALSE(differ(d_x, whole.d_y) == "");
}

TEST_CASE("A stack tells when the gradients of a layer are final") {
  Run run;
  run.forward({run.stack.all()});
  std::vector<std::size_t> order;
  std::vector<testing::Parts<double>> told(4);
  const std::function<void(std::size_t)> listen = [&](std::size_t layer) {
    order.push_back(layer);
    told[layer] = testing::parts_of_parameters(run.gradients.views().layers[layer]);
  };
  run.context.gradients_final = &listen;
  run.backward({run.stack.all()});
  CHECK(order == std::vector<std::size_t>{3, 2, 1, 0});
  for (std::size_t i = 0; i < 4; ++i) {
    testing::Report report{"final gradients", 0, {}};
    report.same_bits("layer", told[i], testing::parts_of_parameters(run.gradients.views().layers[i]));
    CHECK(report.failures.empty());
    CHECK(testing::largest_magnitude(told[i][1].values) > 0);
  }
}

TEST_CASE("A stack stops between layers when it is cancelled") {
  Run run;
  std::atomic<bool> stop{true};
  run.context.cancellation = &stop;
  CHECK_THROWS_AS(run.forward({run.stack.all()}), Cancelled);
  stop = false;
  run.forward({run.stack.all()});
  stop = true;
  CHECK_THROWS_AS(run.backward({run.stack.all()}), Cancelled);
}

TEST_CASE("A stack of nothing or of several widths is refused by name") {
  const auto refusal = [](std::vector<StackLayer<double>> layers) {
    return testing::error_message([&] { Stack<double>(std::move(layers)); });
  };
  const AnySequenceLayer narrow(testing::DecayLayer<double>(4)), wide(testing::DecayLayer<double>(6));
  CHECK(refusal({}) == "layers of the model: expected at least one, found none");
  CHECK(refusal({{0, "first", narrow}, {3, "second", wide}}) == "block 3: width of 'second': expected 4, found 6");
}
