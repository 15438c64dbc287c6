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
  Index bytes = 0;  ///< of text that was predicted
  std::vector<double> by_position;  ///< mean loss of the t-th prediction of a window [T]: how much context helps

  double nats() const { return loss.mean(); }
  double bits_per_byte() const { return loss.sum / static_cast<double>(bytes) / std::log(2.0); }
};

/// Evaluates `windows` of the corpus, `batch` of them at a time, which changes speed and memory but no bit of the
/// result. Throws Error when there are none, and Cancelled between batches.
template <TrainableLanguageModel Model>
Evaluation evaluate(const Model& model, const typename Model::Parameters& parameters, const Corpus& corpus,
                    std::span<const Window> windows, Index batch, Context& context) {
  using State = typename Model::State;
  const Index count = static_cast<Index>(windows.size()), length = corpus.context();
  if (count == 0)
    throw_unexpected("evaluation", "at least one validation window of " + std::to_string(length) + " tokens",
                     "none in " + std::to_string(corpus.validation_bytes()) + " bytes for validation");
  batch = std::clamp(batch, Index{1}, count);
  const auto rows = static_cast<std::size_t>(batch * length);
  std::vector<std::int64_t> ids(rows), targets(rows);
  std::vector<double> losses(rows);
  std::vector<State> states(static_cast<std::size_t>(batch), model.initial_state(parameters, length));
  Evaluation result{{}, 0, std::vector<double>(static_cast<std::size_t>(length))};
  for (const Window& window : windows) result.bytes += corpus.target_bytes(window);
  for (Index first = 0; first < count; first += batch) {
    if (context.cancellation && *context.cancellation) throw Cancelled();
    const Index used = std::min(batch, count - first);
    const auto used_rows = static_cast<std::size_t>(used * length);
    std::vector<Segment<State>> segments;
    for (Index row = 0; row < used; ++row) {
      const auto start = static_cast<std::size_t>(row * length), size = static_cast<std::size_t>(length);
      corpus.read(windows[static_cast<std::size_t>(first + row)], std::span(ids).subspan(start, size),
                  std::span(targets).subspan(start, size));
      segments.push_back({length, &states[static_cast<std::size_t>(row)], true});
    }
    model.loss(parameters, std::span<const std::int64_t>(ids).first(used_rows),
               std::span<const std::int64_t>(targets).first(used_rows), std::span<const Segment<State>>(segments),
               VectorView<double>(losses.data(), used * length), context);
    for (std::size_t row = 0; row < used_rows; ++row) {
      result.loss.sum += losses[row];
      result.by_position[row % static_cast<std::size_t>(length)] += losses[row];
    }
  }
  result.loss.rows = count * length;
  for (double& loss : result.by_position) loss /= static_cast<double>(count);
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
