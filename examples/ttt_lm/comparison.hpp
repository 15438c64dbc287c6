// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <string>
#include <vector>

#include "training_run.hpp"

namespace ttt_lm {

/// Tokens of context at which states and decoding are measured.
inline constexpr std::array<Index, 3> decode_positions{1024, 4096, 16384};

/// One trained model of a comparison.
struct ComparedRun {
  std::string label;  ///< "ttt-linear, mamba"
  ttt::ModelConfig config;
  std::int64_t parameters = 0;
  double tokens_per_second = 0;  ///< of training
  std::vector<CurvePoint> curve;
  ttt::training::Evaluation evaluation;
  std::array<double, 3> state_bytes{}, decode_microseconds{};

  /// "ttt-linear-mamba": the name of its folder.
  std::string name() const;
};

/// A model to train.
struct Competitor {
  std::string label;
  ttt::ModelConfig config;
};

/// What is compared: each layer with the backbone asked for, and with both if it has no convolution of its own, then
/// the pattern, if there is one.
std::vector<Competitor> competitors(const CompareOptions& options);

/// Gives all SwiGLU widths such that they have the parameters of the first within 1 %. Throws ttt::Error when no width
/// does that.
void match_parameters(std::vector<Competitor>& competitors);

std::string comparison_table(const std::vector<ComparedRun>& runs);

/// Writes compare.json, loss.csv, position.csv and compare.svg into the folder.
void write_comparison(const std::filesystem::path& folder, const std::vector<ComparedRun>& runs, bool by_time,
                      const std::string& caption);

}  // namespace ttt_lm
