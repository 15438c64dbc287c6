// SPDX-License-Identifier: MIT
#include "ttt/nn/decay.hpp"

#include <cmath>

#include "nn/blocks.hpp"

using namespace ttt;
using numbers::Matrix;

namespace {

template <class Scalar>
using Store = ParameterStore<nn::DecayParameters<Scalar>>;

template <class Scalar>
Store<Scalar> make_store(Index heads, Index columns, std::uint64_t seed) {
  Store<Scalar> store{nn::DecayParameters<Scalar>(heads, columns)};
  initialize(store.views(), seed);
  return store;
}

}  // namespace

TEST_CASE("the gates of a recurrence begin with the published rates and step widths") {
  auto store = make_store<double>(300, 300, 1);
  double smallest = 1, largest = 0;
  for (const double bias : store.views().bias.vector()) {
    const double step = std::log1p(std::exp(bias));
    smallest = std::min(smallest, step), largest = std::max(largest, step);
  }
  CHECK((smallest >= 0.001 && smallest < 0.0015 && largest <= 0.1 && largest > 0.08));
  for (const double log_rate : store.views().log_rate.vector()) CHECK((log_rate > 0 && log_rate < std::log(16.0)));
  std::vector<std::string> names;
  store.views().visit([&](std::string_view name, Tensor<double>&, const ParameterInfo& info) {
    names.emplace_back(name);
    CHECK_FALSE(info.decays);
  });
  CHECK(names == std::vector<std::string>{"A_log", "dt_bias"});
}

TEMPLATE_TEST_CASE("step widths and decays, forward and backward: rounds, threads, what is not wanted", "", float,
                   double) {
  const Index rows = 200, heads = 3, cut = 2 * nn::detail::rows_per_range;
  for (const Index columns : {heads, 4 * heads}) {
    const auto store = make_store<TestType>(heads, columns, 1), before = make_store<TestType>(heads, columns, 2);
    const Matrix<TestType> a(rows, columns, "a"), d_steps(rows, columns, "d_steps"), d_decay(rows, columns, "d_decay");
    const kernels::StepLimits<TestType> limits{TestType(0.001), TestType(0.1)};
    struct Result {
      Matrix<TestType> steps, decay, d_a;
      Store<TestType> gradients;
    };
    const auto run = [&](Context& context, std::initializer_list<Index> ends) {
      Result result{a, a, a, before};
      Index first = 0;
      for (const Index end : ends) {
        const auto part = [&](auto view) { return view.rows(first, end - first); };
        nn::decay_forward(store.views(), part(a.view()), limits, part(result.steps.view()), part(result.decay.view()),
                          context);
        nn::decay_backward(store.views(), part(a.view()), limits, part(d_steps.view()), part(d_decay.view()),
                           part(result.d_a.view()), result.gradients.views(), context);
        first = end;
      }
      return result;
    };
    Context serial;
    const Result expected = run(serial, {rows});
    Matrix<TestType> steps = a, decay = a;
    kernels::decay_rows(a.view(), store.views().bias.vector(), store.views().log_rate.vector(), limits, steps.view(),
                        decay.view());
    CHECK(numbers::same_bits(expected.steps, steps));
    CHECK(numbers::same_bits(expected.decay, decay));
    CHECK_FALSE(expected.gradients.arena() == before.arena());
    numbers::on_each_executor([&](Context& context) {
      for (const Result& result : {run(context, {rows}), run(context, {cut, rows})}) {
        CHECK(numbers::same_bits(result.steps, expected.steps));
        CHECK(numbers::same_bits(result.decay, expected.decay));
        CHECK(numbers::same_bits(result.d_a, expected.d_a));
        CHECK(result.gradients.arena() == expected.gradients.arena());
      }
    });
    Matrix<TestType> only = a, d_a = a;
    nn::DecayParameters<TestType> unwanted(heads, columns);
    nn::decay_forward(store.views(), a.view(), limits, {}, only.view(), serial);
    nn::decay_backward(store.views(), a.view(), limits, d_steps.view(), d_decay.view(), d_a.view(), unwanted, serial);
    CHECK(numbers::same_bits(only, decay));
    CHECK(numbers::same_bits(d_a, expected.d_a));
  }
}

TEST_CASE("backward of step widths and decays is their gradient, with parameters") {
  const Index rows = 3, heads = 2, columns = 6;
  auto store = make_store<double>(heads, columns, 1);
  Store<double> gradients{nn::DecayParameters<double>(heads, columns)};
  Matrix<double> a(rows, columns, "a"), steps = a, decay = a, d_a = a;
  const Matrix<double> d_steps(rows, columns, "d_steps"), d_decay(rows, columns, "d_decay");
  Context context;
  nn::decay_backward(store.views(), a.view(), {}, d_steps.view(), d_decay.view(), d_a.view(), gradients.views(),
                     context);
  const auto loss = [&] {
    nn::decay_forward(store.views(), a.view(), {}, steps.view(), decay.view(), context);
    return numbers::inner_product(steps, d_steps) + numbers::inner_product(decay, d_decay);
  };
  numbers::check_gradient(a, d_a, loss);
  numbers::check_tensor_gradient(store.views().log_rate, gradients.views().log_rate, loss);
  numbers::check_tensor_gradient(store.views().bias, gradients.views().bias, loss);
}
