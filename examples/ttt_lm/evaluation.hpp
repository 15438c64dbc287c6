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

/// Mean losses at the positions of the context.
std::vector<double> losses_by_position(const ttt::training::Evaluation& evaluation);

/// A range of positions in the context, counted from 1, and what was lost there.
struct Band {
  Index first = 0, last = 0;
  ttt::Loss loss;
};

/// Positions in bands that double: 1, 2, 3–4, 5–8, …
std::vector<Band> position_bands(const ttt::training::Evaluation& evaluation);

}  // namespace ttt_lm
