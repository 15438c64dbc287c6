// SPDX-License-Identifier: MIT
/// @file
/// The conformance suite of TrainableSequenceLayer: the contracts of the library, checked on any model of the concept.
/// A layer's own test chooses C, H, D, K all different and calls
/// `suites::check_sequence_layer(Layer(config), suites::LayerCase{.mini_batch = K})`.
///
/// Every check returns a Report, so that the suite can be tested itself: on layers that break one contract each.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>

#include "suites/layer_runs.hpp"
#include "support/allocation_hook.hpp"
#include "support/catch.hpp"
#include "support/central_difference.hpp"

namespace ttt::suites {

using testing::Report;

/// Relative to the largest magnitude of the tensor, as the contracts say.
template <class Scalar>
inline constexpr double value_tolerance = std::is_same_v<Scalar, float> ? 1e-5 : 1e-12;
template <class Scalar>
inline constexpr double gradient_tolerance = std::is_same_v<Scalar, float> ? 1e-4 : 1e-11;

template <TrainableSequenceLayer Layer>
class SequenceLayerSuite {
 public:
  using Runs = LayerRuns<Layer>;
  using Scalar = typename Layer::Scalar;
  using State = typename Layer::State;
  using Parameters = typename Layer::Parameters;
  using Record = typename Layer::Record;
  using Matrix = testing::Matrix<Scalar>;

  explicit SequenceLayerSuite(const Layer& layer, const LayerCase& options = {}) : runs_(layer, options) {}

  /// Contract 1: any pieces give the outputs, states and gradients of one pass.
  Report split_invariance() const {
    Report report{"split invariance", 0, {}};
    const Index longest = 3 * K() + 2;
    const Matrix x = runs_.random(longest, 10), d_y = runs_.random(longest, 11);
    for (Index length = 0; length <= longest; ++length) {
      const auto view = x.rows(0, length), d_view = d_y.rows(0, length);
      const Start<State> start{length, runs_.fresh(), false};
      const Outcome<Layer> whole = runs_.in_pieces(start, {length}, view, d_view);
      report.expect(position(whole.states[0]) == length, "the position is not the number of tokens read");
      const State last = runs_.cotangent(whole.states[0], 100);
      for (Index first = 0; first <= length; ++first)
        close(report, std::to_string(first) + " + " + std::to_string(length - first) + " tokens",
              runs_.in_pieces(start, {first, length - first}, view, d_view, &last), whole);
      const std::vector<Index> singles(static_cast<std::size_t>(length), 1);
      close(report, std::to_string(length) + " single tokens", runs_.in_pieces(start, singles, view, d_view, &last),
            whole);
      decode_agrees(report, start, view, whole);
    }
    many_way_splits(report, longest, x, d_y);
    return report;
  }

  /// A State can be copied at any moment, and the copy is independent; `==` tells bits apart; clear wipes everything.
  Report state_is_a_value() const {
    Report report{"state is a value", 0, {}};
    const Index tail = K() + 2;
    for (Index tokens = 0; tokens <= 2 * K(); ++tokens) {
      const std::string where = "copied after " + std::to_string(tokens) + " tokens";
      State state = runs_.after(tokens);
      const State saved = state;
      report.expect(state == saved, where + ": the copy differs");
      const Matrix x = runs_.random(tail, 20), other = runs_.random(tail, 21);
      const Matrix y = runs_.read(x.view(), state);
      report.expect(saved == runs_.after(tokens), where + ": reading on with the original changed the copy");
      report.expect(!(state == saved), where + ": a state that has read more is equal to one that has not");
      State fork = saved, third = saved;
      same(report, where + ", forked", runs_.read(x.view(), fork), y);
      runs_.read(other.view(), third);
      report.expect(fork == state, where + ": the same tokens lead to another state");
      report.expect(!(third == state), where + ": other tokens lead to the same state");
      state = saved;
      same(report, where + ", restored", runs_.read(x.view(), state), y);
      report.expect(fork == state, where + ": the restored state leads to another state");
      visit_shows_everything(report, where, saved);
    }
    return report;
  }

  /// Contract 2: every parameter, input and initial state by central differences, in double.
  Report gradients() {
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
    std::size_t part = 0;
    moved[1].state.visit([&](std::string_view name, VectorView<double> places) {
      compare_gradient(
          report, "initial state " + std::string(name), d_state[part].values, used[part].values,
          [&](Index i) -> double& { return places[i]; }, loss);
      ++part;
    });
    return report;
  }

  /// Gradients are added, d_x is assigned; what is not wanted is left out and changes no bit of the rest.
  Report optional_gradients() const {
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

  /// Contract 3: a token does not change the outputs before it, bit for bit.
  Report causality() const {
    Report report{"causality", 0, {}};
    const Index length = 3 * K() + 2;
    const Matrix x = runs_.random(length, 50), other = runs_.random(length, 51);
    for (const Index read : {Index{0}, (K() + 1) / 2}) {
      State state = runs_.after(read);
      const State start = state;
      const Matrix y = runs_.read(x.view(), state);
      for (const Index t : {Index{0}, Index{1}, K() - 1, K(), K() + 1, 2 * K() - 1, 2 * K(), length - 1}) {
        Matrix changed = x;
        copy(other.rows(t, 1), changed.rows(t, 1));
        State copy_of_start = start;
        const Matrix y_changed = runs_.read(changed.view(), copy_of_start);
        const std::string where = "token " + std::to_string(t) + " changed, after " + std::to_string(read);
        report.same_bits(where, testing::parts_of(y_changed.rows(0, t), "y before it"),
                         testing::parts_of(y.rows(0, t), "y before it"));
        const auto later = [&](const Matrix& m) { return testing::parts_of(m.rows(t, length - t), "y")[0].values; };
        report.expect(!testing::bits_differ(later(y_changed), later(y)).empty(), where + ": no output depends on it");
      }
    }
    return report;
  }

  /// Documents in one row: a reset is a fresh start, and pieces of one stream in one call are one pass.
  Report documents() const {
    Report report{"documents", 0, {}};
    const Index k = K();
    using Lengths = std::vector<std::pair<Index, Index>>;
    for (const auto& [first, second] : Lengths{{k + 1, 2 * k + 1}, {1, k}, {0, 3}, {k, k}, {2 * k, 0}})
      two_documents(report, first, second);
    for (const auto& [first, second] : Lengths{{k + 1, 2 * k + 1}, {1, k}, {0, 3}, {k, k}})
      one_stream(report, first, second);
    return report;
  }

  /// Contract 4: the same bits for 1, 2 and 3 threads, and with statistics on or off.
  Report threads() const {
    Report report{"threads", 0, {}};
    const auto starts = many_starts();
    const Index rows = total(starts);
    const Matrix x = runs_.random(rows, 60), d_y = runs_.random(rows, 61);
    Context serial;
    const Outcome<Layer> expected = runs_.together(starts, x.view(), d_y.view(), serial);
    for (const Index workers : {1, 2, 3}) {
      ThreadPool pool(workers);
      Context context(pool);
      same(report, std::to_string(workers) + " threads", runs_.together(starts, x.view(), d_y.view(), context),
           expected);
    }
    struct Ignore final : StatisticsSink {
      void inner_loss(const InnerLoss&) override {}
    } sink;
    serial.statistics = &sink;
    same(report, "with statistics", runs_.together(starts, x.view(), d_y.view(), serial), expected);
    return report;
  }

  /// Contract 4: the same bits whatever else is in the call.
  Report segments() const {
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
      report.same_bits(where, testing::parts_of(all.y.rows(first, length), "y"),
                       testing::parts_of(alone.y.view(), "y"));
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

  /// Rows of other people's matrices: strides, no alignment, and not a value beyond the columns.
  Report views() const {
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

  /// Contract 5: once State and Context exist, decoding allocates nothing; no call warms anything up.
  Report decode_allocations() const {
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

  /// The sizes that a layer tells.
  Report memory() const {
    Report report{"memory", 0, {}};
    const auto& layer = runs_.layer();
    const std::size_t little = layer.state_bytes(K()), much = layer.state_bytes(100 * K());
    report.expect(little > 0, "state_bytes is 0");
    if (runs_.options().state_grows)
      report.expect(much > little, "state_bytes does not grow with the capacity");
    else
      report.expect(much == little, "state_bytes depends on the capacity");
    std::size_t held = 0;
    for (const auto& part : testing::parts_of_state(runs_.fresh())) held += part.values.size() * sizeof(Scalar);
    report.expect(layer.state_bytes(runs_.capacity()) >= held, "state_bytes is less than the values take");
    report.expect(layer.state_bytes(runs_.capacity()) <= 2 * held + 4096,
                  "state_bytes is far more than the values take");
    const std::size_t one = layer.record_bytes(1), many = layer.record_bytes(100 * K());
    report.expect(one > 0, "record_bytes is 0");
    report.expect(many >= one, "record_bytes shrinks with the number of tokens");
    return report;
  }

 private:
  Index K() const { return runs_.mini_batch(); }
  Index width() const { return runs_.layer().width(); }
  static std::int64_t position(const State& state) { return state.position; }
  static Index total(const typename Runs::Starts& starts) {
    return std::accumulate(starts.begin(), starts.end(), Index{0},
                           [](Index sum, const auto& s) { return sum + s.length; });
  }

  /// Sequences of many lengths in many phases, new and old.
  typename Runs::Starts many_starts() const {
    typename Runs::Starts starts;
    const Index k = K();
    Index read = 0;
    for (const Index length : {Index{0}, Index{1}, Index{2}, k - 1, k, k + 1, 3 * k + 2, 2 * k, Index{1}, 2 * k + 1}) {
      starts.push_back({length, runs_.after(read), read % 4 == 3});
      read = (read + 1) % (k + 2);
    }
    return starts;
  }

  void same(Report& report, const std::string& where, const Matrix& actual, const Matrix& expected) const {
    report.same_bits(where, testing::parts_of(actual.view(), "y"), testing::parts_of(expected.view(), "y"));
  }
  void same(Report& report, const std::string& where, const Outcome<Layer>& actual,
            const Outcome<Layer>& expected) const {
    same(report, where, actual.y, expected.y);
    report.same_bits(where, testing::parts_of(actual.d_x.view(), "d_x"), testing::parts_of(expected.d_x.view(), "d_x"));
    report.same_bits(where + ": gradient", testing::parts_of_parameters(actual.gradients.views()),
                     testing::parts_of_parameters(expected.gradients.views()));
    for (std::size_t i = 0; i < expected.states.size(); ++i) {
      report.expect(actual.states[i] == expected.states[i], where + ": state " + std::to_string(i) + " differs");
      report.same_bits(where + ": d_state " + std::to_string(i), testing::parts_of_state(actual.d_states[i]),
                       testing::parts_of_state(expected.d_states[i]));
    }
  }
  void close(Report& report, const std::string& where, const Outcome<Layer>& actual,
             const Outcome<Layer>& expected) const {
    constexpr double values = value_tolerance<Scalar>, gradients = gradient_tolerance<Scalar>;
    report.close(where, testing::parts_of(actual.y.view(), "y"), testing::parts_of(expected.y.view(), "y"), values);
    report.close(where + ": state", testing::parts_of_state(actual.states[0]),
                 testing::parts_of_state(expected.states[0]), values);
    report.expect(position(actual.states[0]) == position(expected.states[0]), where + ": the position differs");
    report.close(where, testing::parts_of(actual.d_x.view(), "d_x"), testing::parts_of(expected.d_x.view(), "d_x"),
                 gradients);
    report.close(where + ": gradient", testing::parts_of_parameters(actual.gradients.views()),
                 testing::parts_of_parameters(expected.gradients.views()), gradients);
    report.close(where + ": d_state", testing::parts_of_state(actual.d_states[0]),
                 testing::parts_of_state(expected.d_states[0]), gradients);
  }

  /// Token by token without a Record, as decoding does.
  void decode_agrees(Report& report, const Start<State>& start, MatrixView<const Scalar> x,
                     const Outcome<Layer>& whole) const {
    State state = start.state;
    Matrix y(x.rows(), width());
    for (Index t = 0; t < x.rows(); ++t) copy(runs_.read(x.rows(t, 1), state).view(), y.rows(t, 1));
    const std::string where = std::to_string(x.rows()) + " decoded tokens";
    report.close(where, testing::parts_of(std::as_const(y).view(), "y"), testing::parts_of(whole.y.view(), "y"),
                 value_tolerance<Scalar>);
    report.close(where + ": state", testing::parts_of_state(state), testing::parts_of_state(whole.states[0]),
                 value_tolerance<Scalar>);
  }

  /// Random pieces, empty ones among them, of a sequence that starts with a reset.
  void many_way_splits(Report& report, Index length, const Matrix& x, const Matrix& d_y) const {
    const Start<State> start{length, runs_.after(1), true};
    const Outcome<Layer> whole = runs_.in_pieces(start, {length}, x.view(), d_y.view());
    const State last = runs_.cotangent(whole.states[0], 100);
    for (std::uint64_t seed = 0; seed < 24; ++seed) {
      const RandomStream random(seed, "pieces");
      std::vector<Index> lengths;
      Index left = length;
      for (std::uint64_t draw = 0; left > 0; ++draw) {
        lengths.push_back(std::min(left, static_cast<Index>(random.below(draw, static_cast<std::uint64_t>(K() + 2)))));
        left -= lengths.back();
      }
      close(report, "random pieces " + std::to_string(seed),
            runs_.in_pieces(start, lengths, x.view(), d_y.view(), &last), whole);
    }
  }

  /// All of a state can be carried to another one by its visitor, wiped by clear, and is told apart by `==`.
  void visit_shows_everything(Report& report, const std::string& where, const State& saved) const {
    const auto values = testing::parts_of_state(saved);
    const auto write = [&](State& state) {
      std::size_t part = 0;
      state.visit([&](std::string_view name, VectorView<Scalar> places) {
        const auto& from = values[part++].values;
        report.expect(places.size() == static_cast<Index>(from.size()),
                      where + ": the size of " + std::string(name) + " depends on the tokens read");
        std::copy_n(from.begin(), std::min<std::size_t>(from.size(), static_cast<std::size_t>(places.size())),
                    places.begin());
      });
      state.position = saved.position;
    };
    State rebuilt = runs_.after(K() + 1), wiped = saved, wiped_other = runs_.after(1);
    write(rebuilt);
    report.expect(rebuilt == saved, where + ": visit and position do not show everything");
    wiped.clear();
    wiped_other.clear();
    for (const auto& part : testing::parts_of_state(wiped))
      report.expect(testing::largest_magnitude(part.values) == 0, where + ": clear leaves values in " + part.name);
    report.expect(wiped == wiped_other, where + ": two cleared states differ");
    report.expect(position(wiped) == 0, where + ": clear leaves the position");
    State negative_zero = wiped;
    negative_zero.visit([](std::string_view, VectorView<Scalar> places) {
      if (places.size() > 0) places[places.size() - 1] = -Scalar(0);
    });
    report.expect(!(negative_zero == wiped), where + ": == does not tell -0 from 0");
  }

  double loss(const typename Runs::Starts& starts, const Matrix& x, const Matrix& d_y,
              const std::vector<State>& cotangents, Context& context) const {
    std::vector<State> states;
    for (const auto& start : starts) states.push_back(start.state);
    std::vector<Segment<State>> segments;
    for (std::size_t i = 0; i < starts.size(); ++i) segments.push_back({starts[i].length, &states[i], starts[i].reset});
    Matrix y(x.rows(), width());
    runs_.forward(x.view(), segments, y.view(), context);
    double sum = 0;
    for (Index r = 0; r < y.rows(); ++r)
      for (Index c = 0; c < y.columns(); ++c) sum += y(r, c) * d_y(r, c);
    for (std::size_t i = 0; i < states.size(); ++i) {
      const auto values = testing::parts_of_state(states[i]), weights = testing::parts_of_state(cotangents[i]);
      for (std::size_t part = 0; part < values.size(); ++part)
        for (std::size_t e = 0; e < values[part].values.size(); ++e)
          sum += values[part].values[e] * weights[part].values[e];
    }
    return sum;
  }

  void parameter_gradients(Report& report, FunctionRef<double()> loss, const Outcome<Layer>& analytic) {
    const auto gradients = testing::parts_of_parameters(analytic.gradients.views());
    std::size_t part = 0;
    runs_.parameters().visit([&](std::string_view name, Tensor<double>& tensor, const ParameterInfo&) {
      compare_gradient(
          report, std::string(name), gradients[part].values, {}, [&](Index i) -> double& { return tensor[i]; }, loss);
      ++part;
    });
  }

  /// Only where `used` is not zero, unless it is empty.
  void compare_gradient(Report& report, const std::string& name, const std::vector<double>& analytic,
                        const std::vector<double>& used, FunctionRef<double&(Index)> place,
                        FunctionRef<double()> loss) const {
    const double bound = 1e-7 * std::max(1.0, testing::largest_magnitude(analytic));
    std::vector<Index> places;
    for (Index i = 0; i < static_cast<Index>(analytic.size()); ++i)
      if (used.empty() || used[static_cast<std::size_t>(i)] != 0) places.push_back(i);
    for (const Index chosen : testing::sample_indices(static_cast<Index>(places.size()), 96, 64, 3)) {
      const Index i = places[static_cast<std::size_t>(chosen)];
      const double numeric = testing::central_difference(loss, place(i));
      const double found = analytic[static_cast<std::size_t>(i)];
      report.expect(std::abs(found - numeric) <= bound,
                    "d " + name + ": " + testing::describe(static_cast<std::size_t>(i), found, numeric, bound));
    }
  }

  /// Everything but tensor `left_out` keeps its bits; with an index past the end, no tensor is wanted at all.
  void unwanted_gradient(Report& report, const Start<State>& start, const Matrix& x, const Matrix& d_y,
                         const Outcome<Layer>& all, const testing::Parts<Scalar>& expected,
                         std::size_t left_out) const {
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

  /// No span of state gradients, and a null entry, mean zero.
  void no_state_gradient(Report& report, const Matrix& x, const Matrix& d_y) const {
    const Index length = x.rows();
    Context context;
    State state = runs_.after(1);
    Record record;
    Matrix y(length, width());
    runs_.forward(x.view(), {{length, &state, false}}, y.view(), context, &record);
    State zero = state;
    zero.clear();
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

  /// Two documents on one State equal two sequences of their own.
  void two_documents(Report& report, Index first, Index second) const {
    const std::string where = "documents of " + std::to_string(first) + " and " + std::to_string(second);
    const Index rows = first + second;
    const Matrix x = runs_.random(rows, 55), d_y = runs_.random(rows, 56);
    Context context;
    Record record;
    Matrix y(rows, width()), d_x(rows, width());
    State state = runs_.after(K() / 2 + 1);
    runs_.forward(x.view(), {{first, &state, true}, {second, &state, true}}, y.view(), context, &record);
    auto gradients = runs_.gradient_store();
    State d_state = runs_.cotangent(state, 101);
    State* const d_states[] = {&d_state, &d_state};
    runs_.layer().backward(runs_.parameters(), record, d_y.view(), d_x.view(), gradients.views(),
                           std::span<State* const>(d_states), context);

    State one = runs_.fresh(), two = runs_.fresh();
    Matrix expected(rows, width());
    copy(runs_.read(x.rows(0, first), one).view(), expected.rows(0, first));
    copy(runs_.read(x.rows(first, second), two).view(), expected.rows(first, second));
    same(report, where, y, expected);
    report.expect(state == two, where + ": the state is not that of the second document alone");

    State nothing = one;
    nothing.clear();
    const auto sum =
        runs_.in_pieces({first, runs_.fresh(), true}, {first}, x.rows(0, first), d_y.rows(0, first), &nothing);
    const State last = runs_.cotangent(two, 101);
    const auto other =
        runs_.in_pieces({second, runs_.fresh(), true}, {second}, x.rows(first, second), d_y.rows(first, second), &last);
    auto total = testing::parts_of_parameters(sum.gradients.views());
    const auto more = testing::parts_of_parameters(other.gradients.views());
    for (std::size_t t = 0; t < total.size(); ++t)
      for (std::size_t i = 0; i < total[t].values.size(); ++i) total[t].values[i] += more[t].values[i];
    report.close(where + ": gradient", testing::parts_of_parameters(gradients.views()), total,
                 gradient_tolerance<Scalar>);
    Matrix d_expected(rows, width());
    copy(sum.d_x.view(), d_expected.rows(0, first));
    copy(other.d_x.view(), d_expected.rows(first, second));
    report.close(where, testing::parts_of(std::as_const(d_x).view(), "d_x"),
                 testing::parts_of(std::as_const(d_expected).view(), "d_x"), gradient_tolerance<Scalar>);
    for (const auto& part : testing::parts_of_state(d_state))
      report.expect(testing::largest_magnitude(part.values) == 0,
                    where + ": a reset lets the gradient of " + part.name + " through");
  }

  /// Adjacent segments on one State, without a reset, are one pass: also their gradients, wanted at the border or not.
  void one_stream(Report& report, Index first, Index second) const {
    const std::string where = "a stream of " + std::to_string(first) + " and " + std::to_string(second);
    const Index rows = first + second;
    const Matrix x = runs_.random(rows, 57), d_y = runs_.random(rows, 58);
    const Start<State> start{rows, runs_.after(1), false};
    Context context;
    Outcome<Layer> out{Matrix(rows, width()), Matrix(rows, width()), {start.state}, {}, runs_.gradient_store()};
    Record record;
    State& state = out.states[0];
    runs_.forward(x.view(), {{first, &state, false}, {second, &state, false}}, out.y.view(), context, &record);
    const Outcome<Layer> whole = runs_.in_pieces(start, {rows}, x.view(), d_y.view());
    out.d_states.push_back(runs_.cotangent(whole.states[0], 100));
    State* const d_states[] = {&out.d_states[0], &out.d_states[0]};
    runs_.layer().backward(runs_.parameters(), record, d_y.view(), out.d_x.view(), out.gradients.views(),
                           std::span<State* const>(d_states), context);
    close(report, where, out, whole);

    State nothing = state;
    nothing.clear();
    const Outcome<Layer> unwanted = runs_.in_pieces(start, {rows}, x.view(), d_y.view(), &nothing);
    auto gradients = runs_.gradient_store();
    runs_.layer().backward(runs_.parameters(), record, d_y.view(), out.d_x.view(), gradients.views(), {}, context);
    report.close(where + ", no state gradients: gradient", testing::parts_of_parameters(gradients.views()),
                 testing::parts_of_parameters(unwanted.gradients.views()), gradient_tolerance<Scalar>);
    report.close(where + ", no state gradients", testing::parts_of(std::as_const(out.d_x).view(), "d_x"),
                 testing::parts_of(unwanted.d_x.view(), "d_x"), gradient_tolerance<Scalar>);
  }

  Runs runs_;
};

/// Asserts a report: nothing failed, and something was compared.
inline void require(const Report& report) {
  INFO(report.text());
  CHECK(report.comparisons > 0);
  CHECK(report.failures.empty());
}

/// All checks; those of gradients by differences only in double.
template <TrainableSequenceLayer Layer>
void check_sequence_layer(const Layer& layer, const LayerCase& options = {}) {
  SequenceLayerSuite<Layer> suite(layer, options);
  require(suite.split_invariance());
  require(suite.state_is_a_value());
  if constexpr (std::is_same_v<typename Layer::Scalar, double>) require(suite.gradients());
  require(suite.optional_gradients());
  require(suite.causality());
  require(suite.documents());
  require(suite.threads());
  require(suite.segments());
  require(suite.views());
  require(suite.decode_allocations());
  require(suite.memory());
}

}  // namespace ttt::suites
