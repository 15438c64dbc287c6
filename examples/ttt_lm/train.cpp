// SPDX-License-Identifier: MIT
#include <cstdio>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "command_line.hpp"
#include "commands.hpp"
#include "data.hpp"
#include "interrupt.hpp"
#include "run_configuration.hpp"
#include "tokenizer.hpp"
#include "training_run.hpp"
#include "ttt/io/atomic_file.hpp"
#include "usage.hpp"

namespace ttt_lm {

namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr const char* log_name = "train.jsonl";

double parse_factor(const std::string& text) {
  std::size_t used = 0;
  double factor = -1;
  try {
    factor = std::stod(text, &used);
  } catch (const std::exception&) {
    used = std::string::npos;
  }
  return used == text.size() && !text.empty() ? factor : std::numeric_limits<double>::quiet_NaN();
}

std::vector<ttt::training::GroupRule> group_rules(const TrainOptions& options) {
  std::vector<ttt::training::GroupRule> rules;
  for (const auto& rule : options.rate_factors) {
    const auto split = rule.rfind('=');
    const double factor = split == std::string::npos ? -1 : parse_factor(rule.substr(split + 1));
    if (!(factor >= 0)) throw_usage("--lr-factor", "PATTERN=FACTOR with a factor of at least 0", "'" + rule + "'");
    rules.push_back({rule.substr(0, split), factor, {}, false});
  }
  for (const auto& pattern : options.freeze) rules.push_back({pattern, 1, {}, true});
  return rules;
}

/// What happened, one JSON object a line: in a file always, on stdout when asked for.
class Log {
 public:
  Log(fs::path path, bool on_stdout) : path_(std::move(path)), on_stdout_(on_stdout) {}

  /// Forgets what a stopped run logged after its last checkpoint, or everything.
  void start(std::int64_t steps) {
    std::string kept;
    std::ifstream old(path_);
    for (std::string line; steps > 0 && std::getline(old, line);) {
      const Json json = Json::parse(line, nullptr, false);
      if (!json.is_discarded() && json.value("event", "") != "end" && json.value("step", steps + 1) <= steps)
        kept += line + "\n";
    }
    ttt::io::write_file_atomically(path_, [&](ttt::io::OutputFile& file) { file.write(kept); });
    file_.open(path_, std::ios::app);
  }
  void write(const Json& event) {
    file_ << event.dump() << "\n" << std::flush;
    if (!file_) throw ttt::Error(path_.string() + ": cannot write");
    if (on_stdout_) write_output(event.dump() + "\n");
  }

 private:
  fs::path path_;
  bool on_stdout_;
  std::ofstream file_;
};

/// Everything of one `ttt-lm train`.
class Training {
 public:
  Training(TrainOptions options, CommonOptions common, const std::set<std::string>& given)
      : options_(std::move(options)), common_(common), terminal_(common.quiet), out_(options_.out) {
    prepare_options(given);
    check_layer_options({options_.layer}, given);
    read_tokenizer();
    auto config = model_config(options_, options_.layer, backbone_of(options_, options_.layer));
    if (tokenizer_) config.vocabulary = tokenizer_->vocabulary();
    auto settings = run_settings(options_, config, common_.seed);
    settings.trainer.groups = group_rules(options_);
    check_run(settings, options_.context);
    machine_ = std::make_unique<Machine>(common_);
    corpus_ = std::make_unique<ttt::training::Corpus>(load_corpus(
        options_.data, options_.context, terminal_,
        tokenizer_ ? ttt::training::encoding_of(*tokenizer_) : ttt::training::TextEncoding{}));
    run_ = std::make_unique<TrainingRun>(settings, *corpus_, machine_->context());
    if (options_.resume) load();
  }

  int run() {
    make_folder(out_);
    Log log(out_ / log_name, common_.json);
    log.start(run_->steps_done());
    terminal_.message(describe(run_->settings().model) + ": " +
                      count_text(static_cast<double>(parameter_count(run_->model()))) + " parameters, into " + out_.string());
    note_products(run_->settings(), terminal_);
    catch_interrupts();
    const bool complete = run_to_end(*run_, {options_.eval_every, options_.eval_windows, options_.save_every}, terminal_,
                                     describe(run_->settings().model), observer(log));
    save(log);
    return complete ? finish(log) : stop();
  }

 private:
  fs::path checkpoint() const { return out_ / checkpoint_name; }

  /// Resumed: those of the checkpoint. New: the choices that are the program's, and no model in the way.
  void prepare_options(const std::set<std::string>& given) {
    if (given.contains("--data")) options_.data = data_paths(options_.data);
    if (given.contains("--tokenizer")) options_.tokenizer = fs::absolute(options_.tokenizer).lexically_normal().string();
    if (options_.resume) {
      stored_ = restore_configuration(checkpoint(), given, options_, common_);
      return;
    }
    apply_size(options_);
    options_.data = data_paths(options_.data);
    if (options_.steps == 0 && options_.minutes == 0) options_.steps = 1000;
    if (!options_.force && (has_model(out_) || fs::exists(checkpoint())))
      throw ttt::Error(out_.string() + ": holds a model already; --resume goes on with its run, --force overwrites it");
  }

  /// A run that goes on has its own copy, whatever has become of the file.
  void read_tokenizer() {
    if (options_.tokenizer.empty()) return;
    const fs::path path = options_.resume ? out_ / tokenizer_name : fs::path(options_.tokenizer);
    tokenizer_text_ = ttt::io::read_text_file(path, ttt::io::detail::maximum_tokenizer_size);
    tokenizer_ = ttt::io::Tokenizer::from_json(tokenizer_text_, path.string());
  }

  /// What an earlier run left there would be read with the model.
  void save_tokenizer() const {
    std::error_code ignored;  // there is none most of the time
    if (tokenizer_)
      ttt::io::write_file_atomically(out_ / tokenizer_name, [&](ttt::io::OutputFile& file) { file.write(tokenizer_text_); });
    else
      fs::remove(out_ / tokenizer_name, ignored);
  }

  void load() {
    for (const auto& setting : ttt::training::read_checkpoint_settings(checkpoint()))
      if (setting.name == "data fingerprint" && setting.value != std::to_string(corpus_->fingerprint()))
        ttt::throw_unexpected("--data", "the text that the run of " + checkpoint().string() + " began with",
                              "another text in " + options_.data.front());
    run_->load(checkpoint(), stored_.text, stored_.seconds);
    terminal_.message("resumed after step " + std::to_string(run_->steps_done()));
  }

  void save(Log& log) {
    terminal_.clear();
    run_->save(checkpoint(), configuration_text(options_, common_, run_->seconds()));
    save_tokenizer();
    save_model(out_, run_->settings().model, run_->parameters());
    log.write({{"event", "checkpoint"}, {"step", run_->steps_done()}, {"seconds", run_->seconds()}});
  }

  RunObserver observer(Log& log) {
    RunObserver observer;
    observer.stepped = [&](const ttt::training::StepReport& report) {
      log.write({{"event", "step"}, {"step", report.step}, {"tokens", run_->tokens_done()}, {"seconds", run_->seconds()},
                 {"loss", report.loss}, {"learning_rate", report.learning_rate}, {"gradient_norm", report.gradient_norm}});
    };
    observer.validated = [&](const CurvePoint& point) {
      log.write({{"event", "validation"}, {"step", point.step}, {"tokens", point.tokens}, {"seconds", point.seconds},
                 {"training_loss", point.training_loss}, {"validation_loss", point.validation_loss}});
      terminal_.message("step " + std::to_string(point.step) + ": validation loss " + decimal(point.validation_loss, 4) +
                        ", training loss " + decimal(point.training_loss, 4));
    };
    observer.save_due = [&] { save(log); };
    return observer;
  }

  std::string resume_command() const { return "ttt-lm train --resume --out " + out_.string(); }

  int stop() {
    terminal_.message("stopped after step " + std::to_string(run_->steps_done()) + " and saved; to go on: " + resume_command());
    return interrupted;
  }

  int finish(Log& log) {
    try {
      const auto windows = validation_windows(*corpus_, options_.final_windows);
      const auto result = evaluate_windows(run_->model(), run_->parameters(), *corpus_, windows, options_.batch,
                                           machine_->context(), terminal_, "validation");
      log.write({{"event", "end"}, {"step", run_->steps_done()}, {"tokens", run_->tokens_done()},
                 {"seconds", run_->seconds()}, {"validation_loss", result.nats()},
                 {"bits_per_byte", result.bits_per_byte()}, {"model", out_.string()}});
      if (!common_.json)
        write_output("validation loss " + decimal(result.nats(), 4) + " nats, " + decimal(result.bits_per_byte(), 4) +
                     " bits per byte; model in " + out_.string() + "\n");
      return success;
    } catch (const ttt::Cancelled&) {
      terminal_.message("stopped in the last validation; the model is complete in " + out_.string());
      return interrupted;
    }
  }

  TrainOptions options_;
  CommonOptions common_;
  Terminal terminal_;
  fs::path out_;
  StoredConfiguration stored_;
  std::string tokenizer_text_;
  std::optional<ttt::io::Tokenizer> tokenizer_;  ///< none: bytes
  std::unique_ptr<Machine> machine_;
  std::unique_ptr<ttt::training::Corpus> corpus_;
  std::unique_ptr<TrainingRun> run_;
};

}  // namespace

int train(TrainOptions options, CommonOptions common, const std::set<std::string>& given) {
  return Training(std::move(options), common, given).run();
}

}  // namespace ttt_lm
