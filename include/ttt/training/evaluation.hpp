// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "ttt/models/language_model.hpp"
#include "ttt/training/data.hpp"

TTT_NAMESPACE_BEGIN

namespace training {

/// Cross-entropy over windows of text, each read from an initial state.
struct Evaluation {
  Loss loss;
  Index bytes = 0;                ///< of the text that was predicted, as it was before it became tokens
  std::vector<Loss> by_position;  ///< of the t-th predictions of the windows that have one: how much context helps

  double nats() const { return loss.mean(); }
  /// −Σ log₂ p of the predicted tokens over the bytes of text that they stand for.
  double bits_per_byte() const { return loss.sum / static_cast<double>(bytes) / std::log(2.0); }

  Evaluation& operator+=(const Evaluation& other) {
    loss += other.loss;
    bytes += other.bytes;
    by_position.resize(std::max(by_position.size(), other.by_position.size()));
    for (std::size_t t = 0; t < other.by_position.size(); ++t) by_position[t] += other.by_position[t];
    return *this;
  }
};

namespace detail {

/// Adds what windows of consecutive rows lost.
inline void add_losses(Evaluation& result, std::span<const Window> windows, const double* losses) {
  for (const Window& window : windows)
    for (std::size_t t = 0; t < static_cast<std::size_t>(window.length); ++t) {
      const Loss loss{*losses++, 1};
      result.loss += loss;
      result.by_position[t] += loss;
    }
}

}  // namespace detail

/// Evaluates `windows` of the corpus, `batch` of them at a time, which changes speed and memory but no bit of the
/// result. Throws Error when there are none, and Cancelled between batches.
template <TrainableLanguageModel Model>
Evaluation evaluate(const Model& model, const typename Model::Parameters& parameters, const Corpus& corpus,
                    std::span<const Window> windows, Index batch, Context& context) {
  using State = typename Model::State;
  if (windows.empty())
    throw_unexpected("evaluation", "text with at least two tokens, one to read and one to predict",
                     "no window in " + std::to_string(corpus.validation_bytes()) + " bytes for validation");
  const auto shorter = [](const Window& a, const Window& b) { return a.length < b.length; };
  const Index longest = std::max_element(windows.begin(), windows.end(), shorter)->length;
  const auto rows = static_cast<std::size_t>(std::clamp(batch, Index{1}, static_cast<Index>(windows.size())));
  std::vector<State> states(rows, model.initial_state(parameters, longest));
  Evaluation result{{}, 0, std::vector<Loss>(static_cast<std::size_t>(longest))};
  for (const Window& window : windows) result.bytes += corpus.target_bytes(window);
  std::vector<std::int64_t> ids, targets;
  std::vector<double> losses;
  for (; !windows.empty(); windows = windows.subspan(std::min(rows, windows.size()))) {
    if (context.cancellation && *context.cancellation) throw Cancelled();
    const auto part = windows.first(std::min(rows, windows.size()));
    std::vector<Segment<State>> segments;
    ids.clear(), targets.clear();
    for (std::size_t row = 0; row < part.size(); ++row) {
      const std::size_t start = ids.size(), length = static_cast<std::size_t>(part[row].length);
      ids.resize(start + length), targets.resize(start + length);
      corpus.read(part[row], std::span(ids).subspan(start), std::span(targets).subspan(start));
      segments.push_back({part[row].length, &states[row], true});
    }
    losses.resize(ids.size());
    model.loss(parameters, std::span<const std::int64_t>(ids), std::span<const std::int64_t>(targets),
               std::span<const Segment<State>>(segments),
               VectorView<double>(losses.data(), static_cast<Index>(losses.size())), context);
    detail::add_losses(result, part, losses.data());
  }
  return result;
}

/// The same on every validation window.
template <TrainableLanguageModel Model>
Evaluation evaluate(const Model& model, const typename Model::Parameters& parameters, const Corpus& corpus, Index batch,
                    Context& context) {
  const std::vector<Window> windows = corpus.validation_windows();
  return evaluate(model, parameters, corpus, std::span<const Window>(windows), batch, context);
}

}  // namespace training

TTT_NAMESPACE_END
