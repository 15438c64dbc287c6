// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ttt/models/language_model.hpp"
#include "ttt/training/adamw.hpp"
#include "ttt/training/batch_gradient.hpp"
#include "ttt/training/checkpoint.hpp"
#include "ttt/training/clip.hpp"
#include "ttt/training/data.hpp"
#include "ttt/training/trainer/config.hpp"

TTT_NAMESPACE_BEGIN

namespace training {

/// Trains a language model on a corpus: parameters, gradients, optimiser, place in the data. The corpus must outlive
/// it.
///
/// An update happens whole or not at all: when a loss or gradient is not finite (Error) or the caller cancels
/// (Cancelled), parameters, moments, states and place in the data are as before it. The next update depends on nothing
/// else, so a checkpoint loaded into a new Trainer goes on bit for bit as the run that was never stopped.
template <TrainableLanguageModel Model>
class Trainer {
 public:
  using Scalar = typename Model::Scalar;
  using State = typename Model::State;
  using Parameters = typename Model::Parameters;

  /// Draws the initial weights from the seed. Throws Error for settings that cannot be trained with.
  Trainer(Model model, const Corpus& corpus, TrainerConfig config)
      : model_(std::move(model)),
        corpus_(&corpus),
        config_(checked(std::move(config), model_.vocabulary(), corpus)),
        parameters_(model_.make_parameters()),
        gradients_(model_.make_parameters()),
        batch_gradient_(model_, config_.batch, corpus.context(), config_.groups),
        optimizer_(config_.optimizer, parameters_, config_.groups) {
    initialize(parameters_.views(), config_.seed);
    unbind_frozen<Parameters>(gradients_.views(), config_.groups);
    const Index states = carries() ? rows_per_step() : config_.batch;
    working_states_.assign(static_cast<std::size_t>(states),
                           model_.initial_state(parameters_.views(), state_capacity()));
    if (carries()) states_ = working_states_;
  }

  /// One update with the learning rate of the schedule.
  StepReport train_step(Context& context) {
    return train_step(config_.schedule(static_cast<double>(step_ + 1)), context);
  }

  /// One update with a learning rate of the caller's choice.
  StepReport train_step(double learning_rate, Context& context) {
    domain::not_negative("learning rate of step " + std::to_string(step_ + 1), learning_rate);
    if (context.cancellation && *context.cancellation) throw Cancelled();
    gradients_.arena().clear();
    if (carries()) working_states_ = states_;
    const double loss = accumulate_gradients(context);
    if (!is_finite(loss)) fail_for_loss();
    const double limit = config_.max_gradient_norm > 0 ? config_.max_gradient_norm : std::numeric_limits<double>::max();
    const double norm = clip_gradients(optimizer_.groups(), gradients_.arena(), limit, context);
    if (!is_finite(norm)) fail_for_gradient();
    optimizer_.step(parameters_.arena(), gradients_.arena(), learning_rate, context);
    if (carries()) std::swap(states_, working_states_);
    ++step_;
    return {step_, loss, norm, learning_rate, rows_per_step() * corpus_->context()};
  }

  /// Writes everything the next update depends on; a kill at any moment leaves the old file or the new one.
  /// `configuration` is the caller's own description of the model, kept with it and compared by `load`.
  void save(const std::filesystem::path& path, const std::string& configuration) {
    save_checkpoint(path, checkpoint_settings(config_, *corpus_, configuration), arrays());
    last_checkpoint_ = path.string();
  }

  /// Goes on where a checkpoint was written. Throws Error, with nothing changed, when the file is damaged or belongs to
  /// another configuration, other settings or other data.
  void load(const std::filesystem::path& path, const std::string& configuration) {
    load_checkpoint(path, checkpoint_settings(config_, *corpus_, configuration), arrays());
    for (std::size_t s = 0; s < states_.size(); ++s) states_[s].position = positions_[s];
    last_checkpoint_ = path.string();
  }

  const Model& model() const { return model_; }
  const Corpus& corpus() const { return *corpus_; }
  const TrainerConfig& config() const { return config_; }
  /// Changes the rest of the run: after `load`, to train longer than was planned.
  void set_schedule(const CosineSchedule& schedule) {
    schedule.check();
    config_.schedule = schedule;
  }
  ParameterStore<Parameters>& parameters() { return parameters_; }
  const ParameterStore<Parameters>& parameters() const { return parameters_; }
  const AdamW<Scalar>& optimizer() const { return optimizer_; }
  /// States carried into the next update; none when windows are drawn at random.
  const std::vector<State>& states() const { return states_; }
  /// Updates done.
  std::int64_t step() const { return step_; }
  /// Path of the file last saved or loaded, "none" before.
  const std::string& last_checkpoint() const { return last_checkpoint_; }

 private:
  /// No run has as many; whatever a file claims, sums and products with it fit.
  static constexpr std::int64_t largest_step = std::int64_t{1} << 40;

  bool carries() const { return config_.carry_windows > 1; }
  /// Tokens that a state reads before it is reset.
  Index state_capacity() const {
    return std::min(config_.carry_windows, corpus_->longest_stream()) * corpus_->context();
  }
  Index rows_per_step() const { return config_.batch * config_.accumulation; }

  /// Adds up the gradient of the mean loss over the whole update; returns that mean.
  double accumulate_gradients(Context& context) {
    const double scale = 1.0 / static_cast<double>(rows_per_step() * corpus_->context());
    Loss loss;
    for (Index call = 0; call < config_.accumulation; ++call) {
      read_batch(call);
      loss += batch_gradient_.add(model_, parameters_.views(), ids_, targets_,
                                  std::span<const Segment<State>>(segments_), scale, gradients_, context);
    }
    return loss.mean();
  }

  void read_batch(Index call) {
    const Index length = corpus_->context();
    const auto size = static_cast<std::size_t>(length);
    ids_.resize(static_cast<std::size_t>(config_.batch) * size);
    targets_.resize(ids_.size());
    segments_.clear();
    for (Index i = 0; i < config_.batch; ++i) {
      const auto start = static_cast<std::size_t>(i) * size;
      const auto [window, reset, state] = next_window(call * config_.batch + i, i);
      corpus_->read(window, std::span(ids_).subspan(start, size), std::span(targets_).subspan(start, size));
      segments_.push_back({length, &working_states_[static_cast<std::size_t>(state)], reset});
    }
  }

  struct Place {
    Window window;
    bool reset = true;
    Index state = 0;
  };

  /// The window of row `row` of this update, which is row `row_of_call` of its call. Carried rows walk through the
  /// training text from starting places spread evenly over it.
  Place next_window(Index row, Index row_of_call) const {
    if (!carries()) return {corpus_->sample(config_.seed, step_, row), true, row_of_call};
    const Index all = corpus_->stream_windows(), start = row * all / rows_per_step();
    const Window window = corpus_->stream_window((start + step_ % all) % all);
    const Index index = window.first / corpus_->context();
    return {window, step_ == 0 || index % config_.carry_windows == 0, row};
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error("step " + std::to_string(step_ + 1) + ": " + what + "; last good checkpoint: " + last_checkpoint_);
  }
  [[noreturn]] void fail_for_loss() const {
    if (const auto name = first_not_finite(optimizer_.groups(), parameters_.arena()))
      fail("loss is not finite, parameter '" + *name + "' is not finite");
    fail("loss is not finite, all parameters are finite");
  }
  [[noreturn]] void fail_for_gradient() const {
    if (const auto name = first_not_finite(optimizer_.groups(), gradients_.arena()))
      fail("gradient of '" + *name + "' is not finite");
    fail("norm of the gradients is not finite");
  }

  /// Everything the next update depends on, in place.
  std::vector<CheckpointArray> arrays() {
    std::vector<CheckpointArray> list;
    const auto add_count = [&](const std::string& name, std::int64_t& count, std::int64_t largest) {
      list.push_back(array_of(name, &count, Shape{1}, 1));
      list.back().largest = largest;
    };
    add_count("step", step_, largest_step);
    add_count("optimizer.steps", optimizer_.steps(), largest_step);
    const auto add = [&](const std::string& prefix, Buffer<Scalar>& arena) {
      Parameters views = parameters_.views();
      views.visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo&) {
        const Index offset = tensor.data() - parameters_.arena().data();
        list.push_back(
            array_of(prefix + std::string(name), arena.data() + offset, tensor.shape(), tensor.storage_size()));
      });
    };
    add("parameter ", parameters_.arena());
    add("first moment ", optimizer_.first_moments());
    add("second moment ", optimizer_.second_moments());
    positions_.clear();
    for (const State& state : states_) positions_.push_back(state.position);
    for (std::size_t s = 0; s < states_.size(); ++s) {
      const std::string prefix = "state " + std::to_string(s) + " ";
      add_count(prefix + "position", positions_[s], state_capacity());
      Buffer<typename State::Scalar>& values = states_[s].values;
      list.push_back(array_of(prefix + "values", values.data(), Shape{values.size()}, values.size()));
    }
    return list;
  }

  Model model_;
  const Corpus* corpus_;
  TrainerConfig config_;
  ParameterStore<Parameters> parameters_, gradients_;
  BatchGradient<Model> batch_gradient_;
  AdamW<Scalar> optimizer_;
  std::vector<State> states_, working_states_;
  std::vector<std::int64_t> ids_, targets_;
  std::vector<Segment<State>> segments_;
  std::vector<std::int64_t> positions_;  ///< of states_, while a checkpoint is written or read
  std::int64_t step_ = 0;
  std::string last_checkpoint_ = "none";
};

}  // namespace training

TTT_NAMESPACE_END
