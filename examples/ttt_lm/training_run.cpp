// SPDX-License-Identifier: MIT
#include "training_run.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "data.hpp"
#include "interrupt.hpp"
#include "layer_options.hpp"
#include "usage.hpp"

namespace ttt_lm {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Warm-up and length in updates, or, for a run limited by time, as shares of it.
ttt::training::CosineSchedule schedule_of(const TrainingOptions& options, const RunSettings& settings) {
  ttt::training::CosineSchedule schedule;
  schedule.peak = options.learning_rate;
  schedule.final_fraction = options.final_rate;
  const std::int64_t steps = options.planned_steps > 0 ? options.planned_steps : settings.steps;
  schedule.total = settings.steps > 0 ? static_cast<double>(steps) : 1;
  if (options.warmup < 0)
    schedule.warmup = settings.steps > 0 ? std::min(100.0, std::floor(schedule.total / 4)) : 0.1;
  else if (settings.steps > 0)
    schedule.warmup = options.warmup < 1 ? std::floor(options.warmup * schedule.total) : options.warmup;
  else if (options.warmup < 1)
    schedule.warmup = options.warmup;
  else
    throw_usage("--warmup", "a share of the run, below 1, with --minutes", decimal(options.warmup, 0));
  if (schedule.warmup > schedule.total)
    throw_usage("--warmup", "at most the " + std::to_string(steps) + " updates of --steps", decimal(options.warmup, 0));
  return schedule;
}

/// Loss and speed as a person wants to see them: averages that forget.
class Smoothed {
 public:
  void add(const ttt::training::StepReport& report, double seconds) {
    constexpr double keep = 0.9;
    weight_ = keep * weight_ + 1;
    loss_ = keep * loss_ + report.loss;
    tokens_ = keep * tokens_ + static_cast<double>(report.tokens);
    seconds_ = keep * seconds_ + seconds;
  }
  double loss() const { return loss_ / weight_; }
  double tokens_per_second() const { return seconds_ > 0 ? tokens_ / seconds_ : 0; }

 private:
  double weight_ = 0, loss_ = 0, tokens_ = 0, seconds_ = 0;
};

/// Tells when it is time for a validation.
class EvaluationPlan {
 public:
  EvaluationPlan(std::int64_t every, const TrainingRun& run) : every_(every) { skip(run.progress()); }

  bool is_due(const TrainingRun& run) {
    if (run.progress() >= 1) return true;
    if (every_ > 0) return run.steps_done() % every_ == 0;
    return skip(run.progress());
  }

 private:
  bool skip(double progress) {
    const int before = next_;
    while (next_ < points && std::pow(next_ / static_cast<double>(points), 2) <= progress) ++next_;
    return next_ != before;
  }

  static constexpr int points = 24;
  std::int64_t every_;
  int next_ = 1;
};

Progress progress_of(const TrainingRun& run, const Smoothed& smoothed, const std::string& label) {
  const std::int64_t steps = run.settings().steps;
  return {label,
          "step " + std::to_string(run.steps_done()) + (steps > 0 ? "/" + std::to_string(steps) : ""),
          run.progress(),
          smoothed.loss(),
          smoothed.tokens_per_second(),
          run.seconds_left()};
}

}  // namespace

void apply_size(TrainingOptions& options) {
  if (options.size.empty()) return;
  const ttt::PublishedSize& size = ttt::published_size(options.size);
  options.width = size.width, options.depth = size.depth, options.heads = size.heads;
  options.hidden = size.hidden;
}

ttt::ModelConfig model_config(const TrainingOptions& options, const std::vector<std::string>& layers,
                              std::optional<ttt::Backbone> backbone) {
  if (ttt::Backbone given{}; !backbone && ttt::option_text::parse(options.backbone, given)) backbone = given;
  ttt::ModelConfig config;
  config.vocabulary = ttt::training::TextEncoding{}.vocabulary;
  config.width = options.width;
  config.depth = options.depth;
  config.tied = !options.untied;
  config.pattern.clear();
  const Index hidden =
      options.hidden >= 0 ? options.hidden : std::max<std::int64_t>(16, options.width * 8 / 3 / 16 * 16);
  for (const std::string& text : layers) {
    const std::vector<std::string> texts = side_by_side(text);
    ttt::LayerDescription layer = layer_of(options, texts.front());
    const auto own = layer.has_temporal_conv() ? ttt::Backbone::mamba : ttt::Backbone::transformer;
    config.pattern.push_back(ttt::published_block(std::move(layer), backbone.value_or(own), hidden));
    for (std::size_t i = 1; i < texts.size(); ++i) config.pattern.back().beside.push_back(layer_of(options, texts[i]));
  }
  return config;
}

RunSettings run_settings(const TrainingOptions& options, const ttt::ModelConfig& model, std::uint64_t seed) {
  RunSettings settings;
  settings.model = model;
  settings.seconds = 60 * options.minutes;
  settings.planned_seconds = options.planned_minutes > 0 ? 60 * options.planned_minutes : settings.seconds;
  settings.steps = options.minutes > 0 ? 0 : options.steps;
  settings.trainer.batch = options.batch;
  settings.trainer.accumulation = options.accumulate;
  settings.trainer.carry_windows = options.carry_state;
  settings.trainer.max_gradient_norm = options.clip;
  settings.trainer.schedule = schedule_of(options, settings);
  settings.trainer.optimizer.weight_decay = options.weight_decay;
  settings.trainer.seed = seed;
  settings.bfloat16_products = options.products == "bfloat16";
  return settings;
}

void check_run(const RunSettings& settings, Index context) {
  // The pattern once and twice tells what any number of blocks takes; a model of all of them might not fit itself.
  const auto bytes_with = [&](Index depth) {
    ttt::ModelConfig config = settings.model;
    config.depth = depth;
    const Model model = make_model(config);
    constexpr double copies = 4;  // weights, their gradients and two moments (what shares of a batch add is tens of MB)
    return copies * sizeof(float) * static_cast<double>(parameter_count(model)) +
           static_cast<double>(settings.trainer.batch) *
               static_cast<double>(model.record_bytes(context) + ttt::state_bytes(model, context));
  };
  const auto period = std::min(static_cast<Index>(settings.model.pattern.size()), settings.model.depth);
  const double one = bytes_with(period), more = bytes_with(2 * period) - one;
  const double needed = one + static_cast<double>(settings.model.depth - period) / static_cast<double>(period) * more;
  const double present = static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  if (needed > present)
    ttt::throw_unexpected("--width " + std::to_string(settings.model.width) + ", --depth " +
                              std::to_string(settings.model.depth) + ", --batch " +
                              std::to_string(settings.trainer.batch) + " and --context " + std::to_string(context),
                          "a training that fits into the " + bytes_text(present) + " of this machine",
                          "one that needs " + bytes_text(needed) + "; --accumulate makes large batches of small calls");
}

void note_products(const RunSettings& settings, Terminal& terminal) {
  if (settings.bfloat16_products && !ttt::Bfloat16Products().is_fast())
    terminal.message("note: this program or processor has no AVX512-BF16, so products in bfloat16 are not faster here");
}

TrainingRun::TrainingRun(const RunSettings& settings, const ttt::training::Corpus& corpus, ttt::Context& context)
    : settings_(settings),
      corpus_(&corpus),
      context_(&context),
      trainer_(std::make_unique<Trainer>(make_model(settings.model), corpus, settings.trainer)) {
  if (settings.bfloat16_products) products_.emplace(context.executor());
}

TrainingRun::~TrainingRun() = default;

ttt::training::StepReport TrainingRun::step() {
  const auto start = Clock::now();
  const auto report = update();
  record_.seconds += seconds_since(start);
  record_.step = report.step;
  record_.loss_sum += report.loss;
  ++record_.loss_count;
  return report;
}

ttt::training::StepReport TrainingRun::update() {
  struct Products {  // for this update only, also when it throws
    explicit Products(ttt::Context& c, ttt::LargeProducts* products) : context(c) { c.large_products = products; }
    ~Products() { context.large_products = nullptr; }
    ttt::Context& context;
  } const products(*context_, products_ ? &*products_ : nullptr);
  if (settings_.steps > 0) return trainer_->train_step(*context_);
  // The first update would have rate 0, as no time has passed before it.
  const double place = std::max(seconds() / settings_.planned_seconds, 1e-3);
  return trainer_->train_step(settings_.trainer.schedule(place), *context_);
}

double TrainingRun::progress() const {
  if (settings_.steps > 0) return static_cast<double>(steps_done()) / static_cast<double>(settings_.steps);
  return std::min(1.0, seconds() / settings_.seconds);
}

double TrainingRun::seconds_left() const {
  if (settings_.steps == 0) return settings_.seconds - seconds();
  return steps_done() > 0
             ? seconds() / static_cast<double>(steps_done()) * static_cast<double>(settings_.steps - steps_done())
             : 0;
}

std::int64_t TrainingRun::steps_done() const { return trainer_->step(); }

std::int64_t TrainingRun::tokens_done() const {
  return steps_done() * settings_.trainer.batch * settings_.trainer.accumulation * corpus_->context();
}

const Model& TrainingRun::model() const { return trainer_->model(); }
const Parameters& TrainingRun::parameters() const { return trainer_->parameters(); }

void TrainingRun::save(const std::filesystem::path& path, const std::string& configuration) {
  trainer_->save(path, configuration);
}

void TrainingRun::load(const std::filesystem::path& path, const std::string& configuration, const RunRecord& record) {
  trainer_->load(path, configuration);
  record_ = record;
}

double TrainingRun::end_validation() {
  const double mean = record_.loss_sum / static_cast<double>(record_.loss_count);
  record_.loss_sum = 0;
  record_.loss_count = 0;
  record_.validation_due = false;
  return mean;
}

bool run_to_end(TrainingRun& run, const RunRhythm& rhythm, Terminal& terminal, const std::string& label,
                const RunObserver& observer) try {
  const auto windows = validation_windows(run.corpus(), rhythm.eval_windows);
  const auto validate = [&] {
    run.begin_validation();
    const auto evaluation = evaluate_windows(run.model(), run.parameters(), run.corpus(), windows,
                                             run.settings().trainer.batch, run.context(), terminal, label);
    const double training_loss = run.end_validation();
    if (observer.validated)
      observer.validated({run.steps_done(), run.tokens_done(), run.seconds(), training_loss, evaluation.nats()});
  };
  EvaluationPlan plan(rhythm.eval_every, run);
  Smoothed smoothed;
  double last_saved = run.seconds();
  if (run.record().validation_due) validate();
  while (run.progress() < 1) {
    if (was_interrupted()) return false;
    const double before = run.seconds();
    const auto report = run.step();
    smoothed.add(report, run.seconds() - before);
    if (observer.stepped) observer.stepped(report);
    terminal.progress(progress_of(run, smoothed, label));
    if (plan.is_due(run)) validate();
    const bool minute_over = rhythm.save_every == 0 && run.seconds() - last_saved >= 60;
    const bool steps_over = rhythm.save_every > 0 && run.steps_done() % rhythm.save_every == 0;
    if (observer.save_due && run.progress() < 1 && (minute_over || steps_over)) {
      observer.save_due();
      last_saved = run.seconds();
    }
  }
  terminal.clear();
  return true;
} catch (const ttt::Cancelled&) {
  return false;
}

}  // namespace ttt_lm
