// SPDX-License-Identifier: MIT
#include "comparison.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>

#include "chart.hpp"
#include "json_text.hpp"
#include "layer_options.hpp"
#include "ttt/io/atomic_file.hpp"

namespace ttt_lm {

namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

void set_hidden(ttt::ModelConfig& config, Index hidden) {
  for (auto& block : config.pattern) block.hidden = hidden;
}

std::int64_t count_with(ttt::ModelConfig config, Index hidden) {
  set_hidden(config, hidden);
  return parameter_count(make_model(config));
}

/// The SwiGLU width whose model comes closest to `parameters`: their number is linear in it.
Index matching_hidden(const std::string& label, const ttt::ModelConfig& config, std::int64_t parameters) {
  const std::int64_t one = count_with(config, 1), slope = count_with(config, 2) - one;
  const Index hidden =
      1 + static_cast<Index>(std::llround(static_cast<double>(parameters - one) / static_cast<double>(slope)));
  const auto found = hidden < 1 ? one : count_with(config, hidden);
  if (hidden < 1 || std::abs(found - parameters) * 100 > parameters)
    ttt::throw_unexpected("compare: " + label,
                          std::to_string(parameters) + " parameters within 1 % by the SwiGLU width",
                          std::to_string(found) + " at best; a wider or narrower --hidden helps");
  return hidden;
}

void write_text(const fs::path& path, const std::string& text) {
  ttt::io::write_file_atomically(path, [&](ttt::io::OutputFile& file) { file.write(text); });
}

std::string loss_csv(const std::vector<ComparedRun>& runs) {
  std::string text = "run,step,tokens,seconds,training_loss_nats,validation_loss_nats\n";
  for (const auto& run : runs)
    for (const auto& point : run.curve)
      text += run.name() + "," + std::to_string(point.step) + "," + std::to_string(point.tokens) + "," +
              decimal(point.seconds, 3) + "," + decimal(point.training_loss, 6) + "," +
              decimal(point.validation_loss, 6) + "\n";
  return text;
}

std::string position_csv(const std::vector<ComparedRun>& runs) {
  std::string text = "run,position,loss_nats\n";
  for (const auto& run : runs)
    for (std::size_t t = 0; t < run.evaluation.by_position.size(); ++t)
      text += run.name() + "," + std::to_string(t + 1) + "," + decimal(run.evaluation.by_position[t].mean(), 6) + "\n";
  return text;
}

Json json_of(const ComparedRun& run) {
  Json curve = Json::array();
  for (const auto& point : run.curve)
    curve.push_back({{"step", point.step},
                     {"tokens", point.tokens},
                     {"seconds", point.seconds},
                     {"training_loss", point.training_loss},
                     {"validation_loss", point.validation_loss}});
  return {{"name", run.name()},
          {"layer", run.config.layers()},
          {"backbone", backbone_of(run.config)},
          {"swiglu_width", run.config.pattern.front().hidden},
          {"parameters", run.parameters},
          {"tokens_per_second", run.tokens_per_second},
          {"validation_loss", run.evaluation.nats()},
          {"bits_per_byte", run.evaluation.bits_per_byte()},
          {"decode_positions", decode_positions},
          {"state_bytes", run.state_bytes},
          {"decode_microseconds", run.decode_microseconds},
          {"curve", curve},
          {"loss_by_position", losses_by_position(run.evaluation)}};
}

Chart loss_chart(const std::vector<ComparedRun>& runs, bool by_time) {
  Chart chart{
      "Learning", by_time ? "training time (seconds)" : "training tokens", "validation loss (nats per byte)", {}};
  for (const auto& run : runs) {
    Series series{run.label, {}};
    for (const auto& point : run.curve)
      series.points.push_back({by_time ? point.seconds : static_cast<double>(point.tokens), point.validation_loss});
    chart.series.push_back(std::move(series));
  }
  return chart;
}

/// Single positions are noisy, and many of them make no better line: bands a quarter of an octave wide.
Chart position_chart(const std::vector<ComparedRun>& runs) {
  Chart chart{"Use of the context", "position in the context (bytes)", "validation loss (nats per byte)", {}};
  for (const auto& run : runs) {
    Series series{run.label, {}};
    const auto& losses = run.evaluation.by_position;
    for (std::size_t first = 0; first < losses.size();) {
      const auto end = std::min(
          losses.size(), std::max(first + 1, static_cast<std::size_t>(std::ceil(static_cast<double>(first) * 1.19))));
      ttt::Loss loss;
      for (std::size_t t = first; t < end; ++t) loss += losses[t];
      series.points.push_back({(static_cast<double>(first + end) + 1) / 2, loss.mean()});
      first = end;
    }
    chart.series.push_back(std::move(series));
  }
  return chart;
}

}  // namespace

std::string ComparedRun::name() const {
  std::string name;
  for (const char letter : label) {
    if (letter == ' ') continue;
    name += std::isalnum(static_cast<unsigned char>(letter)) || letter == '.' || letter == '_' ? letter : '-';
  }
  return name;
}

std::vector<Competitor> competitors(const CompareOptions& options) {
  std::vector<Competitor> result;
  const auto add = [&](const std::vector<std::string>& layers, std::optional<ttt::Backbone> backbone) {
    const auto config = model_config(options, layers, backbone);
    std::string names;
    for (const std::string& layer : layers) names += (names.empty() ? "" : ",") + layer;
    result.push_back({names + ", " + backbone_of(config), config});
  };
  for (const std::string& text : options.layers) {
    const ttt::LayerDescription layer = ttt::LayerDescription::parse(side_by_side(text).front());
    const bool with_both = !layer.has_temporal_conv() && !layer.has("conv_taps");
    if (with_both)
      for (const auto backbone : {ttt::Backbone::transformer, ttt::Backbone::mamba}) add({text}, backbone);
    else
      add({text}, std::nullopt);
  }
  if (!options.pattern.empty()) add(options.pattern, std::nullopt);
  return result;
}

void match_parameters(std::vector<Competitor>& competitors) {
  const std::int64_t parameters = parameter_count(make_model(competitors.front().config));
  for (std::size_t i = 1; i < competitors.size(); ++i)
    set_hidden(competitors[i].config, matching_hidden(competitors[i].label, competitors[i].config, parameters));
}

std::string comparison_table(const std::vector<ComparedRun>& runs) {
  // Narrow enough for a terminal of 100 columns; compare.json has every number.
  std::vector<std::vector<std::string>> rows{
      {"", "", "", "validation", "bits per", "state at", "", "decode", "µs per", "token"},
      {"layer, backbone", "parameters", "tokens/s", "loss", "byte", "1k", "16k", "at 1k", "4k", "16k"}};
  for (const auto& run : runs) {
    rows.push_back({run.label, std::to_string(run.parameters), count_text(run.tokens_per_second),
                    decimal(run.evaluation.nats(), 4), decimal(run.evaluation.bits_per_byte(), 4),
                    bytes_text(run.state_bytes.front()), bytes_text(run.state_bytes.back())});
    for (const double time : run.decode_microseconds) rows.back().push_back(decimal(time, 0));
  }
  return table_text(rows);
}

void write_comparison(const fs::path& folder, const std::vector<ComparedRun>& runs, bool by_time,
                      const std::string& caption) {
  Json json{{"caption", caption}, {"runs", Json::array()}};
  for (const auto& run : runs) json["runs"].push_back(json_of(run));
  write_text(folder / "compare.json", json_text(json, 1) + "\n");
  write_text(folder / "loss.csv", loss_csv(runs));
  write_text(folder / "position.csv", position_csv(runs));
  write_text(folder / "compare.svg", svg({loss_chart(runs, by_time), position_chart(runs)}, caption));
}

}  // namespace ttt_lm
