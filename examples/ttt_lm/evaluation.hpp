// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model.hpp"
#include "terminal.hpp"
#include "ttt/training/evaluation.hpp"

namespace ttt_lm {

/// ttt::training::evaluate with progress. Throws ttt::Cancelled after Ctrl-C.
ttt::training::Evaluation evaluate_windows(const Model& model, const Parameters& parameters,
                                           const ttt::training::Corpus& corpus,
                                           std::span<const ttt::training::Window> windows, Index batch,
                                           ttt::Context& context, Terminal& terminal, const std::string& label);

/// A range of positions in the context, counted from 1, and its mean loss.
struct Band {
  Index first = 0, last = 0;
  double loss = 0;
};

/// Positions in bands that double: 1, 2, 3–4, 5–8, …
std::vector<Band> position_bands(std::span<const double> by_position);

}  // namespace ttt_lm
