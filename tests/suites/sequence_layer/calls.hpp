// SPDX-License-Identifier: MIT
/// @file
/// Contracts 4 and 5: what else is in a call, who runs it, and in whose memory.
#pragma once

#include "suites/sequence_layer.hpp"

namespace ttt::suites {

template <TrainableSequenceLayer Layer>
Report SequenceLayerSuite<Layer>::threads() const {
  Report report{"threads", 0, {}};
  struct Ignore final : StatisticsSink {
    void inner_loss(const InnerLoss&) override {}
  } sink;
  for (const Index least : {Index{1}, several_pieces}) {
    const auto starts = many_starts(least);
    const Index rows = total(starts);
    const std::string many = " on " + std::to_string(rows) + " rows";
    const Matrix x = runs_.random(rows, 60), d_y = runs_.random(rows, 61);
    Context serial;
    const Outcome<Layer> expected = runs_.together(starts, x.view(), d_y.view(), serial);
    for (const Index workers : {1, 2, 3}) {
      ThreadPool pool(workers);
      Context context(pool);
      same(report, std::to_string(workers) + " threads" + many, runs_.together(starts, x.view(), d_y.view(), context),
           expected);
    }
    serial.statistics = &sink;
    same(report, "with statistics" + many, runs_.together(starts, x.view(), d_y.view(), serial), expected);
  }
  return report;
}

template <TrainableSequenceLayer Layer>
Report SequenceLayerSuite<Layer>::segments() const {
  Report report{"segments", 0, {}};
  const auto starts = many_starts();
  const Index rows = total(starts);
  const Matrix x = runs_.random(rows, 70), d_y = runs_.random(rows, 71);
  Context context;
  const Outcome<Layer> all = runs_.together(starts, x.view(), d_y.view(), context);
  auto sum = testing::parts_of_parameters(runs_.gradient_store().views());
  Index first = 0;
  for (std::size_t i = 0; i < starts.size(); first += starts[i++].length) {
    const Index length = starts[i].length;
    const State last = runs_.cotangent(all.states[i], 100 + i);
    const Outcome<Layer> alone =
        runs_.in_pieces(starts[i], {length}, x.rows(first, length), d_y.rows(first, length), &last);
    const std::string where = "segment " + std::to_string(i) + " of " + std::to_string(length) + " tokens alone";
    report.same_bits(where, testing::parts_of(all.y.rows(first, length), "y"), testing::parts_of(alone.y.view(), "y"));
    report.same_bits(where, testing::parts_of(all.d_x.rows(first, length), "d_x"),
                     testing::parts_of(alone.d_x.view(), "d_x"));
    report.expect(all.states[i] == alone.states[0], where + ": the state differs");
    report.same_bits(where + ": d_state", testing::parts_of_state(all.d_states[i]),
                     testing::parts_of_state(alone.d_states[0]));
    const auto gradients = testing::parts_of_parameters(alone.gradients.views());
    for (std::size_t t = 0; t < sum.size(); ++t)
      for (std::size_t e = 0; e < sum[t].values.size(); ++e) sum[t].values[e] += gradients[t].values[e];
  }
  report.close("gradients", testing::parts_of_parameters(all.gradients.views()), sum, gradient_tolerance<Scalar>);
  return report;
}

template <TrainableSequenceLayer Layer>
Report SequenceLayerSuite<Layer>::views() const {
  Report report{"views", 0, {}};
  const Index length = 2 * K() + 1, columns = width(), stride = columns + 3;
  const Matrix x = runs_.random(length, 80), d_y = runs_.random(length, 81);
  const Start<State> start{length, runs_.after(1), false};
  const Outcome<Layer> expected = runs_.in_pieces(start, {length}, x.view(), d_y.view());
  Context context;
  Matrix wide_x(length, stride), wide_y(length, stride, 3), wide_d_y(length, stride), wide_d_x(length, stride, 3);
  const auto inside = [&](Matrix& wide) { return wide.view().columns(1, columns); };
  copy(x.view(), inside(wide_x));
  copy(d_y.view(), inside(wide_d_y));
  State state = start.state;
  Record record;
  runs_.forward(inside(wide_x), {{length, &state, false}}, inside(wide_y), context, &record);
  auto gradients = runs_.gradient_store();
  State d_state = runs_.cotangent(state, 100);
  State* const d_states[] = {&d_state};
  runs_.layer().backward(runs_.parameters(), record, inside(wide_d_y), inside(wide_d_x), gradients.views(),
                         std::span<State* const>(d_states), context);
  const auto part = [](MatrixView<const Scalar> view) { return testing::parts_of(view, "values"); };
  report.same_bits("y with a stride", part(inside(wide_y)), part(expected.y.view()));
  report.same_bits("d_x with a stride", part(inside(wide_d_x)), part(expected.d_x.view()));
  report.same_bits("gradients with a stride", testing::parts_of_parameters(gradients.views()),
                   testing::parts_of_parameters(expected.gradients.views()));
  report.expect(state == expected.states[0], "the state differs with a stride");
  for (Matrix* wide : {&wide_y, &wide_d_x})
    for (Index r = 0; r < length; ++r)
      report.expect((*wide)(r, 0) == 3 && (*wide)(r, columns + 1) == 3 && (*wide)(r, columns + 2) == 3,
                    "a value outside of the columns was written in row " + std::to_string(r));
  return report;
}

template <TrainableSequenceLayer Layer>
Report SequenceLayerSuite<Layer>::decode_allocations() const {
  Report report{"decode allocations", 0, {}};
  const Index tokens = 3 * K() + 2;
  const Matrix x = runs_.random(3 * tokens, 90);
  Matrix y(3 * tokens, width());
  for (const Index sessions : {1, 3}) {
    Context context;
    std::vector<State> states(static_cast<std::size_t>(sessions), runs_.fresh());
    std::vector<Segment<State>> segments;
    for (auto& state : states) segments.push_back({1, &state, false});
    for (Index t = 0; t < tokens; ++t) {
      const std::uint64_t before = testing::allocations();
      runs_.forward(x.rows(t * sessions, sessions), segments, y.rows(t * sessions, sessions), context);
      const std::uint64_t count = testing::allocations() - before;
      report.expect(count == 0, "token " + std::to_string(t) + " of " + std::to_string(sessions) + " sessions made " +
                                    std::to_string(count) + " allocations");
    }
  }
  return report;
}

template <TrainableSequenceLayer Layer>
Report SequenceLayerSuite<Layer>::memory() const {
  Report report{"memory", 0, {}};
  const auto& layer = runs_.layer();
  const std::size_t little = state_bytes(layer, K()), much = state_bytes(layer, 100 * K());
  if (runs_.options().state_grows)
    report.expect(much > little, "the State does not grow with the capacity");
  else
    report.expect(much == little, "the size of a State depends on the capacity");
  report.expect(*layer.state_layout(runs_.capacity()) == *runs_.fresh().layout, "a State has another layout");
  const std::size_t one = layer.record_bytes(1), many = layer.record_bytes(100 * K());
  report.expect(one > 0, "record_bytes is 0");
  report.expect(many >= one, "record_bytes shrinks with the number of tokens");
  return report;
}

}  // namespace ttt::suites
