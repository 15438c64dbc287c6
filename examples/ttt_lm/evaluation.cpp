// SPDX-License-Identifier: MIT
#include "evaluation.hpp"

#include <algorithm>
#include <chrono>
#include <limits>

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
  ttt::training::Evaluation sum;
  for (std::size_t first = 0; first < windows.size(); first += group) {
    const auto part = windows.subspan(first, std::min(group, windows.size() - first));
    sum += ttt::training::evaluate(model, parameters.views(), corpus, part, batch, context);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    const auto done = static_cast<double>(first + part.size()), all = static_cast<double>(windows.size());
    if (windows.size() > group)
      terminal.progress({label, std::to_string(first + part.size()) + "/" + std::to_string(windows.size()) + " windows",
                         done / all, std::numeric_limits<double>::quiet_NaN(),
                         static_cast<double>(sum.loss.rows) / seconds, seconds * (all - done) / done});
  }
  terminal.clear();
  return sum;
}

std::vector<double> losses_by_position(const ttt::training::Evaluation& evaluation) {
  std::vector<double> losses;
  for (const ttt::Loss& loss : evaluation.by_position) losses.push_back(loss.mean());
  return losses;
}

std::vector<Band> position_bands(const ttt::training::Evaluation& evaluation) {
  std::vector<Band> bands;
  const auto count = static_cast<Index>(evaluation.by_position.size());
  for (Index first = 1, last = 1; first <= count; first = last + 1, last *= 2) {
    bands.push_back({first, std::min(last, count), {}});
    for (Index t = first; t <= bands.back().last; ++t)
      bands.back().loss += evaluation.by_position[static_cast<std::size_t>(t - 1)];
  }
  return bands;
}

}  // namespace ttt_lm
