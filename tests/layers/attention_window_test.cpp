// SPDX-License-Identifier: MIT
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "layers/attention_layers.hpp"
#include "support/catch.hpp"

namespace {

using namespace ttt;
using namespace ttt::testing;

constexpr std::array<AttentionMemory, 2> memories{AttentionMemory::ring, AttentionMemory::growing};

}  // namespace

TEMPLATE_TEST_CASE("attention with a window is a sequence layer", "[layers][attention]", float, double) {
  // The suite reads up to 56 tokens: the second window never moves.
  for (const Index window : {5, 70})
    for (const Index sinks : {0, 1, 3})
      for (const auto memory : memories)
        for (const Index key_value_heads : {0, 2}) {
          const bool grows = memory == AttentionMemory::growing;
          INFO("window " << window << ", sinks " << sinks << ", grows " << grows << ", heads " << key_value_heads);
          check_attention<TestType>(with_window(small_attention(key_value_heads), window, sinks, memory));
        }
}

TEST_CASE("attention with a window and sinks computes its formula, in either memory", "[layers][attention]") {
  const auto x = random_matrix<double>(203, 24, 5);
  for (const Index key_value_heads : {4, 2, 1})
    for (const Index window : {1, 5, 16, 100, 300})
      for (const Index sinks : {0, 1, 3, 16, 40, 250}) {
        INFO("window " << window << ", sinks " << sinks << ", heads " << key_value_heads);
        const auto config = small_attention(key_value_heads);
        const auto ring = sharp_layer<double>(with_window(config, window, sinks));
        const auto growing = sharp_layer<double>(with_window(config, window, sinks, AttentionMemory::growing));
        const auto y = read(ring, x, {203});
        CHECK(far_apart(y, expected(ring, x), 1e-12) == "");
        CHECK(same_bits(read(growing, x, {203}), y));
        for (const auto& layer : {ring, growing}) {
          CHECK(same_bits(read(layer, x, {1, 3, 95, 60, 44}), y));
          CHECK(same_bits(read(layer, x, std::vector<Index>(203, 1)), y));
        }
      }
}

TEST_CASE("a window gives the same gradients in either memory", "[layers][attention]") {
  using Runs = suites::LayerRuns<Attention<double>>;
  for (const Index sinks : {0, 3, 20}) {
    INFO("sinks " << sinks);
    const auto run = [&](AttentionMemory memory) {
      const Runs runs(Attention<double>(with_window(small_attention(2), 12, sinks, memory)), {.mini_batch = 20});
      auto zero = runs.fresh();
      zero.values.clear();
      return runs.in_pieces({150, runs.fresh(), false}, {2, 47, 1, 100}, runs.random(150, 1).view(),
                            runs.random(150, 2).view(), &zero);
    };
    const auto ring = run(memories[0]), growing = run(memories[1]);
    CHECK(same_bits(ring.y, growing.y));
    CHECK(same_bits(ring.d_x, growing.d_x));
  }
}

TEST_CASE("a ring that wraps gives the bits of one pass", "[layers][attention]") {
  for (const Index window : {1, 2, 7, 96, 100, 150})
    for (const Index sinks : {0, 4, 33}) {
      INFO("window " << window << ", sinks " << sinks);
      const auto layer = sharp_layer<float>(with_window(small_attention(2), window, sinks));
      const auto x = random_matrix<float>(330, 24, 6);
      const auto y = read(layer, x, {330});
      CHECK(same_bits(read(layer, x, std::vector<Index>(330, 1)), y));
      CHECK(same_bits(read(layer, x, {3, 1, window, 100, 226 - window}), y));
    }
}

TEST_CASE("a NaN is gone when the window has passed, unless it is a sink", "[layers][attention]") {
  for (const auto memory : memories)
    for (const Index sinks : {0, 2, 20}) {
      INFO("sinks " << sinks);
      const auto layer = sharp_layer<float>(with_window(small_attention(2), 10, sinks, memory));
      auto x = random_matrix<float>(100, 24, 6);
      const auto clean = read(layer, x, {100});
      constexpr Index poisoned = 19;
      x(poisoned, 5) = std::numeric_limits<float>::quiet_NaN();
      for (const auto& lengths : {std::vector<Index>{100}, std::vector<Index>(100, 1)}) {
        const auto y = read(layer, x, lengths);
        for (Index t = 0; t < 100; ++t) {
          const bool reached = t >= poisoned && (poisoned < sinks || t < poisoned + 10);
          CHECK((reached ? std::isnan(y(t, 0)) : y(t, 0) == clean(t, 0)));
        }
      }
    }
}

TEST_CASE("the size of a ring is that of its window and sinks", "[layers][attention]") {
  const auto bytes = [](Index sinks, Index capacity) {
    return state_bytes(Attention<float>(with_window(small_attention(4), 20, sinks)), capacity);
  };
  for (const Index capacity : {0, 1, 1000}) {
    CHECK(bytes(0, capacity) == static_cast<Index>(sizeof(float)) * 2 * 24 * 32);
    CHECK(bytes(3, capacity) == static_cast<Index>(sizeof(float)) * 2 * 24 * (16 + 32));
  }
}

TEST_CASE("a window as long as the sequence is no window", "[layers][attention]") {
  const auto x = random_matrix<double>(120, 24, 7);
  const auto all = read(sharp_layer<double>(small_attention(2)), x, {120});
  for (const auto memory : memories) {
    const auto of = [&](Index window, Index sinks) {
      return read(sharp_layer<double>(with_window(small_attention(2), window, sinks, memory)), x, {120});
    };
    CHECK(same_bits(of(120, 0), all));
    CHECK_FALSE(same_bits(of(119, 0), all));
    CHECK(far_apart(of(120, 3), all, 1e-12) == "");
    CHECK(far_apart(of(119, 1), all, 1e-12) == "");  // the token that leaves the window is a sink
    CHECK_FALSE(far_apart(of(118, 1), all, 1e-12).empty());
  }
}

TEST_CASE("a window of one token returns its value", "[layers][attention]") {
  const auto layer = sharp_layer<double>(with_window(small_attention(0), 1));
  const auto x = random_matrix<double>(30, 24, 8);
  const suites::NamedWeights weights(layer.parameters());
  const auto wanted = AttentionFormula::projected(weights, "o_proj", AttentionFormula::projected(weights, "v_proj", x));
  CHECK(far_apart(read(layer, x, {30}), wanted, 1e-14) == "");
}

TEST_CASE("only distances count, however far from the beginning", "[layers][attention]") {
  const auto layer = sharp_layer<double>(with_window(small_attention(2), 20));
  const auto x = random_matrix<double>(60, 24, 9);
  const auto near = read(layer, x, {60});
  // Angles near 1e5 carry an error of 1e5 ε = 2e-11, which scores of order ten turn into a few 1e-10.
  for (const auto& [distance, tolerance] : {std::pair{1000, 1e-11}, {100000, 1e-9}}) {
    INFO("shifted by " << distance);
    const auto far = read(layer, x, {30, 30}, distance);
    // The first 19 rows of the far run see the zeros of the empty ring.
    Matrix<double> near_rows(41, 24), far_rows(41, 24);
    copy(near.rows(19, 41), near_rows.view());
    copy(far.rows(19, 41), far_rows.view());
    CHECK(far_apart(far_rows, near_rows, tolerance) == "");
    CHECK_FALSE(far_apart(far, near, 1e-3).empty());
  }
}
