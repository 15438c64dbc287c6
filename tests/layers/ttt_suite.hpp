// SPDX-License-Identifier: MIT
/// @file
/// What every TTT layer must do, whatever its rule. `Family` names the layer: `template <class, Index, Index> Layer`.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "layers/ttt_formula.hpp"
#include "layers/ttt_golden.hpp"
#include "suites/sequence_layer.hpp"
#include "support/catch.hpp"
#include "support/compiled_layers.hpp"
#include "support/error_message.hpp"
#include "ttt/layers/layer.hpp"
#include "ttt/layers/layer_options.hpp"

namespace ttt::ttt_suite {

// C = 18, H = 3, D = 6, K = 5: all different, none a multiple of a pack.
inline TttConfig small(bool mamba) {
  TttConfig config;
  config.width = 18;
  config.heads = 3;
  config.mini_batch = 5;
  config.gate = config.share_query_key = mamba;
  config.checkpoint_interval = 2;
  return config;
}

// Keeps 1/r + learned_r half its size away from the clamp at zero, with one entry beyond it.
inline suites::LayerCase layer_case() {
  suites::LayerCase options{.mini_batch = 5};
  options.prepare = [](std::string_view name, Index index, double value) {
    if (name != "learnable_token_idx") return value;
    return index == 3 ? -2.0 : 0.1 / static_cast<double>(index + 1);
  };
  return options;
}

template <class TttLayer>
void contracts_of(const TttConfig& config) {
  const TttLayer layer(config);
  suites::LayerCase options = layer_case();
  options.formula =
      std::bind_front(ttt_formula::formula, config, std::remove_cvref_t<decltype(layer.rule())>::base_learning_rate);
  suites::check_sequence_layer(layer, options);
}

template <template <class, Index, Index> class Family, class Scalar>
void contracts() {
  for (const bool mamba : {false, true}) {
    INFO((mamba ? "gate, shared query/key, convolutions" : "plain"));
    contracts_of<typename Family<Scalar, dynamic, dynamic>::Layer>(small(mamba));
    contracts_of<typename Family<Scalar, 6, 5>::Layer>(small(mamba));
  }
  INFO("primal form");
  TttConfig config = small(false);
  config.form = rules::TttForm::primal;
  contracts_of<typename Family<Scalar, dynamic, dynamic>::Layer>(config);
}

/// The other orders, and initial weights of low rank.
inline std::vector<TttConfig> variants() {
  TttConfig exclusive = small(true), simplified = small(false), low_rank = small(false);
  exclusive.order = rules::TttOrder::chunk_exclusive;
  simplified.order = rules::TttOrder::simplified;
  low_rank.order = rules::TttOrder::chunk_exclusive;
  low_rank.initial_rank = 2;
  low_rank.initial_identity = 0.5;
  std::vector<TttConfig> all{exclusive, simplified, low_rank, simplified, low_rank};
  all[3].form = all[4].form = rules::TttForm::primal;
  all[3].gate = true;
  all[3].initial_rank = 3;
  all[4].order = rules::TttOrder::token_inclusive;
  return all;
}

template <template <class, Index, Index> class Family, class Scalar>
void contracts_of_variants() {
  for (const TttConfig& config : variants()) {
    INFO(option_text::text(config.order) << ", initial rank " << config.initial_rank);
    contracts_of<typename Family<Scalar, dynamic, dynamic>::Layer>(config);
  }
}

inline std::set<std::string> names_of_tensors(auto parameters) {
  std::set<std::string> names;
  parameters.visit([&](std::string_view name, const auto&, const ParameterInfo&) { names.emplace(name); });
  return names;
}

template <template <class, Index, Index> class Family>
void names_of_variants() {
  using Layer = typename Family<float, dynamic, dynamic>::Layer;
  const auto names = [](auto change) {
    TttConfig config = small(false);
    change(config);
    return names_of_tensors(Layer(config).make_parameters());
  };
  const auto published = names([](TttConfig&) {});
  CHECK(published.contains("q_proj.weight"));
  CHECK(names([](TttConfig& c) { c.order = rules::TttOrder::chunk_exclusive; }) == published);
  auto expected = published;
  expected.erase("q_proj.weight");
  CHECK(names([](TttConfig& c) { c.order = rules::TttOrder::simplified; }) == expected);
  expected = published;
  for (const std::string weight : {"W1", "W2"})
    if (expected.erase(weight)) expected.insert({weight + ".left", weight + ".right"});
  CHECK(names([](TttConfig& c) { c.initial_rank = 2; }) == expected);
}

/// A sequence of one mini-batch, or an inner rate of zero: the static model f_W₀, as in any call of one token.
template <template <class, Index, Index> class Family>
void static_models_of_exclusive_orders() {
  using Model = typename Family<double, dynamic, dynamic>::Layer;
  for (const auto order : {rules::TttOrder::chunk_exclusive, rules::TttOrder::simplified})
    for (const bool learns : {true, false}) {
      INFO(option_text::text(order) << (learns ? ", one mini-batch" : ", no rate"));
      TttConfig config = small(false), frozen = config;
      config.order = frozen.order = order;
      frozen.base_learning_rate = 0;
      if (!learns) config = frozen;
      const suites::LayerRuns<Model> runs(Model(config), layer_case()), still(Model(frozen), layer_case());
      const Index tokens = learns ? 5 : 13;
      const auto x = runs.random(tokens, 4);
      auto state = runs.fresh(), frozen_state = still.fresh();
      testing::Matrix<double> y(tokens, 18), expected(tokens, 18), one(1, 18);
      Context context;
      runs.forward(x.view(), {{tokens, &state}}, y.view(), context);
      still.forward(x.view(), {{tokens, &frozen_state}}, expected.view(), context);
      CHECK(y == expected);
      auto start = runs.fresh();
      runs.forward(x.view().rows(0, 1), {{1, &start}}, one.view(), context);
      CHECK(std::equal(one.view().row(0), one.view().row(1), y.view().row(0)));
      const Index weights = runs.layer().rule().weight_size();
      const auto initial = runs.fresh();
      CHECK(std::equal(initial.values.data(), initial.values.data() + weights, state.values.data()) == !learns);
    }
}

template <template <class, Index, Index> class Family>
void static_sizes_compute_the_same() {
  const TttConfig config = small(true);
  const Layer<typename Family<double, dynamic, dynamic>::Layer> dynamic_sizes(config, 3);
  const Layer<typename Family<double, 6, 5>::Layer> fixed_sizes(config, 3);
  const auto x = testing::random_matrix<double>(23, 18, 4);
  testing::Matrix<double> y(23, 18), y_fixed(23, 18);
  auto state = dynamic_sizes.initial_state(), state_fixed = fixed_sizes.initial_state();
  Context context;
  dynamic_sizes.forward(x.view(), state, y.view(), context);
  fixed_sizes.forward(x.view(), state_fixed, y_fixed.view(), context);
  testing::Report report{"static against dynamic sizes", 0, {}};
  report.close("y", testing::parts_of(std::as_const(y_fixed).view(), "y"),
               testing::parts_of(std::as_const(y).view(), "y"), 1e-13);
  report.close("state", testing::parts_of_state(state_fixed), testing::parts_of_state(state), 1e-13);
  INFO(report.text());
  CHECK(report.failures.empty());
}

/// The sizes of the published layers, D = 64 and K = 16, fixed at compile time, in calls that begin and end inside
/// mini-batches.
template <template <class, Index, Index> class Family, class Scalar>
void published_sizes_compute_the_same() {
  using Any = typename Family<Scalar, dynamic, dynamic>::Layer;
  using Fixed = typename Family<Scalar, 64, 16>::Layer;
  TttConfig config;
  config.width = 128;
  config.heads = 2;
  config.mini_batch = 16;
  config.checkpoint_interval = 2;
  suites::LayerCase options = layer_case();
  options.mini_batch = 16;
  const suites::LayerRuns<Any> any(Any(config), options);
  const suites::LayerRuns<Fixed> fixed(Fixed(config), options);
  const std::vector<Index> lengths{3, 21, 1, 16, 26};
  const auto x = any.random(67, 5), d_y = any.random(67, 6);
  const auto run = [&](const auto& runs) { return runs.in_pieces({67, runs.after(5)}, lengths, x.view(), d_y.view()); };
  const auto expected = run(any);
  const auto actual = run(fixed);
  // Their sums have the same terms in the same order, but the compiler may fuse other operations around them: no more
  // than the rounding that the contracts allow between two ways to read a sequence.
  constexpr double values = suites::value_tolerance<Scalar>, gradients = suites::gradient_tolerance<Scalar>;
  testing::Report report{"sizes fixed at 64 and 16 against any sizes", 0, {}};
  report.close("y", testing::parts_of(actual.y.view(), "y"), testing::parts_of(expected.y.view(), "y"), values);
  report.close("state", testing::parts_of_state(actual.states[0]), testing::parts_of_state(expected.states[0]), values);
  report.close("d_x", testing::parts_of(actual.d_x.view(), "d_x"), testing::parts_of(expected.d_x.view(), "d_x"),
               gradients);
  report.close("d_state", testing::parts_of_state(actual.d_states[0]), testing::parts_of_state(expected.d_states[0]),
               gradients);
  report.close("gradients", testing::parts_of_parameters(actual.gradients.views()),
               testing::parts_of_parameters(expected.gradients.views()), gradients);
  INFO(report.text());
  CHECK(report.failures.empty());
}

/// Outputs and final states of a call of several sequences, one of them a stream of documents.
template <class Model>
std::pair<testing::Matrix<float>, std::vector<typename Model::State>> read_together(
    const suites::LayerRuns<Model>& runs, Context& context, typename Model::Record* record) {
  std::vector<typename Model::State> states{runs.after(3), runs.fresh(), runs.after(5)};
  const std::vector<Segment<typename Model::State>> segments{{401, &states[0]},       {7, &states[1]},
                                                             {0, &states[1], true},   {190, &states[1], true},
                                                             {202, &states[1], true}, {193, &states[2]}};
  const auto x = runs.random(total_rows<typename Model::State>(segments), 9);
  testing::Matrix<float> y(x.rows(), runs.layer().width());
  runs.layer().forward(runs.parameters(), x.view(), segments, y.view(), context, record);
  return {std::move(y), std::move(states)};
}

/// Without a Record a long call is read in pieces.
template <template <class, Index, Index> class Family>
void long_calls_have_the_bits_of_recorded_ones() {
  using Model = typename Family<float, dynamic, dynamic>::Layer;
  for (const bool mamba : {false, true}) {
    INFO((mamba ? "gate, shared query/key, convolutions" : "plain"));
    const suites::LayerRuns<Model> runs(Model(small(mamba)), layer_case());
    typename Model::Record record;
    Context alone;
    const auto whole = read_together<Model>(runs, alone, &record);
    CHECK(read_together<Model>(runs, alone, nullptr) == whole);
    ThreadPool pool(2);
    Context shared(pool);
    CHECK(read_together<Model>(runs, shared, nullptr) == whole);
  }
}

struct KeptLosses final : StatisticsSink {
  std::vector<InnerLoss> losses;
  void inner_loss(const InnerLoss& loss) override { losses.push_back(loss); }
};

template <template <class, Index, Index> class Family>
void reports_inner_loss() {
  KeptLosses sink;
  TttConfig config = small(false);
  config.base_learning_rate = 1e-8;  // small against the curvature of a loss behind a layer norm of tiny inputs
  const Layer<typename Family<double, dynamic, dynamic>::Layer> layer(config, 5);
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
  CHECK(sink.losses[1].head == 1);
  CHECK(sink.losses[1].position == 0);
  CHECK(sink.losses[6].tokens == 3);
  CHECK(sink.losses[6].position == 10);
  for (const auto& loss : sink.losses) CHECK(loss.after_update < loss.before_update);
  CHECK(sink.losses[6].before_update != sink.losses[6].at_initial);
}

/// Without a Record a call with a sink is read in pieces too: the reports of a recorded call, in its order.
template <template <class, Index, Index> class Family>
void long_calls_report_as_recorded_ones() {
  using Model = typename Family<float, dynamic, dynamic>::Layer;
  for (const bool mamba : {false, true}) {
    INFO((mamba ? "gate, shared query/key, convolutions" : "plain"));
    const suites::LayerRuns<Model> runs(Model(small(mamba)), layer_case());
    Context alone;
    alone.block = 4;
    KeptLosses whole;
    alone.statistics = &whole;
    typename Model::Record record;
    const auto outputs = read_together<Model>(runs, alone, &record);
    REQUIRE(whole.losses.size() == 3 * (81 + 2 + 38 + 41 + 39));  // mini-batches of 5, the first one begun
    CHECK(whole.losses.back().segment == 5);
    CHECK(whole.losses.back().position == 195);
    for (const Index workers : {1, 2}) {
      ThreadPool pool(workers);
      Context context(pool);
      context.block = 4;
      KeptLosses pieces;
      context.statistics = &pieces;
      CHECK(read_together<Model>(runs, context, nullptr) == outputs);
      CHECK(context.statistics == &pieces);
      CHECK(pieces.losses == whole.losses);
    }
  }
}

template <template <class, Index, Index> class Family>
void memory_of_statistics_does_not_grow() {
  using Model = typename Family<float, dynamic, dynamic>::Layer;
  TttConfig config = small(true);
  config.width = 96;  // 2,000 tokens would take 7 MB
  const suites::LayerRuns<Model> runs(Model(config), layer_case());
  const auto scratch_after = [&](Index tokens) {
    auto state = runs.fresh();
    const auto x = runs.random(tokens, 2);
    testing::Matrix<float> y(tokens, 96);
    KeptLosses sink;
    Context context;
    context.statistics = &sink;
    runs.forward(x.view(), {{tokens, &state}}, y.view(), context);
    CHECK(sink.losses.size() == static_cast<std::size_t>(3 * tokens / 5));
    return context.scratch().bytes();
  };
  CHECK(scratch_after(2000) == scratch_after(500));
}

template <template <class, Index, Index> class Family>
void refuses_what_makes_no_layer() {
  using Layer = typename Family<float, dynamic, dynamic>::Layer;
  const auto changed = [](bool mamba, auto change) {
    TttConfig config = small(mamba);
    change(config);
    return testing::error_message([&] { Layer{config}; });
  };
  CHECK(changed(false, [](TttConfig& c) { c.heads = 4; }) ==
        "TTT layer: width: expected a multiple of heads = 4, found 18");
  CHECK(changed(false, [](TttConfig& c) { c.heads = 6; }) ==
        "TTT layer: head width: expected an even number, for the rotary embedding, found 3");
  CHECK(changed(false, [](TttConfig& c) { c.mini_batch = 0; }) ==
        "TTT layer: mini_batch: expected at least 1, found 0");
  CHECK(changed(false, [](TttConfig& c) { c.checkpoint_interval = 0; }) ==
        "TTT layer: checkpoint_interval: expected at least 1, found 0");
  CHECK(changed(true, [](TttConfig& c) { c.order = rules::TttOrder::simplified; }) ==
        "TTT layer: share_query_key: expected false, as the simplified order has no queries, found true");
  CHECK(changed(false, [](TttConfig& c) { c.initial_rank = 7; }) ==
        "TTT layer: initial_rank: expected at most the head width = 6, found 7");
  CHECK(changed(false, [](TttConfig& c) { c.initial_rank = -1; }) ==
        "TTT layer: initial_rank: expected at least 0, found -1");
  CHECK(changed(false, [](TttConfig& c) { c.initial_identity = 0.5; }) ==
        "TTT layer: initial_identity: expected 0, as there is no initial_rank, found 0.5");
  CHECK(changed(true, [](TttConfig& c) { c.conv_taps = 0; }) == "TTT layer: conv_taps: expected at least 1, found 0");
}

/// A record is one block of the size told, for one sequence; for any call it is one block, too.
template <template <class, Index, Index> class Family>
void records_take_what_record_bytes_says() {
  using Model = typename Family<float, dynamic, dynamic>::Layer;
  for (const bool mamba : {false, true}) {
    INFO((mamba ? "gate, shared query/key, convolutions" : "plain"));
    const suites::LayerRuns<Model> runs(Model(small(mamba)), layer_case());
    for (const Index tokens : {1, 40, 777}) {
      auto state = runs.fresh();
      const auto x = runs.random(tokens, 14);
      testing::Matrix<float> y(tokens, runs.layer().width());
      typename Model::Record record;
      Context context;
      runs.forward(x.view(), {{tokens, &state}}, y.view(), context, &record);
      CHECK(record.memory.bytes() == runs.layer().record_bytes(tokens));
    }
    Context context;
    typename Model::Record record;
    read_together<Model>(runs, context, &record);
    const std::size_t bytes = record.memory.bytes();
    record.memory.reset();
    record.memory.template allocate<std::byte>(static_cast<Index>(bytes));
    CHECK(record.memory.bytes() == bytes);
  }
}

template <template <class, Index, Index> class Family>
void checkpoints_bound_memory() {
  using Layer = typename Family<float, dynamic, dynamic>::Layer;
  TttConfig config = small(false);
  config.checkpoint_interval = 1;
  const auto every = Layer(config).record_bytes(1000);
  config.checkpoint_interval = 50;
  CHECK(Layer(config).record_bytes(1000) < every);
}

}  // namespace ttt::ttt_suite
