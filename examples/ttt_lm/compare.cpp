// SPDX-License-Identifier: MIT
#include <algorithm>
#include <nlohmann/json.hpp>

#include "command_line.hpp"
#include "commands.hpp"
#include "comparison.hpp"
#include "data.hpp"
#include "interrupt.hpp"
#include "json_text.hpp"
#include "layer_options.hpp"
#include "run_folder.hpp"
#include "ttt/io/atomic_file.hpp"
#include "usage.hpp"

namespace ttt_lm {

namespace {

namespace fs = std::filesystem;

/// Everything of one `ttt-lm compare`.
class Comparison {
 public:
  Comparison(CompareOptions options, const CommonOptions& common, const std::set<std::string>& given)
      : options_(std::move(options)),
        common_(common),
        terminal_(common.quiet),
        out_(options_.out),
        folder_(out_),
        machine_(common) {
    std::vector<std::string> layers = options_.layers;
    layers.insert(layers.end(), options_.pattern.begin(), options_.pattern.end());
    check_layer_options(layers, given);
    check_layers_differ();
    apply_size(options_);
    if (options_.steps == 0 && options_.minutes == 0) options_.steps = 1000;
    check_folder();
    competitors_ = competitors(options_);
    for (const auto& each : competitors_) check_run(settings_of(each), options_.context);
    match_parameters(competitors_);
    corpus_ =
        std::make_unique<ttt::training::Corpus>(load_corpus(data_paths(options_.data), options_.context, terminal_));
  }

  int run() {
    if (folder_.begin(terminal_)) check_folder();
    note_products(settings_of(competitors_.front()), terminal_);
    catch_interrupts();
    std::vector<ComparedRun> runs;
    try {
      for (const auto& each : competitors_) {
        runs.push_back(train(each));
        // After each, so that whoever stops early has what was done.
        write_comparison(out_, runs, options_.minutes > 0, caption());
        print_json(runs.back());
      }
    } catch (const ttt::Cancelled&) {
      terminal_.message("stopped; " + std::to_string(runs.size()) + " of " + std::to_string(competitors_.size()) +
                        " trainings are complete" + (runs.empty() ? "" : ", in " + out_.string()));
      return interrupted;
    }
    if (!common_.json) write_output(comparison_table(runs));
    terminal_.message("curves in " + (out_ / "compare.svg").string() +
                      ", numbers in compare.json, loss.csv and position.csv there");
    return success;
  }

 private:
  void check_folder() const {
    std::error_code ignored;  // what cannot be looked at cannot be written either
    if (!options_.force && fs::exists(out_ / "compare.json", ignored))
      throw ttt::Error(out_.string() + ": holds a comparison already; --force overwrites it");
    if (has_model(out_))
      throw ttt::Error(out_.string() + ": is the folder of a model; choose another for a comparison");
  }

  void check_layers_differ() const {
    for (const auto& layer : options_.layers)
      if (std::count(options_.layers.begin(), options_.layers.end(), layer) > 1)
        throw_usage("--layers", "each layer once", "'" + layer + "' more often");
  }

  RunSettings settings_of(const Competitor& competitor) const {
    return run_settings(options_, competitor.config, common_.seed);
  }

  ComparedRun train(const Competitor& competitor) {
    const RunSettings settings = settings_of(competitor);
    ComparedRun result;
    result.config = competitor.config;
    const std::string& label = result.label = competitor.label;
    TrainingRun run(settings, *corpus_, machine_.context());
    result.parameters = parameter_count(run.model());
    terminal_.message(label + ": " + std::to_string(result.parameters) + " parameters");
    RunObserver observer;
    observer.validated = [&](const CurvePoint& point) { result.curve.push_back(point); };
    if (!run_to_end(run, {options_.eval_every, options_.eval_windows, 0}, terminal_, label, observer))
      throw ttt::Cancelled();
    result.tokens_per_second = static_cast<double>(run.tokens_done()) / run.seconds();
    const auto windows = validation_windows(*corpus_, options_.final_windows);
    result.evaluation = evaluate_windows(run.model(), run.parameters(), *corpus_, windows, options_.batch,
                                         machine_.context(), terminal_, label + ", validation");
    measure(run, result);
    make_folder(out_ / result.name());
    ttt::io::remove_abandoned_files(out_ / result.name());
    save_model(out_ / result.name(), settings.model, run.parameters());
    terminal_.message(label + ": validation loss " + decimal(result.evaluation.nats(), 4) + " after " +
                      count_text(static_cast<double>(run.tokens_done())) + " tokens in " +
                      duration_text(run.seconds()));
    return result;
  }

  void measure(const TrainingRun& run, ComparedRun& result) {
    terminal_.message(result.label + ": measuring decoding at up to 16k tokens of context");
    const auto times = decode_microseconds(run.model(), run.parameters(), decode_positions, machine_.context());
    for (std::size_t i = 0; i < decode_positions.size(); ++i) {
      result.decode_microseconds[i] = times[i];
      result.state_bytes[i] = static_cast<double>(ttt::state_bytes(run.model(), decode_positions[i]));
    }
  }

  void print_json(const ComparedRun& run) const {
    if (!common_.json) return;
    write_output(json_text({{"name", run.name()},
                            {"parameters", run.parameters},
                            {"tokens_per_second", run.tokens_per_second},
                            {"validation_loss", run.evaluation.nats()},
                            {"bits_per_byte", run.evaluation.bits_per_byte()},
                            {"decode_positions", decode_positions},
                            {"state_bytes", run.state_bytes},
                            {"decode_microseconds", run.decode_microseconds},
                            {"model", (out_ / run.name()).string()}}) +
                 "\n");
  }

  /// What was the same for all.
  std::string caption() const {
    const std::string length = options_.minutes > 0 ? duration_text(60 * options_.minutes) + " minutes"
                                                    : std::to_string(options_.steps) + " updates";
    return std::to_string(options_.depth) + " blocks of width " + std::to_string(options_.width) + ", context " +
           std::to_string(options_.context) + ", batch " + std::to_string(options_.batch) + ", " + length + ", " +
           bytes_text(static_cast<double>(corpus_->training_bytes())) + " of text, seed " +
           std::to_string(common_.seed);
  }

  CompareOptions options_;
  CommonOptions common_;
  Terminal terminal_;
  fs::path out_;
  RunFolder folder_;
  Machine machine_;
  std::vector<Competitor> competitors_;
  std::unique_ptr<ttt::training::Corpus> corpus_;
};

}  // namespace

int compare(const CompareOptions& options, const CommonOptions& common, const std::set<std::string>& given) {
  return Comparison(options, common, given).run();
}

}  // namespace ttt_lm
