// SPDX-License-Identifier: MIT
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "data.hpp"
#include "evaluation.hpp"
#include "interrupt.hpp"
#include "json_text.hpp"
#include "tokenizer.hpp"
#include "ttt/training/checkpoint.hpp"

namespace ttt_lm {

namespace {

std::string table_of(const ttt::training::Evaluation& result) {
  std::vector<std::vector<std::string>> rows{{"position", "loss (nats)", "bits per byte"}};
  for (const Band& band : position_bands(result.by_position)) {
    const std::string range =
        std::to_string(band.first) + (band.last > band.first ? "–" + std::to_string(band.last) : "");
    rows.push_back({range, decimal(band.loss, 4), decimal(band.loss * result.bits_per_byte() / result.nats(), 4)});
  }
  rows.push_back({"all", decimal(result.nats(), 4), decimal(result.bits_per_byte(), 4)});
  return table_text(rows);
}

std::string csv_of(const ttt::training::Evaluation& result) {
  std::string text = "position,loss_nats\n";
  for (std::size_t t = 0; t < result.by_position.size(); ++t)
    text += std::to_string(t + 1) + "," + ttt::training::exact_text(result.by_position[t]) + "\n";
  return text;
}

}  // namespace

int evaluate(const EvaluateOptions& options, const CommonOptions& common) {
  Terminal terminal(common.quiet);
  Machine machine(common);
  const LoadedModel loaded = load_model(options.model, options.dtype);
  const auto tokenizer = folder_tokenizer(options.model, loaded.model.vocabulary());
  const auto corpus = load_corpus(data_paths(options.data), options.context, terminal, ttt::training::encoding_of(tokenizer));
  const auto windows = validation_windows(corpus, options.windows);
  catch_interrupts();
  const auto result = evaluate_windows(loaded.model, loaded.parameters, corpus, windows, options.batch,
                                       machine.context(), terminal, describe(loaded.config));
  if (common.json)
    write_output(json_text({{"model", options.model},
                                        {"context", options.context},
                                        {"tokens", result.loss.rows},
                                        {"bytes", result.bytes},
                                        {"loss", result.nats()},
                                        {"bits_per_byte", result.bits_per_byte()},
                                        {"loss_by_position", result.by_position}}) + "\n");
  else
    write_output(options.csv ? csv_of(result) : table_of(result));
  return 0;
}

}  // namespace ttt_lm
