// SPDX-License-Identifier: MIT
/// @file
/// The table of wrong calls of a layer: every mistake that a caller can make with shapes, segments, States, parameters
/// and records, in a forward, a forward with a record, a backward and a reset. Each cell is an Error, nothing changed.
#pragma once

#include "suites/layer_runs.hpp"
#include "suites/refusals.hpp"

namespace ttt::suites {

template <TrainableSequenceLayer Layer>
class WrongCalls {
 public:
  using Runs = LayerRuns<Layer>;
  using Scalar = typename Layer::Scalar;
  using State = typename Layer::State;
  using Parameters = typename Layer::Parameters;
  using Record = typename Layer::Record;
  using Matrix = testing::Matrix<Scalar>;
  using Segments = std::vector<Segment<State>>;

  /// `others` are layers of the same C++ type that differ in kind or in sizes; the first has another width.
  WrongCalls(const Layer& layer, const LayerCase& options, const std::vector<Layer>& others, bool in_place = false)
      : runs_(layer, options),
        in_place_(in_place),
        refusals_("wrong calls"),
        rows_(3 * options.mini_batch + 2),
        x_(runs_.random(rows_, 1)),
        y_(rows_, width(), unwritten<Scalar>),
        d_y_(runs_.random(rows_, 2)),
        d_x_(rows_, width(), unwritten<Scalar>),
        gradients_(runs_.gradient_store()) {
    for (const Layer& other : others) others_.emplace_back(other, options);
    for (const Index read : {1, 0, 2}) states_.push_back(runs_.after(read));
  }

  /// All cells, then the right calls, whose results the wrong ones before them have not disturbed.
  const Report& run() {
    const Outcome<Layer> expected = right_calls();
    runs_.forward(x_.view(), segments(), y_.view(), context_, &record_);
    for (const auto& state : states_) d_states_.push_back(runs_.cotangent(state, 100));
    watch();
    for (const bool recorded : {false, true}) {
      forward_shapes(recorded);
      forward_segments(recorded);
      forward_states(recorded);
      forward_parameters(recorded);
    }
    backward_shapes();
    backward_records();
    backward_gradients();
    resets();
    const Outcome<Layer> found = right_calls();
    refusals_.expect(bits::of(found.y) == bits::of(expected.y), "a right call differs after the wrong ones");
    refusals_.expect(bits::of(found.gradients) == bits::of(expected.gradients), "gradients differ after wrong calls");
    return refusals_.report();
  }
  Index cells() const { return refusals_.cells(); }

 private:
  const Layer& layer() const { return runs_.layer(); }
  Index width() const { return runs_.layer().width(); }
  Index K() const { return runs_.mini_batch(); }

  Segments segments() { return {{2 * K() + 1, &states_[0]}, {1, &states_[1]}, {K(), &states_[2], true}}; }
  Outcome<Layer> right_calls() const {
    Context context;
    return runs_.together({{2 * K() + 1, runs_.after(1)}, {1, runs_.after(0)}, {K(), runs_.after(2), true}}, x_.view(),
                          d_y_.view(), context);
  }

  void watch() {
    refusals_.watch("y", y_);
    refusals_.watch("d_x", d_x_);
    refusals_.watch("gradients", gradients_);
    for (std::size_t i = 0; i < states_.size(); ++i) {
      refusals_.watch("state " + std::to_string(i), states_[i]);
      refusals_.watch("d_state " + std::to_string(i), d_states_[i]);
    }
  }

  /// A forward that a record, unless there is to be none, survives: the one that `run` made stays good.
  void refuse_forward(bool recorded, const std::string& what, const std::string& words, MatrixView<const Scalar> x,
                      const Segments& segments, MatrixView<Scalar> y, const Parameters* parameters = nullptr) {
    refusals_.refuse((recorded ? "recorded forward: " : "forward: ") + what, words, [&] {
      layer().forward(parameters ? *parameters : runs_.parameters(), x, std::span<const Segment<State>>(segments), y,
                      context_, recorded ? &record_ : nullptr);
    });
  }

  void forward_shapes(bool recorded) {
    const auto refuse = [&](const char* what, const char* words, MatrixView<const Scalar> x, MatrixView<Scalar> y) {
      refuse_forward(recorded, what, words, x, segments(), y);
    };
    const MatrixView<const Scalar> x = x_.view();
    Matrix wide(rows_ + 1, width() + 1, unwritten<Scalar>);
    refuse("x too narrow", "x, ", x.columns(0, width() - 1), y_.view());
    refuse("x too wide", "x, ", wide.rows(0, rows_), y_.view());
    refuse("x empty", "x, ", {}, y_.view());
    refuse("x without memory", "no memory", {nullptr, rows_, width()}, y_.view());
    refuse("x with too few rows", "x, ", x.rows(0, rows_ - 1), y_.view());
    refuse("x with too many rows", "x, ", wide.view().columns(0, width()), y_.view());
    refuse("y too narrow", "y: ", x, y_.view().columns(0, width() - 1));
    refuse("y too wide", "y: ", x, wide.rows(0, rows_));
    refuse("y empty", "y: ", x, {});
    refuse("y without memory", "no memory", x, {nullptr, rows_, width()});
    refuse("y with too few rows", "y: ", x, y_.rows(0, rows_ - 1));
    refuse("y with too many rows", "y: ", x, wide.view().columns(0, width()));
    refuse("y with rows over one another", "apart", x, {y_.view().data(), rows_, width(), width() - 1});
    refuse("y in x", "memory of x", y_.view(), y_.view());
    Matrix both(rows_ + 1, width());
    refuse("y in x by a row", "memory of x", both.rows(0, rows_), both.rows(1, rows_));
  }

  void forward_segments(bool recorded) {
    const auto refuse = [&](const char* what, const char* words, const Segments& wrong) {
      refuse_forward(recorded, what, words, x_.view(), wrong, y_.view());
    };
    Segments wrong = segments();
    wrong[1].length = 0;
    refuse("segments shorter than x", "x, ", wrong);
    wrong[1].length = 2;
    refuse("segments longer than x", "x, ", wrong);
    wrong[1].length = -1;
    wrong[0].length += 2;
    refuse("a negative length", "length of segment 1", wrong);
    refuse("no segments", "x, ", {});
    wrong = segments();
    wrong[1].state = nullptr;
    refuse("a null State", "State of segment 1", wrong);
    wrong = segments();
    wrong[2].state = wrong[0].state;
    refuse("a State of two segments that are not adjacent", "State of segment 2", wrong);
    wrong[0].reset = true;
    refuse("the same with resets", "State of segment 2", wrong);
  }

  /// Segment 1 with another State, as it is and with a reset.
  void forward_states(bool recorded) {
    const auto refuse = [&](const std::string& what, const char* words, State& state, bool also_reset) {
      for (const bool reset : {false, true}) {
        if (reset && !also_reset) continue;
        Segments wrong = segments();
        wrong[1].state = &state;
        wrong[1].reset = reset;
        refuse_forward(recorded, what + (reset ? ", reset" : ""), words, x_.view(), wrong, y_.view());
      }
    };
    for_each_wrong_state(
        [&](const std::string& what, State& state) { refuse(what, "State of segment 1", state, true); });
    State wiped = runs_.after(1);
    wiped.wipe();
    refuse("a wiped State", "wiped", wiped, false);
    if (!runs_.options().state_grows) return;
    State full = layer().initial_state(runs_.parameters(), 1);
    runs_.read(x_.rows(0, 1), full);
    refuse("a full State", "capacity", full, false);
    State small = layer().initial_state(runs_.parameters(), 0);
    refuse("a State without room", "capacity", small, true);
    const Segments both{{1, &full, true}, {rows_ - 1, &full}};
    refuse_forward(recorded, "two segments that fill a State", "capacity", x_.view(), both, y_.view());
  }

  /// Default-constructed, moved from, of every other layer.
  void for_each_wrong_state(const std::function<void(const std::string&, State&)>& use) {
    if constexpr (std::default_initializable<State>) {
      State none;
      use("a default-constructed State", none);
    }
    State moved = runs_.after(1);
    const State taken = std::move(moved);
    use("a State that was moved from", moved);
    for (std::size_t i = 0; i < others_.size(); ++i) {
      State other = others_[i].after(1);
      use("a State of other layer " + std::to_string(i), other);
    }
  }

  void forward_parameters(bool recorded) {
    const auto refuse = [&](const std::string& what, const Parameters& parameters) {
      refuse_forward(recorded, what, "parameters", x_.view(), segments(), y_.view(), &parameters);
    };
    refuse("parameters without memory", layer().make_parameters());
    for (std::size_t i = 0; i < others_.size(); ++i)
      refuse("parameters of other layer " + std::to_string(i), others_[i].parameters());
  }

  std::vector<State*> wanted() {
    std::vector<State*> list;
    for (auto& d_state : d_states_) list.push_back(&d_state);
    return list;
  }
  void refuse_backward(const std::string& what, const std::string& words, Record& record, MatrixView<const Scalar> d_y,
                       MatrixView<Scalar> d_x, Parameters& gradients, const std::vector<State*>& d_states,
                       const Parameters* parameters = nullptr) {
    refusals_.refuse("backward: " + what, words, [&] {
      layer().backward(parameters ? *parameters : runs_.parameters(), record, d_y, d_x, gradients,
                       std::span<State* const>(d_states), context_);
    });
  }

  void backward_shapes() {
    const auto refuse = [&](const char* what, const char* words, MatrixView<const Scalar> d_y, MatrixView<Scalar> d_x) {
      refuse_backward(what, words, record_, d_y, d_x, gradients_.views(), wanted());
    };
    const MatrixView<const Scalar> d_y = d_y_.view();
    Matrix wide(rows_ + 1, width() + 1, unwritten<Scalar>);
    refuse("d_y too narrow", "d_y", d_y.columns(0, width() - 1), d_x_.view());
    refuse("d_y too wide", "d_y", wide.rows(0, rows_), d_x_.view());
    refuse("d_y empty", "d_y", {}, d_x_.view());
    refuse("d_y without memory", "no memory", {nullptr, rows_, width()}, d_x_.view());
    refuse("d_y with too few rows", "d_y", d_y.rows(0, rows_ - 1), d_x_.view());
    refuse("d_y with too many rows", "d_y", wide.view().columns(0, width()), d_x_.view());
    refuse("d_x too narrow", "d_x", d_y, d_x_.view().columns(0, width() - 1));
    refuse("d_x too wide", "d_x", d_y, wide.rows(0, rows_));
    refuse("d_x with too few rows", "d_x", d_y, d_x_.rows(0, rows_ - 1));
    refuse("d_x with too many rows", "d_x", d_y, wide.view().columns(0, width()));
    refuse("d_x with rows over one another", "apart", d_y, {d_x_.view().data(), rows_, width(), width() - 1});
    Matrix both(rows_ + 1, width());
    refuse("d_x in d_y by a row", "memory of d_y", both.rows(0, rows_), both.rows(1, rows_));
    if (!in_place_) refuse("d_x in d_y", "memory of d_y", d_x_.view(), d_x_.view());
  }

  void backward_records() {
    const auto refuse = [&](const std::string& what, Record& record) {
      refuse_backward(what, "ecord", record, d_y_.view(), d_x_.view(), gradients_.views(), {});
    };
    Record empty;
    refuse("a record without a forward", empty);
    for (std::size_t i = 0; i < others_.size(); ++i) {
      Record other;
      State state = others_[i].after(0);
      const Matrix x = others_[i].random(rows_, 3);
      Matrix y(rows_, x.columns());
      others_[i].forward(x.view(), {{rows_, &state}}, y.view(), context_, &other);
      refuse("a record of other layer " + std::to_string(i), other);
    }
  }

  void backward_gradients() {
    const auto refuse = [&](const std::string& what, const char* words, const std::vector<State*>& d_states) {
      refuse_backward(what, words, record_, d_y_.view(), d_x_.view(), gradients_.views(), d_states);
    };
    refuse("too few gradients of States", "d_states", {&d_states_[0], &d_states_[1]});
    refuse("too many gradients of States", "d_states", {nullptr, nullptr, nullptr, nullptr});
    refuse("one gradient for two States", "State of segment 1", {&d_states_[0], &d_states_[0], nullptr});
    refuse("one gradient for two States apart", "State of segment 2", {&d_states_[0], nullptr, &d_states_[0]});
    for_each_wrong_state([&](const std::string& what, State& state) {
      refuse("the gradient of a State is " + what, "State of segment 1", {&d_states_[0], &state, nullptr});
    });
    two_gradients_of_one_state();
    for (std::size_t i = 0; i < others_.size(); ++i) {
      auto gradients = others_[i].gradient_store();
      refuse_backward("gradients of other layer " + std::to_string(i), "gradients", record_, d_y_.view(), d_x_.view(),
                      gradients.views(), {});
      refuse_backward("parameters of other layer " + std::to_string(i), "parameters", record_, d_y_.view(), d_x_.view(),
                      gradients_.views(), {}, &others_[i].parameters());
    }
    const Parameters unbound = layer().make_parameters();
    refuse_backward("parameters without memory", "parameters", record_, d_y_.view(), d_x_.view(), gradients_.views(),
                    {}, &unbound);
  }

  void two_gradients_of_one_state() {
    State state = runs_.after(0);
    Record record;
    Matrix y(rows_, width());
    runs_.forward(x_.view(), {{1, &state}, {rows_ - 1, &state}}, y.view(), context_, &record);
    refuse_backward("two gradients for one State", "State of segment 1", record, d_y_.view(), d_x_.view(),
                    gradients_.views(), {&d_states_[0], &d_states_[1]});
  }

  void resets() {
    for_each_wrong_state([&](const std::string& what, State& state) {
      const std::string before = bits::of(state);
      refusals_.refuse("reset: " + what, "State", [&] { layer().reset(runs_.parameters(), state); });
      refusals_.expect(bits::of(state) == before, "reset: " + what + " changed");
    });
    const Parameters unbound = layer().make_parameters();
    refusals_.refuse("reset: parameters without memory", "parameters", [&] { layer().reset(unbound, states_[0]); });
  }

  Runs runs_;
  std::vector<Runs> others_;
  bool in_place_;
  Refusals refusals_;
  Context context_;
  Index rows_;
  Matrix x_, y_, d_y_, d_x_;
  ParameterStore<Parameters> gradients_;
  std::vector<State> states_, d_states_;
  Record record_;
};

/// Runs the whole table, and tells how many cells that were.
template <TrainableSequenceLayer Layer>
Index check_wrong_calls(const Layer& layer, const LayerCase& options, const std::vector<Layer>& others,
                        bool in_place = false) {
  WrongCalls<Layer> table(layer, options, others, in_place);
  require(table.run());
  return table.cells();
}

}  // namespace ttt::suites
