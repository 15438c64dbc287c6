// SPDX-License-Identifier: MIT
#include "evaluation.hpp"

#include <chrono>
#include <limits>
#include <numeric>

#include "interrupt.hpp"

namespace ttt_lm {

namespace {

/// Makes a context stop at Ctrl-C for as long as it lives.
class Stoppable {
 public:
  explicit Stoppable(ttt::Context& context) : context_(context) { context.cancellation = &interrupt_flag(); }
  Stoppable(const Stoppable&) = delete;
  Stoppable& operator=(const Stoppable&) = delete;
  ~Stoppable() { context_.cancellation = nullptr; }

 private:
  ttt::Context& context_;
};

}  // namespace

ttt::training::Evaluation evaluate_windows(const Model& model, const Parameters& parameters,
                                           const ttt::training::Corpus& corpus,
                                           std::span<const ttt::training::Window> windows, Index batch,
                                           ttt::Context& context, Terminal& terminal, const std::string& label) {
  using Clock = std::chrono::steady_clock;
  // The sums are made in groups of this size whatever the batch is, so that the batch changes no bit.
  constexpr std::size_t group = 64;
  const Stoppable stoppable(context);
  const auto start = Clock::now();
  ttt::training::Evaluation sum{{}, 0, std::vector<double>(static_cast<std::size_t>(corpus.context()))};
  for (std::size_t first = 0; first < windows.size(); first += group) {
    const auto part = windows.subspan(first, std::min(group, windows.size() - first));
    const auto result = ttt::training::evaluate(model, parameters.views(), corpus, part, batch, context);
    sum.loss += result.loss;
    sum.bytes += result.bytes;
    for (std::size_t t = 0; t < sum.by_position.size(); ++t)
      sum.by_position[t] += result.by_position[t] * static_cast<double>(part.size());
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    const auto done = static_cast<double>(first + part.size()), all = static_cast<double>(windows.size());
    if (windows.size() > group)
      terminal.progress({label, std::to_string(first + part.size()) + "/" + std::to_string(windows.size()) + " windows",
                         done / all, std::numeric_limits<double>::quiet_NaN(),
                         done * static_cast<double>(corpus.context()) / seconds, seconds * (all - done) / done});
  }
  terminal.clear();
  for (double& loss : sum.by_position) loss /= static_cast<double>(windows.size());
  return sum;
}

std::vector<Band> position_bands(std::span<const double> by_position) {
  std::vector<Band> bands;
  const auto count = static_cast<Index>(by_position.size());
  for (Index first = 1, last = 1; first <= count; first = last + 1, last *= 2) {
    const Index end = std::min(last, count);
    const auto part = by_position.subspan(static_cast<std::size_t>(first - 1), static_cast<std::size_t>(end - first + 1));
    bands.push_back({first, end, std::accumulate(part.begin(), part.end(), 0.0) / static_cast<double>(part.size())});
  }
  return bands;
}

}  // namespace ttt_lm
