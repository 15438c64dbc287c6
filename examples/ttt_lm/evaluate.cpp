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
  for (const Band& band : position_bands(result)) {
    const std::string range =
        std::to_string(band.first) + (band.last > band.first ? "–" + std::to_string(band.last) : "");
    const double loss = band.loss.mean();
    rows.push_back({range, decimal(loss, 4), decimal(loss * result.bits_per_byte() / result.nats(), 4)});
  }
  rows.push_back({"all", decimal(result.nats(), 4), decimal(result.bits_per_byte(), 4)});
  return table_text(rows);
}

std::string csv_of(const ttt::training::Evaluation& result) {
  std::string text = "position,loss_nats\n";
  Index position = 0;
  for (const double loss : losses_by_position(result))
    text += std::to_string(++position) + "," + ttt::training::exact_text(loss) + "\n";
  return text;
}

}  // namespace

int evaluate(const EvaluateOptions& options, const CommonOptions& common) {
  Terminal terminal(common.quiet);
  Machine machine(common);
  const LoadedModel loaded = load_model(options.model, options.dtype);
  const auto tokenizer = folder_tokenizer(options.model, loaded.model.vocabulary());
  const auto corpus = load_evaluation_corpus(options, terminal, ttt::training::encoding_of(tokenizer));
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
                            {"loss_by_position", losses_by_position(result)}}) +
                 "\n");
  else
    write_output(options.csv ? csv_of(result) : table_of(result));
  return 0;
}

}  // namespace ttt_lm
