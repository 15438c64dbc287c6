// SPDX-License-Identifier: MIT
// Compiled for plain x86-64: every kernel that a layer or model reaches through a table must give what the program's
// own gives, up to rounding.
#include "ttt/dispatch/kernels.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "dispatch/tables.hpp"
#include "ttt/layers/layer_description.hpp"
#include "ttt/models/causal_lm.hpp"
#include "ttt/nn/bfloat16_products.hpp"

using namespace ttt;

#if defined(__AVX__)
#error "this test is about a program that has no AVX of its own"
#endif

namespace {

constexpr Index vocabulary = 50, tokens = 13;

/// A model in which every kind of layer and both backbones' parts occur, with heads of 12 and 6 columns, which leave
/// tails of every pack, or of 64 and 32, which fill the widest.
template <class Scalar, Index width>
CausalLm<Scalar> model() {
  const TttConfig sizes{.width = width, .heads = 2, .mini_batch = 5};
  TttConfig gated = sizes;
  gated.gate = gated.share_query_key = true;
  std::vector<AnySequenceLayer<Scalar>> layers{
      AnySequenceLayer<Scalar>(TttLinear<Scalar, width / 2, 5>(sizes)), AnySequenceLayer<Scalar>(TttMlp<Scalar>(gated)),
      AnySequenceLayer<Scalar>(
          Attention<Scalar>({.width = width, .heads = 2, .window = 4, .sinks = 3, .memory = AttentionMemory::ring}))};
  for (const auto name : LayerKinds::names) {
    LayerDescription layer(name);
    for (const auto& [option, words] : {std::pair<const char*, Index>{"heads", 4},
                                        {"value_heads", 8},
                                        {"key_value_heads", 2},
                                        {"groups", 2},
                                        {"mini_batch", 5},
                                        {"state_width", width / 3}})
      if (layer.has(option)) layer.set(option, std::to_string(words));
    layers.push_back(layer.make<Scalar>(width));
  }
  return {{.vocabulary = vocabulary, .width = width, .hidden = 40, .tied = true, .temporal_conv = true}, layers};
}

/// Gradients of every parameter, and the loss as the last value.
template <class Scalar, Index width>
std::vector<Scalar> train_once(const KernelTable* table) {
  using Model = CausalLm<Scalar>;
  const Model lm = model<Scalar, width>();
  ParameterStore<typename Model::Parameters> weights(lm.make_parameters()), gradients(lm.make_parameters());
  initialize(weights.views(), 7);
  std::array<std::int64_t, tokens> ids, targets;
  for (std::size_t t = 0; t < ids.size(); ++t) {
    ids[t] = static_cast<std::int64_t>(t * t % vocabulary);
    targets[t] = static_cast<std::int64_t>((t + 1) * (t + 1) % vocabulary);
  }
  Context context;
  context.kernels = table;
  auto state = lm.initial_state(weights.views(), tokens);
  const Segment<typename Model::State> segment{tokens, &state};
  typename Model::Record record;
  const Loss loss =
      lm.loss_and_backward(weights.views(), ids, targets, {&segment, 1}, 1.0, gradients.views(), {}, record, context);
  std::vector<Scalar> values(gradients.arena().data(), gradients.arena().data() + gradients.arena().size());
  values.push_back(static_cast<Scalar>(loss.sum));
  return values;
}

template <class Scalar>
double largest_difference(const std::vector<Scalar>& a, const std::vector<Scalar>& b) {
  double difference = 0, largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference = std::max(difference, std::abs(static_cast<double>(a[i] - b[i])));
    largest = std::max(largest, std::abs(static_cast<double>(a[i])));
  }
  return difference / largest;
}

}  // namespace

TEST_CASE("the best kernels run on this processor and are those of the strongest unit") {
  const KernelTable* best = best_kernels();
  REQUIRE(best != nullptr);  // every x86-64 processor of the last fifteen years has x86-64-v2
  std::size_t size = 0;
  const auto* all = dispatch::available_kernels(size);
  CHECK(size == 4);
  for (std::size_t i = 0; i < size; ++i)
    if (all[i].runs) CHECK(kernels_for(all[i].table->instruction_set) == all[i].table);
  CHECK(kernels_for(best->instruction_set) == best);
  CHECK(kernels_for("x86-64-v9") == nullptr);
}

TEST_CASE("no entry of a table is missing") {
  std::size_t size = 0;
  const auto* all = dispatch::available_kernels(size);
  for (std::size_t i = 0; i < size; ++i)
    for (const auto& row : all[i].table->entries)
      for (const dispatch::Entry entry : row) CHECK(entry != nullptr);
}

TEMPLATE_TEST_CASE_SIG("a training step through any table is that of the program's own kernels", "",
                       ((Index width), width), 24, 128) {
  const auto own = train_once<double, width>(nullptr);
  const auto own_float = train_once<float, width>(nullptr);
  for (const KernelTable* table : usable_tables()) {
    CAPTURE(table->instruction_set);
    CHECK(largest_difference(own, train_once<double, width>(table)) < 1e-13);
    CHECK(largest_difference(own_float, train_once<float, width>(table)) < 1e-5);
  }
}

TEST_CASE("kernels with fused multiply-adds are really used: some bits differ") {
  if (const KernelTable* table = kernels_for("x86-64-v3"))
    CHECK(largest_difference(train_once<double, 24>(nullptr), train_once<double, 24>(table)) > 0);
}

TEST_CASE("products in bfloat16 have the same bits through any table, that with AVX512-BF16 too where it runs") {
  const Index rows = 130, inner = 203, columns = 75;
  std::vector<float> a(static_cast<std::size_t>(rows * inner)), b(static_cast<std::size_t>(inner * columns));
  const RandomStream random(3, "factors");
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(random.normal(i));
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(random.normal(a.size() + i));
  const auto multiply = [&](const KernelTable* table, bool left, bool right) {
    Bfloat16Products products;
    products.kernels = table;
    std::vector<float> c(static_cast<std::size_t>(rows * columns));
    const MatrixView<const float> a_view(a.data(), left ? inner : rows, left ? rows : inner),
        b_view(b.data(), right ? columns : inner, right ? inner : columns);
    products.multiply({a_view, left}, {b_view, right}, {c.data(), rows, columns}, false);
    return c;
  };
  const auto tables = usable_tables();
  for (const bool left : {false, true})
    for (const bool right : {false, true}) {
      const auto own = multiply(nullptr, left, right);
      for (const KernelTable* table : tables) {
        CAPTURE(table->instruction_set, left, right);
        CHECK(multiply(table, left, right) == own);
      }
    }
}
