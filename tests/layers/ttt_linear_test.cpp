// SPDX-License-Identifier: MIT
#include "ttt/layers/ttt_linear.hpp"

#include "layers/ttt_golden.hpp"
#include "suites/sequence_layer.hpp"
#include "support/catch.hpp"

namespace {

using namespace ttt;

// C = 18, H = 3, D = 6, K = 5: all different, none a multiple of a pack.
TttConfig small(bool mamba) {
  TttConfig config;
  config.width = 18;
  config.heads = 3;
  config.mini_batch = 5;
  config.gate = config.share_query_key = mamba;
  config.checkpoint_interval = 2;
  return config;
}

// Keeps 1/r + learned_r half its size away from the clamp at zero, with one entry beyond it.
suites::LayerCase layer_case() {
  suites::LayerCase options{.mini_batch = 5};
  options.prepare = [](std::string_view name, Index index, double value) {
    if (name != "learnable_token_idx") return value;
    return index == 3 ? -2.0 : 0.1 / static_cast<double>(index + 1);
  };
  return options;
}

template <class Layer>
void conforms(bool mamba) {
  suites::check_sequence_layer(Layer(small(mamba)), layer_case());
}

}  // namespace

TEST_CASE("TttLinear keeps the contracts of a sequence layer in double") {
  SECTION("transformer backbone") { conforms<TttLinear<double>>(false); }
  SECTION("mamba backbone: gate, shared query/key, convolutions") { conforms<TttLinear<double>>(true); }
  SECTION("sizes fixed at compile time") { conforms<TttLinear<double, 6, 5>>(true); }
  SECTION("primal form") {
    auto config = small(false);
    config.form = rules::TttForm::primal;
    suites::check_sequence_layer(TttLinear<double>(config), layer_case());
  }
}

TEST_CASE("TttLinear keeps the contracts of a sequence layer in float") {
  SECTION("transformer backbone") { conforms<TttLinear<float>>(false); }
  SECTION("mamba backbone") { conforms<TttLinear<float>>(true); }
  SECTION("sizes fixed at compile time") { conforms<TttLinear<float, 6, 5>>(true); }
}

TEST_CASE("TttLinear has the numbers of the published layer") {
  // README of the golden files: an independent float64 code agrees to 1e-14.
  for (const std::string backbone : {"transformer", "mamba"}) {
    ttt_golden::check_layer<TttLinear<double>>("layer/ttt_linear_" + backbone, 1e-11, 1e-11);
    ttt_golden::check_decode<TttLinear<double>>("decode/ttt_linear_" + backbone, 1e-11);
  }
}

TEST_CASE("TttLinear with sizes fixed at compile time computes what the dynamic one computes") {
  const TttConfig config = small(true);
  const Layer<TttLinear<double>> dynamic_sizes(config, 3);
  const Layer<TttLinear<double, 6, 5>> fixed_sizes(config, 3);
  const auto x = testing::random_matrix<double>(23, 18, 4);
  testing::Matrix<double> y(23, 18), y_fixed(23, 18);
  auto state = dynamic_sizes.initial_state(), state_fixed = fixed_sizes.initial_state();
  Context context;
  dynamic_sizes.forward(x.view(), state, y.view(), context);
  fixed_sizes.forward(x.view(), state_fixed, y_fixed.view(), context);
  testing::Report report{"static against dynamic sizes", 0, {}};
  report.close("y", testing::parts_of(std::as_const(y_fixed).view(), "y"), testing::parts_of(std::as_const(y).view(), "y"),
               1e-13);
  report.close("state", testing::parts_of_state(state_fixed), testing::parts_of_state(state), 1e-13);
  INFO(report.text());
  CHECK(report.failures.empty());
}

TEST_CASE("TttLinear reports the inner loss, which an update lowers") {
  struct Sink : StatisticsSink {
    std::vector<InnerLoss> losses;
    void inner_loss(const InnerLoss& loss) override { losses.push_back(loss); }
  } sink;
  auto config = small(false);
  config.base_learning_rate = 1e-8;  // small against the curvature of a loss behind a layer norm of tiny inputs
  const Layer<TttLinear<double>> layer(config, 5);
  const auto x = testing::random_matrix<double>(13, 18, 6);
  testing::Matrix<double> y(13, 18), y_silent(13, 18);
  auto state = layer.initial_state(), state_silent = state;
  Context context;
  layer.forward(x.view(), state_silent, y_silent.view(), context);
  context.statistics = &sink;
  layer.forward(x.view(), state, y.view(), context);
  CHECK(state == state_silent);

  REQUIRE(sink.losses.size() == 3 * 3);  // 13 tokens are 5 + 5 + 3, in each of three heads
  CHECK(sink.losses[0].at_initial == sink.losses[0].before_update);
  CHECK(sink.losses[2].tokens == 3);
  CHECK(sink.losses[2].position == 10);
  CHECK(sink.losses[3].head == 1);
  for (const auto& loss : sink.losses) CHECK(loss.after_update < loss.before_update);
  CHECK(sink.losses[2].before_update != sink.losses[2].at_initial);
}

TEST_CASE("TttLinear refuses what makes no layer, naming the option") {
  const auto message = [](TttConfig config) {
    try {
      TttLinear<float> layer(config);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  TttConfig config = small(false);
  config.heads = 4;
  CHECK(message(config) == "TTT layer: width: expected a multiple of heads = 4, found 18");
  config.heads = 6;
  CHECK(message(config) == "TTT layer: head width: expected an even number, for the rotary embedding, found 3");
  config = small(false);
  config.mini_batch = 0;
  CHECK(message(config) == "TTT layer: mini_batch: expected a positive number, found 0");
  config = small(false);
  config.checkpoint_interval = 0;
  CHECK(message(config) == "TTT layer: checkpoint_interval: expected a positive number, found 0");
  config = small(true);
  config.conv_taps = 0;
  CHECK(message(config) == "TTT layer: conv_taps: expected a positive number, found 0");
}

TEST_CASE("TttLinear keeps fewer fast weights for the backward when checkpoints are further apart") {
  auto config = small(false);
  config.checkpoint_interval = 1;
  const auto every = TttLinear<float>(config).record_bytes(1000);
  config.checkpoint_interval = 50;
  CHECK(TttLinear<float>(config).record_bytes(1000) < every);
}
