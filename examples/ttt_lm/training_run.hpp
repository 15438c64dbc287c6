// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "evaluation.hpp"
#include "model.hpp"
#include "terminal.hpp"
#include "ttt/nn/bfloat16_products.hpp"
#include "ttt/training/trainer.hpp"

namespace ttt_lm {

/// What a run depends on, besides the text.
struct RunSettings {
  ttt::ModelConfig model;
  ttt::training::TrainerConfig trainer;
  std::int64_t steps = 0;  ///< 0: limited by time
  double seconds = 0;
  double planned_seconds = 0;      ///< what the learning rate falls over in a run limited by time
  bool bfloat16_products = false;  ///< of updates; validations are those of the float model that is saved
};

/// Sets width, depth, heads and hidden width to those of `options.size`, if there is one.
void apply_size(TrainingOptions& options);

/// The model that the options describe, of blocks with these layers. Blocks have the backbone that is given, or that of
/// the options, or else the one that their layer is published with.
ttt::ModelConfig model_config(const TrainingOptions& options, const std::vector<std::string>& layers,
                              std::optional<ttt::Backbone> backbone = std::nullopt);
RunSettings run_settings(const TrainingOptions& options, const ttt::ModelConfig& model, std::uint64_t seed);

/// Throws ttt::Error when the model cannot be made, or when training it needs more memory than there is: both should be
/// said before the text is read.
void check_run(const RunSettings& settings, Index context);

/// Says it when the products asked for will not be faster than others on this machine.
void note_products(const RunSettings& settings, Terminal& terminal);

/// One point of a loss curve.
struct CurvePoint {
  std::int64_t step = 0, tokens = 0;
  double seconds = 0;        ///< of training, evaluation not counted
  double training_loss = 0;  ///< mean since the point before
  double validation_loss = 0;
};

/// What a run remembers between updates beside the trainer; a checkpoint keeps it.
struct RunRecord {
  std::int64_t step = 0;
  double seconds = 0;
  double loss_sum = 0;  ///< of the updates since the last validation
  std::int64_t loss_count = 0;
  bool validation_due = false;  ///< it was stopped before it was through
};

/// A training run that knows how far it is.
class TrainingRun {
 public:
  TrainingRun(const RunSettings& settings, const ttt::training::Corpus& corpus, ttt::Context& context);
  ~TrainingRun();

  /// One update with the learning rate of its place in the run.
  ttt::training::StepReport step();
  double progress() const;
  double seconds() const { return record_.seconds; }
  double seconds_left() const;
  std::int64_t steps_done() const;
  std::int64_t tokens_done() const;
  const RunSettings& settings() const { return settings_; }
  ttt::Context& context() { return *context_; }
  const ttt::training::Corpus& corpus() const { return *corpus_; }
  const RunRecord& record() const { return record_; }
  /// From now on, also after a stop, until `end_validation`.
  void begin_validation() { record_.validation_due = true; }
  /// Returns the mean training loss since the validation before.
  double end_validation();
  const Model& model() const;
  const Parameters& parameters() const;

  /// Writes or reads the checkpoint; `configuration` is compared when it is read.
  void save(const std::filesystem::path& path, const std::string& configuration);
  void load(const std::filesystem::path& path, const std::string& configuration, const RunRecord& record);

 private:
  using Trainer = ttt::training::Trainer<Model>;

  ttt::training::StepReport update();

  RunSettings settings_;
  const ttt::training::Corpus* corpus_;
  ttt::Context* context_;
  std::unique_ptr<Trainer> trainer_;
  std::optional<ttt::Bfloat16Products> products_;
  RunRecord record_;
};

/// What happens during a run; empty functions are not called.
struct RunObserver {
  std::function<void(const ttt::training::StepReport&)> stepped;
  std::function<void(const CurvePoint&)> validated;
  std::function<void()> save_due;
};

/// How often things happen during a run.
struct RunRhythm {
  std::int64_t eval_every = 0;  ///< updates; 0: 24 times, denser early
  Index eval_windows = 64;
  std::int64_t save_every = 0;  ///< updates; 0: one a minute
};

/// Trains until the end, or until Ctrl-C: then false, with the update under way finished. Stopped or not, the same
/// things happen after the same updates.
bool run_to_end(TrainingRun& run, const RunRhythm& rhythm, Terminal& terminal, const std::string& label,
                const RunObserver& observer);

}  // namespace ttt_lm
