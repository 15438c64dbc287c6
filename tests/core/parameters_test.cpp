// SPDX-License-Identifier: MIT
#include "ttt/core/parameters.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace ttt;

namespace {

template <class Element>
struct Inner {
  using Scalar = Element;
  Tensor<Scalar> weight{Shape{5, 3}, Layout::panels}, bias{Shape{7}};
  void visit(ParameterVisitor<Scalar> visitor) {
    visitor("weight", weight, parameter::projection);
    visitor("bias", bias, parameter::zero);
  }
};

template <class Element>
struct Outer {
  using Scalar = Element;
  Inner<Scalar> first;
  Tensor<Scalar> kernel{Shape{3, 1, 4}}, gain{Shape{2}};
  void visit(ParameterVisitor<Scalar> visitor) {
    visit_nested<Scalar>(visitor, "first.", first);
    visitor("kernel", kernel, parameter::convolution(4));
    visitor("gain", gain, parameter::one);
  }
};

std::vector<std::string> names_of(Outer<float> parameters) {
  std::vector<std::string> names;
  parameters.visit([&](std::string_view name, Tensor<float>&, const ParameterInfo&) { names.emplace_back(name); });
  return names;
}

}  // namespace

TEST_CASE("a visitor sees every tensor under its published name, in order") {
  CHECK(names_of({}) == std::vector<std::string>{"first.weight", "first.bias", "kernel", "gain"});
  CHECK(count(Outer<float>()) == 15 + 7 + 12 + 2);
  // A panel of 32 columns by 3 rows, and three tensors of less than one aligned unit.
  CHECK(storage_size(Outer<float>()) == 96 + 32 + 32 + 32);
}

TEST_CASE("a store binds every tensor into one aligned arena of zeros, one after another") {
  ParameterStore<Outer<float>> store{Outer<float>()};
  CHECK(store.arena().size() == storage_size(Outer<float>()));
  const float* next = store.arena().data();
  store.views().visit([&](std::string_view, Tensor<float>& tensor, const ParameterInfo&) {
    CHECK(tensor.data() == next);
    CHECK(reinterpret_cast<std::uintptr_t>(tensor.data()) % alignment == 0);
    next += aligned_size<float>(tensor.storage_size());
  });
  CHECK(next == store.arena().data() + store.arena().size());
  CHECK(store.arena() == Buffer<float>(store.arena().size()));
}

TEST_CASE("a store is a value: copies look into their own memory, moves keep it") {
  ParameterStore<Outer<float>> a{Outer<float>()}, assigned;
  a.views().gain[1] = 3;
  ParameterStore<Outer<float>> copied = a;
  assigned = a;
  for (auto* store : {&copied, &assigned}) {
    CHECK(store->views().gain[1] == 3);
    store->views().gain[1] = 4;
    CHECK(a.views().gain[1] == 3);
    CHECK(store->views().gain.data() >= store->arena().data());
    CHECK(store->views().gain.data() < store->arena().data() + store->arena().size());
  }
  const float* memory = a.views().kernel.data();
  const ParameterStore<Outer<float>> moved = std::move(a);
  CHECK(moved.views().kernel.data() == memory);
  CHECK(moved.views().gain[1] == 3);
}

TEST_CASE("initial values come from the stream of the name, whatever the layout or the other parameters") {
  ParameterStore<Outer<double>> store{Outer<double>()};
  initialize(store.views(), 42);
  const auto& views = store.views();
  for (Index i = 0; i < 15; ++i)
    CHECK(views.first.weight[i] == 0.02 * RandomStream(42, "first.weight").normal(static_cast<std::uint64_t>(i)));
  for (Index i = 0; i < 12; ++i) {
    CHECK(views.kernel[i] == 0.5 * (2 * RandomStream(42, "kernel").uniform(static_cast<std::uint64_t>(i)) - 1));
    CHECK(std::abs(views.kernel[i]) < 0.5);
  }
  for (const double value : views.first.bias.vector()) CHECK(value == 0);
  for (const double value : views.gain.vector()) CHECK(value == 1);

  ParameterStore<Inner<double>> inner{Inner<double>()}, other{Inner<double>()};
  initialize(inner.views(), 42);
  initialize(other.views(), 43);
  CHECK_FALSE(inner.views().weight[0] == other.views().weight[0]);
  // Padding of panels stays zero: products read it.
  double sum = 0, all = 0;
  for (Index i = 0; i < 15; ++i) sum += std::abs(inner.views().weight[i]);
  for (Index i = 0; i < inner.views().weight.storage_size(); ++i) all += std::abs(inner.views().weight.data()[i]);
  CHECK(sum == Approx(all).epsilon(1e-14));
}

TEST_CASE("in bfloat16: what decays and lies in panels is rounded, the rest is copied bit for bit") {
  ParameterStore<Outer<float>> store{Outer<float>()};
  initialize(store.views(), 42);
  const auto narrow = to_bfloat16(store);
  const Outer<float>& views = narrow.views();
  CHECK(views.first.weight.layout() == Layout::bfloat16_panels);
  CHECK(narrow.arena().size() == store.arena().size() - 96 + 64);  // half of 96 floats, aligned
  for (Index i = 0; i < 15; ++i)
    CHECK(views.first.weight[i] == rounded_to_bfloat16(std::as_const(store).views().first.weight[i]));
  for (Index i = 0; i < 12; ++i) CHECK(views.kernel[i] == std::as_const(store).views().kernel[i]);
  CHECK((views.gain[0] == 1 && views.kernel.layout() == Layout::rows));
  const auto copied = narrow;
  CHECK(copied.arena() == narrow.arena());
  CHECK(copied.views().first.weight.data() == copied.arena().data());
}
