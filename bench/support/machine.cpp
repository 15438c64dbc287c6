// SPDX-License-Identifier: MIT
#include "support/machine.hpp"

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <map>

#include "support/eigen_product.hpp"
#include "support/random.hpp"
#include "ttt/kernels/simd.hpp"
#include "ttt/nn/linear.hpp"

#if defined(__linux__)
#include <sched.h>
#endif

namespace bench {

namespace {

using ttt::MatrixView;
using Pack = ttt::simd::Pack<float, ttt::simd::Native>;

#if defined(__linux__)
/// The processors this program was given.
const cpu_set_t& allowed() {
  static const cpu_set_t set = [] {
    cpu_set_t mask;
    sched_getaffinity(0, sizeof(mask), &mask);
    return mask;
  }();
  return set;
}

/// Threads started afterwards inherit this.
void pin(bool alone) {
  cpu_set_t mask = allowed();
  if (alone)
    for (int cpu = 0, last = CPU_COUNT(&mask); last > 1; ++cpu)
      if (CPU_ISSET(cpu, &mask)) CPU_CLR(cpu, &mask), --last;
  sched_setaffinity(0, sizeof(mask), &mask);
}
#else
void pin(bool) {}
#endif

/// OpenBLAS by its C interface, if it is installed. It must not see the variables that choose its kernels and threads:
/// a wrong guess there halves its rate.
class OpenBlas {
 public:
  OpenBlas() {
    for (const char* name : {"OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "OPENBLAS_VERBOSE"}) unsetenv(name);
    void* const library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    sgemm_ = reinterpret_cast<Sgemm*>(dlsym(library, "cblas_sgemm"));
    if (auto* const set_threads = reinterpret_cast<void (*)(int)>(dlsym(library, "openblas_set_num_threads")))
      set_threads(1);  // rows are shared out by our pool, as for the others
  }
  bool installed() const { return sgemm_ != nullptr; }
  void product(const float* a, const float* b, float* c, Index rows, Index inner, Index columns) const {
    constexpr int row_major = 101, not_transposed = 111;
    const int m = static_cast<int>(rows), n = static_cast<int>(columns), k = static_cast<int>(inner);
    sgemm_(row_major, not_transposed, not_transposed, m, n, k, 1, a, k, b, n, 0, c, n);
  }

 private:
  using Sgemm = void(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
  Sgemm* sgemm_ = nullptr;
};

/// Twelve independent chains of fused multiply-adds: enough to hide their latency, and they fit into 16 registers.
float multiply_add(Index steps) {
  constexpr std::size_t chains = 12;
  const Pack factor(0.999F), summand(1e-3F);
  std::array<Pack, chains> sums;
  sums.fill(Pack(1.0F));
  for (Index step = 0; step < steps; ++step)
    for (auto& sum : sums) sum = ttt::simd::fma(sum, factor, summand);
  Pack total = sums[0];
  for (const auto& sum : sums) total = total + sum;
  return ttt::simd::reduce_add(total);
}

Peaks measure(Index threads) {
  constexpr Index size = 1024, fma_steps = Index{1} << 19;
  constexpr double flops = 2.0 * size * size * size, rounds_seconds = 0.6;
  static const OpenBlas openblas;
  Workers workers(threads);
  ttt::Context& context = workers.context();
  const ttt::Buffer<float> a = random_values(size * size), b = random_values(size * size);
  ttt::Buffer<float> c(size * size), packed(size * size), sink(threads);
  auto weight = ttt::nn::make_weight<float>(size, size);
  weight.bind(packed.data());
  std::copy_n(b.data(), size * size, packed.data());

  const auto shared_out = [&](auto&& product) {
    const Index rows = (size + threads - 1) / threads;
    context.parallel_ranges(size, rows, [&](Index first, Index count, ttt::Arena&) {
      product(a.data() + first * size, b.data(), c.data() + first * size, count, size, size);
    });
  };
  const auto fma = [&] {
    context.parallel(threads, [&](Index thread, ttt::Arena&) { sink[thread] = multiply_add(fma_steps); });
  };
  const auto ours = [&] {
    ttt::nn::linear_forward(weight, MatrixView<const float>(a.data(), size, size), {c.data(), size, size}, context);
  };
  const auto best = [](double& rate, double work, double seconds) { rate = std::max(rate, work / seconds); };
  const double fma_flops = 2.0 * 12 * static_cast<double>(fma_steps * Pack::size * threads);

  Peaks peaks;
  double spent = 0;
  for (int round = 0; round < 3 || spent < rounds_seconds; ++round)
    spent += seconds_of([&] {
      best(peaks.fma, fma_flops, seconds_of(fma));
      best(peaks.ours, flops, seconds_of(ours));
      best(peaks.eigen, flops, seconds_of([&] { shared_out(eigen_product); }));
      if (openblas.installed())
        best(peaks.openblas, flops,
             seconds_of([&] { shared_out([&](auto... arguments) { openblas.product(arguments...); }); }));
    });
  return peaks;
}

float sum_of(const float* values, Index count) {
  constexpr std::size_t accumulators = 8;
  constexpr Index step = static_cast<Index>(accumulators) * Pack::size;
  std::array<Pack, accumulators> sums;
  sums.fill(Pack(0.0F));
  Index i = 0;
  for (; i + step <= count; i += step)
    for (std::size_t s = 0; s < accumulators; ++s)
      sums[s] = sums[s] + Pack::load(values + i + static_cast<Index>(s) * Pack::size);
  float total = 0;
  for (const auto& sum : sums) total += ttt::simd::reduce_add(sum);
  for (; i < count; ++i) total += values[i];
  return total;
}

}  // namespace

Workers::Workers(Index threads) : pool_((pin(threads == 1), threads)), context_(pool_) {}
Workers::~Workers() { pin(false); }

const Peaks& peaks(Index threads) {
  static std::map<Index, Peaks> measured;
  auto found = measured.find(threads);
  if (found == measured.end()) found = measured.emplace(threads, measure(threads)).first;
  return found->second;
}

float plain_read(const float* values, Index count, ttt::Context& context) {
  const Index share = (count + context.workers() - 1) / context.workers();
  ttt::Buffer<float> sums(context.workers());
  context.parallel(context.workers(), [&](Index part, ttt::Arena&) {
    const Index first = std::min(part * share, count);
    sums[part] = sum_of(values + first, std::min(share, count - first));
  });
  float total = 0;
  for (Index part = 0; part < sums.size(); ++part) total += sums[part];
  return total;
}

}  // namespace bench
