// SPDX-License-Identifier: MIT
// A language model of TTT-Linear layers in one's own program: trained on a text, then watched at work while it reads a
// part of that text it has not seen. What is watched is the inner loss, how far each layer is from what it is asked to
// learn: with the fast weights that every sequence starts with, and with those that it has learned on the way.
//
//     05_watch_it_learn TEXT [UPDATES [TOKENS READ [PICTURE.svg]]]
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "ttt/layers/ttt_linear.hpp"
#include "ttt/models/causal_lm.hpp"
#include "ttt/training/evaluation.hpp"
#include "ttt/training/trainer.hpp"
#include "ttt_lm/chart.hpp"

namespace {

using Model = ttt::CausalLm<ttt::TttLinear<float>>;
constexpr ttt::Index width = 128, depth = 4, heads = 4;

/// Bytes in, bytes out, the published block with a convolution in front.
Model make_model() {
  const ttt::TttLinear<float> layer({.width = width, .heads = heads, .gate = true, .share_query_key = true});
  return Model({.vocabulary = 256, .width = width, .hidden = 336, .tied = true, .temporal_conv = true},
               std::vector<ttt::TttLinear<float>>(depth, layer));
}

/// Sums of inner losses by block and by power of two of the position.
class ByPosition : public ttt::StatisticsSink {
 public:
  struct Sum {
    double positions = 0, tokens = 0, at_initial = 0, before_update = 0, after_update = 0;
  };

  void inner_loss(const ttt::InnerLoss& loss) override {
    std::size_t band = 0;  // the first mini-batch, two, four … of them
    for (std::int64_t end = loss.tokens; end <= loss.position; end *= 2) ++band;
    auto& bands = blocks[static_cast<std::size_t>(loss.block)];
    if (bands.size() <= band) bands.resize(band + 1);
    const auto tokens = static_cast<double>(loss.tokens);
    bands[band].positions += tokens * (static_cast<double>(loss.position) + (tokens + 1) / 2);
    bands[band].tokens += tokens;
    bands[band].at_initial += tokens * loss.at_initial;
    bands[band].before_update += tokens * loss.before_update;
    bands[band].after_update += tokens * loss.after_update;
  }

  std::vector<std::vector<Sum>> blocks = std::vector<std::vector<Sum>>(depth);
};

void train(ttt::training::Trainer<Model>& trainer, int updates, ttt::Context& context) {
  for (int update = 1; update <= updates; ++update) {
    const auto report = trainer.train_step(context);
    if (update % 50 == 0 || update == updates)
      std::fprintf(stderr, "update %d: %.3f nats per byte\n", update, report.loss);
  }
}

/// The inner loss of a block over the place in the text.
ttt_lm::Chart chart_of(std::size_t block, const std::vector<ByPosition::Sum>& bands) {
  ttt_lm::Chart chart{"Block " + std::to_string(block + 1) + " of " + std::to_string(depth),
                      "place in the text, bytes",
                      "inner loss",
                      {{"with the start W₀", {}}, {"before each update", {}}, {"after each update", {}}}};
  for (const auto& band : bands) {
    const double place = band.positions / band.tokens;
    chart.series[0].points.push_back({place, band.at_initial / band.tokens});
    chart.series[1].points.push_back({place, band.before_update / band.tokens});
    chart.series[2].points.push_back({place, band.after_update / band.tokens});
  }
  return chart;
}

/// Prints what `learned` holds; true if every update lowered the loss it was made for.
bool print(const ByPosition& learned) {
  bool falls = true;
  std::printf("block   byte       W0   before    after each update\n");
  for (std::size_t block = 0; block < learned.blocks.size(); ++block)
    for (const auto& band : learned.blocks[block]) {
      std::printf("%5zu %6.0f %8.4f %8.4f %8.4f\n", block + 1, band.positions / band.tokens,
                  band.at_initial / band.tokens, band.before_update / band.tokens, band.after_update / band.tokens);
      falls = falls && band.after_update < band.before_update;
    }
  return falls;
}

bool run(const std::string& text, int updates, ttt::Index tokens, const char* picture) {
  ttt::ThreadPool threads(std::max(1U, std::thread::hardware_concurrency()));
  ttt::Context context(threads);
  const std::vector<std::filesystem::path> paths{text};
  const auto corpus = ttt::training::Corpus::load(paths, 256);
  ttt::training::TrainerConfig config;
  config.batch = 8;
  config.schedule.total = updates;
  config.schedule.warmup = updates / 10.0;
  ttt::training::Trainer<Model> trainer(make_model(), corpus, config);
  train(trainer, updates, context);

  // The last tenth of the text was not trained on. Each window of it is a sequence of its own, longer than those of the
  // training.
  const auto unseen = ttt::training::Corpus::load(paths, tokens);
  ByPosition learned;
  context.statistics = &learned;
  const auto result = ttt::training::evaluate(trainer.model(), trainer.parameters().views(), unseen, 4, context);
  std::printf("%.3f nats per byte of unseen text\n", result.nats());
  const bool falls = print(learned);

  if (picture) {
    constexpr std::size_t middle = depth / 2 - 1, last = depth - 1;
    const auto windows = unseen.validation_windows().size();
    std::ofstream file(picture);
    file << ttt_lm::svg({chart_of(middle, learned.blocks[middle]), chart_of(last, learned.blocks[last])},
                        "TTT-Linear, " + std::to_string(depth) + " blocks of width " + std::to_string(width) +
                            ", after " + std::to_string(updates) + " updates on windows of 256 bytes; mean of " +
                            std::to_string(windows) + " unseen windows of " + std::to_string(tokens) + " bytes");
    if (!file.flush()) throw ttt::Error(std::string(picture) + ": cannot be written");
  }
  return falls;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    std::fprintf(stderr, "05_watch_it_learn TEXT [UPDATES [TOKENS READ [PICTURE.svg]]]\n");
    return 2;
  }
  try {
    return run(arguments[1], count > 2 ? std::stoi(arguments[2]) : 1000, count > 3 ? std::stol(arguments[3]) : 2048,
               count > 4 ? arguments[4] : nullptr)
               ? 0
               : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "05_watch_it_learn: %s\n", error.what());
    return 1;
  }
}
