// SPDX-License-Identifier: MIT
#include "ttt/nn/named_values.hpp"

#include <limits>
#include <vector>

#include "support/catch.hpp"
#include "support/error_message.hpp"

using namespace ttt;
using ttt::testing::error_message;

namespace {

struct Pair {
  using Scalar = float;
  Tensor<float> weight{{35, 3}, Layout::panels}, bias{{4}};
  void visit(ParameterVisitor<float> visitor) {
    visitor("weight", weight, parameter::projection);
    visitor("bias", bias, parameter::zero);
  }
};

std::vector<float> counted(std::size_t size) {
  std::vector<float> values(size);
  for (std::size_t i = 0; i < size; ++i) values[i] = static_cast<float>(i) / 8;
  return values;
}

}  // namespace

TEST_CASE("Values go in and out by name, row-major, whatever the layout") {
  for (const Pair& shapes : {Pair(), with_bfloat16_weights(Pair())}) {
    ParameterStore<Pair> store(shapes);
    nn::assign_values(store.views(), "weight", {35, 3}, counted(105));
    nn::assign_values(store.views(), "bias", {4}, std::vector<float>{1, -2, 3, -4});
    for (Index i = 0; i < 105; ++i) REQUIRE(std::as_const(store).views().weight[i] == static_cast<float>(i) / 8);
    CHECK(nn::values_of(store.views(), "weight") == counted(105));
    CHECK(nn::values_of(store.views(), "bias") == std::vector<float>{1, -2, 3, -4});
    ParameterStore<Pair> by_element(shapes);  // padding is zero in both
    for (Index i = 0; i < 105; ++i) by_element.views().weight.set(i, static_cast<float>(i) / 8);
    nn::assign_values(by_element.views(), "bias", {4}, std::vector<float>{1, -2, 3, -4});
    CHECK(store.arena() == by_element.arena());
  }
}

TEST_CASE("What is no value of a parameter is an Error that says what there is, and nothing changes") {
  ParameterStore<Pair> store{Pair{}};
  nn::assign_values(store.views(), "weight", {35, 3}, counted(105));
  const auto before = store.arena();
  const auto refusal = [&](std::string_view name, const Shape& shape, const std::vector<float>& values) {
    return error_message([&] { nn::assign_values(store.views(), name, shape, values); });
  };
  CHECK(refusal("weights", {35, 3}, counted(105)) ==
        "parameter 'weights': expected one of 'weight' [35 x 3], 'bias' [4], found no such name");
  CHECK(refusal("weight", {3, 35}, counted(105)) == "parameter 'weight': expected shape [35 x 3], found [3 x 35]");
  CHECK(refusal("weight", {35, 3}, counted(104)) == "parameter 'weight': expected 105 values, found 104");
  auto values = counted(105);
  values[104] = std::numeric_limits<float>::infinity();
  CHECK(refusal("weight", {35, 3}, values) == "parameter 'weight': expected finite numbers, found inf at element 104");
  CHECK(error_message([&] { nn::values_of(store.views(), "Bias"); }) ==
        "parameter 'Bias': expected one of 'weight' [35 x 3], 'bias' [4], found no such name");
  Pair nothing;
  CHECK(error_message([&] { nn::assign_values(nothing, "bias", {4}, counted(4)); }) ==
        "parameter 'bias': expected a tensor with memory, as a ParameterStore gives it, found none");
  CHECK(store.arena() == before);
}
