// SPDX-License-Identifier: MIT
/// @file
/// Contracts 4 and 6: what else is in a call, who runs it, which rows it asks for, and what it must refuse.
#pragma once

#include "suites/language_model.hpp"
#include "support/error_message.hpp"

namespace ttt::suites {

template <TrainableLanguageModel Model>
Report LanguageModelSuite<Model>::threads() {
  Report report{"threads", 0, {}};
  std::vector<typename Runs::Parts> results;
  for (Index workers = 1; workers <= 3; ++workers) {
    ThreadPool pool(workers);
    Context context(pool);
    results.push_back(runs_.everything(context));
    report.same_bits(std::to_string(workers) + " threads", results.back(), results.front());
  }
  return report;
}

template <TrainableLanguageModel Model>
Report LanguageModelSuite<Model>::batching() {
  Report report{"batching", 0, {}};
  const std::vector<Index> lengths{2 * K() + 1, 1, 0, K(), 1, 3, K() + 1};
  std::vector<State> together;
  for (std::size_t i = 0; i < lengths.size(); ++i) together.push_back(runs_.after(static_cast<Index>(i), 10 + i));
  std::vector<State> alone = together;
  Segments segments = Runs::segments(lengths, together);
  segments[3].reset = true;
  segments.push_back({2, &together.back(), false});  // the last one's stream goes on in the same call, twice
  segments.push_back({K(), &together.back(), true});
  const Ids ids = runs_.random_ids(total_rows(std::span<const Segment<State>>(segments)), 6);
  const Matrix logits = runs_.forward(segments, ids, LogitRows::all);
  Index first = 0;
  for (std::size_t i = 0; i < segments.size(); first += segments[i++].length) {
    const Segment<State> single{segments[i].length, &alone[std::min(i, lengths.size() - 1)], segments[i].reset};
    const Matrix own = runs_.forward({single}, Runs::slice(ids, first, single.length), LogitRows::all);
    same(report, "segment " + std::to_string(i), own.view(), logits.rows(first, single.length));
  }
  for (std::size_t i = 0; i < lengths.size(); ++i)
    report.expect(together[i] == alone[i], "state " + std::to_string(i) + " depends on the other segments");
  return report;
}

template <TrainableLanguageModel Model>
Report LanguageModelSuite<Model>::last_rows() {
  Report report{"last rows", 0, {}};
  const std::vector<Index> lengths{3, 0, 1, K() + 2};
  std::vector<State> all_states(lengths.size(), runs_.fresh()), last_states = all_states;
  const Segments segments = Runs::segments(lengths, all_states);
  const Ids ids = runs_.random_ids(total_rows(std::span<const Segment<State>>(segments)), 7);
  const Matrix all = runs_.forward(segments, ids, LogitRows::all);
  const Matrix last = runs_.forward(Runs::segments(lengths, last_states), ids, LogitRows::last);
  Index end = 0;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    end += lengths[i];
    const auto found = row(last, static_cast<Index>(i));
    const auto expected = lengths[i] > 0 ? row(all, end - 1) : std::vector<Scalar>(found.size(), Scalar(0));
    report.add("segment " + std::to_string(i), testing::bits_differ(found, expected));
    report.expect(all_states[i] == last_states[i], "states differ");
  }
  return report;
}

template <TrainableLanguageModel Model>
Report LanguageModelSuite<Model>::bad_input() {
  Report report{"bad input", 0, {}};
  const State before = runs_.after(3, 15);
  State state = before;
  const auto refuse = [&](const std::string& what, const std::string& message, FunctionRef<void()> call) {
    report.add(what, testing::error_lacks(call, {message}));
    report.expect(state == before, what + ": the state moved");
  };
  const auto refuse_forward = [&](const std::string& what, const Ids& ids, Index rows, Index columns) {
    const Segments segments{{3, &state}};
    Matrix logits(rows, columns);
    refuse(what, what,
           [&] { model().forward(parameters(), ids, segments, LogitRows::all, logits.view(), runs_.context()); });
  };
  const Index vocabulary = model().vocabulary();
  refuse_forward("row 1", {0, vocabulary, 0}, 3, vocabulary);
  refuse_forward("row 2", {0, 1, -1}, 3, vocabulary);
  refuse_forward("token ids", {0, 1}, 3, vocabulary);
  refuse_forward("logits", {0, 1, 2}, 3, vocabulary - 1);
  refuse_forward("logits", {0, 1, 2}, 2, vocabulary);
  const Ids ids{0, 1}, targets{0, vocabulary};
  const Segments segments{{2, &state}};
  refuse("target", "target at row 1", [&] { model().loss(parameters(), ids, targets, segments, {}, runs_.context()); });
  return report;
}

}  // namespace ttt::suites
