// SPDX-License-Identifier: MIT
/// @file
/// Contract 3 for a token whose embedding is not finite, or overflows inside: what it reaches, and what not.
#pragma once

#include <utility>

#include "suites/language_model.hpp"
#include "suites/sequence_layer/non_finite.hpp"

namespace ttt::suites {

template <TrainableLanguageModel Model>
Report LanguageModelSuite<Model>::non_finite_values() {
  Report report{"non-finite values", 0, {}};
  // The last id stands where it is put and nowhere else.
  const std::int64_t poisoned = model().vocabulary() - 1;
  Ids ids = runs_.random_ids(tokens(), 6);
  for (auto& id : ids) id %= poisoned;
  for (Index t = 0; t < tokens(); ++t) {
    Ids changed = ids;
    changed[static_cast<std::size_t>(t)] = poisoned;
    for (const Scalar poison : poisons<Scalar>) {
      const auto put = [&](Scalar value) { return std::exchange(runs_.embedding_row(poisoned)[0], value); };
      const std::string where = std::to_string(poison) + " in token " + std::to_string(t);
      const Matrix expected = runs_.whole(changed).logits;
      const Scalar before = put(poison);
      poisoned_token(report, where, changed, t, expected);
      put(before);
    }
  }
  return report;
}

template <TrainableLanguageModel Model>
void LanguageModelSuite<Model>::poisoned_token(Report& report, const std::string& where, const Ids& ids, Index t,
                                               const Matrix& clean) {
  // Where the head is the embedding, the poisoned id's own logit is lost in every row.
  const auto others = [&](const Matrix& logits, Index first, Index count) {
    return testing::parts_of<Scalar>(logits.view().rows(first, count).columns(0, model().vocabulary() - 1), "logits");
  };
  const auto once = runs_.whole(ids), singly = runs_.in_pieces(ids, std::vector<Index>(ids.size(), 1));
  report.same_bits(where + ", rows before", others(once.logits, 0, t), others(clean, 0, t));
  report.add(where + ", token by token",
             disagreement(others(singly.logits, 0, tokens()), others(once.logits, 0, tokens())));
  report.add(where + ", state token by token",
             disagreement(testing::parts_of_state(singly.state), testing::parts_of_state(once.state)));

  std::vector<State> states{runs_.fresh(), runs_.fresh()};
  Ids both = ids;
  both.insert(both.end(), ids.begin(), ids.begin() + t);
  const Matrix beside = runs_.forward({{tokens(), &states[0]}, {t, &states[1]}}, both, LogitRows::all);
  report.same_bits(where + ", another sequence", others(beside, tokens(), t), others(clean, 0, t));
}

}  // namespace ttt::suites
