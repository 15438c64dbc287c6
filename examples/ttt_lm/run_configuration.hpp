// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "training_run.hpp"

namespace ttt_lm {

/// The checkpoint of a run in its folder.
inline constexpr const char* checkpoint_name = "train.checkpoint";

/// What a checkpoint keeps of the command line, so that `--resume --out DIR` is enough to go on: every option that says
/// something of the run, by its name, and how far the run is.
std::string configuration_text(TrainOptions options, CommonOptions common, const RunRecord& record);

/// A checkpoint's own description of its run.
struct StoredConfiguration {
  std::string text, data_fingerprint;
  RunRecord record;
};

/// Sets the options to those of the checkpoint, which were those of the command line that began the run. Of options
/// that were given on this one too,
/// - --threads and --save-every, which change no result, and --data and --tokenizer, whose files may have moved, hold;
/// - --steps, or --minutes, may be larger than before: the run goes on at the final learning rate of the schedule it
///   began with, which stays as it was planned;
/// - all others must say what they said before.
/// Throws ttt::Error, naming the option, what the run began with and what was found.
StoredConfiguration restore_configuration(const std::filesystem::path& checkpoint, const std::set<std::string>& given,
                                          TrainOptions& options, CommonOptions& common);

}  // namespace ttt_lm
