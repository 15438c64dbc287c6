// SPDX-License-Identifier: MIT
#include "ttt/nn/swiglu.hpp"

#include "nn/blocks.hpp"
#include "support/allocation_hook.hpp"

using namespace ttt;
using numbers::Matrix;

namespace {

template <class Scalar>
using Store = ParameterStore<nn::SwigluParameters<Scalar>>;

template <class Scalar>
Store<Scalar> make_store(Index width, Index hidden, double scale) {
  Store<Scalar> store{nn::SwigluParameters<Scalar>(width, hidden)};
  store.views().visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo&) {
    const RandomStream random(3, name);
    for (Index i = 0; i < tensor.size(); ++i)
      tensor[i] = static_cast<Scalar>(scale * random.normal(static_cast<std::uint64_t>(i)));
  });
  return store;
}

}  // namespace

TEST_CASE("SwiGLU's parameters have the published names and shapes") {
  Store<float> store(nn::SwigluParameters<float>(5, 12));
  std::vector<std::pair<std::string, Shape>> found;
  store.views().visit([&](std::string_view name, Tensor<float>& tensor, const ParameterInfo& info) {
    found.emplace_back(name, tensor.shape());
    CHECK(tensor.layout() == Layout::panels);
    CHECK(info.decays);
  });
  const std::vector<std::pair<std::string, Shape>> expected = {
      {"gate_proj.weight", {12, 5}}, {"up_proj.weight", {12, 5}}, {"down_proj.weight", {5, 12}}};
  CHECK(found == expected);
  CHECK(store.views().width() == 5);
  CHECK(store.views().hidden() == 12);
}

TEMPLATE_TEST_CASE("SwiGLU is its formula, with and without a record, on any number of threads", "", float, double) {
  const Index width = 11, hidden = 38;
  const auto store = make_store<TestType>(width, hidden, 0.5);
  const auto& parameters = store.views();
  for (const Index rows : {0, 1, 17, 400}) {
    const Matrix<TestType> x(rows, width, "x");
    Matrix<TestType> gate(rows, hidden), up(rows, hidden), h(rows, hidden), expected(rows, width);
    Context serial;
    nn::linear_forward(parameters.gate_proj, x.view(), gate.view(), serial);
    nn::linear_forward(parameters.up_proj, x.view(), up.view(), serial);
    kernels::gate_rows(kernels::Activation::silu, gate.view(), up.view(), h.view());
    nn::linear_forward(parameters.down_proj, h.view(), expected.view(), serial);
    numbers::on_each_executor([&](Context& context) {
      Arena arena;
      nn::SwigluRecord<TestType> record(arena, rows, hidden);
      Matrix<TestType> recorded(rows, width), in_place = x;
      nn::swiglu_forward(parameters, x.view(), recorded.view(), context, &record);
      nn::swiglu_forward(parameters, in_place.view(), in_place.view(), context);
      CHECK(numbers::same_bits(recorded, expected));
      CHECK(numbers::same_bits(in_place, expected));
      CHECK(numbers::same_bits(record.gate, gate.view()));
      CHECK(numbers::same_bits(record.up, up.view()));
    });
  }
}

TEST_CASE("backward of SwiGLU is the gradient of every weight and of the input") {
  const Index width = 5, hidden = 9, rows = 3;
  auto store = make_store<double>(width, hidden, 1);
  Store<double> gradients{nn::SwigluParameters<double>(width, hidden)};
  Matrix<double> x(rows, width, "x"), d_x(rows, width), y(rows, width);
  const Matrix<double> d_y(rows, width, "d_y");
  Context context;
  Arena arena;
  nn::SwigluRecord<double> record(arena, rows, hidden);
  nn::swiglu_forward(store.views(), x.view(), y.view(), context, &record);
  nn::swiglu_backward(store.views(), record, x.view(), d_y.view(), d_x.view(), gradients.views(), context);
  const auto loss = [&] {
    nn::swiglu_forward(store.views(), x.view(), y.view(), context);
    return numbers::inner_product(y, d_y);
  };
  numbers::check_gradient(x, d_x, loss);
  numbers::check_tensor_gradient(store.views().gate_proj, gradients.views().gate_proj, loss);
  numbers::check_tensor_gradient(store.views().up_proj, gradients.views().up_proj, loss);
  numbers::check_tensor_gradient(store.views().down_proj, gradients.views().down_proj, loss);
}

TEMPLATE_TEST_CASE("backward of SwiGLU: threads, accumulation, what is not wanted", "", float, double) {
  const Index width = 11, hidden = 38, rows = 1000;
  const auto store = make_store<TestType>(width, hidden, 0.5), before = make_store<TestType>(width, hidden, 2);
  const Matrix<TestType> x(rows, width, "x"), d_y(rows, width, "d_y");
  Matrix<TestType> y(rows, width), serial(rows, width);
  Context context;
  Arena arena;
  nn::SwigluRecord<TestType> record(arena, rows, hidden);
  nn::swiglu_forward(store.views(), x.view(), y.view(), context, &record);
  auto serial_gradients = before;
  nn::swiglu_backward(store.views(), record, x.view(), d_y.view(), serial.view(), serial_gradients.views(), context);
  CHECK_FALSE(serial_gradients.arena() == before.arena());
  numbers::on_each_executor([&](Context& threads) {
    auto gradients = before, only_gradients = before;
    Matrix<TestType> d_x(rows, width), only(rows, width);
    nn::SwigluParameters<TestType> unwanted(width, hidden);
    nn::swiglu_backward(store.views(), record, x.view(), d_y.view(), d_x.view(), gradients.views(), threads);
    nn::swiglu_backward(store.views(), record, x.view(), d_y.view(), only.view(), unwanted, threads);
    nn::swiglu_backward(store.views(), record, x.view(), d_y.view(), {}, only_gradients.views(), threads);
    CHECK(numbers::same_bits(d_x, serial));
    CHECK(numbers::same_bits(only, serial));
    CHECK(gradients.arena() == serial_gradients.arena());
    CHECK(only_gradients.arena() == serial_gradients.arena());
  });
}

TEST_CASE("SwiGLU of one token allocates nothing") {
  const auto store = make_store<float>(24, 70, 1);
  const Matrix<float> x(1, 24, "x");
  Matrix<float> y(1, 24);
  Context context;
  const auto before = testing::allocations();
  nn::swiglu_forward(store.views(), x.view(), y.view(), context);
  CHECK(testing::allocations() == before);
}

TEST_CASE("SwiGLU gives the golden values and gradients") {
  const numbers::Golden golden("swiglu");
  const auto x = golden.matrix("x"), d_y = golden.matrix("d_y"), gate = golden.matrix("gate_proj");
  const Index rows = x.view().rows(), width = x.view().columns(), hidden = gate.view().rows();
  auto store = make_store<double>(width, hidden, 1);
  Store<double> gradients{nn::SwigluParameters<double>(width, hidden)};
  store.views().visit([&](std::string_view name, Tensor<double>& tensor, const ParameterInfo&) {
    const auto& values = golden.values(std::string(name.substr(0, name.find('.'))));
    for (Index i = 0; i < tensor.size(); ++i) tensor[i] = values[static_cast<std::size_t>(i)];
  });
  Context context;
  Arena arena;
  nn::SwigluRecord<double> record(arena, rows, hidden);
  Matrix<double> y = x, d_x = x;
  nn::swiglu_forward(store.views(), x.view(), y.view(), context, &record);
  nn::swiglu_backward(store.views(), record, x.view(), d_y.view(), d_x.view(), gradients.views(), context);
  golden.check_value("y", y);
  golden.check_gradient("grad.x", d_x);
  gradients.views().visit([&](std::string_view name, Tensor<double>& tensor, const ParameterInfo&) {
    Matrix<double> gradient(tensor.shape()[0], tensor.shape()[1]);
    for (Index i = 0; i < tensor.size(); ++i) gradient(i / tensor.shape()[1], i % tensor.shape()[1]) = tensor[i];
    golden.check_gradient("grad." + std::string(name.substr(0, name.find('.'))), gradient);
  });
}
