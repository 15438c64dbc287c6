// SPDX-License-Identifier: MIT
#include "run_configuration.hpp"

#include <nlohmann/json.hpp>

#include "ttt/training/checkpoint.hpp"

namespace ttt_lm {

namespace {

using Json = nlohmann::ordered_json;

/// The one list of what a run depends on.
template <class Visitor>
void visit(TrainOptions& options, CommonOptions& common, Visitor visitor) {
  visitor("--data", options.data);
  visitor("--tokenizer", options.tokenizer);
  visitor("--layer", options.layer);
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
  visitor("--seed", common.seed);
}

}  // namespace

std::string configuration_text(TrainOptions options, CommonOptions common, double seconds) {
  Json json;
  visit(options, common, [&](const char* name, auto& value) { json[name] = value; });
  json["seconds"] = seconds;
  return json.dump();
}

StoredConfiguration restore_configuration(const std::filesystem::path& checkpoint, const std::set<std::string>& given,
                                          TrainOptions& options, CommonOptions& common) {
  StoredConfiguration stored;
  for (const auto& setting : ttt::training::read_checkpoint_settings(checkpoint))
    if (setting.name == "configuration") stored.text = setting.value;
  const Json json = Json::parse(stored.text, nullptr, false);
  TrainOptions restored = options;
  CommonOptions restored_common = common;
  try {
    visit(restored, restored_common, [&](const char* name, auto& value) {
      const Json found = value;
      json.at(name).get_to(value);
      if (given.contains(name) && found != json.at(name))
        ttt::throw_unexpected(name, json.at(name).dump() + ", as in the run of " + checkpoint.string(), found.dump());
    });
    json.at("seconds").get_to(stored.seconds);
  } catch (const Json::exception&) {
    ttt::throw_unexpected(checkpoint.string(), "a checkpoint of ttt-lm train", "one of another program");
  }
  options = restored;
  common = restored_common;
  return stored;
}

}  // namespace ttt_lm
