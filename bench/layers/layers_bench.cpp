// SPDX-License-Identifier: MIT
// One layer with its projections: forward, forward + backward, decoding token by token, and keeping what that
// overwrites.
#include <array>
#include <limits>
#include <vector>

#include "support/bench.hpp"
#include "ttt/core/state_history.hpp"
#include "ttt/layers/attention.hpp"
#include "ttt/layers/gated_delta_net.hpp"
#include "ttt/layers/gated_linear_attention.hpp"
#include "ttt/layers/gated_short_convolution.hpp"
#include "ttt/layers/kimi_delta_attention.hpp"
#include "ttt/layers/lact.hpp"
#include "ttt/layers/layer.hpp"
#include "ttt/layers/mamba.hpp"
#include "ttt/layers/mamba2.hpp"
#include "ttt/layers/ttt_linear.hpp"
#include "ttt/layers/ttt_mlp.hpp"

namespace {

using bench::Kind;
using ttt::Index, ttt::MatrixView;

template <class Definition>
inline constexpr Kind kind = Kind::attention;
template <Index D, Index K>
inline constexpr Kind kind<ttt::TttLinear<float, D, K>> = Kind::ttt_linear;
template <Index D, Index K>
inline constexpr Kind kind<ttt::TttMlp<float, D, K>> = Kind::ttt_mlp;

template <>
inline constexpr Kind kind<ttt::GatedDeltaNet<float>> = Kind::gated_delta_net;
template <>
inline constexpr Kind kind<ttt::KimiDeltaAttention<float>> = Kind::kimi_delta_attention;
template <>
inline constexpr Kind kind<ttt::GatedLinearAttention<float>> = Kind::gated_linear_attention;
template <>
inline constexpr Kind kind<ttt::Mamba<float>> = Kind::mamba;
template <>
inline constexpr Kind kind<ttt::Mamba2<float>> = Kind::mamba2;
template <>
inline constexpr Kind kind<ttt::Lact<float>> = Kind::lact;
template <>
inline constexpr Kind kind<ttt::GatedShortConvolution<float>> = Kind::gated_short_convolution;

/// A layer with heads of 64 columns.
template <class Definition>
ttt::Layer<Definition> make_layer(Index width) {
  typename Definition::Config config;
  config.width = width;
  if constexpr (kind<Definition> == Kind::mamba2) {
    config.heads = width / 32;  // of an inner width that is twice the width
    config.state_width = 128;
  } else if constexpr (requires { config.heads; }) {
    config.heads = width / 64;
  }
  if constexpr (kind<Definition> == Kind::lact) config.fast_heads = 4;
  return ttt::Layer<Definition>(config);
}

/// Calls up to here have a warm-up, as those of the peers: the first touch of hundreds of megabytes takes a tenth of
/// their time. Longer ones would take too long twice.
constexpr Index warm_up_tokens = 8192;

/// Arguments: width C, tokens T, threads.
template <class Definition, bool backward>
void sequence(benchmark::State& state) {
  using State = typename Definition::State;
  const Index width = state.range(0), tokens = state.range(1), threads = state.range(2);
  const bench::Peaks& peaks = bench::peaks(threads);
  bench::Workers workers(threads);
  const auto layer = make_layer<Definition>(width);
  const Definition& definition = layer.definition();
  ttt::ParameterStore<typename Definition::Parameters> gradients(definition.make_parameters());
  const ttt::Buffer<float> values = bench::random_values(tokens * width);
  ttt::Buffer<float> y(tokens * width), d_x(backward ? tokens * width : 0);
  const MatrixView<const float> x(values.data(), tokens, width);
  State carried = layer.initial_state(tokens);
  const ttt::Segment<State> segment{tokens, &carried, true};
  typename Definition::Record record;

  const auto call = [&] {
    definition.forward(layer.parameters(), x, {&segment, 1}, {y.data(), tokens, width}, workers.context(),
                       backward ? &record : nullptr);
    if constexpr (backward)
      definition.backward(layer.parameters(), record, x, {d_x.data(), tokens, width}, gradients.views(), {},
                          workers.context());
  };
  if (tokens <= warm_up_tokens) call();
  const double seconds = bench::fastest(state, call);
  const double flops = bench::layer_flops(kind<Definition>, width, width / 64, tokens);
  bench::count_tokens(state, seconds, tokens, state_bytes(definition, tokens));
  bench::count_floor(state, seconds, flops * (backward ? 3 : 1), peaks);
}
template <class Definition>
void forward(benchmark::State& state) {
  sequence<Definition, false>(state);
}
template <class Definition>
void forward_backward(benchmark::State& state) {
  sequence<Definition, true>(state);
}

/// One token behind `before` others in each of `depth` layers with weights of their own, 16 tokens in turn: a whole
/// mini-batch, so that its end is paid for.
template <class Definition>
class Decoder {
 public:
  static constexpr Index mini_batch = 16;

  Decoder(Index width, Index before, Index depth, bool bfloat16)
      : before_(before),
        layers_(static_cast<std::size_t>(depth), make_layer<Definition>(width)),
        x_(bench::random_values(mini_batch * width)),
        y_(width) {
    for (auto& layer : layers_) {
      if (bfloat16) layer.store() = ttt::to_bfloat16(layer.store());
      states_.push_back(layer.initial_state(before + mini_batch));
      bench::move_behind(states_.back(), before, kind<Definition>);
    }
  }

  void decode_mini_batch(ttt::Context& context) {
    const Index width = y_.size();
    for (Index t = 0; t < mini_batch; ++t)
      for (std::size_t l = 0; l < layers_.size(); ++l)
        layers_[l].forward(MatrixView<const float>(x_.data() + t * width, 1, width), states_[l],
                           MatrixView<float>(y_.data(), 1, width), context);
    for (auto& state : states_) state.position = before_;
  }
  void read_weights(ttt::Context& context) {
    for (auto& layer : layers_) {
      const auto& weights = layer.store().arena();
      benchmark::DoNotOptimize(bench::plain_read(weights.data(), weights.size(), context));
    }
  }
  std::size_t weight_bytes() { return layers_.front().store().arena().bytes(); }
  std::size_t state_bytes() const { return ttt::state_bytes(layers_.front().definition(), before_ + mini_batch); }

 private:
  Index before_;
  std::vector<ttt::Layer<Definition>> layers_;
  std::vector<typename Definition::State> states_;
  ttt::Buffer<float> x_, y_;
};

/// Times are those of one token in one layer.
template <class Definition>
void decode_in(benchmark::State& state, Index width, Index before, Index depth, Index threads, bool bfloat16 = false) {
  bench::Workers workers(threads);
  ttt::Context& context = workers.context();
  Decoder<Definition> decoder(width, before, depth, bfloat16);
  decoder.decode_mini_batch(context);
  double seconds = std::numeric_limits<double>::infinity(), read = seconds;
  for (auto _ : state) {
    const double time = bench::seconds_of([&] { decoder.decode_mini_batch(context); });
    decoder.read_weights(context);  // the caches are then as one decode leaves them for the next
    read = std::min(read, bench::seconds_of([&] { decoder.read_weights(context); }));
    state.SetIterationTime(time);
    seconds = std::min(seconds, time);
  }
  const double per_token = seconds / static_cast<double>(depth * Decoder<Definition>::mini_batch);
  bench::count_tokens(state, per_token, 1, decoder.state_bytes());
  bench::count_reads(state, per_token, static_cast<double>(decoder.weight_bytes() + decoder.state_bytes()),
                     read / static_cast<double>(depth));
}

/// One layer, its weights in the cache if they fit. Arguments: width C, tokens before, threads.
template <class Definition>
void decode(benchmark::State& state) {
  decode_in<Definition>(state, state.range(0), state.range(1), 1, state.range(2));
}
/// Many layers, 1024 tokens before. Arguments: width C, layers, threads.
template <class Definition, bool bfloat16>
void decode_stack(benchmark::State& state) {
  decode_in<Definition>(state, state.range(0), 1024, state.range(1), state.range(2), bfloat16);
}

/// Scalars that tokens [first, end) change, each kept by itself.
double kept_scalars(const ttt::StateLayout& layout, std::int64_t first, std::int64_t end) {
  Index sum = 0;
  for (const ttt::StatePart& part : layout.parts())
    for (std::int64_t p = first; p < end; ++p)
      sum += part.rows * (part.writes.next_whole(p) == p ? part.columns : part.writes.slot_size());
  return static_cast<double>(sum);
}

/// What StateHistory keeps of one token, and takes for it, beside a copy of the State: means over 16 tokens, a whole
/// mini-batch. Going back is by 4 tokens. Arguments: width C, tokens before.
template <class Definition>
void keep(benchmark::State& state) {
  constexpr Index tokens = Decoder<Definition>::mini_batch, drafted = 4;
  const Index width = state.range(0), before = state.range(1);
  auto carried = make_layer<Definition>(width).initial_state(before + tokens), copy = carried;
  bench::move_behind(carried, before, kind<Definition>);
  ttt::StateHistory<float> history(carried.layout, tokens);
  const auto keep_next = [&] {
    history.keep(carried);
    carried.position = carried.position + 1;
  };
  double copied = std::numeric_limits<double>::infinity(), back = copied;
  const double seconds = bench::fastest(state, [&] {
    carried.position = before;
    for (Index t = 0; t < tokens; ++t) keep_next();
  });
  for (Index round = 0; round < 64; ++round) {
    copied = std::min(copied, bench::seconds_of([&] { copy = carried; }));
    double rejections = 0;
    carried.position = before;
    for (Index t = 0; t < tokens; ++t) {
      keep_next();
      if (t % drafted == drafted - 1) {
        rejections += bench::seconds_of([&] { history.back(carried, drafted); });
        for (Index again = 0; again < drafted; ++again) keep_next();
      }
    }
    back = std::min(back, rejections / (tokens / drafted));
  }
  bench::count_tokens(state, seconds / tokens, 1, carried.values.bytes());
  state.counters["kept_bytes"] = kept_scalars(*carried.layout, before, before + tokens) * sizeof(float) / tokens;
  state.counters["copy_seconds"] = copied;
  state.counters["back_seconds"] = back;
}

constexpr std::array<Index, 3> widths{256, 768, 2048};

void lengths(benchmark::internal::Benchmark* cases) {
  cases->ArgNames({"C", "T", "threads"})->Unit(benchmark::kMillisecond)->UseManualTime();
  for (const Index width : widths)
    for (const Index tokens : {512, 2048, 8192, 32768})
      for (const Index threads : {1, 2}) cases->Args({width, tokens, threads});
}
void contexts(benchmark::internal::Benchmark* cases) {
  cases->ArgNames({"C", "before", "threads"})->Unit(benchmark::kMicrosecond)->UseManualTime();
  for (const Index width : widths)
    for (const Index before : {512, 1024, 2048, 8192, 32768})
      for (const Index threads : {1, 2}) cases->Args({width, before, threads});
}
void histories(benchmark::internal::Benchmark* cases) {
  cases->ArgNames({"C", "before"})->Unit(benchmark::kMicrosecond)->UseManualTime();
  for (const Index width : widths)
    for (const Index before : {1024, 8192}) cases->Args({width, before});
}
/// First a small one for tests, then such that the weights, 128 MB and more, are in no cache.
void stacks(benchmark::internal::Benchmark* cases) {
  cases->ArgNames({"C", "layers", "threads"})->Unit(benchmark::kMicrosecond)->UseManualTime();
  cases->Args({256, 2, 1});
  for (const Index threads : {1, 2})
    cases->Args({256, 128, threads})->Args({768, 14, threads})->Args({2048, 2, threads});
}

#define TTT_LAYER_BENCHMARKS(name, ...)                                                              \
  BENCHMARK_TEMPLATE(forward, __VA_ARGS__)->Name("forward/" name)->Apply(lengths);                   \
  BENCHMARK_TEMPLATE(forward_backward, __VA_ARGS__)->Name("forward_backward/" name)->Apply(lengths); \
  BENCHMARK_TEMPLATE(decode, __VA_ARGS__)->Name("decode/" name)->Apply(contexts);                    \
  BENCHMARK_TEMPLATE(keep, __VA_ARGS__)->Name("keep/" name)->Apply(histories);                       \
  BENCHMARK_TEMPLATE(decode_stack, __VA_ARGS__, false)->Name("decode_stack/" name)->Apply(stacks);   \
  BENCHMARK_TEMPLATE(decode_stack, __VA_ARGS__, true)->Name("decode_stack/" name "-bfloat16")->Apply(stacks)

TTT_LAYER_BENCHMARKS("attention", ttt::Attention<float>);
TTT_LAYER_BENCHMARKS("ttt-linear", ttt::TttLinear<float, 64, 16>);
TTT_LAYER_BENCHMARKS("ttt-mlp", ttt::TttMlp<float, 64, 16>);
TTT_LAYER_BENCHMARKS("gated-delta-net", ttt::GatedDeltaNet<float>);
TTT_LAYER_BENCHMARKS("kimi-delta-attention", ttt::KimiDeltaAttention<float>);
TTT_LAYER_BENCHMARKS("gated-linear-attention", ttt::GatedLinearAttention<float>);
TTT_LAYER_BENCHMARKS("mamba", ttt::Mamba<float>);
TTT_LAYER_BENCHMARKS("mamba2", ttt::Mamba2<float>);
TTT_LAYER_BENCHMARKS("lact", ttt::Lact<float>);
TTT_LAYER_BENCHMARKS("gated-short-convolution", ttt::GatedShortConvolution<float>);
// Sizes known at run time only.
TTT_LAYER_BENCHMARKS("ttt-linear-any-size", ttt::TttLinear<float>);
TTT_LAYER_BENCHMARKS("ttt-mlp-any-size", ttt::TttMlp<float>);

}  // namespace
