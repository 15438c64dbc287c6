// SPDX-License-Identifier: MIT
#include "interop/layer_bits.hpp"

#include "suites/layer_runs.hpp"
#include "support/catch.hpp"
#include "support/compiled_layers.hpp"
#include "ttt/layers/attention.hpp"
#include "ttt/layers/ttt_linear.hpp"

namespace ttt::testing {

namespace {

/// Outputs, states and gradients of a layer: a long sequence, a short one and a single token, which at width 384 is
/// worth sharing.
template <class Layer>
struct LayerBits {
  suites::LayerRuns<Layer> runs{Layer(config()), {}};
  typename suites::LayerRuns<Layer>::Matrix x = runs.random(total, 1), d_y = runs.random(total, 2);

  static constexpr Index lengths[] = {131, 21, 1}, total = 153;

  static typename Layer::Config config() {
    typename Layer::Config result;
    result.width = 384;
    result.heads = 6;
    return result;
  }

  suites::Outcome<Layer> outcome(Context& context) const {
    std::vector<suites::Start<typename Layer::State>> starts;
    for (const Index length : lengths)
      starts.push_back({length, runs.layer().initial_state(runs.parameters(), total), false});
    auto out = runs.together(starts, x.view(), d_y.view(), context);
    runs.forward(x.view().rows(0, 1), {{1, &out.states[0]}}, out.y.view().rows(0, 1), context);  // decode
    return out;
  }

  void check(Context& context, const suites::Outcome<Layer>& expected) const {
    Report report{"the bits of one thread", 0, {}};
    const auto actual = outcome(context);
    report.same_bits("y", parts_of(actual.y.view(), "y"), parts_of(expected.y.view(), "y"));
    report.same_bits("d_x", parts_of(actual.d_x.view(), "d_x"), parts_of(expected.d_x.view(), "d_x"));
    report.same_bits("gradients", parts_of_parameters(actual.gradients.views()),
                     parts_of_parameters(expected.gradients.views()));
    report.expect(actual.states == expected.states, "states");
    report.expect(actual.d_states == expected.d_states, "gradients of states");
    INFO(report.text());
    CHECK(report.failures.empty());
  }
};

template <class Layer>
void check(const std::vector<Executor*>& executors) {
  const LayerBits<Layer> bits;
  Context serial;
  const auto expected = bits.outcome(serial);
  ThreadPool two(2), three(3);
  std::vector<Executor*> all{&two, &three};
  all.insert(all.end(), executors.begin(), executors.end());
  for (Executor* const executor : all) {
    Context context(*executor);
    bits.check(context, expected);
  }
}

}  // namespace

void check_layer_bits(const std::vector<Executor*>& executors) {
  check<TttLinear<float>>(executors);
  check<Attention<float>>(executors);
}

}  // namespace ttt::testing
