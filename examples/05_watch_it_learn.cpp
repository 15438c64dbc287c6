// SPDX-License-Identifier: MIT
// A language model of TTT-Linear layers in one's own program: trained on a text, then watched at work while it reads a
// part of that text it has not seen. What is watched is the inner loss, how far a layer is from what it is asked to
// learn: with the fast weights that every sequence starts with, and with those that it has learned on the way.
//
//     05_watch_it_learn TEXT [UPDATES [TOKENS READ [PICTURE.svg]]]
#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include <ttt/core/inner_loss_averages.hpp>
#include <ttt/layers/ttt_linear.hpp>
#include <ttt/models/causal_lm.hpp>
#include <ttt/training/evaluation.hpp>
#include <ttt/training/trainer.hpp>

#include "ttt_lm/chart.hpp"

namespace {

using Model = ttt::CausalLm<float>;
constexpr int width = 128, depth = 4, trained_tokens = 256;

/// Bytes in, bytes out, the published block with a convolution in front.
Model make_model() {
  const ttt::TttLinear<float> layer({.width = width, .heads = 4, .gate = true, .share_query_key = true});
  return Model({.vocabulary = 256, .width = width, .hidden = 336, .tied = true, .temporal_conv = true},
               std::vector<ttt::AnySequenceLayer<float>>(depth, ttt::AnySequenceLayer<float>(layer)));
}

ttt::training::Trainer<Model> train(const ttt::training::Corpus& corpus, int updates, ttt::Context& context) {
  ttt::training::TrainerConfig config;
  config.batch = 8;
  config.schedule.total = updates;
  config.schedule.warmup = updates / 10.0;
  ttt::training::Trainer<Model> trainer(make_model(), corpus, config);
  for (int update = 1; update <= updates; ++update) {
    const auto report = trainer.train_step(context);
    if (update % 50 == 0) std::cerr << "update " << update << ": " << report.loss << " nats per byte\n";
  }
  return trainer;
}

/// The inner loss of a block over the place in the text.
ttt_lm::Chart chart_of(ttt::Index block, const ttt::InnerLossAverages& averages) {
  ttt_lm::Chart chart{"Block " + std::to_string(block + 1) + " of " + std::to_string(depth),
                      "place in the text, bytes",
                      "inner loss",
                      {{"with the start W₀", {}}, {"before each update", {}}, {"after each update", {}}}};
  for (const auto& row : averages.rows()) {
    if (row.block != block) continue;
    const double place = static_cast<double>(row.first + row.end + 1) / 2;
    chart.series[0].points.push_back({place, row.at_initial});
    chart.series[1].points.push_back({place, row.before_update});
    chart.series[2].points.push_back({place, row.after_update});
  }
  return chart;
}

void draw(const std::string& path, const ttt::InnerLossAverages& averages, const std::string& caption) {
  std::ofstream file(path);
  file << ttt_lm::svg({chart_of(depth / 2 - 1, averages), chart_of(depth - 1, averages)}, caption);
  if (!file.flush()) throw ttt::Error(path + ": cannot be written");
}

/// True if every layer had learned something when its text ended.
bool run(const std::string& text, int updates, ttt::Index tokens, const std::string& picture) {
  ttt::ThreadPool threads(std::max(1U, std::thread::hardware_concurrency()));
  ttt::Context context(threads);
  const std::vector<std::filesystem::path> paths{text};
  const auto corpus = ttt::training::Corpus::load(paths, trained_tokens);
  const auto trainer = train(corpus, updates, context);

  // The last tenth of the text was not trained on. Each window of it is a sequence of its own, and may be longer than
  // those of the training.
  const auto unseen = ttt::training::Corpus::load(paths, tokens);
  ttt::InnerLossAverages averages(16);  // in ranges of 1, 1, 2, 4, … mini-batches
  context.statistics = &averages;
  const auto result = ttt::training::evaluate(trainer.model(), trainer.parameters().views(), unseen, 4, context);
  std::cout << result.nats() << " nats per byte of unseen text\n" << averages.describe();

  if (!picture.empty())
    draw(picture, averages,
         "TTT-Linear, " + std::to_string(depth) + " blocks of width " + std::to_string(width) + " after " +
             std::to_string(updates) + " updates on windows of " + std::to_string(trained_tokens) + " bytes; mean of " +
             std::to_string(result.loss.rows / tokens) + " unseen windows of " + std::to_string(tokens) + " bytes");
  const auto rows = averages.rows();
  return std::all_of(rows.begin(), rows.end(), [&](const auto& row) {
    return row.after_update < row.before_update && (row.first == 0 || row.before_update < row.at_initial);
  });
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    std::cerr << "05_watch_it_learn TEXT [UPDATES [TOKENS READ [PICTURE.svg]]]\n";
    return 2;
  }
  try {
    const bool learned = run(arguments[1], count > 2 ? std::stoi(arguments[2]) : 1000,
                             count > 3 ? std::stol(arguments[3]) : 2048, count > 4 ? arguments[4] : "");
    return learned ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "05_watch_it_learn: " << error.what() << "\n";
    return 1;
  }
}
