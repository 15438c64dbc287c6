// SPDX-License-Identifier: MIT
// Whole language models: reading a prompt, decoding token by token, a training step.
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "support/bench.hpp"
#include "ttt/models/model_config.hpp"
#include "ttt/nn/bfloat16_products.hpp"
#include "ttt/training/trainer.hpp"

namespace {

using bench::Kind;
using ttt::Index;
using Layer = ttt::AnySequenceLayer<float>;
using Model = ttt::CausalLm<float>;

constexpr std::array<const char*, 3> layers{"ttt-linear", "ttt-mlp", "attention"};
constexpr Index small_width = 64, standard_width = 768;

Kind kind_of(const std::string& layer) {
  return layer == "attention" ? Kind::attention : layer == "ttt-mlp" ? Kind::ttt_mlp : Kind::ttt_linear;
}

/// With the transformer backbone.
ttt::BlockDescription block_of(const std::string& layer, Index heads, Index hidden) {
  ttt::LayerDescription described(layer);
  described.set("heads", std::to_string(heads));
  return ttt::published_block(described, ttt::Backbone::transformer, hidden);
}

/// Width 768: the standard size of 125 million parameters in the blocks and embeddings, head not tied. Width 64: the
/// same in small, for tests.
ttt::ModelConfig model_config(const std::string& layer, Index width) {
  ttt::ModelConfig config;
  config.tied = false;
  config.width = width;
  const bool standard = width == standard_width;
  config.depth = standard ? 12 : 1;
  config.vocabulary = standard ? 32000 : 256;
  config.pattern = {block_of(layer, width / 64, standard ? 2048 : 176)};
  return config;
}

struct Lm {
  Lm(const ttt::ModelConfig& made_from, bool in_bfloat16)
      : config(made_from),
        bfloat16(in_bfloat16),
        model(ttt::make_model<float>(config)),
        weights(model.make_parameters()) {
    bench::random_parameters(weights.views());
    if (bfloat16) weights = ttt::to_bfloat16(weights);
  }
  /// Of all products for `tokens` behind `before`, the head on the last one.
  double product_flops(Index tokens, Index before) const {
    const auto c = static_cast<double>(config.width), f = static_cast<double>(config.pattern.front().hidden);
    const double layer = bench::layer_flops(kind_of(config.layers()), config.width, config.width / 64, tokens, before);
    return static_cast<double>(config.depth) * (layer + static_cast<double>(tokens) * 6 * c * f) +
           2 * c * static_cast<double>(config.vocabulary);
  }

  /// Scalars of the arena that the embedding takes.
  Index embedding_size() const {
    Index size = 0;
    auto views = weights.views();
    views.visit([&](std::string_view name, ttt::Tensor<float>& tensor, const ttt::ParameterInfo&) {
      if (name.find("embed_tokens") != std::string_view::npos) size = tensor.storage_size();
    });
    return size;
  }

  ttt::ModelConfig config;
  bool bfloat16;
  Model model;
  ttt::ParameterStore<Model::Parameters> weights;
};

/// The model of a case; the last one made is kept, for half a gigabyte of weights takes its time.
const Lm& language_model(const std::string& layer, bool bfloat16, Index width) {
  static std::unique_ptr<Lm> last;
  const ttt::ModelConfig config = model_config(layer, width);
  if (!last || !(last->config == config) || last->bfloat16 != bfloat16) {
    last.reset();
    last = std::make_unique<Lm>(config, bfloat16);
  }
  return *last;
}

/// A sequence that has read `before` tokens and reads `tokens` more in every call.
class Reader {
 public:
  Reader(const Lm& lm, Index tokens, Index before)
      : lm_(&lm),
        before_(before),
        state_(lm.model.initial_state(lm.weights.views(), before + tokens)),
        ids_(static_cast<std::size_t>(tokens)),
        logits_(lm.model.vocabulary()) {
    bench::move_behind(state_, before, kind_of(lm.config.layers()));
    for (std::size_t i = 0; i < ids_.size(); ++i) ids_[i] = static_cast<std::int64_t>(i * 97) % lm.model.vocabulary();
  }

  /// In pieces of `piece` tokens, each with the logits of its last one; the next call starts behind `before` again.
  void read(Index piece, ttt::Context& context) {
    const auto step = static_cast<std::size_t>(piece);
    const ttt::Segment<Model::State> segment{piece, &state_};
    for (std::size_t first = 0; first + step <= ids_.size(); first += step)
      lm_->model.forward(lm_->weights.views(), std::span(ids_).subspan(first, step), {&segment, 1},
                         ttt::LogitRows::last, {logits_.data(), 1, logits_.size()}, context);
    state_.position = before_;
  }

 private:
  const Lm* lm_;
  Index before_;
  Model::State state_;
  std::vector<std::int64_t> ids_;
  ttt::Buffer<float> logits_;
};

/// Arguments: width C, tokens T, tokens before, threads.
void prefill(benchmark::State& state, const std::string& layer, bool bfloat16) {
  const Index tokens = state.range(1), before = state.range(2), threads = state.range(3);
  const bench::Peaks& peaks = bench::peaks(threads);
  const Lm& lm = language_model(layer, bfloat16, state.range(0));
  bench::Workers workers(threads);
  Reader reader(lm, tokens, before);
  if (tokens <= 512) reader.read(tokens, workers.context());
  const double seconds = bench::fastest(state, [&] { reader.read(tokens, workers.context()); });
  bench::count_tokens(state, seconds, tokens, state_bytes(lm.model, before + tokens));
  bench::count_floor(state, seconds, lm.product_flops(tokens, before), peaks);
}

/// Arguments: width C, tokens before, threads. Times are those of one token.
void decode(benchmark::State& state, const std::string& layer, bool bfloat16) {
  constexpr Index mini_batch = 16;
  const Index before = state.range(1), threads = state.range(2);
  const Lm& lm = language_model(layer, bfloat16, state.range(0));
  bench::Workers workers(threads);
  ttt::Context& context = workers.context();
  Reader reader(lm, mini_batch, before);
  reader.read(1, context);
  const double seconds = bench::fastest(state, [&] { reader.read(1, context); }) / mini_batch;

  const auto& weights = lm.weights.arena();
  const Index embedding = lm.embedding_size();  // comes first; one row of it is read
  double read = std::numeric_limits<double>::infinity();
  for (int round = 0; round < 5; ++round)
    read = std::min(
        read, bench::seconds_of([&] {
          benchmark::DoNotOptimize(bench::plain_read(weights.data() + embedding, weights.size() - embedding, context));
        }));
  const std::size_t state_bytes = ttt::state_bytes(lm.model, before + mini_batch);
  bench::count_tokens(state, seconds, 1, state_bytes);
  bench::count_reads(state, seconds,
                     static_cast<double>(weights.size() - embedding) * sizeof(float) + static_cast<double>(state_bytes),
                     read);
}

ttt::training::Corpus corpus(Index context) {
  std::string text;
  bench::Uniform next(13);
  for (int i = 0; i < 1 << 16; ++i) text += static_cast<char>('n' + static_cast<int>(next()));
  return ttt::training::Corpus::from_documents({{"random text", text}}, context);
}

/// Context 256. A step is forward, backward, clipping and AdamW.
void training_step(benchmark::State& state, const ttt::ModelConfig& config, Index batch, Index threads,
                   bool bfloat16_products) {
  const ttt::training::Corpus text = corpus(256);
  ttt::training::TrainerConfig training;
  training.batch = batch;
  bench::Workers workers(threads);
  ttt::Bfloat16Products products(workers.context().executor());
  if (bfloat16_products) workers.context().large_products = &products;
  state.SetLabel(bfloat16_products && !products.is_fast() ? "without AVX512-BF16" : "");
  ttt::training::Trainer<Model> trainer(ttt::make_model<float>(config), text, training);
  trainer.train_step(workers.context());
  const double seconds = bench::fastest(state, [&] { trainer.train_step(workers.context()); });
  bench::count_tokens(state, seconds, training.batch * text.context(), state_bytes(trainer.model(), text.context()));
}

/// 4 blocks of width 128, bytes. Arguments: batch, threads.
void narrow_step(benchmark::State& state, const std::string& layer) {
  ttt::ModelConfig config;
  config.pattern = {block_of(layer, 4, 336)};
  training_step(state, config, state.range(0), state.range(1), false);
}

/// 2 blocks of the standard size, bytes: products are nearly all of its time. Arguments: width, batch, threads.
void wide_step(benchmark::State& state, const std::string& layer, bool bfloat16_products) {
  ttt::ModelConfig config = model_config(layer, state.range(0));
  config.depth = 2;
  config.vocabulary = 256;
  training_step(state, config, state.range(1), state.range(2), bfloat16_products);
}

void register_wide_steps(const std::string& layer, bool bfloat16_products) {
  const std::string name = "lm_wide_training_step/" + layer + (bfloat16_products ? "-bfloat16-products" : "");
  auto* const steps =
      benchmark::RegisterBenchmark(name.c_str(), [=](auto& state) { wide_step(state, layer, bfloat16_products); });
  steps->ArgNames({"C", "batch", "threads"})->Unit(benchmark::kMillisecond)->UseManualTime();
  steps->Args({small_width, 1, 1});
  for (const Index threads : {1, 2}) steps->Args({standard_width, 8, threads});
}

void register_reading(const std::string& layer, bool bfloat16) {
  const std::string name = layer + (bfloat16 ? "-bfloat16" : "");
  auto* const prompts = benchmark::RegisterBenchmark(("lm_prefill/" + name).c_str(),
                                                     [=](auto& state) { prefill(state, layer, bfloat16); });
  prompts->ArgNames({"C", "T", "before", "threads"})->Unit(benchmark::kMillisecond)->UseManualTime();
  prompts->Args({small_width, 64, 0, 1});
  for (const Index before : {0, 8192})
    for (const Index tokens : {512, 2048})
      for (const Index threads : {1, 2}) prompts->Args({standard_width, tokens, before, threads});

  auto* const tokens =
      benchmark::RegisterBenchmark(("lm_decode/" + name).c_str(), [=](auto& state) { decode(state, layer, bfloat16); });
  tokens->ArgNames({"C", "before", "threads"})->Unit(benchmark::kMillisecond)->UseManualTime();
  tokens->Args({small_width, 0, 1});
  for (const Index before : {0, 8192})
    for (const Index threads : {1, 2}) tokens->Args({standard_width, before, threads});
}

void register_cases() {
  for (const std::string layer : layers) {
    for (const bool bfloat16 : {false, true}) register_reading(layer, bfloat16);

    auto* const steps = benchmark::RegisterBenchmark(("lm_training_step/" + layer).c_str(),
                                                     [layer](auto& state) { narrow_step(state, layer); });
    steps->ArgNames({"batch", "threads"})->Unit(benchmark::kMillisecond)->UseManualTime();
    for (const Index batch : {1, 16})
      for (const Index threads : {1, 2}) steps->Args({batch, threads});
  }
  for (const bool bfloat16_products : {false, true}) register_wide_steps("ttt-linear", bfloat16_products);
}
[[maybe_unused]] const bool registered = (register_cases(), true);

}  // namespace
