// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "options.hpp"
#include "terminal.hpp"
#include "ttt/training/data.hpp"

namespace ttt_lm {

/// The paths to read: those given, absolute, or the headers of Eigen and xsimd.
std::vector<std::string> data_paths(const std::vector<std::string>& given);

/// Loads them for training on windows of `context` tokens, bytes unless an encoding is given, and says what was found
/// and what was left out. Throws ttt::Error, naming the file, for what cannot be used, and when there is nothing for
/// validation.
ttt::training::Corpus load_corpus(const std::vector<std::string>& paths, ttt::Index context, Terminal& terminal,
                                  ttt::training::TextEncoding encoding = {});

/// Loads what is to be evaluated, and says what that is: the texts given, whole unless only their last tenths are
/// wanted, or the last tenths of those that the run in the model folder began with. Throws ttt::Error, naming the file,
/// for one that is too short to predict anything, and when neither is there.
ttt::training::Corpus load_evaluation_corpus(const EvaluateOptions& options, Terminal& terminal,
                                             ttt::training::TextEncoding encoding);

/// At most `count` validation windows (0: all), spread evenly.
std::vector<ttt::training::Window> validation_windows(const ttt::training::Corpus& corpus, ttt::Index count);

}  // namespace ttt_lm
