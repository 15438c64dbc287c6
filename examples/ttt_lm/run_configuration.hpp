// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "options.hpp"

namespace ttt_lm {

/// The checkpoint of a run in its folder.
inline constexpr const char* checkpoint_name = "train.checkpoint";

/// What a checkpoint keeps of the command line, so that `--resume --out DIR` is enough to go on: everything the run
/// depends on, by the names of the options, and the seconds spent.
std::string configuration_text(TrainOptions options, CommonOptions common, double seconds);

/// A checkpoint's own description of its run.
struct StoredConfiguration {
  std::string text;
  double seconds = 0;
};

/// Sets options and seed to those of the checkpoint. Throws ttt::Error, naming the option, when one was given on the
/// command line with another value.
StoredConfiguration restore_configuration(const std::filesystem::path& checkpoint, const std::set<std::string>& given,
                                          TrainOptions& options, CommonOptions& common);

}  // namespace ttt_lm
