// SPDX-License-Identifier: MIT
/// @file
/// Contracts 1 and 3, that a State is a value, and what a reset forgets.
#pragma once

#include "suites/language_model.hpp"
#include "support/error_message.hpp"

namespace ttt::suites {

template <TrainableLanguageModel Model>
Report LanguageModelSuite<Model>::split_invariance() {
  Report report{"split invariance", 0, {}};
  const Ids ids = runs_.random_ids(tokens(), 3);
  const auto whole = runs_.whole(ids);
  const auto gradients = runs_.chained_gradients(ids, {tokens()});
  const auto compare = [&](const std::vector<Index>& pieces) {
    std::string where = "pieces";
    for (const Index piece : pieces) where += " " + std::to_string(piece);
    const auto split = runs_.in_pieces(ids, pieces);
    report.close(where, testing::parts_of<Scalar>(split.logits.view(), "logits"),
                 testing::parts_of<Scalar>(whole.logits.view(), "logits"), value_tolerance<Scalar>);
    report.close(where, testing::parts_of_state(split.state), testing::parts_of_state(whole.state),
                 value_tolerance<Scalar>);
    report.expect(split.state.position == whole.state.position, where + ": position");
    report.close(where + ": gradient", runs_.chained_gradients(ids, pieces), gradients, gradient_tolerance<Scalar>);
  };
  for (Index first = 0; first <= tokens(); ++first) compare({first, tokens() - first});
  for (std::uint64_t seed = 0; seed < 4; ++seed) compare(random_pieces(tokens(), K() + 1, seed));
  compare(std::vector<Index>(ids.size(), 1));
  return report;
}

template <TrainableLanguageModel Model>
Report LanguageModelSuite<Model>::saved_states() {
  Report report{"saved states", 0, {}};
  const Ids ids = runs_.random_ids(tokens(), 4);
  State state = runs_.fresh();
  for (Index t = 0; t < tokens(); ++t) {
    const std::string where = "position " + std::to_string(t);
    const Ids id = Runs::slice(ids, t, 1);
    const State saved = state;
    const Matrix logits = runs_.read(id, state);
    report.expect(!(saved == state), where + ": a state that read a token equals the one that did not");
    State other = runs_.fresh();
    other = saved;
    same(report, where, runs_.read(id, other).view(), logits.view());
    report.expect(other == state, where + ": states differ");
    State copied = state, larger = grown(state, model().state_layout(4 * tokens()));
    const Matrix next = runs_.read({1}, copied);
    same(report, where + ", grown", runs_.read({1}, larger).view(), next.view());
  }
  return report;
}

template <TrainableLanguageModel Model>
Report LanguageModelSuite<Model>::rollback() {
  Report report{"rollback", 0, {}};
  const Index depth = K() + 2, length = tokens() + depth;
  const Ids right = runs_.random_ids(length, 23), draft = runs_.random_ids(length, 24);
  const auto reads = [this](const Ids& ids) {
    return [this, &ids](State& state, Index first, Index count) {
      return runs_.read(Runs::slice(ids, first, count), state);
    };
  };
  Rollback(report, runs_.fresh(), tokens(), depth, reads(right), reads(draft)).check();
  return report;
}

template <TrainableLanguageModel Model>
Report LanguageModelSuite<Model>::causality() {
  Report report{"causality", 0, {}};
  const Ids ids = runs_.random_ids(tokens(), 5);
  const Matrix before = runs_.whole(ids).logits;
  for (Index t = 0; t < tokens(); ++t) {
    Ids changed = ids;
    auto& id = changed[static_cast<std::size_t>(t)];
    id = (id + 1) % model().vocabulary();
    const Matrix after = runs_.whole(changed).logits;
    const std::string where = "token " + std::to_string(t);
    same(report, where, after.rows(0, t), before.rows(0, t), "rows before");
    report.expect(!testing::bits_differ(row(after, t), row(before, t)).empty(), where + ": its own row did not change");
  }
  return report;
}

template <TrainableLanguageModel Model>
Report LanguageModelSuite<Model>::reset() {
  Report report{"reset", 0, {}};
  const Ids ids = runs_.random_ids(tokens(), 8);
  const auto expected = runs_.whole(ids);
  for (const Index dirt : {Index{1}, K(), K() + 1}) {
    State used = runs_.after(dirt, 9);
    const Matrix logits = runs_.forward({{tokens(), &used, true}}, ids, LogitRows::all);
    same(report, "after " + std::to_string(dirt), logits.view(), expected.logits.view());
    report.expect(used == expected.state, "the state remembers what was before its reset");
    model().reset(parameters(), used);
    report.expect(used == runs_.fresh(), "a State that is reset is not the start of a sequence");
    same(report, "reset", runs_.read(ids, used).view(), expected.logits.view());
    State wiped = used;
    wiped.wipe();
    Matrix again(tokens(), model().vocabulary());
    report.add("wiped, reset by the segment", testing::error_message([&] {
                 again = runs_.forward({{tokens(), &wiped, true}}, ids, LogitRows::all);
               }));
    same(report, "wiped, reset by the segment", again.view(), expected.logits.view());
    report.expect(wiped == expected.state, "a State remembers that it was wiped");
    runs_.forward({{0, &used, true}}, {}, LogitRows::all);
    report.expect(used == runs_.fresh(), "a reset without rows is not the start of a sequence");
  }
  return report;
}

}  // namespace ttt::suites
