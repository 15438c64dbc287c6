// SPDX-License-Identifier: MIT
#include "ttt/training/batch_gradient.hpp"

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <vector>

#include "kernels/numbers.hpp"
#include "support/catch.hpp"
#include "support/compiled_layers.hpp"
#include "training/tiny_model.hpp"
#include "ttt/layers/ttt_linear.hpp"
#include "ttt/models/causal_lm.hpp"

using namespace ttt;
using namespace ttt::training;

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
CausalLm<TttLinear<Scalar>> small_lm() {
  CausalLmConfig config;
  config.vocabulary = 40;
  config.width = 16;
  config.hidden = 21;
  TttConfig layer;
  layer.width = 16;
  layer.heads = 2;
  return {config, {TttLinear<Scalar>(layer), TttLinear<Scalar>(layer)}};
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

TEST_CASE("a batch falls into shares of a thousand tokens and whole sequences, a large model's is one") {
  const auto shares = [](Index sequences, Index tokens, Index vocabulary = 7) {
    testing::TinyModel<float> model;
    model.size = vocabulary;
    return BatchGradient(model, sequences, tokens, {}).shares();
  };
  CHECK(shares(16, 256) == 4);
  CHECK(shares(16, 1024) == 8);
  CHECK(shares(100, 1 << 20) == 8);
  CHECK(shares(3, 4096) == 3);
  CHECK(shares(1, 1 << 20) == 1);
  CHECK(shares(16, 127) == 1);
  CHECK(shares(16, 128) == 2);
  CHECK(shares(16, 1024, 1 << 20) == 1);
}

TEMPLATE_TEST_CASE("the gradient of the shares is that of the whole batch, and is added", "", float, double) {
  Batch batch(small_lm<TestType>(), 7, 300);
  Context context;
  auto whole = batch.unwanted_where_frozen(), parts = whole;
  const Loss expected = batch.add_whole(whole, context);
  BatchGradient gradient(batch.model, 7, 300, {});
  REQUIRE(gradient.shares() == 2);
  const Loss found = batch.add(gradient, parts, context);
  CHECK(found.rows == 2100);
  CHECK(found.sum == Approx(expected.sum).epsilon(1e-14));
  // Sums of 2100 terms of at most a few hundredths, in another grouping.
  const double bound = numbers::rounding<TestType>(2100, 1);
  CHECK(largest_difference(parts.arena(), whole.arena()) <= bound);
  CHECK(largest_difference(parts.arena(), Buffer<TestType>(parts.arena().size())) > 1000 * bound);

  auto twice = parts;
  batch.add(gradient, twice, context);
  for (Index i = 0; i < twice.arena().size(); ++i) twice.arena()[i] -= 2 * parts.arena()[i];
  CHECK(largest_difference(twice.arena(), Buffer<TestType>(twice.arena().size())) <= bound);
}

TEST_CASE("the bits of a batch's gradient are those of any number of threads, with statistics or without") {
  Batch batch(small_lm<float>(), 6, 400);
  BatchGradient gradient(batch.model, 6, 400, {});
  REQUIRE(gradient.shares() == 2);
  Context serial;
  auto expected = batch.unwanted_where_frozen();
  const Loss loss = batch.add(gradient, expected, serial);
  const auto states = batch.states;
  for (const Index workers : {1, 2, 3})
    for (const bool with_statistics : {false, true}) {
      ThreadPool pool(workers);
      Context context(pool);
      Sink sink;
      if (with_statistics) context.statistics = &sink;
      auto found = batch.unwanted_where_frozen();
      CHECK(batch.add(gradient, found, context).sum == loss.sum);
      CHECK(found.arena() == expected.arena());
      CHECK(batch.states == states);
      CHECK(sink.seen.empty() == !with_statistics);
      CHECK(context.statistics == (with_statistics ? &sink : nullptr));
    }
}

TEST_CASE("statistics name the segments of the whole batch") {
  Batch batch(small_lm<float>(), 6, 400);
  BatchGradient gradient(batch.model, 6, 400, {});
  REQUIRE(gradient.shares() == 2);
  Context context;
  Sink whole, shares;
  auto gradients = batch.unwanted_where_frozen();
  context.statistics = &whole;
  batch.add_whole(gradients, context);
  context.statistics = &shares;
  batch.add(gradient, gradients, context);
  std::ranges::sort(whole.seen);
  std::ranges::sort(shares.seen);
  CHECK(shares.seen == whole.seen);
}

TEST_CASE("each share has a worker to itself where that keeps all busy, else each has all workers") {
  std::mutex mutex;
  std::vector<Index> seen;
  Watched model;
  model.size = 5;
  model.mutex = &mutex;
  model.workers = &seen;
  Batch batch(model, 4, 512);
  BatchGradient gradient(batch.model, 4, 512, {});
  REQUIRE(gradient.shares() == 2);
  auto gradients = batch.unwanted_where_frozen();
  for (const auto& [workers, expected] : {std::pair<Index, Index>{1, 1}, {2, 1}, {3, 3}, {4, 4}}) {
    ThreadPool pool(workers);
    Context context(pool);
    seen.clear();
    batch.add(gradient, gradients, context);
    CHECK(seen == std::vector<Index>(2, expected));
  }
}

TEST_CASE("what is frozen has no gradient in any share") {
  const std::vector<GroupRule> rules{{"*", 1, {}, true}, {"gate", 1, {}, false}};
  Batch batch(testing::TinyModel<double>(), 4, 512);
  BatchGradient gradient(batch.model, 4, 512, rules);
  REQUIRE(gradient.shares() == 2);
  Context context;
  auto gradients = batch.unwanted_where_frozen(rules);
  batch.add(gradient, gradients, context);
  CHECK(largest_difference(gradients.arena(), Buffer<double>(gradients.arena().size())) > 0);
  const auto& gate = gradients.views().gate;
  for (Index i = 0; i < gate.size(); ++i) CHECK(gate[i] != 0);
  for (Index i = 0; i < gradients.arena().size(); ++i) {
    const double* const place = gradients.arena().data() + i;
    if (place < gate.data() || place >= gate.data() + gate.size()) REQUIRE(*place == 0);
  }
}
