// SPDX-License-Identifier: MIT
#include "ttt/layers/delta_layer.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "kernels/numbers.hpp"
#include "layers/recurrent_layer.hpp"
#include "ttt/core/executor/thread_pool.hpp"
#include "ttt/layers/gated_delta_net.hpp"
#include "ttt/layers/gated_linear_attention.hpp"
#include "ttt/layers/kimi_delta_attention.hpp"

using namespace ttt;
using numbers::Matrix;

namespace {

constexpr Index width = 6, tokens = 70;

/// A layer whose weights are any numbers.
template <class Definition>
Layer<Definition> make(const typename Definition::Config& config) {
  Layer<Definition> layer(config);
  layer.store().views().visit([&](std::string_view name, Tensor<double>& tensor, const ParameterInfo&) {
    const RandomStream random(5, name);
    for (Index i = 0; i < tensor.size(); ++i) tensor[i] = 0.5 * random.normal(static_cast<std::uint64_t>(i));
  });
  return layer;
}
template <class Definition>
Matrix<double> read(const Layer<Definition>& layer) {
  const Matrix<double> x(tokens, width, "x");
  Matrix<double> y(tokens, width);
  auto state = layer.initial_state();
  Context context;
  layer.forward(x.view(), state, y.view(), context);
  return y;
}
/// Calls change(tensor) with the tensor of that name.
template <class Definition, class Change>
void with(Layer<Definition>& layer, std::string_view name, Change&& change) {
  layer.store().views().visit([&](std::string_view each, Tensor<double>& tensor, const ParameterInfo&) {
    if (each == name) change(tensor);
  });
}
template <class Definition>
void set(Layer<Definition>& layer, std::string_view name, const std::function<double(Index)>& value) {
  with(layer, name, [&](Tensor<double>& tensor) {
    for (Index i = 0; i < tensor.size(); ++i) tensor[i] = value(i);
  });
}
template <class Definition>
std::vector<double> values(Layer<Definition>& layer, std::string_view name) {
  std::vector<double> result;
  with(layer, name, [&](const Tensor<double>& tensor) {
    for (Index i = 0; i < tensor.size(); ++i) result.push_back(tensor[i]);
  });
  return result;
}

bool agree(const Matrix<double>& a, const Matrix<double>& b) {
  return numbers::difference(a, b) <= numbers::rounding<double>(1000, numbers::largest(b));
}

}  // namespace

TEST_CASE("Kimi Delta Attention whose rows fade alike is Gated DeltaNet") {
  const Index heads = 2, K = 3, taps = 3, columns = heads * K;
  auto one = make<GatedDeltaNet<double>>(
      {.width = width, .heads = heads, .key_width = K, .conv_taps = taps, .gate = false, .norm_epsilon = 1e-5});
  auto rows = make<KimiDeltaAttention<double>>(
      {.width = width, .heads = heads, .key_width = K, .conv_taps = taps, .rank = heads});
  const auto at = [](const std::vector<double>& all, Index i) { return all[static_cast<std::size_t>(i)]; };
  const auto qkv = values(one, "in_proj_qkv.weight"), conv = values(one, "conv1d.weight");
  Index part = 0;
  for (const std::string letter : {"q", "k", "v"}) {
    set(rows, letter + "_proj.weight", [&](Index i) { return at(qkv, part * columns * width + i); });
    set(rows, letter + "_conv1d.weight", [&](Index i) { return at(conv, part * columns * taps + i); });
    ++part;
  }
  for (const auto& [from, to] : {std::pair{"in_proj_b.weight", "b_proj.weight"},
                                 {"in_proj_a.weight", "f_proj.0.weight"},
                                 {"A_log", "A_log"},
                                 {"norm.weight", "o_norm.weight"},
                                 {"out_proj.weight", "o_proj.weight"}})
    set(rows, to, [&, all = values(one, from)](Index i) { return at(all, i); });
  set(rows, "dt_bias", [&, all = values(one, "dt_bias")](Index i) { return at(all, i / K); });
  set(rows, "f_proj.1.weight", [&](Index i) { return i / heads / K == i % heads ? 1. : 0.; });
  // A gate that is one half of twice the weight.
  set(rows, "g_proj.1.weight", [](Index) { return 0; });
  set(rows, "g_proj.1.bias", [](Index) { return 0; });
  CHECK_FALSE(agree(read(rows), read(one)));
  set(rows, "o_norm.weight", [&, all = values(one, "norm.weight")](Index i) { return 2 * at(all, i); });
  CHECK(agree(read(rows), read(one)));
}

TEST_CASE("rounds of a recorded call have the bits of the call at once, and its gradients") {
  using Layer = KimiDeltaAttention<double>;
  const Layer layer({.width = width, .heads = 2, .conv_taps = 3});
  ParameterStore<Layer::Parameters> store(layer.make_parameters());
  initialize(store.views(), 7);
  const std::vector<Index> lengths{250, 70, 130};  // cut within the first and the last
  constexpr Index rows = 450;
  const Matrix<double> x(rows, width, "x"), d_y(rows, width, "d_y");
  const auto run = [&](Index workers) {
    ThreadPool pool(workers);
    Context context(pool);
    auto first = layer.initial_state(store.views()), second = first;
    const std::vector<Segment<State<double>>> segments{
        {lengths[0], &first, true}, {lengths[1], &first, false}, {lengths[2], &second, true}};
    ParameterStore<Layer::Parameters> gradients(layer.make_parameters());
    Layer::Record record;
    Matrix<double> y(rows, width, 0), d_x(rows, width, 0);
    layer.forward(store.views(), x.view(), segments, y.view(), context, &record);
    layer.backward(store.views(), record, d_y.view(), d_x.view(), gradients.views(), {}, context);
    std::vector<double> all;
    for (const auto& part : {y.view(), d_x.view()}) all.insert(all.end(), part.data(), part.data() + rows * width);
    for (const auto* state : {&first, &second})
      all.insert(all.end(), state->values.data(), state->values.data() + state->values.size());
    gradients.views().visit([&](std::string_view, Tensor<double>& tensor, const ParameterInfo&) {
      all.insert(all.end(), tensor.data(), tensor.data() + tensor.size());
    });
    return all;
  };
  CHECK(run(1) == run(4));  // in rounds of 192 rows and in one
}

TEST_CASE("gated linear attention that does not fade is linear attention") {
  auto gated = make<GatedLinearAttention<double>>({.width = width, .heads = 2, .key_width = 3, .gate = false});
  auto plain =
      make<GatedLinearAttention<double>>({.width = width, .heads = 2, .key_width = 3, .decay = false, .gate = false});
  set(plain, "norm.weight",
      [&, all = values(gated, "g_norm.weight")](Index i) { return all[static_cast<std::size_t>(i)]; });
  CHECK_FALSE(agree(read(gated), read(plain)));
  set(gated, "gk_proj.1.bias", [](Index) { return 60; });
  CHECK(agree(read(gated), read(plain)));
}

TEST_CASE("layers of the family do not take each other's weights and states") {
  const GatedLinearAttention<double> gated({.width = width, .heads = 2, .key_width = 3});
  const GatedLinearAttention<double> plain({.width = width, .heads = 2, .key_width = 3, .decay = false});
  const KimiDeltaAttention<double> kimi({.width = width, .heads = 2, .key_width = 3});
  CHECK_FALSE(plain.accepts_gradients(gated.make_parameters()));
  CHECK_FALSE(kimi.accepts_gradients(gated.make_parameters()));
  CHECK_FALSE(plain.accepts(State<double>(gated.state_layout())));
}
