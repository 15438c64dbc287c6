// SPDX-License-Identifier: MIT
/// @file
/// Going back: what a layout says that a token writes is true, so that a StateHistory restores every bit. Of layers and
/// of language models, that is of anything which reads tokens into a State.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "support/allocation_hook.hpp"
#include "support/compare.hpp"
#include "support/error_message.hpp"
#include "ttt/core/state_history.hpp"

namespace ttt::suites {

/// `Read(state, first, count)` reads tokens [first, first + count) of a stream and returns what is said of them.
/// `right` is the stream that is read in the end, `draft` another one, of tokens that are rejected.
template <class Scalar, class Right, class Draft>
class Rollback {
 public:
  using History = StateHistory<Scalar>;

  /// Streams of `tokens + depth`, of which the first `tokens` are read for good.
  Rollback(testing::Report& report, const State<Scalar>& start, Index tokens, Index depth, Right right, Draft draft)
      : report_(report), start_(start), tokens_(tokens), depth_(depth), right_(right), draft_(draft) {}

  void check() {
    every_depth();
    drafts(true);
    drafts(false);
  }

 private:
  void same(const std::string& where, const State<Scalar>& actual, const State<Scalar>& expected) {
    report_.same_bits(where, testing::parts_of_state(actual), testing::parts_of_state(expected));
    report_.expect(actual == expected, where + ": the states differ");
  }
  void back(const std::string& where, History& history, State<Scalar>& state, Index tokens) {
    quietly(where + ": going back", [&] { history.back(state, tokens); });
  }
  void keep(const std::string& where, History& history, const State<Scalar>& state, Index tokens) {
    quietly(where + ": keeping", [&] { history.keep(state, tokens); });
  }
  /// Without an Error and an allocation.
  template <class Action>
  void quietly(const std::string& what, Action&& action) {
    const std::uint64_t before = testing::allocations();
    const std::string error = testing::error_message(action);
    const std::uint64_t count = testing::allocations() - before;
    report_.add(what, error);
    report_.expect(count == 0, what + " allocates");
  }
  static std::string at(Index t) { return "at position " + std::to_string(t); }

  /// Token by token, nothing drafted: the states that all others are compared with. At each of them, back by every
  /// number of tokens that is kept.
  void every_depth() {
    State<Scalar> state = start_;
    History history(start_.layout, depth_);
    for (Index t = 0; t <= tokens_; ++t) {
      states_.push_back(state);
      report_.expect(history.tokens() == std::min(t, depth_), at(t) + ": another number of tokens is kept");
      for (Index n = 0; n <= history.tokens(); ++n) {
        State<Scalar> earlier = state;
        History used = history;
        const std::string where = at(t) + ", back " + std::to_string(n);
        back(where, used, earlier, n);
        same(where, earlier, states_[static_cast<std::size_t>(t - n)]);
      }
      keep(at(t), history, state, 1);
      answers_.push_back(right_(state, t, 1));
    }
  }

  /// A draft before every token, one by one or in one call, rejected as a whole; the rest is as if there was none.
  void drafts(bool one_by_one) {
    State<Scalar> state = start_;
    History history(start_.layout, depth_);
    for (Index t = 0; t < tokens_; ++t) {
      const Index length = 1 + t % depth_;
      const std::string where =
          at(t) + ", " + std::to_string(length) + (one_by_one ? " drafted one by one" : " drafted at once");
      for (Index i = 0; i < length; i += one_by_one ? 1 : length) {
        const Index count = one_by_one ? 1 : length;
        keep(where, history, state, count);
        draft_(state, t + i, count);
      }
      if (!one_by_one) inside(where, history, state, t, length);
      back(where, history, state, length);
      same(where, state, states_[static_cast<std::size_t>(t)]);
      const Index left = std::min(history.tokens(), t);
      State<Scalar> earlier = state;
      History used = history;
      back(where + " and back", used, earlier, left);
      same(where + " and back", earlier, states_[static_cast<std::size_t>(t - left)]);
      keep(where, history, state, 1);
      const testing::Matrix<Scalar> answer = right_(state, t, 1), &expected = answers_[static_cast<std::size_t>(t)];
      report_.same_bits(where + ", then the right one", testing::parts_of(answer.view(), "y"),
                        testing::parts_of(expected.view(), "y"));
    }
  }

  /// Behind a call of `length` drafted tokens: a place inside of it is reached with the bits of a shorter call, or
  /// refused.
  void inside(const std::string& where, const History& history, const State<Scalar>& state, Index t, Index length) {
    for (Index n = 1; n < length; ++n) {
      const std::string place = where + ", back " + std::to_string(n);
      State<Scalar> earlier = state;
      History used = history;
      if (history.reaches(n)) {
        State<Scalar> expected = states_[static_cast<std::size_t>(t)];
        draft_(expected, t, length - n);
        back(place, used, earlier, n);
        same(place, earlier, expected);
      } else {
        report_.add(place, testing::error_lacks([&] { used.back(earlier, n); }, {"place where a call began"}));
        same(place + ", refused", earlier, state);
      }
    }
  }

  testing::Report& report_;
  State<Scalar> start_;
  Index tokens_, depth_;
  Right right_;
  Draft draft_;
  std::vector<State<Scalar>> states_;
  std::vector<testing::Matrix<Scalar>> answers_;
};

}  // namespace ttt::suites
