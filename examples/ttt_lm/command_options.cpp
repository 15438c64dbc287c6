// SPDX-License-Identifier: MIT
#include "command_options.hpp"

#include "layer_options.hpp"
#include "option_kinds.hpp"
#include "ttt/core/executor.hpp"
#include "version.hpp"

namespace ttt_lm {

namespace {

OptionKind layer_kind(const char* name) { return {name, layer_problem}; }

void add_version(CLI::App& command) {
  command.set_version_flag("--version", version_text, "Compiler, instruction set and dependencies");
}

CLI::App& add_command(CLI::App& app, Invocation& call, const char* name, const char* text, const char* examples) {
  CLI::App& command = *app.add_subcommand(name, text)->footer(examples);
  auto& common = call.common;
  auto& defaults = *command.option_defaults();
  const std::string own_group = defaults.get_group();
  defaults.group("Common");
  add(command, "--seed", common.seed, whole_number(0), "Of weights, order of the data, and sampling");
  add(command, "--threads", common.threads,
      whole_number(1, ttt::ThreadPool::most_workers, "N", ", as many as a thread pool has workers"),
      "Results do not depend on it", "all of the machine");
  command.add_flag("--quiet", common.quiet, "Nothing on stderr but errors");
  command.add_flag("--json", common.json, "Results on stdout as JSON");
  add_version(command);
  defaults.group(own_group);
  return command;
}

CLI::Option* add_data(CLI::App& command, std::vector<std::string>& data,
                      const char* text = "Text files and folders; without: the headers of Eigen and xsimd") {
  return add(command, "--data", data, some_text("PATH"), text);
}

void add_context(CLI::App& command, std::int64_t& context, const char* text) {
  add(command, "--context", context, whole_number(1, largest_context), text);
}

void add_model_folder(CLI::App& command, std::string& model) {
  add(command, "DIR,--model", model, any_text("DIR"), "Model folder: config.json and model.safetensors")->required();
}

void add_weight_type(CLI::App& command, std::string& type) {
  add(command, "--dtype", type, one_of({"float32", "bfloat16"}, "TYPE"),
      "Weights in float32, or in bfloat16: half the memory, faster when they exceed the cache");
}

void add_pieces(CLI::App& command, std::vector<std::int64_t>& pieces) {
  add(command, "--pieces", pieces, whole_number(1, largest_count, "LENGTHS"),
      "Feed the tokens in pieces of these lengths, over and over; the last piece is what remains")
      ->delimiter(',');
}

template <typename Options>
void add_output(CLI::App& command, Options& options, const OptionKind& kind, const char* text, const char* force_text) {
  add(command, "--out", options.out, kind, text)->required();
  command.add_flag("--force", options.force, force_text);
}

void add_run_folder(CLI::App& command, TrainingOptions& options, const char* text) {
  add_output(command, options, any_text("DIR"), text, "Overwrite what a run before left there");
}

void add_model_options(CLI::App& command, TrainingOptions& options) {
  command.option_defaults()->group("Model");
  const OptionKind number = whole_number(1, largest_size);
  add(command, "--backbone", options.backbone, one_of({"transformer", "mamba"}),
      "transformer, or mamba (a temporal convolution in front)", "that of the published blocks of the layer");
  add(command, "--pattern", options.pattern, layer_kind("LAYERS"),
      "A hybrid: layers of consecutive blocks, separated by commas, over and over")
      ->delimiter(',');
  auto* size = add(command, "--size", options.size, one_of({"125m", "350m", "760m", "1b"}),
                   "Width, depth, heads and hidden width of a published model");
  add(command, "--width", options.width, number, "Channels")->excludes(size);
  add(command, "--depth", options.depth, number, "Blocks")->excludes(size);
  add(command, "--heads", options.heads, number, "Heads of a layer")->excludes(size);
  add(command, "--kv-heads", options.key_value_heads, number, "Key/value heads of attention", "as many as heads");
  add(command, "--mini-batch", options.mini_batch, number, "Tokens per inner update of TTT", "16");
  add(command, "--window", options.window, number, "Tokens that attention with a window sees", "128");
  add(command, "--hidden", options.hidden, whole_number(0, largest_size), "Width inside the SwiGLU (0: there is none)",
      "8/3 of the width")
      ->excludes(size);
  add(command, "--inner-rate", options.inner_rate, positive_number("RATE"), "Base learning rate of the inner loop",
      "the published one");
  command.add_flag("--untied", options.untied, "A head of its own instead of the embedding again");
}

/// Also begins the group that they are in: options that are added next belong to it.
void add_run_options(CLI::App& command, TrainingOptions& options) {
  command.option_defaults()->group("Training");
  const OptionKind count = whole_number(1), rate = positive_number("RATE");
  auto* steps = add(command, "--steps", options.steps, count, "Updates", "1000");
  add(command, "--minutes", options.minutes, positive_number("M"),
      "Minutes of training instead, evaluation not counted", "")
      ->excludes(steps);
  add_context(command, options.context, "Tokens of a training window");
  add(command, "--batch", options.batch, count, "Windows per call");
  add(command, "--accumulate", options.accumulate, count, "Calls per update");
  add(command, "--carry-state", options.carry_state, count,
      "Consecutive windows that share a state: truncated backpropagation (1: windows at random places)");
  add(command, "--products", options.products, one_of({"float", "bfloat16"}, "TYPE"),
      "Large products in float, or of factors rounded to bfloat16: faster with AVX512-BF16");
  add(command, "--lr", options.learning_rate, rate, "Highest learning rate");
  add(command, "--final-lr", options.final_rate, share(), "Learning rate at the end, as a share of the highest");
  add(command, "--warmup", options.warmup, number_from_zero("N"),
      "Updates of rising learning rate; below 1 a share of the run", "100, at most a quarter");
  add(command, "--weight-decay", options.weight_decay, number_from_zero("RATE"), "Of projections, MLP and embedding");
  add(command, "--clip", options.clip, number_from_zero("NORM"), "Largest norm of the gradients (0: any)");
  add(command, "--eval-every", options.eval_every, count, "Updates between validations", "24 in all, denser early");
  add(command, "--eval-windows", options.eval_windows, count, "Windows of a validation on the way");
  add(command, "--final-windows", options.final_windows, count, "Windows of the last validation", "all");
}

void add_train(CLI::App& app, Invocation& call) {
  auto& options = call.train;
  auto& command = add_command(app, call, "train", "Trains a model on text and writes a model folder", R"(
  ttt-lm train --minutes 5 --out runs/linear                    the default layer on the default data
  ttt-lm train --data book.txt --layer ttt-mlp --steps 2000 --out runs/mlp
  ttt-lm train --resume --out runs/mlp                          goes on where Ctrl-C or a crash stopped it
  ttt-lm train --layer attention --kv-heads 2 --freeze '*embed_tokens*' --out runs/attention
  ttt-lm train --pattern sliding-window,ttt-linear,ttt-linear,attention --out runs/hybrid
)");
  add_data(command, options.data);
  auto* layer = add(command, "--layer", options.layer, layer_kind("LAYER"),
                    "One of those below, perhaps with options: attention:key_value_heads=2");
  add(command, "--tokenizer", options.tokenizer, some_text("FILE"),
      "tokenizer.json whose tokens are learnt; goes into the folder", "bytes");
  add_run_folder(command, options, "Folder for the model, its checkpoint and train.jsonl");
  command
      .add_flag("--resume", options.resume,
                "Go on with the run in --out, bit for bit, with the options it began with. "
                "--steps or --minutes may be more than before: at the final learning rate; "
                "--data and --tokenizer may have moved; --threads and --save-every may differ")
      ->excludes("--force");
  add_model_options(command, options);
  layer->excludes("--pattern");
  add_run_options(command, options);
  add(command, "--freeze", options.freeze, any_text("PATTERN"),
      "Parameters that stay as they are (* matches anything)");
  add(command, "--lr-factor", options.rate_factors, any_text("PATTERN=FACTOR"),
      "Learning rate of some parameters, as a multiple");
  add(command, "--save-every", options.save_every, whole_number(1), "Updates between checkpoints", "one a minute");
}

void add_train_tokenizer(CLI::App& app, Invocation& call) {
  auto& options = call.train_tokenizer;
  auto& command = add_command(app, call, "train-tokenizer", "Makes a byte-level BPE vocabulary from text", R"(
  ttt-lm train-tokenizer --data book.txt --vocabulary 4096 --out tokenizer.json
  ttt-lm train --data book.txt --tokenizer tokenizer.json --out runs/tokens       a model of its tokens
)");
  add_data(command, options.data);
  add(command, "--vocabulary", options.vocabulary, whole_number(256, largest_size),
      "Tokens, 256 of which are the bytes");
  add_output(command, options, some_text("FILE"), "Gets the vocabulary, in the format tokenizer.json",
             "Overwrite the output file");
}

void add_evaluate(CLI::App& app, Invocation& call) {
  auto& options = call.evaluate;
  auto& command = add_command(app, call, "evaluate", "Loss on a text, and by position in the context", R"(
  ttt-lm evaluate --model runs/linear --context 1024            what training kept for validation
  ttt-lm evaluate --model runs/linear --data book.txt           another text, all of it
  ttt-lm evaluate --model runs/linear --context 4096 --csv > by_position.csv
)");
  add_model_folder(command, options.model);
  add_weight_type(command, options.dtype);
  auto* data =
      add_data(command, options.data,
               "Text files and folders, scored whole; without: the last tenth of each text of the model's run");
  command.add_flag("--last-tenth", options.last_tenth, "Of --data only what training keeps for validation")
      ->needs(data);
  add_context(command, options.context, "Tokens of a window; may be longer than in training");
  add(command, "--batch", options.batch, whole_number(1), "Windows per call; changes speed and memory only");
  add(command, "--windows", options.windows, whole_number(1), "Windows, spread evenly", "all");
  command.add_flag("--csv", options.csv, "The loss at every position on stdout, as CSV")->excludes("--json");
}

void add_generate(CLI::App& app, Invocation& call) {
  auto& options = call.generate;
  auto& command = add_command(app, call, "generate", "Continues a text, token by token", R"(
  ttt-lm generate --model runs/linear --prompt "template <class "
  ttt-lm generate --model runs/linear --prompt-file start.txt --tokens 1000 --temperature 0.7 --top-p 0.9
  head -c 500 book.txt | ttt-lm generate --model runs/linear                  a pipe is continued
  ttt-lm generate --model runs/linear --prompt-ids 5,17,3 --temperature 0     token ids in, token ids out
)");
  add_model_folder(command, options.model);
  add_weight_type(command, options.dtype);
  auto* prompt = add(command, "--prompt", options.prompt, any_text("TEXT"),
                     "Text to continue; without any prompt, or as -, what is piped into the program");
  auto* file = add(command, "--prompt-file", options.prompt_file, some_text("FILE"), "File with the text to continue");
  auto* ids = add(command, "--prompt-ids", options.prompt_ids, some_text("IDS"), "Token ids to continue; prints ids");
  file->excludes(prompt);
  ids->delimiter(',')->excludes(prompt)->excludes(file);
  add(command, "--tokens", options.tokens, whole_number(1),
      "Tokens to write, fewer when the end of the text comes before");
  add(command, "--temperature", options.temperature, number_from_zero("T"), "0: always the most likely token");
  add(command, "--top-p", options.top_p, positive_share("P"),
      "Draw among the most likely tokens of this total probability");
  add(command, "--top-k", options.top_k, whole_number(0), "Draw among so many of the most likely tokens", "all");
}

void add_logits(CLI::App& app, Invocation& call) {
  auto& options = call.logits;
  auto& command =
      add_command(app, call, "logits", "Logits of given token ids, to check that a model was read right", R"(
  ttt-lm logits --model runs/linear --ids ids.safetensors --out logits.safetensors
  ttt-lm logits --model runs/linear --ids ids.safetensors --out logits.safetensors --pieces 7,1,1,16
)");
  add_model_folder(command, options.model);
  add_weight_type(command, options.dtype);
  const OptionKind file = any_text("FILE.safetensors");
  add(command, "--ids", options.ids, file, "Tensor input_ids [B x T], int64")->required();
  add(command, "--out", options.out, file, "Gets the tensor logits [B x T x V], float32")->required();
  add_pieces(command, options.pieces);
  command.add_flag("--force", options.force, "Overwrite the output file");
}

void add_info(CLI::App& app, Invocation& call) {
  auto& options = call.info;
  auto& command = add_command(app, call, "info", "What a model is and what it costs", R"(
  ttt-lm info runs/linear
  ttt-lm info runs/linear --context 16384 --dtype bfloat16 --json
)");
  add_model_folder(command, options.model);
  add_weight_type(command, options.dtype);
  add_context(command, options.context, "Tokens of context at which growing states are measured");
}

void add_verify(CLI::App& app, Invocation& call) {
  auto& options = call.verify;
  auto& command =
      add_command(app, call, "verify", "Whether a model folder is whole, and gives the logits it should", R"(
  ttt-lm verify models/ttt-1b                             every tensor: missing, too many, misshapen, NaN, tied
  python3 examples/python/export_golden.py models/ttt-1b golden.safetensors
  ttt-lm verify models/ttt-1b golden.safetensors          and the logits of the framework it comes from
)");
  add_model_folder(command, options.model);
  add(command, "GOLDEN,--golden", options.golden, any_text("FILE.safetensors"),
      "Tensors input_ids [B x T], int64, and logits (or logits_f64) [B x T x V], perhaps loss");
  add_weight_type(command, options.dtype);
  add(command, "--tolerance", options.tolerance, number_from_zero("SHARE"),
      "Largest difference, as a share of the largest logit");
  add_pieces(command, options.pieces);
  command.add_flag("--all", options.all, "List every tensor, not only those with a problem");
}

void add_convert(CLI::App& app, Invocation& call) {
  auto& options = call.convert;
  auto& command =
      add_command(app, call, "convert", "Writes a model as another kind of folder or with other numbers", R"(
  ttt-lm convert models/llama --dtype bf16 --out models/llama-bf16
  ttt-lm convert models/llama --to ttt-cpp --out models/llama-cpp
  ttt-lm convert models/llama --shard-size 5GB --out models/llama-parts
)");
  add_model_folder(command, options.model);
  add(command, "--to", options.family,
      one_of({"ttt", "llama", "mistral", "qwen2", "qwen3", "smollm3", "olmo2", "granite", "gemma3_text", "mamba",
              "mamba2", "qwen3_5_text", "bamba", "lfm2", "ttt-cpp"},
             "KIND"),
      "ttt, llama, mistral, qwen2, qwen3, smollm3, olmo2, granite, gemma3_text, mamba, mamba2, qwen3_5_text, bamba, "
      "lfm2 or ttt-cpp",
      "as it is");
  add(command, "--dtype", options.dtype, one_of({"f32", "bf16", "f16", "f64"}, "TYPE"),
      "Type of the stored numbers: f32, bf16, f16 or f64", "as they are");
  add(command, "--shard-size", options.shard_size, whole_number(1, largest_count, "SIZE"),
      "Writes files with at most so many bytes of tensors each, and an index: 5GB, 512MB", "one file")
      ->transform(CLI::AsSizeValue(true));
  add_output(command, options, any_text("DIR"), "Folder for the model and the other files of DIR",
             "Overwrite the model that is there");
}

void add_compare(CLI::App& app, Invocation& call) {
  auto& options = call.compare;
  auto& command =
      add_command(app, call, "compare", "Trains several layers alike, prints a table and draws their curves", R"(
  ttt-lm compare --layers ttt-linear,attention --minutes 1 --out runs/minute
  ttt-lm compare --data book.txt --layers ttt-linear,ttt-mlp,attention --steps 1000 --out runs/book
)");
  add_data(command, options.data);
  add(command, "--layers", options.layers, layer_kind("LAYERS"),
      "Layers, separated by commas; those without a convolution of their own are trained with both backbones")
      ->delimiter(',');
  add_run_folder(command, options, "Folder for models, compare.json, loss.csv, position.csv and compare.svg");
  add_model_options(command, options);
  add_run_options(command, options);
}

}  // namespace

void add_commands(CLI::App& app, Invocation& invocation) {
  add_version(app);
  app.require_subcommand(1);
  app.option_defaults()->always_capture_default();
  for (auto* add_one : {add_train, add_train_tokenizer, add_evaluate, add_generate, add_logits, add_info, add_verify,
                        add_convert, add_compare})
    add_one(app, invocation);
}

}  // namespace ttt_lm
