// SPDX-License-Identifier: MIT
/// @file
/// The formula, contracts 1 and 3, and that a State is a value.
#pragma once

#include "suites/sequence_layer.hpp"

namespace ttt::suites {

template <TrainableSequenceLayer Layer>
Report SequenceLayerSuite<Layer>::formula() const {
  Report report{"formula", 0, {}};
  const Matrix x = runs_.random(8 * K() + 5, 15);
  testing::Matrix<double> exact_x(x.rows(), width());
  for (Index t = 0; t < x.rows(); ++t)
    for (Index c = 0; c < width(); ++c) exact_x(t, c) = static_cast<double>(x(t, c));
  State state = runs_.fresh();
  const Matrix y = runs_.read(x.view(), state);
  const testing::Matrix<double> expected = runs_.options().formula(NamedWeights(runs_.parameters()), exact_x);
  for (Index t = 0; t < x.rows(); ++t) {
    std::vector<double> found;
    for (Index c = 0; c < width(); ++c) found.push_back(static_cast<double>(y(t, c)));
    report.add(
        "row " + std::to_string(t),
        testing::far_apart(found, testing::parts_of(expected.rows(t, 1), "y")[0].values, formula_tolerance<Scalar>));
  }
  return report;
}

template <TrainableSequenceLayer Layer>
Report SequenceLayerSuite<Layer>::split_invariance() const {
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

template <TrainableSequenceLayer Layer>
void SequenceLayerSuite<Layer>::many_way_splits(Report& report, Index length, const Matrix& x,
                                                const Matrix& d_y) const {
  const Start<State> start{length, runs_.after(1), true};
  const Outcome<Layer> whole = runs_.in_pieces(start, {length}, x.view(), d_y.view());
  const State last = runs_.cotangent(whole.states[0], 100);
  for (std::uint64_t seed = 0; seed < 24; ++seed) {
    const std::vector<Index> lengths = random_pieces(length, K() + 1, seed);
    close(report, "random pieces " + std::to_string(seed), runs_.in_pieces(start, lengths, x.view(), d_y.view(), &last),
          whole);
  }
}

template <TrainableSequenceLayer Layer>
void SequenceLayerSuite<Layer>::decode_agrees(Report& report, const Start<State>& start, MatrixView<const Scalar> x,
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

template <TrainableSequenceLayer Layer>
Report SequenceLayerSuite<Layer>::state_is_a_value() const {
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
    if (state.values.size() > 0) report.expect(!(third == state), where + ": other tokens lead to the same state");
    state = saved;
    same(report, where + ", restored", runs_.read(x.view(), state), y);
    report.expect(fork == state, where + ": the restored state leads to another state");
    grows(report, where, saved);
  }
  return report;
}

template <TrainableSequenceLayer Layer>
void SequenceLayerSuite<Layer>::grows(Report& report, const std::string& where, const State& saved) const {
  try {
    State state = saved, larger = grown(saved, runs_.layer().state_layout(2 * runs_.capacity()));
    const Matrix x = runs_.random(K() + 2, 22);
    same(report, where + ", grown", runs_.read(x.view(), larger), runs_.read(x.view(), state));
    report.expect(larger == grown(state, larger.layout), where + ": the grown state leads to another state");
  } catch (const Error& error) {
    report.expect(false, where + ": the state does not grow: " + error.what());
  }
}

template <TrainableSequenceLayer Layer>
Report SequenceLayerSuite<Layer>::reset() const {
  Report report{"reset", 0, {}};
  const State fresh = runs_.fresh();
  const Matrix x = runs_.random(2 * K() + 1, 25);
  State first = fresh;
  const Matrix expected = runs_.read(x.view(), first);
  for (const bool wiped : {false, true})
    for (const Index read : {Index{0}, Index{1}, K(), 2 * K() + 1}) {
      const std::string where = (wiped ? "wiped after " : "after ") + std::to_string(read) + " tokens";
      State state = runs_.after(read);
      if (wiped) state.wipe();
      State restarted = state;
      const std::uint64_t before = testing::allocations();
      runs_.layer().reset(runs_.parameters(), state);
      const std::uint64_t count = testing::allocations() - before;
      report.expect(count == 0, where + ": reset allocates");
      report.expect(state == fresh, where + ": a reset State differs from a new one");
      same(report, where, runs_.read(x.view(), state), expected);
      report.expect(state == first, where + ": the State differs after reading again");
      same(report, where + ", reset by the segment", runs_.read(x.view(), restarted, true), expected);
      report.expect(restarted == first, where + ": the State of a segment that resets differs");
    }
  return report;
}

template <TrainableSequenceLayer Layer>
Report SequenceLayerSuite<Layer>::rollback() const {
  Report report{"rollback", 0, {}};
  const Index depth = K() + 2, tokens = runs_.capacity() - depth;
  const Matrix right = runs_.random(tokens + depth, 26), draft = runs_.random(tokens + depth, 27);
  const auto reads = [this](const Matrix& x) {
    return [this, &x](State& state, Index first, Index count) { return runs_.read(x.rows(first, count), state); };
  };
  Rollback(report, runs_.fresh(), tokens, depth, reads(right), reads(draft)).check();
  return report;
}

template <TrainableSequenceLayer Layer>
Report SequenceLayerSuite<Layer>::causality() const {
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

}  // namespace ttt::suites
