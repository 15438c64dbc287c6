// SPDX-License-Identifier: MIT
// That layers say the truth of what they write is in the suites; here a State is written by hand.
#include "ttt/core/state_history.hpp"

#include <limits>
#include <map>
#include <memory>
#include <utility>

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "ttt/core/random.hpp"

using namespace ttt;
using testing::error_lacks;

namespace {

using LayoutPointer = std::shared_ptr<const StateLayout>;
constexpr Index mini_batch = 4, ring = 8, sinks = 2, rows = 2;

/// Two heads of fast weights with an open mini-batch, keys in panels of 4 behind those of two sinks, and a tail.
LayoutPointer layer_layout() {
  StateLayout layout(Fingerprint("layer", {}));
  layout.add(rows, {{"fast_weights", StateKind::fast_weights, 6, {.period = mini_batch}},
                    {"open",
                     StateKind::open_mini_batch,
                     mini_batch * 4,
                     {.period = mini_batch, .slots = mini_batch, .widths = {3, 1}}}});
  layout.add(rows, {{"keys",
                     StateKind::cache,
                     (4 + ring) * 5,
                     {.period = 0, .slots = 4 + ring, .widths = {5}, .panel = 4, .sinks = sinks, .ring = 4}}});
  layout.add(1, {{"tail", StateKind::tail, 3}});
  return std::make_shared<const StateLayout>(std::move(layout));
}
/// The same without what changes with every token.
LayoutPointer mini_batch_layout() {
  StateLayout layout(Fingerprint("mini-batch", {}));
  layout.add(1, {{"fast_weights", StateKind::fast_weights, 6, {.period = mini_batch}}});
  layout.add(1, {{"cache", StateKind::cache, 16, {.period = 0, .slots = 16, .widths = {1}}}});
  return std::make_shared<const StateLayout>(std::move(layout));
}
/// What the first token of a chunk changes.
LayoutPointer chunk_layout() {
  StateLayout layout(Fingerprint("chunk", {}));
  layout.add(1, {{"chunk_weights", StateKind::fast_weights, 5, {.period = mini_batch, .by_first = true}}});
  return std::make_shared<const StateLayout>(std::move(layout));
}
LayoutPointer model_layout() {
  StateLayout layout(Fingerprint("model", {}));
  layout.add("0.", layer_layout());
  layout.add("1.", mini_batch_layout());
  layout.add("2.", layer_layout());
  layout.add("3.", chunk_layout());
  return std::make_shared<const StateLayout>(std::move(layout));
}

/// What a token does to a part, spelled out: a number in every place that it changes.
class Writer {
 public:
  void token(State<float>& state) {
    for (const StatePart& part : state.layout->parts())
      for (Index r = 0; r < part.rows; ++r) write(part, state.position, state[part].row(r));
    state.position = state.position + 1;
  }
  void tokens(State<float>& state, Index count) {
    for (Index i = 0; i < count; ++i) token(state);
  }

 private:
  float next() { return static_cast<float>(random_.normal(drawn_++)); }
  void fill(float* first, Index count) {
    for (Index i = 0; i < count; ++i) first[i] = next();
  }
  void write(const StatePart& part, std::int64_t position, float* row) {
    const auto p = static_cast<Index>(position), phase = p % mini_batch;
    const bool ends = phase == mini_batch - 1;
    const auto is = [&](const char* name) { return part.name.ends_with(name); };
    if (is("fast_weights")) {
      if (ends) fill(row, 6);
    } else if (is("chunk_weights")) {
      if (phase == 0) fill(row, 5);
    } else if (is("open")) {
      fill(row + phase * 3, 3);
      row[mini_batch * 3 + phase] = next();
      if (ends) std::fill_n(row, mini_batch * 4, 0.0f);
    } else if (is("keys")) {
      const Index slot = p < sinks ? p : 4 + p % ring;
      for (Index d = 0; d < 5; ++d) row[slot / 4 * 20 + d * 4 + slot % 4] = next();
    } else if (is("cache")) {
      row[p % 16] = next();
    } else {
      fill(row, 3);
    }
  }

  RandomStream random_{1, "writer"};
  std::uint64_t drawn_ = 0;
};

State<float> fresh(const LayoutPointer& layout) {
  State<float> state(layout);
  state.position = 0;
  return state;
}

}  // namespace

TEST_CASE("A history goes back by every number of tokens that it keeps") {
  for (const Index depth : {1, 3, 4, 5, 11, 19}) {
    Writer writer;
    State<float> state = fresh(model_layout());
    StateHistory<float> history(state.layout, depth);
    std::vector<State<float>> saved;
    for (Index t = 0; t < 40; ++t) {
      saved.push_back(state);
      history.keep(state);
      writer.token(state);
      REQUIRE(history.tokens() == std::min(depth, t + 1));
      for (Index n = 0; n <= history.tokens(); ++n) {
        State<float> earlier = state;
        StateHistory<float> used = history;
        used.back(earlier, n);
        CAPTURE(depth, t, n);
        CHECK(earlier == (n == 0 ? state : saved[static_cast<std::size_t>(t + 1 - n)]));
        CHECK(used.tokens() == history.tokens() - n);
      }
    }
  }
}

TEST_CASE("Calls of any length, going back and reading on: where calls began is always reached") {
  const RandomStream random(2, "calls");
  for (const Index depth : {2, 5, 9, 20}) {
    Writer writer;
    State<float> state = fresh(model_layout());
    StateHistory<float> history(state.layout, depth);
    std::map<std::int64_t, State<float>> saved;  // where calls began
    Index backs = 0;
    for (std::uint64_t draw = 0; draw < 1000; draw += 2) {
      const auto drawn = [&](std::uint64_t i, Index n) {
        return static_cast<Index>(random.below(draw + i, static_cast<std::uint64_t>(n)));
      };
      const Index tokens = 1 + drawn(0, depth);
      saved.insert_or_assign(state.position, state);
      history.keep(state, tokens);
      writer.tokens(state, tokens);
      const std::int64_t to = state.position - drawn(1, 2 * depth);
      const auto found = saved.find(to);
      if (found == saved.end() || state.position - to > history.tokens()) continue;
      CAPTURE(depth, draw);
      history.back(state, static_cast<Index>(state.position - to));
      CHECK(state == found->second);
      saved.erase(std::next(found), saved.end());
      ++backs;
    }
    CHECK(backs > 10);
  }
}

TEST_CASE("Inside of a call nothing is reached that it has overwritten") {
  Writer writer;
  State<float> state = fresh(mini_batch_layout());
  StateHistory<float> history(state.layout, 20);
  history.keep(state, 3);  // the mini-batch stays open: every token has a place of its own
  writer.tokens(state, 2);
  State<float> second = state;
  writer.token(state);
  CHECK(history.reaches(1));
  StateHistory<float> used = history;
  State<float> earlier = state;
  used.back(earlier, 1);
  CHECK(earlier == second);
  used.back(earlier, 2);
  CHECK(earlier == fresh(state.layout));

  history.keep(state, 3);  // it ends inside
  writer.tokens(state, 3);
  CHECK(history.reaches(3));
  CHECK_FALSE(history.reaches(2));
  const State<float> before = state;
  CHECK(error_lacks([&] { history.back(state, 2); }, {"a place where a call began", "found 2"}).empty());
  CHECK(state == before);
  CHECK(history.tokens() == 6);
  writer.tokens(state, 2);
  history.keep(state, 17);  // more than the cache has places
  writer.tokens(state, 17);
  CHECK_FALSE(history.reaches(1));

  State<float> whole = fresh(layer_layout());
  StateHistory<float> tail(whole.layout, 20);
  tail.keep(whole, 2);
  writer.tokens(whole, 2);
  CHECK_FALSE(tail.reaches(1));
}

TEST_CASE("Every bit comes back: NaN, and the sign of zero") {
  State<float> state = fresh(layer_layout());
  for (Index i = 0; i < state.values.size(); ++i)
    state.values[i] = i % 2 == 0 ? std::numeric_limits<float>::quiet_NaN() : -0.0f;
  const State<float> before = state;
  StateHistory<float> history(state.layout, 4);
  Writer writer;
  for (Index t = 0; t < 4; ++t) {
    history.keep(state);
    writer.token(state);
  }
  history.back(state, 4);
  CHECK(state == before);
}

TEST_CASE("A State that stands elsewhere begins a new history") {
  Writer writer;
  State<float> state = fresh(layer_layout());
  StateHistory<float> history(state.layout, 4);
  for (Index t = 0; t < 3; ++t) {
    history.keep(state);
    writer.token(state);
  }
  writer.token(state);  // nobody kept it
  CHECK(error_lacks([&] { history.back(state, 1); }, {"at position 3", "found position 4"}).empty());
  const State<float> fifth = state;
  history.keep(state);
  CHECK(history.tokens() == 1);
  writer.token(state);
  CHECK_FALSE(history.reaches(2));
  history.back(state, 1);
  CHECK(state == fifth);
  State<float> next = fresh(state.layout);
  history.keep(next);
  CHECK(history.tokens() == 1);
}

TEST_CASE("What a history has to refuse, it names, and nothing changes") {
  Writer writer;
  State<float> state = fresh(layer_layout());
  CHECK(error_lacks([&] { StateHistory<float>(state.layout, 0); }, {"depth", "at least 1", "found 0"}).empty());
  CHECK(error_lacks([&] { StateHistory<float>(nullptr, 1); }, {"layout", "none"}).empty());
  StateHistory<float> history(state.layout, 3);
  CHECK(error_lacks([&] { history.keep(state, 4); }, {"tokens of a call", "1 to 3", "found 4"}).empty());
  CHECK(error_lacks([&] { history.keep(state, 0); }, {"1 to 3", "found 0"}).empty());
  history.keep(state);
  writer.token(state);
  const State<float> before = state;
  CHECK(error_lacks([&] { history.back(state, 2); }, {"0 to 1", "found 2"}).empty());
  CHECK(error_lacks([&] { history.back(state, -1); }, {"0 to 1", "found -1"}).empty());
  State<float> other = fresh(mini_batch_layout()), nobody, wiped = state;
  wiped.wipe();
  CHECK(error_lacks([&] { history.keep(other); }, {"the layout of its history"}).empty());
  CHECK(error_lacks([&] { history.back(other, 0); }, {"the layout of its history"}).empty());
  history.back(state, 0);
  CHECK(error_lacks([&] { history.keep(nobody); }, {"the layout of its history"}).empty());
  CHECK(error_lacks([&] { history.keep(wiped); }, {"with a sequence"}).empty());
  StateHistory<float> moved = std::move(history);
  CHECK(error_lacks([&] { history.keep(state); }, {"the layout of its history"}).empty());
  CHECK_FALSE(history.reaches(1));
  CHECK(state == before);
  moved.back(state, 1);
  CHECK(state == fresh(layer_layout()));  // another layout that is equal
}

TEST_CASE("A history that is wiped holds nothing") {
  Writer writer;
  State<float> state = fresh(layer_layout());
  StateHistory<float> history(state.layout, 3);
  history.keep(state);
  writer.token(state);
  history.wipe();
  CHECK(history.tokens() == 0);
  CHECK_FALSE(history.reaches(1));
  CHECK_FALSE(testing::error_message([&] { history.back(state, 1); }).empty());
}

TEST_CASE("A history holds what tokens change and no more") {
  const auto state = fresh(layer_layout());
  const auto floats = [&](Index depth) {
    const auto bytes = StateHistory<float>(state.layout, depth).bytes();
    return static_cast<Index>(bytes - static_cast<std::size_t>(depth) * sizeof(std::int64_t)) / 4;
  };
  const Index slots = rows * (4 + 5), whole = rows * (6 + mini_batch * 4), tail = 3;
  CHECK(floats(1) == slots + whole + tail);
  CHECK(floats(4) == 4 * (slots + tail) + whole);
  CHECK(floats(5) == 5 * (slots + tail) + 2 * whole);
}
