// SPDX-License-Identifier: MIT
#include <nlohmann/json.hpp>

#include "command_line.hpp"
#include "commands.hpp"
#include "interrupt.hpp"
#include "json_text.hpp"
#include "model.hpp"
#include "terminal.hpp"

namespace ttt_lm {

namespace {

using Json = nlohmann::ordered_json;

/// Which part of the model a parameter belongs to, by its published name.
std::string part_of(std::string_view name) {
  const auto has = [&](const char* text) { return name.find(text) != std::string_view::npos; };
  if (has("embed_tokens")) return "embedding";
  if (has("lm_head")) return "head";
  if (has(".mlp.")) return "SwiGLU";
  if (has(".conv.conv.")) return "temporal convolution";
  if (has(".seq_modeling_block.")) return "sequence layer";
  return "norms";
}

/// Number of parameters by part, without the parts that the model has none of.
Json parameter_counts(Model::Parameters parameters) {
  Json counts;
  for (const char* part : {"embedding", "sequence layer", "temporal convolution", "SwiGLU", "norms", "head"})
    counts[part] = 0;
  parameters.visit([&](std::string_view name, ttt::Tensor<float>& tensor, const ttt::ParameterInfo&) {
    auto& count = counts[part_of(name)];
    count = count.get<std::int64_t>() + tensor.size();
  });
  for (auto part = counts.begin(); part != counts.end();) part = part.value() == 0 ? counts.erase(part) : ++part;
  return counts;
}

/// Number of parameters of each block.
std::vector<std::int64_t> block_counts(Model::Parameters parameters) {
  auto& [layers, blocks] = parameters.stack;
  std::vector<std::int64_t> counts(static_cast<std::size_t>(blocks.back()) + 1);
  for (std::size_t i = 0; i < layers.size(); ++i)
    layers[i].visit([&](std::string_view, ttt::Tensor<float>& tensor, const ttt::ParameterInfo&) {
      counts[static_cast<std::size_t>(blocks[i])] += tensor.size();
    });
  return counts;
}

/// The layers of the pattern with the options that are not the usual ones.
std::vector<std::string> layer_texts(const ttt::ModelConfig& config) {
  std::vector<std::string> texts;
  for (const auto& block : config.pattern) texts.push_back(block.text());
  return texts;
}

/// Memory for training, per token of a long enough window that what a window costs once does not show.
double record_bytes_per_token(const Model& model) {
  constexpr Index tokens = 4096;
  return static_cast<double>(model.record_bytes(tokens)) / static_cast<double>(tokens);
}

Json description(const InfoOptions& options, const LoadedModel& loaded, ttt::Context& context) {
  const auto& config = loaded.config;
  const std::array<Index, 1> positions{options.context};
  Json json;
  json["model"] = options.model;
  json.update(
      {{"family", loaded.family},
       {"layer", config.layers()},
       {"layers", layer_texts(config)},
       {"backbone", backbone_of(config)},
       {"vocabulary", config.vocabulary},
       {"width", config.width},
       {"depth", config.depth},
       {"swiglu_width", config.pattern.front().hidden},
       {"scales",
        {{"embedding", config.embedding_scale}, {"residual", config.residual_scale}, {"logit", config.logit_scale}}},
       {"parameters", parameter_count(loaded.model)},
       {"parameters_by_part", parameter_counts(loaded.model.make_parameters())},
       {"parameters_by_block", block_counts(loaded.model.make_parameters())},
       {"dtype", options.dtype},
       {"context", options.context},
       {"state_bytes", ttt::state_bytes(loaded.model, options.context)},
       {"record_bytes_per_token", record_bytes_per_token(loaded.model)},
       {"decode_weight_bytes", decode_bytes(loaded.model, loaded.parameters)}});
  json["decode_bytes"] = json["decode_weight_bytes"].get<double>() + json["state_bytes"].get<double>();
  json["decode_microseconds"] = decode_microseconds(loaded.model, loaded.parameters, positions, context).front();
  return json;
}

std::string text_of(const Json& json) {
  const auto number = [&](const char* name) { return std::to_string(json[name].get<std::int64_t>()); };
  const std::string context = " at " + number("context") + " tokens of context";
  std::vector<std::vector<std::string>> rows{
      {"family", json["family"]}, {"backbone", json["backbone"]},       {"blocks", number("depth")},
      {"width", number("width")}, {"vocabulary", number("vocabulary")}, {"parameters", number("parameters")}};
  for (const auto& text : json["layers"]) rows.insert(rows.end() - 5, {"layer", text});
  for (const auto& [what, scale] : json["scales"].items())
    if (scale != 1) rows.push_back({what + " scale", decimal(scale, 6)});
  for (const auto& [part, count] : json["parameters_by_part"].items())
    rows.push_back({"  " + part, std::to_string(count.get<std::int64_t>())});
  // The blocks of most models are alike.
  const auto blocks = json["parameters_by_block"].get<std::vector<std::int64_t>>();
  for (std::size_t first = 0, last = 0; first < blocks.size(); first = last) {
    while (last < blocks.size() && blocks[last] == blocks[first]) ++last;
    const std::string range = last - first == 1
                                  ? " " + std::to_string(first)
                                  : "s " + std::to_string(first) + "–" + std::to_string(last - 1) + ", each";
    rows.push_back({"  block" + range, std::to_string(blocks[first])});
  }
  rows.push_back({"state of a sequence" + context, bytes_text(json["state_bytes"])});
  rows.push_back({"record of a training token", bytes_text(json["record_bytes_per_token"])});
  rows.push_back({"weights in " + json["dtype"].get<std::string>() + " and state read for a token" + context,
                  bytes_text(json["decode_bytes"])});
  rows.push_back({"decoding a token" + context, decimal(json["decode_microseconds"], 0) + " µs"});
  return table_text(rows);
}

}  // namespace

int info(const InfoOptions& options, const CommonOptions& common) {
  Machine machine(common);
  const LoadedModel loaded = load_model(options.model, options.dtype);
  catch_interrupts();
  const Json json = description(options, loaded, machine.context());
  write_output(common.json ? json_text(json) + "\n" : text_of(json));
  return success;
}

}  // namespace ttt_lm
