// SPDX-License-Identifier: MIT
/// @file
/// Running a language model on random ids with what comes out of it kept, for the suite to compare.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "suites/contracts.hpp"
#include "support/compare.hpp"
#include "support/random_matrix.hpp"
#include "ttt/models/language_model.hpp"

namespace ttt::suites {

template <TrainableLanguageModel Model>
class LanguageModelRuns {
 public:
  using Scalar = typename Model::Scalar;
  using State = typename Model::State;
  using Parameters = typename Model::Parameters;
  using Record = typename Model::Record;
  using Store = ParameterStore<Parameters>;
  using Ids = std::vector<std::int64_t>;
  using Matrix = testing::Matrix<Scalar>;
  using Parts = testing::Parts<Scalar>;
  using Segments = std::vector<Segment<State>>;

  /// The logits of a stream and the State behind it.
  struct Stream {
    Matrix logits;
    State state;
  };

  LanguageModelRuns(const Model& model, const LayerCase& options)
      : model_(model), mini_batch_(options.mini_batch), store_(model.make_parameters()) {
    draw_weights(store_.views(), options);
  }

  const Model& model() const { return model_; }
  const Parameters& parameters() const { return store_.views(); }
  Parameters& parameters() { return store_.views(); }
  /// The embedding of an id.
  Scalar* embedding_row(std::int64_t id) {
    Scalar* row = nullptr;
    store_.views().visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo&) {
      if (!row && name.find("embed") != std::string_view::npos)
        row = &tensor[id * (tensor.size() / model_.vocabulary())];
    });
    return row;
  }
  /// One for all calls, so that each finds the memory of others.
  Context& context() { return context_; }
  Index mini_batch() const { return mini_batch_; }
  /// The usual length of a sequence: three mini-batches and a part of one.
  Index tokens() const { return 3 * mini_batch_ + 2; }
  Store gradient_store() const { return Store(model_.make_parameters()); }

  Ids random_ids(Index count, std::uint64_t seed) const {
    const RandomStream random(seed, "ids");
    const auto vocabulary = static_cast<std::uint64_t>(model_.vocabulary());
    Ids ids;
    for (Index i = 0; i < count; ++i)
      ids.push_back(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(i), vocabulary)));
    return ids;
  }
  /// Random ones, every fifth ignored.
  Ids some_targets(Index count) const {
    Ids targets = random_ids(count, 30);
    for (std::size_t t = 2; t < targets.size(); t += 5) targets[t] = -100;
    return targets;
  }
  static Ids slice(const Ids& ids, Index first, Index count) {
    return {ids.begin() + first, ids.begin() + first + count};
  }
  static Segments segments(const std::vector<Index>& lengths, std::vector<State>& states) {
    Segments together;
    for (std::size_t i = 0; i < lengths.size(); ++i) together.push_back({lengths[i], &states[i]});
    return together;
  }

  State fresh() const { return model_.initial_state(parameters(), 2 * tokens() + 2 * mini_batch_); }
  /// The state of a sequence that has read `count` tokens.
  State after(Index count, std::uint64_t seed) { return in_pieces(random_ids(count, seed), {count}).state; }

  Matrix forward(const Segments& segments, const Ids& ids, LogitRows which, Record* record = nullptr) {
    const auto rows = static_cast<Index>(which == LogitRows::all ? ids.size() : segments.size());
    Matrix logits(rows, model_.vocabulary(), unwritten<Scalar>);
    model_.forward(parameters(), ids, segments, which, logits.view(), context_, record);
    return logits;
  }
  /// Reads the ids and returns their logits.
  Matrix read(const Ids& ids, State& state) {
    return forward({{static_cast<Index>(ids.size()), &state}}, ids, LogitRows::all);
  }
  Stream in_pieces(const Ids& ids, const std::vector<Index>& lengths) {
    Stream stream{Matrix(static_cast<Index>(ids.size()), model_.vocabulary()), fresh()};
    Index first = 0;
    for (const Index length : lengths) {
      copy(read(slice(ids, first, length), stream.state).view(), stream.logits.rows(first, length));
      first += length;
    }
    return stream;
  }
  Stream whole(const Ids& ids) { return in_pieces(ids, {static_cast<Index>(ids.size())}); }

  /// Gradients of a loss over one stream, the pieces being chained backwards through the gradients of their States.
  Parts chained_gradients(const Ids& ids, const std::vector<Index>& lengths);

  /// Logits, states, losses and gradients of a batch, for comparing bits.
  Parts everything(Context& context) const;

 private:
  Model model_;
  Index mini_batch_;
  Store store_;
  Context context_;
};

template <TrainableLanguageModel Model>
typename LanguageModelRuns<Model>::Parts LanguageModelRuns<Model>::chained_gradients(
    const Ids& ids, const std::vector<Index>& lengths) {
  const Ids targets = some_targets(tokens());
  std::vector<State> states{fresh()};
  std::vector<Index> starts{0};
  for (const Index length : lengths) {
    states.push_back(states.back());
    read(slice(ids, starts.back(), length), states.back());
    starts.push_back(starts.back() + length);
  }
  Store gradients = gradient_store();
  State d_state = fresh();
  d_state.wipe();
  State* const wanted = &d_state;
  for (std::size_t p = lengths.size(); p-- > 0;) {
    Record record;
    // The first piece resets, so that what the initial state was learned in gets its gradient.
    const Segment<State> segment{lengths[p], &states[p], p == 0};
    model_.loss_and_backward(parameters(), slice(ids, starts[p], lengths[p]), slice(targets, starts[p], lengths[p]),
                             {&segment, 1}, 0.25, gradients.views(), {&wanted, 1}, record, context_);
  }
  return testing::parts_of_parameters(gradients.views());
}

template <TrainableLanguageModel Model>
typename LanguageModelRuns<Model>::Parts LanguageModelRuns<Model>::everything(Context& context) const {
  const std::vector<Index> lengths{tokens(), 1, 2 * mini_batch_ + 1, 5};
  std::vector<State> states(lengths.size(), fresh()), d_states = states;
  Segments batch = segments(lengths, states);
  std::vector<State*> wanted;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    batch[i].reset = i % 2 == 0;
    randomize(d_states[i], 32 + i);
    wanted.push_back(&d_states[i]);
  }
  const Index rows = total_rows(std::span<const Segment<State>>(batch));
  const Ids ids = random_ids(rows, 31), targets = some_targets(rows);
  Matrix logits(rows, model_.vocabulary());
  Store gradients = gradient_store();
  Record record;
  model_.forward(parameters(), ids, batch, LogitRows::all, logits.view(), context);
  const Loss loss =
      model_.loss_and_backward(parameters(), ids, targets, batch, 0.5, gradients.views(), wanted, record, context);
  Parts parts{{"loss", {static_cast<Scalar>(loss.sum)}}};
  const auto append = [&](const Parts& more) { parts.insert(parts.end(), more.begin(), more.end()); };
  append(testing::parts_of<Scalar>(logits.view(), "logits"));
  append(testing::parts_of_parameters(gradients.views()));
  for (const auto& state : states) append(testing::parts_of_state(state));
  for (const auto& d_state : d_states) append(testing::parts_of_state(d_state));
  return parts;
}

}  // namespace ttt::suites
