// SPDX-License-Identifier: MIT
// Every number of every configuration of training against NaN, infinities, numbers below 0, and 0.
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "training/tiny_model.hpp"
#include "ttt/training/trainer.hpp"

using namespace ttt;
using namespace ttt::training;
using ttt::testing::contains;
using ttt::testing::error_message;

namespace {

using Model = testing::TinyModel<float>;
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN(),
                 infinity = std::numeric_limits<double>::infinity();

/// A number, what may stand in it, and how a message names it.
struct Number {
  std::string name;
  std::function<void(TrainerConfig&, double)> set;
  std::vector<double> good, bad;
};

const std::vector<double> never{not_a_number, infinity, -infinity, -1, -1e-300};

std::vector<double> operator+(std::vector<double> a, const std::vector<double>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Fails to compile when a configuration gets a number that the table below does not have.
void same_fields(TrainerConfig& config) {
  [[maybe_unused]] auto& [batch, accumulation, carry, norm, schedule, optimizer, groups, seed] = config;
  [[maybe_unused]] auto& [peak, warmup, total, final_fraction] = schedule;
  [[maybe_unused]] auto& [beta1, beta2, epsilon, weight_decay] = optimizer;
  [[maybe_unused]] auto& [pattern, factor, decay, frozen] = groups.front();
}

std::vector<Number> numbers() {
  const auto schedule = [](double CosineSchedule::*field) {
    return [field](TrainerConfig& config, double value) { config.schedule.*field = value; };
  };
  const auto optimizer = [](double AdamWConfig::*field) {
    return [field](TrainerConfig& config, double value) { config.optimizer.*field = value; };
  };
  return {
      {"trainer: max_gradient_norm",
       [](TrainerConfig& c, double v) { c.max_gradient_norm = v; },
       {0, 1e-9, 1e9},
       never},
      {"schedule: peak", schedule(&CosineSchedule::peak), {0, 1e-9, 1}, never},
      {"schedule: warmup", schedule(&CosineSchedule::warmup), {0, 0.5, 1000}, never + std::vector<double>{1000.5}},
      {"schedule: total", schedule(&CosineSchedule::total), {100, 1e12}, never + std::vector<double>{0}},
      {"schedule: final fraction",
       schedule(&CosineSchedule::final_fraction),
       {0, 1},
       never + std::vector<double>{1.001}},
      {"AdamW: beta1", optimizer(&AdamWConfig::beta1), {0, 0.999}, never + std::vector<double>{1}},
      {"AdamW: beta2", optimizer(&AdamWConfig::beta2), {0, 0.999}, never + std::vector<double>{1}},
      // 1e-45 is none of the floats that the model consists of, 1e-39 loses digits there.
      {"AdamW: epsilon", optimizer(&AdamWConfig::epsilon), {1e-30, 1}, never + std::vector<double>{0, 1e-46, 1e-39}},
      {"AdamW: weight decay", optimizer(&AdamWConfig::weight_decay), {0, 10}, never},
      {"learning rate factor",
       [](TrainerConfig& c, double v) { c.groups.front().learning_rate_factor = v; },
       {0, 3},
       never},
  };
}

struct Count {
  std::string name;
  Index TrainerConfig::*field;
};
const std::vector<Count> counts{{"trainer: batch", &TrainerConfig::batch},
                                {"trainer: accumulation", &TrainerConfig::accumulation},
                                {"trainer: carry_windows", &TrainerConfig::carry_windows}};

Corpus corpus() { return Corpus::from_documents({{"text", std::string(400, 'a')}}, 8); }

TrainerConfig usual() {
  TrainerConfig config;
  config.batch = 2;
  config.groups = {{"gate", 1, {}, false}};
  same_fields(config);
  return config;
}

std::string refusal(const TrainerConfig& config, const Corpus& data) {
  return error_message([&] { Trainer<Model>(Model{}, data, config); });
}

}  // namespace

TEST_CASE("every number of a training is of its domain, or an error that names it") {
  const Corpus data = corpus();
  for (const Number& number : numbers()) {
    for (const double value : number.good) {
      TrainerConfig config = usual();
      number.set(config, value);
      CAPTURE(number.name, value);
      CHECK(refusal(config, data) == "");
    }
    for (const double value : number.bad) {
      TrainerConfig config = usual();
      number.set(config, value);
      const std::string message = refusal(config, data);
      CAPTURE(number.name, value, message);
      CHECK(contains(message, number.name, "expected", "found " + domain::text(value)));
    }
  }
}

TEST_CASE("every count of a training is at least 1") {
  const Corpus data = corpus();
  for (const Count& count : counts)
    for (const Index value : {Index{0}, Index{-1}, std::numeric_limits<Index>::min()}) {
      TrainerConfig config = usual();
      config.*count.field = value;
      CHECK(refusal(config, data) == count.name + ": expected at least 1, found " + std::to_string(value));
    }
  CHECK(contains(error_message([] { BatchGradient<Model>(Model{}, 0, 8, {}); }), "sequences: expected at least 1"));
  CHECK(contains(error_message([] { BatchGradient<Model>(Model{}, 2, -8, {}); }), "tokens: expected at least 1"));
}

TEST_CASE("an update of more tokens than can be counted is an error, not a number that wrapped around") {
  const Corpus data = corpus();
  TrainerConfig config = usual();
  config.accumulation = std::numeric_limits<Index>::max() / 16 + 1;
  CHECK(contains(refusal(config, data), "batch · accumulation", "windows of 8 tokens", "2 · "));
  config.batch = std::numeric_limits<Index>::max();
  CHECK(contains(refusal(config, data), "batch · accumulation"));
}

TEST_CASE("an update refuses a learning rate that is none, and a norm to clip to that is none, and changes nothing") {
  const Corpus data = corpus();
  Trainer<Model> trainer(Model{}, data, usual());
  auto parameters = trainer.parameters();
  auto gradients = parameters;
  AdamW<float> optimizer({}, parameters);
  Context context;
  for (const double rate : never) {
    CAPTURE(rate);
    CHECK(contains(error_message([&] { trainer.train_step(rate, context); }), "learning rate of step 1"));
    CHECK(contains(error_message([&] { optimizer.step(parameters.arena(), gradients.arena(), rate, context); }),
                   "learning rate of step 1", "found " + domain::text(rate)));
  }
  for (const double norm : never + std::vector<double>{0}) {
    CAPTURE(norm);
    CHECK(contains(error_message([&] { clip_gradients(optimizer.groups(), gradients.arena(), norm, context); }),
                   "clipping: largest norm", "found " + domain::text(norm)));
  }
  CHECK(optimizer.steps() == 0);
  CHECK(parameters.arena() == trainer.parameters().arena());
  CHECK(gradients.arena() == trainer.parameters().arena());
  CHECK(trainer.step() == 0);
}
