// SPDX-License-Identifier: MIT
#include "run_configuration.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "json_text.hpp"
#include "ttt/training/checkpoint.hpp"

namespace ttt_lm {

namespace {

using Json = nlohmann::ordered_json;

/// The one list of what a run is started with and goes on with.
template <class Visitor>
void visit(TrainOptions& options, CommonOptions& common, Visitor visitor) {
  visitor("--data", options.data);
  visitor("--tokenizer", options.tokenizer);
  visitor("--layer", options.layer);
  visitor("--pattern", options.pattern);
  visitor("--size", options.size);
  visitor("--backbone", options.backbone);
  visitor("--width", options.width);
  visitor("--depth", options.depth);
  visitor("--heads", options.heads);
  visitor("--kv-heads", options.key_value_heads);
  visitor("--mini-batch", options.mini_batch);
  visitor("--window", options.window);
  visitor("--hidden", options.hidden);
  visitor("--inner-rate", options.inner_rate);
  visitor("--untied", options.untied);
  visitor("--context", options.context);
  visitor("--batch", options.batch);
  visitor("--accumulate", options.accumulate);
  visitor("--carry-state", options.carry_state);
  visitor("--steps", options.steps);
  visitor("--minutes", options.minutes);
  visitor("--products", options.products);
  visitor("--lr", options.learning_rate);
  visitor("--final-lr", options.final_rate);
  visitor("--warmup", options.warmup);
  visitor("--weight-decay", options.weight_decay);
  visitor("--clip", options.clip);
  visitor("--freeze", options.freeze);
  visitor("--lr-factor", options.rate_factors);
  visitor("--eval-every", options.eval_every);
  visitor("--eval-windows", options.eval_windows);
  visitor("--final-windows", options.final_windows);
  visitor("--save-every", options.save_every);
  visitor("--seed", common.seed);
  visitor("--threads", common.threads);
  visitor("planned steps", options.planned_steps);
  visitor("planned minutes", options.planned_minutes);
}

template <class Visitor>
void visit(RunRecord& record, Visitor visitor) {
  visitor("step", record.step);
  visitor("seconds", record.seconds);
  visitor("loss sum", record.loss_sum);
  visitor("loss count", record.loss_count);
  visitor("validation due", record.validation_due);
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// What an option given to a run that goes on must be, in words; empty when `given` may stand.
template <class Value>
std::string expected(std::string_view name, const Value& given, const Value& stored) {
  if (given == stored || is_one_of(name, {"--threads", "--save-every", "--data"})) return {};
  if (name == "--tokenizer" && stored != Value{}) return {};
  if (is_one_of(name, {"--steps", "--minutes"})) {
    if (stored == Value{}) return "none";
    return given > stored ? "" : "at least " + json_text(stored);
  }
  return json_text(stored);
}

void check_rate(const TrainOptions& options) {
  const bool is_longer = options.steps > options.planned_steps || options.minutes > options.planned_minutes;
  if (is_longer && options.final_rate == 0)
    ttt::throw_unexpected(options.steps > 0 ? "--steps" : "--minutes",
                          "no more than the run began with, as its "
                          "learning rate ends at 0 (--final-lr)",
                          "more");
}

}  // namespace

std::string configuration_text(TrainOptions options, CommonOptions common, const RunRecord& record) {
  Json json;
  const auto add = [&](const char* name, const auto& value) { json[name] = value; };
  visit(options, common, add);
  RunRecord now = record;
  visit(now, add);
  return json_text(json);
}

StoredConfiguration restore_configuration(const std::filesystem::path& checkpoint, const std::set<std::string>& given,
                                          TrainOptions& options, CommonOptions& common) {
  StoredConfiguration stored;
  for (const auto& setting : ttt::training::read_checkpoint_settings(checkpoint)) {
    if (setting.name == "configuration") stored.text = setting.value;
    if (setting.name == "data fingerprint") stored.data_fingerprint = setting.value;
  }
  const Json json = parse_json_text(stored.text);
  TrainOptions restored = options;
  CommonOptions restored_common = common;
  const char* reading = "";
  try {
    visit(restored, restored_common, [&](const char* name, auto& value) {
      reading = name;
      const auto found = value;
      json.at(name).get_to(value);
      if (!given.contains(name)) return;
      if (const std::string words = expected(name, found, value); !words.empty())
        ttt::throw_unexpected(name, words + ", as in the run of " + checkpoint.string(), json_text(found));
      value = found;
    });
    visit(stored.record, [&](const char* name, auto& value) { json.at(reading = name).get_to(value); });
  } catch (const Json::exception&) {
    ttt::throw_unexpected(checkpoint.string(), "a checkpoint of this version of ttt-lm train",
                          std::string("one without ") + reading);
  }
  check_rate(restored);
  options = restored;
  common = restored_common;
  return stored;
}

}  // namespace ttt_lm
