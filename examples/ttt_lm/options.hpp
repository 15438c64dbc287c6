// SPDX-License-Identifier: MIT
/// @file
/// What the command line says, as plain values: the commands do not see the parser.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace ttt_lm {

/// Options of every command.
struct CommonOptions {
  std::uint64_t seed = 0;
  std::int64_t threads = 0;  ///< 0: as many as the machine has
  bool quiet = false;
  bool json = false;
};

/// Options of training, shared by train and compare. Zero and empty mean "chosen by the program" where noted.
struct TrainingOptions {
  std::vector<std::string> data;     ///< empty: the default data
  std::string size;                  ///< name of a published size; empty: the numbers below
  std::string backbone;              ///< empty: that of the published blocks of the layer
  std::vector<std::string> pattern;  ///< layers of consecutive blocks, over and over
  std::int64_t width = 128, depth = 4;
  std::int64_t heads = 4, key_value_heads = 0, mini_batch = 0, window = 0;  ///< of layers; 0: what they have
  double inner_rate = 0;                                                    ///< the same
  std::int64_t hidden = -1;  ///< negative: 8/3 of the width, a multiple of 16
  bool untied = false;
  std::int64_t context = 256, batch = 16, accumulate = 1, carry_state = 1;
  std::int64_t steps = 0;  ///< with minutes 0 too: the default number
  double minutes = 0;
  std::int64_t planned_steps = 0;  ///< those of a run before it was made longer, for the learning rate; 0: all
  double planned_minutes = 0;
  double learning_rate = 3e-3, final_rate = 0.1, weight_decay = 0.1, clip = 1;
  std::string products = "float";  ///< or "bfloat16": of linear maps, while training
  double warmup = -1;              ///< steps, or a share of the run when below 1; negative: chosen
  std::int64_t eval_every = 0;     ///< steps; 0: about 24 times, often in the beginning
  std::int64_t eval_windows = 64, final_windows = 0;
  std::string out;
  bool force = false;
};

struct TrainOptions : TrainingOptions {
  std::string layer = "ttt-linear";
  std::string tokenizer;                  ///< empty: bytes
  std::vector<std::string> freeze;        ///< patterns of parameter names
  std::vector<std::string> rate_factors;  ///< PATTERN=FACTOR
  std::int64_t save_every = 0;            ///< steps; 0: every minute
  bool resume = false;
};

struct TrainTokenizerOptions {
  std::vector<std::string> data;
  std::int64_t vocabulary = 8192;
  std::string out;
  bool force = false;
};

struct CompareOptions : TrainingOptions {
  std::vector<std::string> layers{"ttt-linear", "ttt-mlp", "attention"};
};

struct EvaluateOptions {
  std::string model, dtype = "float32";
  std::vector<std::string> data;  ///< empty: that of the run in the model folder
  std::int64_t context = 256, batch = 16;
  std::int64_t windows = 0;  ///< 0: all
  bool last_tenth = false, csv = false;
};

struct GenerateOptions {
  std::string model, prompt, prompt_file, dtype = "float32";
  std::vector<std::int64_t> prompt_ids;
  std::int64_t tokens = 256;
  double temperature = 0.8, top_p = 0.95;
  std::int64_t top_k = 0;  ///< 0: all
};

struct LogitsOptions {
  std::string model, ids, out, dtype = "float32";
  std::vector<std::int64_t> pieces;
  bool force = false;
};

struct InfoOptions {
  std::string model, dtype = "float32";
  std::int64_t context = 1024;
};

struct VerifyOptions {
  std::string model, golden, dtype = "float32";
  std::vector<std::int64_t> pieces;
  double tolerance = 2e-5;  ///< of the largest logit
  bool all = false;
};

struct ConvertOptions {
  std::string model, family, dtype, out;  ///< empty family, dtype: as they are
  std::uint64_t shard_size = 0;           ///< bytes; 0: one file
  bool force = false;
};

/// One call of the program.
struct Invocation {
  std::string command;
  std::set<std::string> given;  ///< long names of the options that were given, "--width"
  CommonOptions common;
  TrainOptions train;
  TrainTokenizerOptions train_tokenizer;
  CompareOptions compare;
  EvaluateOptions evaluate;
  GenerateOptions generate;
  LogitsOptions logits;
  InfoOptions info;
  VerifyOptions verify;
  ConvertOptions convert;
};

}  // namespace ttt_lm
