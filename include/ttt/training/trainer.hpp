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
#include "ttt/training/checkpoint.hpp"
#include "ttt/training/clip.hpp"
#include "ttt/training/data.hpp"
#include "ttt/training/schedule.hpp"

TTT_NAMESPACE_BEGIN

namespace training {

struct TrainerConfig {
  Index batch = 16;              ///< windows per call of the model
  Index accumulation = 1;        ///< calls per update; the update is that of one batch of batch · accumulation windows
  Index carry_windows = 1;       ///< consecutive windows of a document that share a State: truncated backpropagation.
                                 ///< 1: windows are drawn at random and each starts anew
  double max_gradient_norm = 1;  ///< 0: no clipping
  CosineSchedule schedule;       ///< in updates; asked for position s + 1 in update s = 0, 1, …
  AdamWConfig optimizer;
  std::vector<GroupRule> groups;
  std::uint64_t seed = 0;        ///< of the initial weights and of the order of the data
};

/// What one update did.
struct StepReport {
  std::int64_t step = 0;     ///< updates done, this one included
  double loss = 0;           ///< mean over the tokens of the update, in nats, before it
  double gradient_norm = 0;  ///< before clipping
  double learning_rate = 0;
  Index tokens = 0;
};

namespace detail {

/// Tells a State, and the States it is made of, how many tokens it has read: visit() tells values only. A State keeps the
/// places to itself with a `set_position`, or shows them as a model's `blocks` and a block's `layer` do.
template <class State>
void set_position(State& state, std::int64_t position) {
  if constexpr (requires { state.set_position(position); }) {
    state.set_position(position);
  } else {
    state.position = position;
    if constexpr (requires { state.layer.position; }) set_position(state.layer, position);
    if constexpr (requires { state.blocks.front().position; })
      for (auto& block : state.blocks) set_position(block, position);
  }
}

}  // namespace detail

/// Trains a language model on a corpus: parameters, gradients, optimiser, place in the data. The corpus must outlive it.
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
        config_(checked(std::move(config), model_)),
        parameters_(model_.make_parameters()),
        gradients_(model_.make_parameters()),
        optimizer_(config_.optimizer, ParameterGroups(parameters_, config_.groups), parameters_.arena().size()) {
    initialize(parameters_.views(), config_.seed);
    unbind_frozen<Parameters>(gradients_.views(), config_.groups);
    const Index windows = std::min(config_.carry_windows, corpus.longest_stream());
    const Index states = config_.carry_windows > 1 ? rows_per_step() : config_.batch;
    states_.assign(static_cast<std::size_t>(states), model_.initial_state(parameters_.views(), windows * corpus.context()));
    working_states_ = states_;
  }

  /// One update with the learning rate of the schedule.
  StepReport train_step(Context& context) { return train_step(config_.schedule(static_cast<double>(step_ + 1)), context); }

  /// One update with a learning rate of the caller's choice.
  StepReport train_step(double learning_rate, Context& context) {
    if (!(learning_rate >= 0 && is_finite(learning_rate)))
      throw_unexpected("learning rate of step " + std::to_string(step_ + 1), "a finite number of at least 0",
                       std::to_string(learning_rate));
    gradients_.arena().clear();
    if (config_.carry_windows > 1) working_states_ = states_;
    const double loss = accumulate_gradients(context);
    if (!is_finite(loss)) fail_for_loss();
    const double limit = config_.max_gradient_norm > 0 ? config_.max_gradient_norm : std::numeric_limits<double>::max();
    const double norm = clip_gradients(optimizer_.groups(), gradients_.arena(), limit, context);
    if (!is_finite(norm)) fail_for_gradient();
    optimizer_.step(parameters_.arena(), gradients_.arena(), learning_rate, context);
    std::swap(states_, working_states_);
    ++step_;
    return {step_, loss, norm, learning_rate, rows_per_step() * corpus_->context()};
  }

  /// Writes everything the next update depends on; a kill at any moment leaves the old file or the new one.
  /// `configuration` is the caller's own description of the model, kept with it and compared by `load`.
  void save(const std::filesystem::path& path, const std::string& configuration) {
    if (config_.carry_windows > 1) check_states_can_be_restored();
    save_checkpoint(path, settings(configuration), arrays());
    last_checkpoint_ = path.string();
  }

  /// Goes on where a checkpoint was written. Throws Error, with nothing changed, when the file is damaged or belongs to
  /// another configuration, other settings or other data.
  void load(const std::filesystem::path& path, const std::string& configuration) {
    load_checkpoint(path, settings(configuration), arrays());
    for (std::size_t s = 0; s < states_.size(); ++s) detail::set_position(states_[s], positions_[s]);
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
  /// States carried into the next update; of no meaning when windows are drawn at random.
  const std::vector<State>& states() const { return states_; }
  /// Updates done.
  std::int64_t step() const { return step_; }
  /// Path of the file last saved or loaded, "none" before.
  const std::string& last_checkpoint() const { return last_checkpoint_; }

 private:
  static TrainerConfig checked(TrainerConfig config, const Model& model) {
    const auto expect_positive = [](const char* name, Index found) {
      if (found < 1) throw_unexpected(std::string("trainer ") + name, "at least 1", std::to_string(found));
    };
    expect_positive("batch", config.batch);
    expect_positive("accumulation", config.accumulation);
    expect_positive("carry_windows", config.carry_windows);
    if (!(config.max_gradient_norm >= 0 && is_finite(config.max_gradient_norm)))
      throw_unexpected("trainer max_gradient_norm", "a finite number of at least 0",
                       std::to_string(config.max_gradient_norm));
    if (model.vocabulary() < Corpus::vocabulary)
      throw_unexpected("vocabulary of the model", "at least " + std::to_string(Corpus::vocabulary) + " ids for bytes",
                       std::to_string(model.vocabulary()));
    config.schedule.check();
    return config;
  }

  Index rows_per_step() const { return config_.batch * config_.accumulation; }

  /// Adds up the gradient of the mean loss over the whole update; returns that mean.
  double accumulate_gradients(Context& context) {
    const double scale = 1.0 / static_cast<double>(rows_per_step() * corpus_->context());
    Loss loss;
    for (Index call = 0; call < config_.accumulation; ++call) {
      read_batch(call);
      const Loss part = model_.loss_and_backward(
          parameters_.views(), std::span<const std::int64_t>(ids_), std::span<const std::int64_t>(targets_),
          std::span<const Segment<State>>(segments_), scale, gradients_.views(), std::span<State* const>(), record_,
          context);
      loss.sum += part.sum;
      loss.rows += part.rows;
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

  /// The window of row `row` of this update, which is row `row_of_call` of its call. Carried rows walk through the training
  /// text from starting places spread evenly over it.
  Place next_window(Index row, Index row_of_call) const {
    if (config_.carry_windows == 1) return {corpus_->sample(config_.seed, step_, row), true, row_of_call};
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

  /// What a checkpoint must agree in with the trainer that loads it.
  std::vector<CheckpointSetting> settings(const std::string& configuration) const {
    std::vector<CheckpointSetting> list{
        {"configuration", configuration},
        {"data", std::to_string(corpus_->fingerprint())},
        {"batch", std::to_string(config_.batch)},
        {"accumulation", std::to_string(config_.accumulation)},
        {"carry_windows", std::to_string(config_.carry_windows)},
        {"seed", std::to_string(config_.seed)},
        {"max_gradient_norm", exact_text(config_.max_gradient_norm)},
        {"schedule.peak", exact_text(config_.schedule.peak)},
        {"schedule.warmup", exact_text(config_.schedule.warmup)},
        {"schedule.total", exact_text(config_.schedule.total)},
        {"schedule.final_fraction", exact_text(config_.schedule.final_fraction)},
        {"optimizer.beta1", exact_text(config_.optimizer.beta1)},
        {"optimizer.beta2", exact_text(config_.optimizer.beta2)},
        {"optimizer.epsilon", exact_text(config_.optimizer.epsilon)},
        {"optimizer.weight_decay", exact_text(config_.optimizer.weight_decay)}};
    for (const GroupRule& rule : config_.groups)
      list.push_back({"group " + rule.pattern,
                      "learning rate factor " + exact_text(rule.learning_rate_factor) + ", decay " +
                          (rule.decay ? (*rule.decay ? "on" : "off") : "as usual") + (rule.frozen ? ", frozen" : "")});
    return list;
  }

  /// Everything the next update depends on, in place.
  std::vector<CheckpointArray> arrays() {
    std::vector<CheckpointArray> list{array_of("step", &step_, Shape{1}, 1),
                                      array_of("optimizer.steps", &optimizer_.steps(), Shape{1}, 1)};
    const auto add = [&](const std::string& prefix, Buffer<Scalar>& arena) {
      Parameters views = parameters_.views();
      views.visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo&) {
        const Index offset = tensor.data() - parameters_.arena().data();
        list.push_back(array_of(prefix + std::string(name), arena.data() + offset, tensor.shape(), tensor.storage_size()));
      });
    };
    add("parameter ", parameters_.arena());
    add("first moment ", optimizer_.first_moments());
    add("second moment ", optimizer_.second_moments());
    positions_.clear();
    for (const State& state : states_) positions_.push_back(state.position);
    for (std::size_t s = 0; config_.carry_windows > 1 && s < states_.size(); ++s) {
      const std::string prefix = "state " + std::to_string(s) + " ";
      list.push_back(array_of(prefix + "position", &positions_[s], Shape{1}, 1));
      states_[s].visit([&](std::string_view name, VectorView<typename State::Scalar> values) {
        list.push_back(array_of(prefix + std::string(name), values.data(), Shape{values.size()}, values.size()));
      });
    }
    return list;
  }

  /// A checkpoint that could not bring a State back would be found out too late.
  void check_states_can_be_restored() {
    for (State& state : states_) {
      State restored = state;
      restored.clear();
      std::vector<VectorView<typename State::Scalar>> parts;
      state.visit([&](std::string_view, VectorView<typename State::Scalar> values) { parts.push_back(values); });
      auto part = parts.begin();
      restored.visit([&](std::string_view, VectorView<typename State::Scalar> values) {
        std::copy(part->begin(), part->end(), values.begin());
        ++part;
      });
      detail::set_position(restored, state.position);
      if (!(restored == state))
        throw Error("checkpoint: the model's State is more than what visit and set_position tell, so that it could not be "
                    "restored; nothing was written");
    }
  }

  Model model_;
  const Corpus* corpus_;
  TrainerConfig config_;
  ParameterStore<Parameters> parameters_, gradients_;
  AdamW<Scalar> optimizer_;
  std::vector<State> states_, working_states_;
  typename Model::Record record_;
  std::vector<std::int64_t> ids_, targets_;
  std::vector<Segment<State>> segments_;
  std::vector<std::int64_t> positions_;  ///< of states_, while a checkpoint is written or read
  std::int64_t step_ = 0;
  std::string last_checkpoint_ = "none";
};

}  // namespace training

TTT_NAMESPACE_END
