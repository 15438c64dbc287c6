// SPDX-License-Identifier: MIT
// Products by weights in panels on one thread: rows × width × width forward and both backward ones, beside Eigen
// compiled for AVX2 and the machine's peaks; few rows beside one plain read of the weights.
#include "ttt/kernels/matmul.hpp"

#include "support/bench.hpp"
#include "support/eigen_product.hpp"
#include "ttt/nn/linear.hpp"

namespace {

using namespace ttt;

struct Product {
  Product(Index row_count, Index width)
      : rows(row_count), weight(nn::make_weight<float>(width, width)), d_weight(weight), workers(1) {
    bench::Uniform next(1);
    for (Buffer<float>* buffer : {&x, &y, &d_y}) *buffer = Buffer<float>(rows * width);
    for (Buffer<float>* buffer : {&w, &d_w}) *buffer = Buffer<float>(weight.storage_size());
    for (Buffer<float>* buffer : {&x, &d_y, &w})
      for (Index i = 0; i < buffer->size(); ++i) (*buffer)[i] = next();
    weight.bind(w.data());
    d_weight.bind(d_w.data());
  }
  MatrixView<float> view(Buffer<float>& buffer) { return {buffer.data(), rows, buffer.size() / rows}; }
  double flops() const { return 2.0 * static_cast<double>(rows) * static_cast<double>(weight.size()); }

  Index rows;
  Tensor<float> weight, d_weight;
  Buffer<float> x, y, d_y, w, d_w;
  bench::Workers workers;
};

template <class Call>
void measure(benchmark::State& state, Product& product, Call&& call) {
  const double seconds = bench::fastest(state, call), rate = product.flops() / seconds;
  const bench::Peaks& peaks = bench::peaks(1);
  state.counters["FLOP/s"] = rate;
  state.counters["of_best_library"] = rate / std::max(peaks.eigen, peaks.openblas);
  state.counters["of_fma_peak"] = rate / peaks.fma;
}

void forward(benchmark::State& state) {
  Product product(state.range(0), state.range(1));
  measure(state, product, [&] {
    nn::linear_forward(product.weight, product.view(product.x), product.view(product.y), product.workers.context());
  });
}

void backward_of_input(benchmark::State& state) {
  Product product(state.range(0), state.range(1));
  Tensor<float> unwanted(product.weight.shape(), Layout::panels);
  measure(state, product, [&] {
    nn::linear_backward(product.weight, product.view(product.x), product.view(product.d_y), product.view(product.y),
                        unwanted, product.workers.context());
  });
}

void backward_of_weight(benchmark::State& state) {
  Product product(state.range(0), state.range(1));
  measure(state, product, [&] {
    nn::linear_backward(product.weight, product.view(product.x), product.view(product.d_y), {}, product.d_weight,
                        product.workers.context());
  });
}

void eigen(benchmark::State& state) {
  Product product(state.range(0), state.range(1));
  measure(state, product, [&] {
    bench::eigen_product(product.x.data(), product.w.data(), product.y.data(), product.rows, state.range(1),
                         state.range(1));
  });
}

/// `xread` is the time beside that of reading the weights once.
void few_rows(benchmark::State& state) {
  Product product(state.range(0), state.range(1));
  Context& context = product.workers.context();
  double reading = std::numeric_limits<double>::infinity(), seconds = reading;
  for (auto _ : state) {
    reading = std::min(reading, bench::seconds_of([&] {
                         benchmark::DoNotOptimize(bench::plain_read(product.w.data(), product.w.size(), context));
                       }));
    const double once = bench::seconds_of(
        [&] { nn::linear_forward(product.weight, product.view(product.x), product.view(product.y), context); });
    state.SetIterationTime(once);
    seconds = std::min(seconds, once);
  }
  state.counters["bytes/s"] = static_cast<double>(product.w.bytes()) / seconds;
  state.counters["xread"] = seconds / reading;
  state.counters["FLOP/s"] = product.flops() / seconds;
}

void large(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"rows", "width"})->Unit(benchmark::kMillisecond)->UseManualTime();
  for (const Index width : {256, 768, 2048}) bench->Args({2048, width});
}

BENCHMARK(forward)->Apply(large);
BENCHMARK(backward_of_input)->Apply(large);
BENCHMARK(backward_of_weight)->Apply(large);
BENCHMARK(eigen)->Apply(large);
BENCHMARK(few_rows)
    ->ArgNames({"rows", "width"})
    ->Unit(benchmark::kMicrosecond)
    ->UseManualTime()
    ->ArgsProduct({{1, 2, 4, 16}, {256, 768, 2048}});

}  // namespace
