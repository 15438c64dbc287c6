// SPDX-License-Identifier: MIT
#include "ttt/training/trainer.hpp"

#include <array>
#include <atomic>
#include <cmath>
#include <limits>

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "support/temporary_folder.hpp"
#include "training/tiny_model.hpp"

using namespace ttt;
using namespace ttt::training;
using ttt::testing::error_lacks;
using ttt::testing::TemporaryFolder;

namespace {

using Model = testing::TinyModel<float>;
using TestTrainer = Trainer<Model>;

Corpus make_corpus(Index context = 8) {
  std::vector<Document> documents{{"a", ""}, {"b", ""}};
  for (int i = 0; i < 60; ++i) documents[0].text += "the tiny model reads. ";
  for (int i = 0; i < 20; ++i) documents[1].text += "and forgets; ";
  return Corpus::from_documents(documents, context);
}

TrainerConfig small_config() {
  TrainerConfig config;
  config.batch = 3;
  config.schedule = {0.02, 2, 40, 0.1};
  config.seed = 5;
  return config;
}

/// Weights, moments and states after the run so far.
template <class Model>
void check_same_bits(const Trainer<Model>& a, const Trainer<Model>& b) {
  CHECK(a.step() == b.step());
  CHECK(a.parameters().arena() == b.parameters().arena());
  CHECK(a.optimizer().first_moments() == b.optimizer().first_moments());
  CHECK(a.optimizer().second_moments() == b.optimizer().second_moments());
  CHECK(a.optimizer().steps() == b.optimizer().steps());
  if (a.config().carry_windows > 1) CHECK(a.states() == b.states());
}

template <class Trainer>
std::vector<double> train(Trainer& trainer, int steps, Context& context) {
  std::vector<double> losses;
  for (int step = 0; step < steps; ++step) losses.push_back(trainer.train_step(context).loss);
  return losses;
}

}  // namespace

TEST_CASE("The loss falls, and the report says what happened") {
  const Corpus corpus = make_corpus();
  TestTrainer trainer(Model{}, corpus, small_config());
  Context context;
  const StepReport first = trainer.train_step(context);
  CHECK(first.step == 1);
  CHECK(first.tokens == 3 * 8);
  CHECK(first.learning_rate == 0.01);  // position 1 of a warm-up of 2 to 0.02
  CHECK(first.gradient_norm > 0);
  CHECK(first.loss == Approx(std::log(256.0)).epsilon(0.01));
  const auto losses = train(trainer, 39, context);
  CHECK(losses.back() < first.loss - 1);
  CHECK(trainer.step() == 40);
  CHECK(trainer.train_step(0.5, context).learning_rate == 0.5);
}

TEST_CASE("A step is forward, backward, clipping and AdamW on the windows of that step") {
  const Corpus corpus = make_corpus();
  TrainerConfig config = small_config();
  config.max_gradient_norm = 0.01;
  TestTrainer trainer(Model{}, corpus, config);
  Context context;
  const Model model;
  ParameterStore<Model::Parameters> parameters(model.make_parameters()), gradients(model.make_parameters());
  initialize(parameters.views(), config.seed);
  AdamW<float> optimizer(config.optimizer, parameters);
  const std::vector<double> rates{0.01, 0.003, 0.02};
  for (std::int64_t step = 0; step < 3; ++step) {
    std::vector<std::int64_t> ids(24), targets(24);
    std::vector<Model::State> states(3, model.initial_state(parameters.views()));
    std::vector<Segment<Model::State>> segments;
    for (std::size_t row = 0; row < 3; ++row) {
      corpus.read(corpus.sample(config.seed, step, static_cast<Index>(row)), std::span(ids).subspan(8 * row, 8),
                  std::span(targets).subspan(8 * row, 8));
      segments.push_back({8, &states[row], true});
    }
    gradients.arena().clear();
    Model::Record record;
    const Loss loss = model.loss_and_backward(parameters.views(), ids, targets, segments, 1.0 / 24, gradients.views(),
                                              {}, record, context);
    const double norm = clip_gradients(optimizer.groups(), gradients.arena(), 0.01, context);
    const double rate = rates[static_cast<std::size_t>(step)];
    optimizer.step(parameters.arena(), gradients.arena(), rate, context);
    const StepReport report = trainer.train_step(rate, context);
    CHECK(report.loss == loss.mean());
    CHECK(report.gradient_norm == norm);
    CHECK(norm > 0.01);
    CHECK(trainer.parameters().arena() == parameters.arena());
  }
}

TEST_CASE("A resumed run gives the bits of the run that was never stopped") {
  const Corpus corpus = make_corpus();
  TrainerConfig config = small_config();
  config.carry_windows = GENERATE(1, 3, 1000);
  config.accumulation = GENERATE(1, 2);
  config.groups = {{"gate", 0.5, {}, false}};
  const TemporaryFolder folder;
  Context context;
  TestTrainer whole(Model{}, corpus, config), before(Model{}, corpus, config), after(Model{}, corpus, config);
  const auto losses = train(whole, 6, context);
  train(before, 3, context);
  before.save(folder / "run", "{}");
  CHECK(before.last_checkpoint() == (folder / "run").string());
  train(after, 1, context);  // what it did before does not matter
  after.load(folder / "run", "{}");
  check_same_bits(after, before);
  const auto rest = train(after, 3, context);
  CHECK(rest == std::vector<double>(losses.begin() + 3, losses.end()));
  check_same_bits(after, whole);
}

TEST_CASE("A checkpoint of another run is an error that changes nothing") {
  const Corpus corpus = make_corpus();
  const TemporaryFolder folder;
  Context context;
  TestTrainer saved(Model{}, corpus, small_config());
  train(saved, 2, context);
  saved.save(folder / "run", "{\"width\": 5}");
  const auto refused = [&](Model model, const Corpus& data, const TrainerConfig& config,
                           const std::string& configuration, std::initializer_list<std::string_view> parts) {
    TestTrainer trainer(model, data, config);
    const auto before = trainer.parameters().arena();
    CHECK(error_lacks([&] { trainer.load(folder / "run", configuration); }, parts) == "");
    CHECK(trainer.parameters().arena() == before);
    CHECK(trainer.step() == 0);
    CHECK(trainer.last_checkpoint() == "none");
  };
  const std::string same = "{\"width\": 5}";
  refused({}, corpus, small_config(), "{}", {"'configuration'", "expected {}", "found {\"width\": 5}"});
  refused({256, 6}, corpus, small_config(), same, {"'parameter embedding.weight'", "[256 x 6]", "[256 x 5]"});
  refused({}, make_corpus(9), small_config(), same, {"'data fingerprint'", "expected", "found"});
  TrainerConfig config = small_config();
  config.seed = 6;
  refused({}, corpus, config, same, {"'seed'", "expected 6", "found 5"});
  config = small_config();
  config.schedule.peak = 0.1;
  refused({}, corpus, config, same, {"'schedule.peak'", "expected 0.1", "found 0.02"});
  config = small_config();
  config.groups = {{"gate", 1, {}, true}};
  refused({}, corpus, config, same, {"'group gate'"});
  config = small_config();
  config.carry_windows = 2;
  refused({}, corpus, config, same, {"'carry_windows'"});
}

TEST_CASE("The bits do not depend on the threads") {
  const Corpus corpus = make_corpus();
  Context serial;
  TestTrainer expected({3000, 7}, corpus, small_config());
  train(expected, 4, serial);
  for (const Index workers : {2, 3}) {
    ThreadPool pool(workers);
    Context context(pool);
    TestTrainer trainer({3000, 7}, corpus, small_config());
    train(trainer, 4, context);
    check_same_bits(trainer, expected);
  }
}

TEST_CASE("Accumulation over two calls is one batch of twice the size") {
  const Corpus corpus = make_corpus();
  TrainerConfig one = small_config(), two = small_config();
  one.carry_windows = two.carry_windows = GENERATE(1, 4);
  one.batch = 6;
  two.accumulation = 2;
  using Precise = Trainer<testing::TinyModel<double>>;
  Precise a({}, corpus, one), b({}, corpus, two);
  Context context;
  for (int step = 0; step < 5; ++step) {
    const StepReport whole = a.train_step(context), parts = b.train_step(context);
    CHECK(parts.tokens == whole.tokens);
    // The same 48 terms in another grouping.
    CHECK(parts.loss == Approx(whole.loss).epsilon(1e-13));
    CHECK(parts.gradient_norm == Approx(whole.gradient_norm).epsilon(1e-12));
  }
}

TEST_CASE("Frozen parameters keep their bits while the others learn") {
  const Corpus corpus = make_corpus();
  TrainerConfig config = small_config();
  config.groups = {{"*", 1, {}, true}, {"head.*", 1, {}, false}};
  TestTrainer trainer(Model{}, corpus, config);
  const auto before = trainer.parameters();
  Context context;
  train(trainer, 3, context);
  const auto& after = trainer.parameters().views();
  for (Index i = 0; i < after.embedding.size(); ++i) REQUIRE(after.embedding[i] == before.views().embedding[i]);
  for (Index i = 0; i < after.gate.size(); ++i) REQUIRE(after.gate[i] == before.views().gate[i]);
  CHECK(after.head['t' * 5] != before.views().head['t' * 5]);
}

TEST_CASE("A value that is not finite stops with step, tensor and last good checkpoint, and changes nothing") {
  const Corpus corpus = make_corpus();
  const TemporaryFolder folder;
  Context context;
  TestTrainer trainer(Model{}, corpus, small_config());
  train(trainer, 2, context);
  SECTION("in the loss, from a parameter") {
    trainer.parameters().views().gate[2] = std::numeric_limits<float>::quiet_NaN();
    CHECK(error_lacks([&] { trainer.train_step(context); },
                      {"step 3", "loss is not finite", "parameter 'gate'", "last good checkpoint: none"}) == "");
  }
  SECTION("in a gradient") {
    // Hidden states and logits are zero, but what flows back through such a gate overflows.
    trainer.save(folder / "run", "{}");
    for (float& value : trainer.parameters().views().embedding.vector()) value = 0;
    for (float& value : trainer.parameters().views().gate.vector()) value = 1e30F;
    CHECK(error_lacks([&] { trainer.train_step(context); }, {"step 3", "gradient of 'embedding.weight' is not finite",
                                                             "last good checkpoint: " + (folder / "run").string()}) ==
          "");
  }
  SECTION("as a learning rate") {
    CHECK(error_lacks([&] { trainer.train_step(std::numeric_limits<double>::infinity(), context); },
                      {"learning rate", "step 3"}) == "");
  }
  CHECK(trainer.step() == 2);
  CHECK(trainer.optimizer().steps() == 2);
}

TEST_CASE("After a failed step the run goes on as if it had not been tried") {
  const Corpus corpus = make_corpus();
  TrainerConfig config = small_config();
  config.carry_windows = 4;
  Context context;
  TestTrainer expected(Model{}, corpus, config), trainer(Model{}, corpus, config);
  train(expected, 4, context);
  train(trainer, 2, context);
  const float kept = trainer.parameters().views().gate[0];
  trainer.parameters().views().gate[0] = std::numeric_limits<float>::infinity();
  CHECK_THROWS_AS(trainer.train_step(context), Error);
  trainer.parameters().views().gate[0] = kept;
  train(trainer, 2, context);
  check_same_bits(trainer, expected);
}

TEST_CASE("A cancelled step changes nothing") {
  const Corpus corpus = make_corpus();
  TestTrainer trainer(Model{}, corpus, small_config());
  Context context;
  std::atomic<bool> cancellation{false};
  context.cancellation = &cancellation;
  train(trainer, 2, context);
  const auto before = trainer.parameters().arena();
  cancellation = true;
  CHECK_THROWS_AS(trainer.train_step(context), Cancelled);
  CHECK(trainer.parameters().arena() == before);
  CHECK(trainer.step() == 2);
}

TEST_CASE("A schedule can be replaced to train longer than was planned") {
  const Corpus corpus = make_corpus();
  TestTrainer trainer(Model{}, corpus, small_config());
  Context context;
  trainer.set_schedule({1, 0, 2, 0.5});
  CHECK(trainer.train_step(context).learning_rate == Approx(0.75));
  CHECK(error_lacks([&] { trainer.set_schedule({1, 0, 0, 0}); }, {"total"}) == "");
  CHECK(trainer.config().schedule.total == 2);
}

TEST_CASE("Carried states go through a document and start anew with the next one") {
  const Corpus corpus = make_corpus();
  TrainerConfig config = small_config();
  config.batch = 1;
  config.carry_windows = GENERATE(4, 1000);
  TestTrainer trainer(Model{}, corpus, config);
  Context context;
  const Index all = corpus.stream_windows();
  for (Index step = 0; step < all + 3; ++step) {
    train(trainer, 1, context);
    const Index index = corpus.stream_window(step % all).first / 8;
    REQUIRE(trainer.states()[0].position == 8 * (index % config.carry_windows + 1));
  }
}

TEST_CASE("Settings that cannot be trained with are errors") {
  const Corpus corpus = make_corpus();
  const auto refused = [&](auto change, std::string_view part, Model model = {}) {
    TrainerConfig config = small_config();
    change(config);
    CHECK(error_lacks([&] { TestTrainer(model, corpus, config); }, {part}) == "");
  };
  refused([](auto& config) { config.batch = 0; }, "batch");
  refused([](auto& config) { config.accumulation = 0; }, "accumulation");
  refused([](auto& config) { config.carry_windows = 0; }, "carry_windows");
  refused([](auto& config) { config.max_gradient_norm = -1; }, "max_gradient_norm");
  refused([](auto& config) { config.schedule.total = -1; }, "total");
  refused([](auto& config) { config.optimizer.beta1 = 2; }, "beta1");
  refused([](auto& config) { config.groups = {{"nothing", 1, {}, false}}; }, "'nothing'");
  refused([](auto&) {}, "256", Model{100, 5});
}
