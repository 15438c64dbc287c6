// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "ttt/core/domain.hpp"
#include "ttt/training/adamw.hpp"
#include "ttt/training/checkpoint.hpp"
#include "ttt/training/clip.hpp"
#include "ttt/training/data.hpp"
#include "ttt/training/schedule.hpp"

TTT_NAMESPACE_BEGIN

namespace training {

struct TrainerConfig {
  Index batch = 16;         ///< windows whose gradient is computed together
  Index accumulation = 1;   ///< batches per update; the update is that of one batch of batch · accumulation windows
  Index carry_windows = 1;  ///< consecutive windows of a document that share a State: truncated backpropagation.
                            ///< 1: windows are drawn at random and each starts anew
  double max_gradient_norm = 1;  ///< 0: no clipping
  CosineSchedule schedule;       ///< in updates; asked for position s + 1 in update s = 0, 1, …
  AdamWConfig optimizer;
  std::vector<GroupRule> groups;
  std::uint64_t seed = 0;  ///< of the initial weights and of the order of the data

  /// Throws Error naming the number that is outside of its domain; the factors of groups are checked with their
  /// patterns, where the parameters are known.
  void check() const {
    domain::at_least("trainer: batch", 1, batch);
    domain::at_least("trainer: accumulation", 1, accumulation);
    domain::at_least("trainer: carry_windows", 1, carry_windows);
    domain::not_negative("trainer: max_gradient_norm", max_gradient_norm);
    schedule.check();
    optimizer.check();
  }
};

/// What one update did.
struct StepReport {
  std::int64_t step = 0;     ///< updates done, this one included
  double loss = 0;           ///< mean over the tokens of the update, in nats, before it
  double gradient_norm = 0;  ///< before clipping
  double learning_rate = 0;
  Index tokens = 0;
};

/// The config, if it can be trained with; otherwise an Error.
inline TrainerConfig checked(TrainerConfig config, Index vocabulary, const Corpus& corpus) {
  config.check();
  // Tokens of an update are counted in Index.
  const Index largest = std::numeric_limits<Index>::max() / corpus.context();
  if (config.batch > largest || config.accumulation > largest / config.batch)
    throw_unexpected(
        "trainer: batch · accumulation",
        "at most " + std::to_string(largest) + " windows of " + std::to_string(corpus.context()) + " tokens",
        std::to_string(config.batch) + " · " + std::to_string(config.accumulation));
  if (vocabulary < corpus.vocabulary())
    throw_unexpected("vocabulary of the model",
                     "at least the " + std::to_string(corpus.vocabulary()) + " ids of the data",
                     std::to_string(vocabulary));
  return config;
}

/// What a checkpoint must agree in with the trainer that loads it.
inline std::vector<CheckpointSetting> checkpoint_settings(const TrainerConfig& config, const Corpus& corpus,
                                                          const std::string& configuration) {
  std::vector<CheckpointSetting> list{{"configuration", configuration},
                                      {"data fingerprint", std::to_string(corpus.fingerprint())},
                                      {"batch", std::to_string(config.batch)},
                                      {"accumulation", std::to_string(config.accumulation)},
                                      {"carry_windows", std::to_string(config.carry_windows)},
                                      {"seed", std::to_string(config.seed)},
                                      {"max_gradient_norm", exact_text(config.max_gradient_norm)},
                                      {"schedule.peak", exact_text(config.schedule.peak)},
                                      {"schedule.warmup", exact_text(config.schedule.warmup)},
                                      {"schedule.total", exact_text(config.schedule.total)},
                                      {"schedule.final_fraction", exact_text(config.schedule.final_fraction)},
                                      {"optimizer.beta1", exact_text(config.optimizer.beta1)},
                                      {"optimizer.beta2", exact_text(config.optimizer.beta2)},
                                      {"optimizer.epsilon", exact_text(config.optimizer.epsilon)},
                                      {"optimizer.weight_decay", exact_text(config.optimizer.weight_decay)}};
  for (const GroupRule& rule : config.groups)
    list.push_back({"group " + rule.pattern, "learning rate factor " + exact_text(rule.learning_rate_factor) +
                                                 ", decay " + (rule.decay ? (*rule.decay ? "on" : "off") : "as usual") +
                                                 (rule.frozen ? ", frozen" : "")});
  return list;
}

}  // namespace training

TTT_NAMESPACE_END
