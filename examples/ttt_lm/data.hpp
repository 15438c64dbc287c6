// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "terminal.hpp"
#include "ttt/training/data.hpp"

namespace ttt_lm {

/// The paths to read: those given, absolute, or the headers of Eigen and xsimd.
std::vector<std::string> data_paths(const std::vector<std::string>& given);

/// Loads them for windows of `context` tokens, bytes unless an encoding is given, and says what was found. Throws ttt::Error, naming the file, for what cannot
/// be used, and when there is no validation window.
ttt::training::Corpus load_corpus(const std::vector<std::string>& paths, ttt::Index context, Terminal& terminal,
                                  ttt::training::TextEncoding encoding = {});

/// At most `count` validation windows (0: all), spread evenly.
std::vector<ttt::training::Window> validation_windows(const ttt::training::Corpus& corpus, ttt::Index count);

}  // namespace ttt_lm
