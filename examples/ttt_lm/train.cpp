// SPDX-License-Identifier: MIT
#include <limits>
#include <nlohmann/json.hpp>

#include "command_line.hpp"
#include "commands.hpp"
#include "data.hpp"
#include "interrupt.hpp"
#include "json_text.hpp"
#include "layer_options.hpp"
#include "run_configuration.hpp"
#include "run_folder.hpp"
#include "run_log.hpp"
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

/// Everything of one `ttt-lm train`.
class Training {
 public:
  Training(TrainOptions options, CommonOptions common, const std::set<std::string>& given)
      : options_(std::move(options)),
        common_(common),
        terminal_(common.quiet),
        folder_(options_.out),
        log_(path(log_name), common.json) {
    prepare_options(given);
    check_layer_options(layers(), given);
  }

  int run() {
    const std::string end = options_.resume && is_through() ? log_.end(stored_.record.step) : "";
    if (end.empty() || gives_data_ || gives_tokenizer_) prepare();
    if (!end.empty()) return report_finished(end);
    begin_folder();
    terminal_.message(describe(run_->settings().model) + ": " +
                      count_text(static_cast<double>(parameter_count(run_->model()))) + " parameters, into " +
                      folder_.path().string());
    note_products(run_->settings(), terminal_);
    catch_interrupts();
    ignore_broken_pipes();
    const bool complete = run_to_end(*run_, {options_.eval_every, options_.eval_windows, options_.save_every},
                                     terminal_, describe(run_->settings().model), observer());
    save();
    log_.check_output();
    return complete ? finish() : stop();
  }

 private:
  fs::path path(const char* name) const { return folder_.path() / name; }

  /// Resumed: those of the checkpoint. New: the choices that are the program's, and no model in the way.
  void prepare_options(const std::set<std::string>& given) {
    gives_data_ = given.contains("--data");
    gives_tokenizer_ = given.contains("--tokenizer");
    if (gives_data_) options_.data = data_paths(options_.data);
    if (gives_tokenizer_) options_.tokenizer = fs::absolute(options_.tokenizer).lexically_normal().string();
    if (options_.resume) {
      stored_ = restore_configuration(path(checkpoint_name), given, options_, common_);
      return;
    }
    apply_size(options_);
    options_.data = data_paths(options_.data);
    if (options_.steps == 0 && options_.minutes == 0) options_.steps = 1000;
    options_.planned_steps = options_.steps;
    options_.planned_minutes = options_.minutes;
    check_no_model();
  }

  void check_no_model() const {
    std::error_code ignored;  // what cannot be looked at cannot be written either
    if (!options_.force && (has_model(folder_.path()) || fs::exists(path(checkpoint_name), ignored)))
      throw ttt::Error(folder_.path().string() +
                       ": holds a model already; --resume goes on with its run, --force overwrites it");
  }

  /// Whether the run has come to its end, but perhaps not through its last validation.
  bool is_through() const {
    const bool steps_over = options_.steps > 0 && stored_.record.step >= options_.steps;
    const bool time_over = options_.steps == 0 && stored_.record.seconds >= 60 * options_.minutes;
    return (steps_over || time_over) && has_model(folder_.path());
  }

  int report_finished(const std::string& end) {
    terminal_.message("the run is finished after step " + std::to_string(stored_.record.step) +
                      ", nothing was changed; more " + (options_.steps > 0 ? "--steps" : "--minutes") + " continue it");
    print_end(parse_json_text(end));
    return success;
  }

  std::vector<std::string> layers() const {
    return options_.pattern.empty() ? std::vector<std::string>{options_.layer} : options_.pattern;
  }

  /// Everything that can be wrong is found out here, before anything is written.
  void prepare() {
    read_tokenizer();
    auto config = model_config(options_, layers());
    if (tokenizer_) config.vocabulary = tokenizer_->vocabulary();
    auto settings = run_settings(options_, config, common_.seed);
    settings.trainer.groups = group_rules(options_);
    check_run(settings, options_.context);
    machine_ = std::make_unique<Machine>(common_);
    check_data_is_there();
    corpus_ = std::make_unique<ttt::training::Corpus>(
        load_corpus(options_.data, options_.context, terminal_,
                    tokenizer_ ? ttt::training::encoding_of(*tokenizer_) : ttt::training::TextEncoding{}));
    run_ = std::make_unique<TrainingRun>(settings, *corpus_, machine_->context());
    if (options_.resume) load();
  }

  /// A new run that is to overwrite another takes its checkpoint away, or --resume would mix the two.
  void begin_folder() {
    if (folder_.begin(terminal_) && !options_.resume) check_no_model();
    std::error_code error;
    if (!options_.resume) fs::remove(path(checkpoint_name), error);
    if (error) ttt::io::throw_system_error(path(checkpoint_name), "remove", error.value());
    log_.start(stored_.record);
  }

  /// A run that goes on has its own copy, whatever has become of the file.
  void read_tokenizer() {
    if (options_.tokenizer.empty()) return;
    const auto read = [](const fs::path& file) {
      return ttt::io::read_text_file(file, ttt::io::detail::maximum_tokenizer_size);
    };
    const fs::path file = options_.resume ? path(tokenizer_name) : fs::path(options_.tokenizer);
    tokenizer_text_ = read(file);
    std::error_code ignored;  // what is there and cannot be read is reported when it is opened
    if (options_.resume && gives_tokenizer_ &&
        !(fs::exists(options_.tokenizer, ignored) && read(options_.tokenizer) == tokenizer_text_))
      ttt::throw_unexpected("--tokenizer", "the tokenizer of the run, " + file.string(),
                            "another, or none, in " + options_.tokenizer);
    tokenizer_ = ttt::io::Tokenizer::from_json(tokenizer_text_, file.string());
  }

  /// What an earlier run left there would be read with the model.
  void save_tokenizer() const {
    std::error_code ignored;  // there is none most of the time
    if (tokenizer_)
      ttt::io::write_file_atomically(path(tokenizer_name),
                                     [&](ttt::io::OutputFile& file) { file.write(tokenizer_text_); });
    else
      fs::remove(path(tokenizer_name), ignored);
  }

  void check_data_is_there() const {
    std::error_code ignored;  // what is there and cannot be read is reported when it is opened
    for (const auto& data : options_.data)
      if (options_.resume && !fs::exists(data, ignored))
        ttt::throw_unexpected("--data", "the text of the run, " + data,
                              "nothing there; if it has moved, --data says where it is now");
  }

  void load() {
    if (stored_.data_fingerprint != std::to_string(corpus_->fingerprint()))
      ttt::throw_unexpected("--data", "the text that the run of " + path(checkpoint_name).string() + " began with",
                            "another text in " + options_.data.front());
    run_->load(path(checkpoint_name), stored_.text, stored_.record);
    terminal_.message("resumed after step " + std::to_string(run_->steps_done()));
  }

  /// The tokenizer before the checkpoint, which is of no use without it.
  void save() {
    terminal_.clear();
    save_tokenizer();
    run_->save(path(checkpoint_name), configuration_text(options_, common_, run_->record()));
    save_model(folder_.path(), run_->settings().model, run_->parameters());
    log_.write({{"event", "checkpoint"}, {"step", run_->steps_done()}, {"seconds", run_->seconds()}});
  }

  RunObserver observer() {
    RunObserver observer;
    observer.stepped = [&](const ttt::training::StepReport& report) {
      log_.write({{"event", "step"},
                  {"step", report.step},
                  {"tokens", run_->tokens_done()},
                  {"seconds", run_->seconds()},
                  {"loss", report.loss},
                  {"learning_rate", report.learning_rate},
                  {"gradient_norm", report.gradient_norm}});
    };
    observer.validated = [&](const CurvePoint& point) {
      log_.write({{"event", "validation"},
                  {"step", point.step},
                  {"tokens", point.tokens},
                  {"seconds", point.seconds},
                  {"training_loss", point.training_loss},
                  {"validation_loss", point.validation_loss}});
      terminal_.message("step " + std::to_string(point.step) + ": validation loss " +
                        decimal(point.validation_loss, 4) + ", training loss " + decimal(point.training_loss, 4));
    };
    observer.save_due = [&] { save(); };
    return observer;
  }

  int stop() {
    terminal_.message("stopped after step " + std::to_string(run_->steps_done()) +
                      " and saved; to go on: ttt-lm train --resume --out " + folder_.path().string());
    return interrupted;
  }

  int finish() {
    try {
      const auto windows = validation_windows(*corpus_, options_.final_windows);
      const auto result = evaluate_windows(run_->model(), run_->parameters(), *corpus_, windows, options_.batch,
                                           machine_->context(), terminal_, "validation");
      const Json event{{"event", "end"},
                       {"step", run_->steps_done()},
                       {"tokens", run_->tokens_done()},
                       {"seconds", run_->seconds()},
                       {"validation_loss", result.nats()},
                       {"bits_per_byte", result.bits_per_byte()},
                       {"model", folder_.path().string()}};
      log_.write(event);
      log_.check_output();
      if (!common_.json) print_end(event);
      return success;
    } catch (const ttt::Cancelled&) {
      terminal_.message("stopped in the last validation; the model is complete in " + folder_.path().string());
      return interrupted;
    }
  }

  void print_end(const Json& event) const {
    if (common_.json) return write_output(json_text(event) + "\n");
    write_output("validation loss " + decimal(event.at("validation_loss"), 4) + " nats, " +
                 decimal(event.at("bits_per_byte"), 4) + " bits per byte; model in " + folder_.path().string() + "\n");
  }

  TrainOptions options_;
  CommonOptions common_;
  Terminal terminal_;
  RunFolder folder_;
  RunLog log_;
  StoredConfiguration stored_;
  bool gives_data_ = false, gives_tokenizer_ = false;
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
