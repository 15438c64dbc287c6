// SPDX-License-Identifier: MIT
#include "ttt/models/causal_lm.hpp"

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "suites/language_model.hpp"
#include "support/catch.hpp"
#include "support/compiled_layers.hpp"
#include "support/error_message.hpp"
#include "support/tiny_config.hpp"
#include "ttt/layers/any_sequence_layer.hpp"
#include "ttt/layers/ttt_linear.hpp"
#include "ttt/layers/ttt_mlp.hpp"

namespace {

using namespace ttt;

constexpr Index mini_batch = 3, width = 8, vocabulary = 11, hidden = 10;

template <class Scalar>
TttLinear<Scalar> ttt_linear(bool mamba) {
  TttConfig config;
  config.width = width;
  config.heads = 2;
  config.mini_batch = mini_batch;
  config.gate = config.share_query_key = mamba;
  return TttLinear<Scalar>(config);
}

/// Two blocks of TTT-Linear; the mamba backbone with three taps.
template <class Scalar>
CausalLm<Scalar> model(bool tied, bool mamba) {
  return {{vocabulary, width, hidden, tied, mamba, 3}, std::vector(2, AnySequenceLayer(ttt_linear<Scalar>(mamba)))};
}

// Keeps the position factors 1/r + learned_r of TTT layers off their clamp at zero, and their inner layer norm off the
// small variances at which central differences have truncation errors of their own.
const suites::LayerCase options{
    .mini_batch = mini_batch, .spread = 0.3, .prepare = [](std::string_view name, Index index, double value) {
      return name.ends_with("learnable_token_idx") ? 0.1 / static_cast<double>(index + 1) : value;
    }};

TEST_CASE("the transformer backbone is a language model") {
  suites::check_language_model(model<double>(false, false), options);
  suites::check_language_model(model<float>(true, false), options);
}

TEST_CASE("the mamba backbone is a language model") {
  suites::check_language_model(model<double>(true, true), options);
  suites::check_language_model(model<float>(false, true), options);
}

TEST_CASE("blocks with different layers are a language model") {
  using Any = AnySequenceLayer<double>;
  TttConfig config;
  config.width = width;
  config.heads = 2;
  config.mini_batch = mini_batch;
  const std::vector<Any> layers{Any(ttt_linear<double>(false)), Any(TttMlp<double>(config)),
                                Any(ttt_linear<double>(true))};
  suites::check_language_model(CausalLm<double>({vocabulary, width, hidden, true, true}, layers), options);
}

TEST_CASE("norms on both sides, times 1 + weight, a GeGLU and scales are a language model") {
  ModelConfig config = testing::tiny_config("ttt-linear");
  testing::options_of<TttConfig>(config).mini_batch = mini_batch;
  config.one_plus_norms = true;
  config.embedding_scale = 1.7, config.residual_scale = 0.6, config.logit_scale = 1.3;
  config.pattern.front().activation = kernels::Activation::gelu;
  config.pattern.front().norms = NormPlacement::around;
  config.pattern.push_back(config.pattern.front());
  config.pattern.back().norms = NormPlacement::after;
  suites::check_language_model(make_model<double>(config), options);
  suites::check_language_model(make_model<float>(config), options);
}

TEST_CASE("logits are times their scale") {
  ModelConfig config = testing::tiny_config("ttt-linear");
  const auto logits_of = [&](double scale) {
    config.logit_scale = scale;
    const auto lm = make_model<double>(config);
    ParameterStore store(lm.make_parameters());
    initialize(store.views(), 1);
    auto state = lm.initial_state(store.views());
    const std::vector<std::int64_t> ids{3, 1, 4};
    const Segment<decltype(state)> segment{3, &state};
    testing::Matrix<double> logits(3, lm.vocabulary());
    Context context;
    lm.forward(store.views(), ids, {&segment, 1}, LogitRows::all, logits.view(), context);
    return logits;
  };
  const auto plain = logits_of(1), twice = logits_of(2);
  for (Index r = 0; r < 3; ++r)
    for (Index c = 0; c < config.vocabulary; ++c) CHECK(twice(r, c) == 2 * plain(r, c));
}

TEST_CASE("parameters have the published names, and a tied head is no parameter") {
  const auto names_of = [](bool tied, bool mamba) {
    auto parameters = model<float>(tied, mamba).make_parameters();
    std::vector<std::string> names;
    parameters.visit([&](std::string_view name, auto&, const ParameterInfo&) { names.emplace_back(name); });
    return names;
  };
  const auto untied = names_of(false, true), tied = names_of(true, true), transformer = names_of(true, false);
  CHECK(untied.front() == "model.embed_tokens.weight");
  CHECK(untied.back() == "lm_head.weight");
  CHECK(tied.back() == "model.norm.weight");
  CHECK(untied.size() == tied.size() + 1);
  for (const char* name :
       {"model.layers.1.conv.norm.weight", "model.layers.1.conv.conv.weight", "model.layers.1.conv.conv.bias",
        "model.layers.0.seq_norm.weight", "model.layers.0.ffn_norm.weight", "model.layers.0.seq_modeling_block.W1",
        "model.layers.1.mlp.gate_proj.weight"}) {
    const auto in = [&](const auto& list) { return std::find(list.begin(), list.end(), name) != list.end(); };
    INFO(name);
    CHECK(in(tied));
    CHECK(in(transformer) == (std::string_view(name).find(".conv.") == std::string_view::npos));
  }
}

TEST_CASE("a model that cannot be is refused by name") {
  const auto message = [](CausalLmConfig config, std::size_t blocks) {
    return testing::error_message(
        [&] { CausalLm<float>(config, std::vector(blocks, AnySequenceLayer(ttt_linear<float>(false)))); });
  };
  CHECK(message({vocabulary, width, hidden}, 2) == "");
  CHECK(message({0, width, hidden}, 2) == "vocabulary: expected at least 1, found 0");
  CausalLmConfig unscaled{vocabulary, width, hidden};
  unscaled.logit_scale = 0;
  CHECK(message(unscaled, 2).starts_with("logit_scale: expected"));
  CHECK(message({vocabulary, width, hidden}, 0) == "layers of the model: expected at least one, found none");
  CHECK(message({vocabulary, 16, hidden}, 2) == "block 0: width of its layer: expected 16, found 8");
}

TEST_CASE("a call stops between blocks when it is cancelled") {
  const auto lm = model<float>(true, false);
  ParameterStore store(lm.make_parameters());
  auto state = lm.initial_state(store.views());
  std::atomic<bool> stop{true};
  Context context;
  context.cancellation = &stop;
  const std::int64_t id = 3;
  const Segment<decltype(state)> segment{1, &state};
  testing::Matrix<float> logits(1, vocabulary);
  const auto call = [&] { lm.forward(store.views(), {&id, 1}, {&segment, 1}, LogitRows::all, logits.view(), context); };
  CHECK_THROWS_AS(call(), Cancelled);
  stop = false;
  CHECK_NOTHROW(call());
}

TEST_CASE("record_bytes is what a record takes") {
  const auto lm = model<double>(false, true);
  ParameterStore store(lm.make_parameters());
  auto state = lm.initial_state(store.views());
  decltype(lm)::Record record;
  const std::vector<std::int64_t> ids(50, 1);
  const Segment<decltype(state)> segment{50, &state};
  testing::Matrix<double> logits(50, vocabulary);
  Context context;
  lm.forward(store.views(), ids, {&segment, 1}, LogitRows::all, logits.view(), context, &record);
  std::size_t bytes = record.stack.memory.bytes();
  for (const auto& part : lm.stack().layers()) bytes += part.layer.record_bytes(50);
  CHECK(bytes <= lm.record_bytes(50));
  CHECK(bytes + alignment >= lm.record_bytes(50));
}

}  // namespace
