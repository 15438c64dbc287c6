// SPDX-License-Identifier: MIT
#include "command_line.hpp"

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <memory>

#include "version.hpp"

namespace ttt_lm {

namespace {

const char* const program_examples = R"(Examples:
  ttt-lm compare --layers ttt-linear,attention --minutes 1 --out runs/first
  ttt-lm train --layer ttt-linear --minutes 5 --out runs/linear
  ttt-lm generate --model runs/linear --prompt "template <" --tokens 200
  ttt-lm evaluate --model runs/linear --context 1024
)";
const char* const train_examples = R"(Examples:
  ttt-lm train --minutes 5 --out runs/linear                    the default layer on the default data
  ttt-lm train --data book.txt --layer ttt-mlp --steps 2000 --out runs/mlp
  ttt-lm train --resume --out runs/mlp                          goes on where Ctrl-C or a crash stopped it
  ttt-lm train --layer attention --kv-heads 2 --freeze '*embed_tokens*' --out runs/attention
)";
const char* const train_tokenizer_examples = R"(Examples:
  ttt-lm train-tokenizer --data book.txt --vocabulary 4096 --out tokenizer.json
  ttt-lm train --data book.txt --tokenizer tokenizer.json --out runs/tokens       a model of its tokens
)";
const char* const compare_examples = R"(Examples:
  ttt-lm compare --layers ttt-linear,attention --minutes 1 --out runs/minute
  ttt-lm compare --data book.txt --layers ttt-linear,ttt-mlp,attention --steps 1000 --out runs/book
)";
const char* const evaluate_examples = R"(Examples:
  ttt-lm evaluate --model runs/linear --context 1024
  ttt-lm evaluate --model runs/linear --data book.txt --context 4096 --csv > by_position.csv
)";
const char* const generate_examples = R"(Examples:
  ttt-lm generate --model runs/linear --prompt "template <class "
  ttt-lm generate --model runs/linear --prompt-file start.txt --tokens 1000 --temperature 0.7 --top-p 0.9
  ttt-lm generate --model runs/linear --prompt-ids 5,17,3 --temperature 0     token ids in, token ids out
)";
const char* const logits_examples = R"(Examples:
  ttt-lm logits --model runs/linear --ids ids.safetensors --out logits.safetensors
  ttt-lm logits --model runs/linear --ids ids.safetensors --out logits.safetensors --pieces 7,1,1,16
)";
const char* const info_examples = R"(Examples:
  ttt-lm info runs/linear
  ttt-lm info runs/linear --context 16384 --dtype bfloat16 --json
)";
const char* const verify_examples = R"(Examples:
  ttt-lm verify models/ttt-1b                             every tensor: missing, too many, misshapen, NaN, tied
  python3 examples/python/export_golden.py models/ttt-1b golden.safetensors
  ttt-lm verify models/ttt-1b golden.safetensors          and the logits of the framework it comes from
)";
const char* const convert_examples = R"(Examples:
  ttt-lm convert models/llama --dtype bf16 --out models/llama-bf16
  ttt-lm convert models/llama --to ttt-cpp --out models/llama-cpp
  ttt-lm convert models/llama --shard-size 5GB --out models/llama-parts
)";

/// Help that begins with examples: most people need nothing else.
class Formatter : public CLI::Formatter {
 public:
  explicit Formatter(std::string examples) : examples_(std::move(examples)) { column_width(34); }
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override {
    if (mode == CLI::AppFormatMode::Sub) return CLI::Formatter::make_help(app, name, mode);
    name = app->get_parent() ? "ttt-lm " + app->get_name() : app->get_name();
    return examples_ + "\n" + CLI::Formatter::make_help(app, name, mode);
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_type_size() == 0) return {};
    std::string text = option->get_type_name().empty() ? "" : " " + option->get_type_name();
    const std::string standard = option->get_default_str();
    if (!standard.empty() && standard != "[]") text += standard.front() == '[' ? " " + standard : " [" + standard + "]";
    return text + (option->get_expected_max() > 1 ? " ..." : "");
  }

 private:
  std::string examples_;
};

const CLI::Validator positive_number(
    [](std::string& text) {
      double value = 0;
      const bool fits = CLI::detail::lexical_cast(text, value) && value > 0 && std::isfinite(value);
      return fits ? std::string() : "expected a number above 0, found " + text;
    },
    "");
const CLI::Validator number_from_zero(
    [](std::string& text) {
      double value = 0;
      const bool fits = CLI::detail::lexical_cast(text, value) && value >= 0 && std::isfinite(value);
      return fits ? std::string() : "expected a number of at least 0, found " + text;
    },
    "");

// Far above what anybody trains, and no product of two or three of them overflows.
constexpr std::int64_t largest_size = 1'000'000, largest_context = 1'000'000'000, largest_count = 1'000'000'000'000;

CLI::Validator whole_number(std::int64_t smallest, std::int64_t largest = largest_count) {
  return {[=](std::string& text) {
            std::int64_t value = 0;
            const bool is_number = CLI::detail::lexical_cast(text, value);
            if (is_number && value >= smallest && value <= largest) return std::string();
            const bool too_large = is_number && value > largest;
            return "expected a whole number of at " +
                   (too_large ? "most " + std::to_string(largest) : "least " + std::to_string(smallest)) + ", found " +
                   text;
          },
          ""};
}

const CLI::Validator share(
    [](std::string& text) {
      double value = 0;
      const bool fits = CLI::detail::lexical_cast(text, value) && value >= 0 && value <= 1;
      return fits ? std::string() : "expected a number from 0 to 1, found " + text;
    },
    "");

// The parser would read nothing as 0.
const CLI::Validator not_empty(
    [](std::string& text) {
      return text.empty() ? std::string("expected something, found an empty text") : std::string();
    },
    "");

CLI::Validator one_of(std::vector<std::string> names) {
  return {[names](std::string& text) {
            std::string known;
            for (const auto& name : names) {
              if (text == name) return std::string();
              known += (known.empty() ? "" : ", ") + name;
            }
            return "expected one of " + known + ", found '" + text + "'";
          },
          ""};
}

const std::vector<std::string> layers{"ttt-linear", "ttt-mlp", "attention", "sliding-window"};

CLI::App* add_command(CLI::App& app, const char* name, const char* description, const char* examples,
                      Invocation& invocation) {
  CLI::App* command = app.add_subcommand(name, description);
  command->formatter(std::make_shared<Formatter>(examples));
  command->option_defaults()->always_capture_default();
  auto& common = invocation.common;
  const char* const group = "Common";
  command->add_option("--seed", common.seed, "Of weights, order of the data, and sampling")
      ->check(whole_number(0))
      ->type_name("N")
      ->group(group);
  command->add_option("--threads", common.threads, "Results do not depend on it")
      ->check(whole_number(1))->type_name("N")->group(group)->default_str("all of the machine");
  command->add_flag("--quiet", common.quiet, "Nothing on stderr but errors")->group(group);
  command->add_flag("--json", common.json, "Results on stdout as JSON")->group(group);
  command->set_version_flag("--version", version_text, "Compiler, instruction set and dependencies")->group(group);
  return command;
}

CLI::Option* count_option(CLI::App* command, const char* name, std::int64_t& value, const char* text,
                          std::int64_t largest = largest_count) {
  return command->add_option(name, value, text)->check(whole_number(1, largest))->type_name("N");
}

CLI::Option* data_option(CLI::App* command, std::vector<std::string>& data) {
  return command->add_option("--data", data, "Text files and folders; without: the headers of Eigen and xsimd")
      ->check(not_empty)
      ->type_name("PATH");
}

void add_model_options(CLI::App* command, TrainingOptions& options) {
  const char* const group = "Model";
  command->add_option("--backbone", options.backbone, "transformer, or mamba (a temporal convolution in front)")
      ->check(one_of({"transformer", "mamba"}))->type_name("NAME")->group(group);
  auto* size = command->add_option("--size", options.size, "Width, depth, heads and hidden width of a published model")
                   ->check(one_of({"125m", "350m", "760m", "1b"}))->type_name("NAME")->group(group);
  count_option(command, "--width", options.width, "Channels", largest_size)->group(group)->excludes(size);
  count_option(command, "--depth", options.depth, "Blocks", largest_size)->group(group)->excludes(size);
  count_option(command, "--heads", options.heads, "Heads of a layer", largest_size)->group(group)->excludes(size);
  count_option(command, "--kv-heads", options.key_value_heads, "Key/value heads of attention", largest_size)
      ->group(group)
      ->default_str("as many as heads");
  count_option(command, "--mini-batch", options.mini_batch, "Tokens per inner update of TTT", largest_size)
      ->group(group);
  count_option(command, "--window", options.window, "Tokens that sliding-window attention sees", largest_size)
      ->group(group);
  count_option(command, "--hidden", options.hidden, "Width inside the SwiGLU", largest_size)
      ->group(group)
      ->excludes(size)
      ->default_str("8/3 of the width");
  command->add_option("--inner-rate", options.inner_rate, "Base learning rate of the inner loop")
      ->check(positive_number)->type_name("RATE")->group(group)->default_str("the published one");
  command->add_flag("--untied", options.untied, "A head of its own instead of the embedding again")->group(group);
}

void add_run_options(CLI::App* command, TrainingOptions& options) {
  const char* const group = "Training";
  auto* steps = count_option(command, "--steps", options.steps, "Updates")->group(group)->default_str("1000");
  command->add_option("--minutes", options.minutes, "Minutes of training instead, evaluation not counted")
      ->check(positive_number)->type_name("M")->group(group)->default_str("")->excludes(steps);
  count_option(command, "--context", options.context, "Tokens of a training window", largest_context)->group(group);
  count_option(command, "--batch", options.batch, "Windows per call")->group(group);
  count_option(command, "--accumulate", options.accumulate, "Calls per update")->group(group);
  count_option(command, "--carry-state", options.carry_state,
               "Consecutive windows that share a state: truncated backpropagation (1: windows at random places)")
      ->group(group);
  command
      ->add_option("--products", options.products,
                   "Large products in float, or of factors rounded to bfloat16: faster with AVX512-BF16")
      ->check(one_of({"float", "bfloat16"}))
      ->type_name("TYPE")
      ->group(group);
  command->add_option("--lr", options.learning_rate, "Highest learning rate")->check(positive_number)->type_name("RATE")
      ->group(group);
  command->add_option("--final-lr", options.final_rate, "Learning rate at the end, as a share of the highest")
      ->check(share)->type_name("SHARE")->group(group);
  command->add_option("--warmup", options.warmup, "Updates of rising learning rate; below 1 a share of the run")
      ->check(number_from_zero)->type_name("N")->group(group)->default_str("100, at most a quarter");
  command->add_option("--weight-decay", options.weight_decay, "Of projections, MLP and embedding")
      ->check(number_from_zero)->type_name("RATE")->group(group);
  command->add_option("--clip", options.clip, "Largest norm of the gradients (0: any)")
      ->check(number_from_zero)->type_name("NORM")->group(group);
  count_option(command, "--eval-every", options.eval_every, "Updates between validations")
      ->group(group)
      ->default_str("24 in all, denser early");
  count_option(command, "--eval-windows", options.eval_windows, "Windows of a validation on the way")->group(group);
  count_option(command, "--final-windows", options.final_windows, "Windows of the last validation")
      ->group(group)
      ->default_str("all");
}

void add_output_options(CLI::App* command, TrainingOptions& options, const char* what) {
  command->add_option("--out", options.out, what)->required()->type_name("DIR");
  command->add_flag("--force", options.force, "Overwrite what a run before left there");
}

void add_train(CLI::App& app, Invocation& invocation) {
  auto& options = invocation.train;
  auto* command = add_command(app, "train", "Trains a model on text and writes a model folder", train_examples, invocation);
  data_option(command, options.data);
  command->add_option("--layer", options.layer, "ttt-linear, ttt-mlp, attention or sliding-window")->check(one_of(layers))
      ->type_name("NAME");
  command->add_option("--tokenizer", options.tokenizer, "tokenizer.json whose tokens are learnt; goes into the folder")
      ->check(not_empty)->type_name("FILE")->default_str("bytes");
  add_output_options(command, options, "Folder for the model, its checkpoint and train.jsonl");
  command->add_flag("--resume", options.resume, "Go on with the run in --out, bit for bit")->excludes("--force");
  add_model_options(command, options);
  add_run_options(command, options);
  command->add_option("--freeze", options.freeze, "Parameters that stay as they are (* matches anything)")
      ->type_name("PATTERN")->group("Training");
  command->add_option("--lr-factor", options.rate_factors, "Learning rate of some parameters, as a multiple")
      ->type_name("PATTERN=FACTOR")->group("Training");
  count_option(command, "--save-every", options.save_every, "Updates between checkpoints")
      ->group("Training")
      ->default_str("one a minute");
}

void add_train_tokenizer(CLI::App& app, Invocation& invocation) {
  auto& options = invocation.train_tokenizer;
  auto* command = add_command(app, "train-tokenizer", "Makes a byte-level BPE vocabulary from text",
                              train_tokenizer_examples, invocation);
  data_option(command, options.data);
  command->add_option("--vocabulary", options.vocabulary, "Tokens, 256 of which are the bytes")
      ->check(whole_number(256, largest_size))->type_name("N");
  command->add_option("--out", options.out, "Gets the vocabulary, in the format tokenizer.json")
      ->required()->check(not_empty)->type_name("FILE");
  command->add_flag("--force", options.force, "Overwrite the output file");
}

void add_compare(CLI::App& app, Invocation& invocation) {
  auto& options = invocation.compare;
  auto* command = add_command(app, "compare", "Trains several layers alike, prints a table and draws their curves",
                              compare_examples, invocation);
  data_option(command, options.data);
  command->add_option("--layers", options.layers, "Layers, separated by commas; attention is trained with both backbones")
      ->delimiter(',')->check(one_of(layers))->type_name("NAMES");
  add_output_options(command, options, "Folder for models, compare.json, loss.csv, position.csv and compare.svg");
  add_model_options(command, options);
  add_run_options(command, options);
}

void dtype_option(CLI::App* command, std::string& dtype) {
  command
      ->add_option("--dtype", dtype,
                   "Weights in float32, or in bfloat16: half the memory, faster when they exceed the cache")
      ->check(one_of({"float32", "bfloat16"}))
      ->type_name("TYPE");
}

void add_model_folder(CLI::App* command, std::string& model) {
  command->add_option("DIR,--model", model, "Model folder: config.json and model.safetensors")
      ->required()->type_name("DIR");
}

void add_evaluate(CLI::App& app, Invocation& invocation) {
  auto& options = invocation.evaluate;
  auto* command = add_command(app, "evaluate", "Loss on the last tenth of each file, and by position in the context",
                              evaluate_examples, invocation);
  add_model_folder(command, options.model);
  dtype_option(command, options.dtype);
  data_option(command, options.data);
  count_option(command, "--context", options.context, "Tokens of a window; may be longer than in training",
               largest_context);
  count_option(command, "--batch", options.batch, "Windows per call; changes speed and memory only");
  count_option(command, "--windows", options.windows, "Windows, spread evenly")->default_str("all");
  command->add_flag("--csv", options.csv, "The loss at every position on stdout, as CSV")->excludes("--json");
}

void add_generate(CLI::App& app, Invocation& invocation) {
  auto& options = invocation.generate;
  auto* command = add_command(app, "generate", "Continues a text, token by token", generate_examples, invocation);
  add_model_folder(command, options.model);
  dtype_option(command, options.dtype);
  auto* prompt = command->add_option("--prompt", options.prompt, "Text to continue")->type_name("TEXT");
  auto* file = command->add_option("--prompt-file", options.prompt_file, "File with the text to continue")
      ->type_name("FILE")->excludes(prompt);
  command->add_option("--prompt-ids", options.prompt_ids, "Token ids to continue; prints ids")
      ->delimiter(',')
      ->check(not_empty)
      ->type_name("IDS")
      ->excludes(prompt)
      ->excludes(file);
  count_option(command, "--tokens", options.tokens, "Tokens to write, fewer when the end of the text comes before");
  command->add_option("--temperature", options.temperature, "0: always the most likely token")->check(number_from_zero)
      ->type_name("T");
  command->add_option("--top-p", options.top_p, "Draw among the most likely tokens of this total probability")
      ->type_name("P");
}

CLI::Option* pieces_option(CLI::App* command, std::vector<std::int64_t>& pieces) {
  return command
      ->add_option("--pieces", pieces,
                   "Feed the tokens in pieces of these lengths, over and over; the last piece is what remains")
      ->delimiter(',')->check(whole_number(1))->type_name("LENGTHS");
}

void add_logits(CLI::App& app, Invocation& invocation) {
  auto& options = invocation.logits;
  auto* command = add_command(app, "logits", "Logits of given token ids, to check that a model was read right",
                              logits_examples, invocation);
  add_model_folder(command, options.model);
  dtype_option(command, options.dtype);
  command->add_option("--ids", options.ids, "Tensor input_ids [B x T], int64")->required()->type_name("FILE.safetensors");
  command->add_option("--out", options.out, "Gets the tensor logits [B x T x V], float32")->required()
      ->type_name("FILE.safetensors");
  pieces_option(command, options.pieces);
  command->add_flag("--force", options.force, "Overwrite the output file");
}

void add_info(CLI::App& app, Invocation& invocation) {
  auto& options = invocation.info;
  auto* command = add_command(app, "info", "What a model is and what it costs", info_examples, invocation);
  add_model_folder(command, options.model);
  dtype_option(command, options.dtype);
  count_option(command, "--context", options.context, "Tokens of context at which growing states are measured",
               largest_context);
}

void add_verify(CLI::App& app, Invocation& invocation) {
  auto& options = invocation.verify;
  auto* command = add_command(app, "verify", "Whether a model folder is whole, and gives the logits it should",
                              verify_examples, invocation);
  add_model_folder(command, options.model);
  command->add_option("GOLDEN,--golden", options.golden, "Tensors input_ids [B x T], int64, and logits [B x T x V], "
                      "perhaps loss")->type_name("FILE.safetensors");
  dtype_option(command, options.dtype);
  command->add_option("--tolerance", options.tolerance, "Largest difference, as a share of the largest logit")
      ->check(number_from_zero)->type_name("SHARE");
  pieces_option(command, options.pieces);
  command->add_flag("--all", options.all, "List every tensor, not only those with a problem");
}

void add_convert(CLI::App& app, Invocation& invocation) {
  auto& options = invocation.convert;
  auto* command = add_command(app, "convert", "Writes a model as another kind of folder or with other numbers",
                              convert_examples, invocation);
  add_model_folder(command, options.model);
  command->add_option("--to", options.family, "ttt, llama, mistral or ttt-cpp")
      ->check(one_of({"ttt", "llama", "mistral", "ttt-cpp"}))->type_name("KIND")->default_str("as it is");
  command->add_option("--dtype", options.dtype, "Type of the stored numbers: f32, bf16, f16 or f64")
      ->check(one_of({"f32", "bf16", "f16", "f64"}))->type_name("TYPE")->default_str("as they are");
  command->add_option("--shard-size", options.shard_size, "Writes files with at most so many bytes of tensors each, "
                      "and an index: 5GB, 512MB")
      ->transform(CLI::AsSizeValue(true))->check(whole_number(1))->type_name("SIZE")->default_str("one file");
  command->add_option("--out", options.out, "Folder for the model and the other files of DIR")->required()
      ->type_name("DIR");
  command->add_flag("--force", options.force, "Overwrite the model that is there");
}

bool has_command(CLI::App& app, const std::string& name) {
  return !app.get_subcommands([&](const CLI::App* command) { return command->get_name() == name; }).empty();
}

/// One line, whatever the parser says.
int report(const std::string& message) {
  std::string line = message.substr(0, message.find_last_not_of("\n ") + 1);
  for (char& c : line)
    if (c == '\n') c = ' ';
  std::fprintf(stderr, "ttt-lm: %s\n", line.c_str());
  return usage_error;
}

}  // namespace

std::optional<Invocation> parse_command_line(int count, const char* const* arguments, int& exit_code) {
  auto invocation = std::make_unique<Invocation>();  // options are bound to its address
  CLI::App app("Language models with test-time-training layers, and with attention beside them.", "ttt-lm");
  app.formatter(std::make_shared<Formatter>(program_examples));
  app.set_version_flag("--version", version_text, "Compiler, instruction set and dependencies");
  app.require_subcommand(1);
  add_train(app, *invocation);
  add_train_tokenizer(app, *invocation);
  add_evaluate(app, *invocation);
  add_generate(app, *invocation);
  add_logits(app, *invocation);
  add_info(app, *invocation);
  add_verify(app, *invocation);
  add_convert(app, *invocation);
  add_compare(app, *invocation);
  if (count > 1 && arguments[1][0] != '-' && !has_command(app, arguments[1])) {
    exit_code = report("'" + std::string(arguments[1]) + "' is no command (see ttt-lm --help)");
    return std::nullopt;
  }
  try {
    app.parse(count, arguments);
  } catch (const CLI::CallForHelp&) {
    const auto commands = app.get_subcommands();
    const std::string help = commands.empty() ? app.help() : commands.front()->help();
    exit_code = std::fputs(help.c_str(), stdout) < 0 || std::fflush(stdout) != 0 ? failure : success;
    return std::nullopt;
  } catch (const CLI::CallForVersion& version) {
    exit_code = std::printf("%s\n", version.what()) < 0 || std::fflush(stdout) != 0 ? failure : success;
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    const auto commands = app.get_subcommands();
    const std::string name = commands.empty() ? "ttt-lm" : "ttt-lm " + commands.front()->get_name();
    exit_code = report(std::string(error.what()) + " (see " + name + " --help)");
    return std::nullopt;
  }
  const CLI::App* command = app.get_subcommands().front();
  invocation->command = command->get_name();
  for (const CLI::Option* option : command->get_options())
    if (option->count() > 0) invocation->given.insert(option->get_name());
  return *invocation;
}

}  // namespace ttt_lm
