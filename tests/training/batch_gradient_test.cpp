// SPDX-License-Identifier: MIT
#include "ttt/training/batch_gradient.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "kernels/numbers.hpp"
#include "support/catch.hpp"
#include "support/compiled_layers.hpp"
#include "support/error_message.hpp"
#include "training/tiny_model.hpp"
#include "ttt/layers/any_sequence_layer.hpp"
#include "ttt/layers/attention.hpp"
#include "ttt/layers/ttt_linear.hpp"
#include "ttt/layers/ttt_mlp.hpp"
#include "ttt/models/causal_lm.hpp"
#include "ttt/nn/bfloat16_products.hpp"

using namespace ttt;
using namespace ttt::training;
using ttt::testing::error_lacks;

namespace {

/// A batch of sequences of one length, each with a State of its own, and everything its gradient is computed from.
template <class Model>
struct Batch {
  using Scalar = typename Model::Scalar;
  using State = typename Model::State;
  using Store = ParameterStore<typename Model::Parameters>;

  Batch(Model of, Index sequences, Index tokens) : model(std::move(of)), parameters(model.make_parameters()) {
    initialize(parameters.views(), 1);
    states.assign(static_cast<std::size_t>(sequences), model.initial_state(parameters.views(), tokens));
    for (State& state : states) segments.push_back({tokens, &state, true});
    const RandomStream random(2, "batch");
    const auto rows = static_cast<std::uint64_t>(sequences * tokens);
    const auto vocabulary = static_cast<double>(model.vocabulary());
    for (std::uint64_t i = 0; i < rows; ++i) {
      ids.push_back(static_cast<std::int64_t>(vocabulary * random.uniform(i)));
      targets.push_back(static_cast<std::int64_t>(vocabulary * random.uniform(rows + i)));
    }
    scale = 1 / static_cast<double>(rows);
  }

  Store unwanted_where_frozen(std::span<const GroupRule> rules = {}) const {
    Store gradients(model.make_parameters());
    unbind_frozen<typename Model::Parameters>(gradients.views(), rules);
    return gradients;
  }
  Loss add(BatchGradient<Model>& gradient, Store& to, Context& context) {
    return gradient.add(model, parameters.views(), ids, targets, std::span<const Segment<State>>(segments), scale, to,
                        context);
  }
  Loss add_whole(Store& to, Context& context) {
    typename Model::Record record;
    return model.loss_and_backward(parameters.views(), std::span<const std::int64_t>(ids),
                                   std::span<const std::int64_t>(targets), std::span<const Segment<State>>(segments),
                                   scale, to.views(), std::span<State* const>(), record, context);
  }

  Model model;
  Store parameters;
  std::vector<State> states;
  std::vector<Segment<State>> segments;
  std::vector<std::int64_t> ids, targets;
  double scale = 1;
};

template <class Scalar>
CausalLm<Scalar> small_lm() {
  CausalLmConfig config;
  config.vocabulary = 40;
  config.width = 16;
  config.hidden = 21;
  TttConfig layer;
  layer.width = 16;
  layer.heads = 2;
  return {config, std::vector(2, AnySequenceLayer(TttLinear<Scalar>(layer)))};
}

/// A layer of each kind, and a convolution in front of each block.
CausalLm<float> mixed_lm() {
  CausalLmConfig config;
  config.vocabulary = 40;
  config.width = 16;
  config.hidden = 21;
  config.tied = config.temporal_conv = true;
  TttConfig ttt;
  ttt.width = 16;
  ttt.heads = 2;
  TttConfig gated = ttt;
  gated.gate = gated.share_query_key = true;
  AttentionConfig attention;
  attention.width = 16;
  attention.heads = 2;
  using Any = AnySequenceLayer<float>;
  return {config, {Any(TttLinear<float>(ttt)), Any(TttMlp<float>(gated)), Any(Attention<float>(attention))}};
}

template <class Scalar>
double largest_difference(const Buffer<Scalar>& a, const Buffer<Scalar>& b) {
  double largest = 0;
  for (Index i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(static_cast<double>(a[i] - b[i])));
  return largest;
}

/// Tells how many workers the Context of each call had.
struct Watched : testing::TinyModel<double> {
  Loss loss_and_backward(const Parameters& parameters, std::span<const std::int64_t> ids,
                         std::span<const std::int64_t> targets, std::span<const Segment<State>> segments, double scale,
                         Parameters& gradients, std::span<State* const> d_states, Record& record,
                         Context& context) const {
    {
      const std::lock_guard lock(*mutex);
      workers->push_back(context.workers());
    }
    return testing::TinyModel<double>::loss_and_backward(parameters, ids, targets, segments, scale, gradients, d_states,
                                                         record, context);
  }
  std::mutex* mutex = nullptr;
  std::vector<Index>* workers = nullptr;
};

struct Sink final : StatisticsSink {
  void inner_loss(const InnerLoss& loss) override { seen.push_back({loss.segment, loss.block, loss.after_update}); }
  struct Entry {
    Index segment, block;
    double loss;
    auto operator<=>(const Entry&) const = default;
  };
  std::vector<Entry> seen;
};

}  // namespace

TEST_CASE("a batch falls into shares of five hundred tokens and whole sequences, fewer for a large model") {
  const auto shares = [](Index sequences, Index tokens, Index vocabulary = 7) {
    testing::TinyModel<float> model;
    model.size = vocabulary;
    return BatchGradient(model, sequences, tokens, {}).shares();
  };
  CHECK(shares(16, 256) == 8);
  CHECK(shares(16, 1024) == 16);
  CHECK(shares(100, 1 << 20) == 16);
  CHECK(shares(3, 4096) == 3);
  CHECK(shares(1, 1 << 20) == 1);
  CHECK(shares(16, 63) == 1);
  CHECK(shares(16, 64) == 2);
  // An embedding of five columns and a head of as many: 16 million scalars have room for that five times, or once.
  CHECK(shares(16, 1024, 1 << 19) == 4);
  CHECK(shares(16, 1024, 1 << 21) == 1);
}

TEMPLATE_TEST_CASE("the gradient of the shares is that of the whole batch, and is added", "", float, double) {
  Batch batch(small_lm<TestType>(), 7, 150);
  Context context;
  auto whole = batch.unwanted_where_frozen(), parts = whole;
  const Loss expected = batch.add_whole(whole, context);
  BatchGradient gradient(batch.model, 7, 150, {});
  REQUIRE(gradient.shares() == 2);
  const Loss found = batch.add(gradient, parts, context);
  CHECK(found.rows == 1050);
  CHECK(found.sum == Approx(expected.sum).epsilon(1e-14));
  // Sums of 1050 terms of at most a few hundredths, in another grouping.
  const double bound = numbers::rounding<TestType>(1050, 1);
  CHECK(largest_difference(parts.arena(), whole.arena()) <= bound);
  CHECK(largest_difference(parts.arena(), Buffer<TestType>(parts.arena().size())) > 1000 * bound);

  auto twice = parts;
  batch.add(gradient, twice, context);
  for (Index i = 0; i < twice.arena().size(); ++i) twice.arena()[i] -= 2 * parts.arena()[i];
  CHECK(largest_difference(twice.arena(), Buffer<TestType>(twice.arena().size())) <= bound);
}

TEST_CASE("the bits of a batch's gradient are those of any number of threads, whatever the layers") {
  Batch batch(mixed_lm(), 6, 350);
  BatchGradient gradient(batch.model, 6, 350, {});
  REQUIRE(gradient.shares() == 4);
  Context serial;
  auto expected = batch.unwanted_where_frozen();
  const Loss loss = batch.add(gradient, expected, serial);
  const auto states = batch.states;
  for (const Index workers : {1, 2, 3, 4}) {
    ThreadPool pool(workers);
    Context context(pool);
    auto found = batch.unwanted_where_frozen();
    CHECK(batch.add(gradient, found, context).sum == loss.sum);
    CHECK(found.arena() == expected.arena());
    CHECK(batch.states == states);
  }
}

TEST_CASE("statistics name the segments of the whole batch and change no bit") {
  Batch batch(small_lm<float>(), 6, 200);
  BatchGradient gradient(batch.model, 6, 200, {});
  REQUIRE(gradient.shares() == 2);
  Context serial;
  Sink whole;
  auto gradients = batch.unwanted_where_frozen(), expected = gradients;
  batch.add(gradient, expected, serial);
  serial.statistics = &whole;
  batch.add_whole(gradients, serial);
  std::ranges::sort(whole.seen);
  for (const Index workers : {1, 2}) {
    ThreadPool pool(workers);
    Context context(pool);
    Sink shares;
    context.statistics = &shares;
    auto found = batch.unwanted_where_frozen();
    batch.add(gradient, found, context);
    CHECK(context.statistics == &shares);
    std::ranges::sort(shares.seen);
    CHECK(shares.seen == whole.seen);
    CHECK(found.arena() == expected.arena());
  }
}

TEST_CASE("each share has a worker to itself where that keeps workers busier than to split its rows") {
  std::mutex mutex;
  std::vector<Index> seen;
  Watched model;
  model.size = 5;
  model.mutex = &mutex;
  model.workers = &seen;
  Batch batch(model, 4, 256);
  BatchGradient gradient(batch.model, 4, 256, {});
  REQUIRE(gradient.shares() == 2);
  auto gradients = batch.unwanted_where_frozen();
  // Three workers have 512 rows to split or one of them has nothing to do; of eight, two or four could work.
  for (const auto& [workers, expected] : {std::pair<Index, Index>{1, 1}, {2, 1}, {3, 3}, {8, 8}}) {
    ThreadPool pool(workers);
    Context context(pool);
    seen.clear();
    batch.add(gradient, gradients, context);
    CHECK(seen == std::vector<Index>(2, expected));
  }
  Bfloat16Products products(1);
  ThreadPool pool(2);
  Context context(pool);
  context.large_products = &products;
  seen.clear();
  batch.add(gradient, gradients, context);
  CHECK(seen == std::vector<Index>(2, 2));
}

TEST_CASE("what is frozen has no gradient in any share") {
  const std::vector<GroupRule> rules{{"*", 1, {}, true}, {"gate", 1, {}, false}};
  Batch batch(testing::TinyModel<double>(), 5, 512);
  BatchGradient gradient(batch.model, 5, 512, rules);
  REQUIRE(gradient.shares() == 5);
  Context context;
  auto gradients = batch.unwanted_where_frozen(rules);
  batch.add(gradient, gradients, context);
  const auto& gate = gradients.views().gate;
  for (Index i = 0; i < gate.size(); ++i) CHECK(gate[i] != 0);
  Index wrong = 0;
  for (Index i = 0; i < gradients.arena().size(); ++i) {
    const double* const place = gradients.arena().data() + i;
    wrong += *place != 0 && (place < gate.data() || place >= gate.data() + gate.size());
  }
  CHECK(wrong == 0);
}

TEST_CASE("after an Error or a cancellation on any worker the next gradient has the same bits") {
  Batch batch(small_lm<float>(), 6, 200);
  BatchGradient gradient(batch.model, 6, 200, {});
  REQUIRE(gradient.shares() == 2);
  Context serial;
  auto expected = batch.unwanted_where_frozen();
  batch.add(gradient, expected, serial);
  Sink sink;
  for (const Index workers : {1, 2}) {
    ThreadPool pool(workers);
    Context context(pool);
    context.statistics = workers == 1 ? &sink : nullptr;
    auto found = batch.unwanted_where_frozen();
    const auto last = std::exchange(batch.ids.back(), 40);
    CHECK(error_lacks([&] { batch.add(gradient, found, context); }, {"token id at row 1199", "vocabulary of 40"}) ==
          "");
    batch.ids.back() = last;
    std::atomic<bool> cancelled = true;
    context.cancellation = &cancelled;
    CHECK_THROWS_AS(batch.add(gradient, found, context), Cancelled);
    context.cancellation = nullptr;
    CHECK(context.statistics == (workers == 1 ? &sink : nullptr));
    found.arena().clear();
    batch.add(gradient, found, context);
    CHECK(found.arena() == expected.arena());
  }
}

TEST_CASE("ids and targets that are not those of the segments are an Error before anything changes") {
  Batch batch(small_lm<float>(), 6, 200);
  BatchGradient gradient(batch.model, 6, 200, {});
  Context context;
  auto found = batch.unwanted_where_frozen();
  const auto states = batch.states;
  batch.targets.pop_back();
  CHECK(error_lacks([&] { batch.add(gradient, found, context); }, {"targets", "1200", "1199"}) == "");
  batch.ids.push_back(0);
  CHECK(error_lacks([&] { batch.add(gradient, found, context); }, {"token ids", "1200", "1201"}) == "");
  CHECK(found.arena() == Buffer<float>(found.arena().size()));
  CHECK(batch.states == states);
}

TEST_CASE("a call of fewer sequences than shares is the gradient of those") {
  Batch batch(small_lm<double>(), 3, 200);
  BatchGradient gradient(batch.model, 16, 256, {});
  REQUIRE(gradient.shares() == 8);
  ThreadPool pool(2);
  Context context(pool);
  auto whole = batch.unwanted_where_frozen(), found = whole;
  CHECK(batch.add(gradient, found, context).rows == batch.add_whole(whole, context).rows);
  CHECK(largest_difference(found.arena(), whole.arena()) <= numbers::rounding<double>(600, 1));
}
