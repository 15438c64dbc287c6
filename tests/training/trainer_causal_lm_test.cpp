// SPDX-License-Identifier: MIT
// The trainer with the library's own model: states made of states, threads in every block, freezing in every layer.
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"
#include "support/compiled_layers.hpp"
#include "support/temporary_folder.hpp"
#include "ttt/layers/ttt_linear.hpp"
#include "ttt/models/causal_lm.hpp"
#include "ttt/nn/bfloat16_products.hpp"
#include "ttt/training/evaluation.hpp"
#include "ttt/training/trainer.hpp"

using namespace ttt;
using namespace ttt::training;
using ttt::testing::TemporaryFolder;

namespace {

using Model = CausalLm<float>;

Model make_model() {
  CausalLmConfig config;
  config.vocabulary = 256;
  config.width = 24;
  config.hidden = 40;
  config.tied = true;
  config.temporal_conv = true;
  TttConfig layer;
  layer.width = 24;
  layer.heads = 2;
  layer.mini_batch = 5;
  layer.gate = layer.share_query_key = true;
  return Model(config, std::vector(2, AnySequenceLayer(TttLinear<float>(layer))));
}

Corpus make_corpus(Index context = 17) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "a line of text, number " + std::to_string(i * i) + "\n";
  return Corpus::from_documents({{"a", text}, {"b", text.substr(500, 900)}}, context);
}

TrainerConfig make_config(Index carry_windows) {
  TrainerConfig config;
  config.batch = 3;
  config.accumulation = 2;
  config.carry_windows = carry_windows;
  config.schedule = {1e-2, 2, 30, 0.1};
  config.seed = 3;
  return config;
}

void check_same_bits(const Trainer<Model>& a, const Trainer<Model>& b) {
  CHECK(a.parameters().arena() == b.parameters().arena());
  CHECK(a.optimizer().first_moments() == b.optimizer().first_moments());
  CHECK(a.optimizer().second_moments() == b.optimizer().second_moments());
  CHECK(a.states() == b.states());
}

void train(Trainer<Model>& trainer, int steps, Context& context) {
  for (int step = 0; step < steps; ++step) trainer.train_step(context);
}

}  // namespace

TEST_CASE("A resumed run of a TTT model gives the bits of the run that was never stopped, on any number of threads") {
  const Corpus corpus = make_corpus();
  // A window of 17 tokens ends inside a mini-batch of 5, so that carried states hold open mini-batches.
  const TrainerConfig config = make_config(GENERATE(1, 4));
  const TemporaryFolder folder;
  Context serial;
  Trainer<Model> whole(make_model(), corpus, config);
  train(whole, 3, serial);
  whole.save(folder / "run", "{}");
  train(whole, 3, serial);
  for (const Index workers : {1, 2, 3}) {
    ThreadPool pool(workers);
    Context context(pool);
    Trainer<Model> from_start(make_model(), corpus, config), resumed(make_model(), corpus, config);
    train(from_start, 6, context);
    check_same_bits(from_start, whole);
    resumed.load(folder / "run", "{}");
    train(resumed, 3, context);
    check_same_bits(resumed, whole);
  }
}

TEST_CASE(
    "Batches of several shares give the same bits on any number of threads, carried states and frozen weights too") {
  const Corpus corpus = make_corpus(128);
  TrainerConfig config = make_config(GENERATE(1, 3));
  config.batch = 8;
  config.groups = {{"*.layers.0.*", 1, {}, true}};
  const auto trained = [&](Index workers) {
    ThreadPool pool(workers);
    Context context(pool);
    Trainer<Model> trainer(make_model(), corpus, config);
    train(trainer, 3, context);
    return trainer;
  };
  const Trainer<Model> serial = trained(1);
  for (const Index workers : {2, 3}) check_same_bits(trained(workers), serial);
}

TEST_CASE("A TTT model learns, also with carried states, and its validation loss falls") {
  const Corpus corpus = make_corpus();
  Trainer<Model> trainer(make_model(), corpus, make_config(GENERATE(1, 4)));
  Context context;
  const auto validation_loss = [&] {
    return evaluate(trainer.model(), trainer.parameters().views(), corpus, 4, context).nats();
  };
  const double before = validation_loss();
  train(trainer, 30, context);
  CHECK(validation_loss() < before - 2);
}

TEST_CASE("Everything but the fast weights can be frozen") {
  const Corpus corpus = make_corpus();
  TrainerConfig config = make_config(1);
  config.groups = {{"*", 1, {}, true}, {"*.W1", 1, {}, false}, {"*.b1", 1, {}, false}};
  Trainer<Model> trainer(make_model(), corpus, config);
  auto before = trainer.parameters();
  Context context;
  train(trainer, 2, context);
  std::vector<std::string> changed;
  auto after = trainer.parameters();
  std::vector<const Tensor<float>*> tensors;
  before.views().visit(
      [&](std::string_view, Tensor<float>& tensor, const ParameterInfo&) { tensors.push_back(&tensor); });
  std::size_t index = 0;
  after.views().visit([&](std::string_view name, Tensor<float>& tensor, const ParameterInfo&) {
    const Tensor<float>& old = *tensors[index++];
    bool same = true;
    for (Index i = 0; i < tensor.size(); ++i) same = same && tensor[i] == old[i];
    if (!same) changed.emplace_back(name);
  });
  CHECK(changed ==
        std::vector<std::string>{"model.layers.0.seq_modeling_block.W1", "model.layers.0.seq_modeling_block.b1",
                                 "model.layers.1.seq_modeling_block.W1", "model.layers.1.seq_modeling_block.b1"});
}

TEST_CASE("A TTT model learns with products in bfloat16, beside float, with the same bits on any number of threads") {
  const Corpus corpus = make_corpus();
  const auto trained = [&](Context& context, LargeProducts* products) {
    Trainer<Model> trainer(make_model(), corpus, make_config(1));
    context.large_products = products;
    train(trainer, 30, context);
    context.large_products = nullptr;
    return trainer;
  };
  Context serial;
  const auto loss = [&](const Trainer<Model>& trainer) {
    return evaluate(trainer.model(), trainer.parameters().views(), corpus, 4, serial).nats();
  };
  Bfloat16Products products(1);
  const auto in_float = trained(serial, nullptr), rounded = trained(serial, &products);
  CHECK(loss(in_float) < 3.5);  // 5.55 nats is what knowing nothing costs
  CHECK(loss(rounded) != loss(in_float));
  CHECK(loss(rounded) == Approx(loss(in_float)).margin(0.03));
  ThreadPool pool(2);
  Context context(pool);
  Bfloat16Products shared(pool, 1);
  check_same_bits(trained(context, &shared), rounded);
}
