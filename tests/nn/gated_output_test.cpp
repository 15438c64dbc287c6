// SPDX-License-Identifier: MIT
#include "ttt/nn/gated_output.hpp"

#include <cmath>

#include "nn/blocks.hpp"

using namespace ttt;
using kernels::Activation;
using nn::GatedOutputConfig;
using nn::NormKind;
using numbers::Matrix;

namespace {

constexpr Index width = 12, group = 4;

template <class Scalar>
using Parameters = nn::GatedOutputParameters<Scalar>;

/// Those of published layers, and what is left when the norm or the gate is.
struct Kind {
  const char* name;
  GatedOutputConfig config;
  bool has_gate = true;
};
const Kind kinds[] = {
    {"TTT", {NormKind::layer, width, false, Activation::gelu, false, 1e-3}},
    {"TTT without a gate", {NormKind::layer, width, false, Activation::gelu, false, 1e-3}, false},
    {"Gated DeltaNet", {NormKind::rms, group, true, Activation::silu, false, 1e-3}},
    {"DeltaNet", {NormKind::rms, group, true, Activation::silu, false, 1e-3}, false},
    {"KDA", {NormKind::rms, group, true, Activation::sigmoid, false, 1e-3}},
    {"Mamba-2", {NormKind::rms, group, false, Activation::silu, true, 1e-3}},
    {"Mamba-2 without a norm", {NormKind::none, 0, false, Activation::silu, true, 1e-3}},
};

template <class Scalar>
ParameterStore<Parameters<Scalar>> make_store(const GatedOutputConfig& config, std::uint64_t seed) {
  ParameterStore<Parameters<Scalar>> store{Parameters<Scalar>(config, width)};
  store.views().visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo&) {
    const RandomStream random(seed, name);
    for (Index i = 0; i < tensor.size(); ++i)
      tensor[i] = static_cast<Scalar>(static_cast<float>(random.normal(static_cast<std::uint64_t>(i))));
  });
  return store;
}

double activated(Activation activation, double g) {
  const double sigma = 1 / (1 + std::exp(-g));
  if (activation == Activation::gelu)
    return g / 2 * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (g + 0.044715 * g * g * g)));
  return activation == Activation::silu ? g * sigma : sigma;
}

// As the papers write it, element by element.
Matrix<double> by_formula(const Kind& kind, Parameters<double>& parameters, const Matrix<double>& x,
                          const Matrix<double>& gate) {
  const GatedOutputConfig& config = kind.config;
  Matrix<double> y = x;
  const auto multiply = [&] {
    for (Index r = 0; r < y.view().rows(); ++r)
      for (Index c = 0; c < width; ++c)
        if (kind.has_gate) y(r, c) *= activated(config.activation, gate(r, c));
  };
  const auto norm = [&] {
    for (Index r = 0; r < y.view().rows() && config.norm != NormKind::none; ++r)
      for (Index first = 0; first < width; first += config.group) {
        double mean = 0, squares = 0;
        const auto count = static_cast<double>(config.group);
        for (Index c = first; c < first + config.group; ++c) mean += y(r, c) / count;
        if (config.norm == NormKind::rms) mean = 0;
        for (Index c = first; c < first + config.group; ++c) squares += (y(r, c) - mean) * (y(r, c) - mean) / count;
        for (Index c = first; c < first + config.group; ++c) {
          const Index own = config.shared_weight ? c - first : c;
          y(r, c) = (y(r, c) - mean) / std::sqrt(squares + config.epsilon) * parameters.weight[own];
          if (config.norm == NormKind::layer) y(r, c) += parameters.bias[own];
        }
      }
  };
  if (config.gate_first) multiply();
  norm();
  if (!config.gate_first) multiply();
  return y;
}

template <class Scalar>
MatrixView<Scalar> given(const Kind& kind, MatrixView<Scalar> gate) {
  return kind.has_gate ? gate : MatrixView<Scalar>();
}

}  // namespace

TEST_CASE("a gated output's parameters are those of its norm") {
  const auto names = [](const GatedOutputConfig& config) {
    std::vector<std::pair<std::string, Shape>> found;
    Parameters<float>(config, width)
        .visit([&](std::string_view name, Tensor<float>& tensor, const ParameterInfo& info) {
          found.emplace_back(name, tensor.shape());
          CHECK_FALSE(info.decays);
        });
    return found;
  };
  using Names = std::vector<std::pair<std::string, Shape>>;
  CHECK(names(kinds[0].config) == Names{{"weight", {width}}, {"bias", {width}}});
  CHECK(names(kinds[2].config) == Names{{"weight", {group}}});
  CHECK(names(kinds[5].config) == Names{{"weight", {width}}});
  CHECK(names(kinds[6].config).empty());
}

TEMPLATE_TEST_CASE("a gated output is its formula, in place, row by row and on any number of threads", "", float,
                   double) {
  for (const Kind& kind : kinds) {
    INFO(kind.name);
    const Index rows = 150;
    auto store = make_store<TestType>(kind.config, 1);
    auto exact = make_store<double>(kind.config, 1);
    const Matrix<TestType> x(rows, width, "x"), gate(rows, width, "gate", 2);
    Matrix<TestType> y(rows, width), pieces(rows, width);
    Context serial;
    const nn::GatedOutput<TestType> output(kind.config, store.views());
    output.forward(x.view(), given(kind, gate.view()), y.view(), serial);
    const auto expected = by_formula(kind, exact.views(), x.template as<double>(), gate.template as<double>());
    CHECK(numbers::difference(y, expected) <= numbers::rounding<TestType>(width, 2 * numbers::largest(expected)));
    CHECK(y.gaps_untouched());
    numbers::on_each_executor([&](Context& context) {
      Matrix<TestType> in_place = x;
      output.forward(in_place.view(), given(kind, gate.view()), in_place.view(), context);
      CHECK(numbers::same_bits(in_place, y));
    });
    for (Index r = 0; r < rows; ++r)
      output.forward(x.view().rows(r, 1), given(kind, gate.view().rows(r, 1)), pieces.view().rows(r, 1), serial);
    CHECK(numbers::same_bits(pieces, y));
  }
}

TEST_CASE("backward of a gated output is its gradient") {
  const Index rows = 3;
  for (const Kind& kind : kinds) {
    INFO(kind.name);
    auto store = make_store<double>(kind.config, 1);
    ParameterStore<Parameters<double>> gradients{Parameters<double>(kind.config, width)};
    Matrix<double> x(rows, width, "x"), gate(rows, width, "gate"), y(rows, width), d_x(rows, width),
        d_gate(rows, width);
    const Matrix<double> d_y(rows, width, "d_y");
    Context context;
    const nn::GatedOutput<double> output(kind.config, store.views());
    const auto loss = [&] {
      output.forward(x.view(), given(kind, std::as_const(gate).view()), y.view(), context);
      return numbers::inner_product(y, d_y);
    };
    output.backward(x.view(), given(kind, std::as_const(gate).view()), d_y.view(), d_x.view(),
                    given(kind, d_gate.view()), gradients.views(), {}, context);
    numbers::check_gradient(x, d_x, loss);
    if (kind.has_gate) numbers::check_gradient(gate, d_gate, loss);
    if (kind.config.norm != NormKind::none)
      numbers::check_tensor_gradient(store.views().weight, gradients.views().weight, loss);
    if (kind.config.norm == NormKind::layer)
      numbers::check_tensor_gradient(store.views().bias, gradients.views().bias, loss);
  }
}

TEMPLATE_TEST_CASE("backward of a gated output: rounds, threads, aliases, what it was, what is not wanted", "", float,
                   double) {
  const Index rows = 200, cut = 2 * nn::detail::rows_per_range;
  for (const Kind& kind : kinds) {
    INFO(kind.name);
    const auto store = make_store<TestType>(kind.config, 1), before = make_store<TestType>(kind.config, 2);
    const Matrix<TestType> x(rows, width, "x"), gate(rows, width, "gate"), d_y(rows, width, "d_y");
    const nn::GatedOutput<TestType> output(kind.config, store.views());
    struct Result {
      Matrix<TestType> d_x, d_gate, y;
      ParameterStore<Parameters<TestType>> gradients;
    };
    const auto run = [&](Context& context, std::initializer_list<Index> ends) {
      Result result{Matrix<TestType>(rows, width), Matrix<TestType>(rows, width), Matrix<TestType>(rows, width),
                    before};
      Index first = 0;
      for (const Index end : ends) {
        const auto part = [&](auto view) { return view.rows(first, end - first); };
        output.backward(part(x.view()), given(kind, part(gate.view())), part(d_y.view()), part(result.d_x.view()),
                        given(kind, part(result.d_gate.view())), result.gradients.views(), part(result.y.view()),
                        context);
        first = end;
      }
      return result;
    };
    Context serial;
    const Result expected = run(serial, {rows});
    const auto check = [&](const Result& result) {
      CHECK(numbers::same_bits(result.d_x, expected.d_x));
      CHECK(numbers::same_bits(result.d_gate, expected.d_gate));
      CHECK(numbers::same_bits(result.y, expected.y));
      CHECK(result.gradients.arena() == expected.gradients.arena());
    };
    numbers::on_each_executor([&](Context& context) {
      check(run(context, {rows}));
      check(run(context, {cut, rows}));
    });
    Matrix<TestType> y(rows, width), in_place = d_y, d_gate(rows, width);
    output.forward(x.view(), given(kind, gate.view()), y.view(), serial);
    CHECK(numbers::same_bits(expected.y, y));
    CHECK((expected.d_x.gaps_untouched() && expected.d_gate.gaps_untouched()));
    Parameters<TestType> unwanted(kind.config, width);
    output.backward(x.view(), given(kind, gate.view()), in_place.view(), in_place.view(), given(kind, d_gate.view()),
                    unwanted, {}, serial);
    CHECK(numbers::same_bits(in_place, expected.d_x));
    CHECK(numbers::same_bits(d_gate, expected.d_gate));
  }
}
