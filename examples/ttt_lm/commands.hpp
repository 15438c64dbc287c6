// SPDX-License-Identifier: MIT
/// @file
/// The commands. Each returns the exit code, and throws ttt::Error with one line about what is wrong.
#pragma once

#include <set>
#include <string>

#include "options.hpp"

namespace ttt_lm {

int train(TrainOptions options, CommonOptions common, const std::set<std::string>& given);
int train_tokenizer(const TrainTokenizerOptions& options, const CommonOptions& common);
int evaluate(const EvaluateOptions& options, const CommonOptions& common);
int generate(const GenerateOptions& options, const CommonOptions& common, const std::set<std::string>& given);
int logits(const LogitsOptions& options, const CommonOptions& common);
int info(const InfoOptions& options, const CommonOptions& common);
int verify(const VerifyOptions& options, const CommonOptions& common);
int convert(const ConvertOptions& options, const CommonOptions& common);
int compare(const CompareOptions& options, const CommonOptions& common, const std::set<std::string>& given);

}  // namespace ttt_lm
