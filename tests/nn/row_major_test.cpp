// SPDX-License-Identifier: MIT
#include "ttt/nn/row_major.hpp"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "ttt/core/storage.hpp"

using namespace ttt;

namespace {

/// A tensor with memory of its own, full of −7 so that padding shows whether it was written.
template <class Scalar>
struct Owned {
  Owned(const Shape& shape, Layout layout) : tensor(shape, layout), memory(tensor.storage_size()) {
    tensor.bind(memory.data());
    for (Index i = 0; i < memory.size(); ++i) memory[i] = Scalar(-7);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;

  Tensor<Scalar> tensor;
  Buffer<Scalar> memory;
};

template <class Scalar>
void assign_all(Tensor<Scalar>& tensor, const std::vector<Scalar>& values) {
  const std::size_t each = nn::assigned_at_once(tensor);
  for (std::size_t first = 0; first < values.size(); first += each)
    nn::assign(tensor, static_cast<Index>(first),
               std::span<const Scalar>(values).subspan(first, std::min(each, values.size() - first)));
}

template <class Scalar>
void check_round_trip(const Shape& shape, Layout layout) {
  INFO(to_string(shape) << ", layout " << static_cast<int>(layout));
  Owned<Scalar> owned(shape, layout);
  std::vector<Scalar> values;
  for (Index i = 0; i < shape.size(); ++i) values.push_back(static_cast<Scalar>(i % 251 - 100));  // of 8 bits
  assign_all(owned.tensor, values);
  for (Index i = 0; i < shape.size(); ++i)
    REQUIRE(std::as_const(owned.tensor)[i] == values[static_cast<std::size_t>(i)]);
  CHECK(nn::row_major(owned.tensor) == values);
  if (layout == Layout::bfloat16_panels) return;
  Index kept = 0;
  for (Index i = 0; i < owned.memory.size(); ++i) kept += owned.memory[i] == Scalar(-7);
  const auto sevens = std::count(values.begin(), values.end(), Scalar(-7));
  CHECK(kept == owned.memory.size() - shape.size() + sevens);
}

}  // namespace

TEMPLATE_TEST_CASE("Row-major values come back from every layout, padding is left alone", "", float, double) {
  for (const Shape& shape : {Shape{1, 1}, Shape{32, 7}, Shape{33, 1}, Shape{70, 65}, Shape{35, 2, 9}, Shape{200, 300}})
    for (const Layout layout : {Layout::rows, Layout::panels}) check_round_trip<TestType>(shape, layout);
  check_round_trip<TestType>({5}, Layout::rows);
}

TEST_CASE("Row-major values come back from bfloat16") {
  for (const Shape& shape : {Shape{1, 1}, Shape{33, 1}, Shape{70, 65}, Shape{35, 2, 9}})
    check_round_trip<float>(shape, Layout::bfloat16_panels);
  Owned<float> owned({33, 2}, Layout::bfloat16_panels);
  std::vector<float> values(66, 0.1F);
  assign_all(owned.tensor, values);
  CHECK(nn::row_major(owned.tensor) == std::vector<float>(66, rounded_to_bfloat16(0.1F)));
}

TEST_CASE("What would not be kept as a finite number is found, per layout") {
  constexpr float largest = std::numeric_limits<float>::max(), infinity = std::numeric_limits<float>::infinity();
  const Tensor<float> wide({2, 2}, Layout::panels), narrow({2, 2}, Layout::bfloat16_panels);
  const auto place = [](const Tensor<float>& tensor, std::vector<float> values) {
    const std::span<const float> view(values);
    return nn::find_not_kept(tensor, view) - view.begin();
  };
  CHECK(place(wide, {1, largest, 0, -1}) == 4);
  CHECK(place(narrow, {1, largest, 0, -1}) == 1);
  CHECK(place(narrow, {1, 3.3895e38F, 0, -1}) == 4);
  for (const auto& tensor : {wide, narrow}) {
    CHECK(place(tensor, {1, 2, std::numeric_limits<float>::quiet_NaN(), infinity}) == 2);
    CHECK(place(tensor, {1, 2, 3, -infinity}) == 3);
  }
}
