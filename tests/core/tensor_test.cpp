// SPDX-License-Identifier: MIT
#include "ttt/core/tensor.hpp"

#include <vector>

#include "support/catch.hpp"
#include "support/error_message.hpp"

using namespace ttt;

TEST_CASE("a shape knows its rank, extents and size") {
  const Shape shape{3, 1, 4};
  CHECK(shape.rank() == 3);
  CHECK((shape[0] == 3 && shape[1] == 1 && shape[2] == 4));
  CHECK(shape.size() == 12);
  CHECK(shape == Shape{3, 1, 4});
  CHECK_FALSE(shape == Shape{3, 4});
  CHECK_FALSE(Shape{3} == Shape{3, 1});
  CHECK(Shape().size() == 1);
  CHECK(to_string(shape) == "[3 x 1 x 4]");
  CHECK(Shape{1, 2, 3, 4}.rank() == 4);
  CHECK(testing::error_message([] {
          Shape{1, 2, 3, 4, 5};
        }) == "shape of a tensor: expected at most four dimensions, found 5");
}

TEST_CASE("a tensor is not there until it is bound") {
  Tensor<float> tensor(Shape{2, 3});
  CHECK(tensor.empty());
  CHECK(tensor.matrix().empty());
  CHECK(tensor.slice(1).empty());
  CHECK(tensor.vector().empty());
  CHECK(tensor.vector().size() == 0);
  CHECK(tensor.panels().empty());
}

TEST_CASE("rows: matrix, slice, vector and element agree") {
  std::vector<float> memory(2 * 3 * 5);
  Tensor<float> tensor(Shape{2, 3, 5});
  tensor.bind(memory.data());
  for (Index i = 0; i < tensor.size(); ++i) tensor[i] = static_cast<float>(i);
  CHECK(tensor.storage_size() == 30);
  CHECK((tensor.matrix().rows() == 6 && tensor.matrix().columns() == 5));
  CHECK(tensor.matrix()(4, 2) == 22);
  CHECK((tensor.slice(1).rows() == 3 && tensor.slice(1).columns() == 5));
  CHECK(tensor.slice(1)(2, 3) == 28);
  CHECK(tensor.vector()[29] == 29);
  const Tensor<float>& constant = tensor;
  static_assert(std::is_same_v<decltype(constant.data()), const float*>);
  CHECK(constant.slice(0)(1, 0) == 5);
  Tensor<float> vector(Shape{7});
  vector.bind(memory.data());
  CHECK((vector.matrix().rows() == 1 && vector.matrix().columns() == 7));
}

TEST_CASE("memory is viewed as it is laid out, or not at all") {
  std::vector<float> memory(1024);
  const std::string shape = "layout of a tensor [2 x 3]: expected ";
  const auto refusals = [&](Layout layout, const std::string& found, bool rows, bool panels, bool narrow) {
    Tensor<float> tensor(Shape{2, 3}, layout);
    tensor.bind(memory.data());
    const Tensor<float>& read = tensor;
    const auto message = [&](bool refused, const char* expected) {
      return refused ? shape + expected + ", found " + found : std::string();
    };
    CHECK(testing::error_message([&] { tensor.matrix(); }) == message(rows, "rows"));
    CHECK(testing::error_message([&] { read.matrix(); }) == message(rows, "rows"));
    CHECK(testing::error_message([&] { tensor.slice(1); }) == message(rows, "rows"));
    CHECK(testing::error_message([&] { read.vector(); }) == message(rows, "rows"));
    CHECK(testing::error_message([&] { tensor.panels(); }) == message(panels, "panels"));
    CHECK(testing::error_message([&] { read.panels(); }) == message(panels, "panels"));
    CHECK(testing::error_message([&] { read.bfloat16_panels(); }) == message(narrow, "panels of bfloat16"));
  };
  refusals(Layout::rows, "rows", false, true, true);
  refusals(Layout::panels, "panels", true, false, true);
  refusals(Layout::bfloat16_panels, "panels of bfloat16", true, true, false);
}

TEMPLATE_TEST_CASE("panels: elements are addressed by their published row-major index", "", float, double) {
  constexpr Index width = panel_width<TestType>;
  static_assert(width * sizeof(TestType) == 128);
  for (const auto& shape :
       {Shape{1, 1}, Shape{width, 3}, Shape{width + 1, 5}, Shape{3 * width - 2, 7}, Shape{70, 2, 3}}) {
    Tensor<TestType> tensor(shape, Layout::panels);
    const Index out = shape[0], in = shape.size() / out;
    CHECK(tensor.storage_size() == (out + width - 1) / width * width * in);
    std::vector<TestType> memory(static_cast<std::size_t>(tensor.storage_size()), TestType(-1));
    tensor.bind(memory.data());
    for (Index i = 0; i < tensor.size(); ++i) tensor[i] = static_cast<TestType>(i);
    const auto panels = tensor.panels();
    CHECK((panels.rows() == in && panels.columns() == out && panels.count() == (out + width - 1) / width));
    Index padding = 0;
    for (const TestType value : memory) padding += value == -1 ? 1 : 0;
    CHECK(padding == tensor.storage_size() - tensor.size());
    for (Index o = 0; o < out; ++o)
      for (Index i = 0; i < in; ++i) {
        const auto expected = static_cast<TestType>(o * in + i);
        if (panels(i, o) != expected || panels.panel(o / width)[i * width + o % width] != expected ||
            std::as_const(tensor)[o * in + i] != expected)
          FAIL("element (" << o << ", " << i << ") of " << to_string(shape));
      }
    const PanelView<const TestType> read = panels;
    CHECK(read.data() == memory.data());
  }
}

TEST_CASE("bfloat16 panels: elements keep their published index, rounded, in half the memory") {
  for (const auto& shape : {Shape{1, 1}, Shape{32, 3}, Shape{33, 5}, Shape{94, 7}, Shape{70, 2, 3}}) {
    const Tensor<float> wide(shape, Layout::panels);
    Tensor<float> tensor(shape, Layout::bfloat16_panels);
    REQUIRE(2 * tensor.storage_size() == wide.storage_size());
    std::vector<float> memory(static_cast<std::size_t>(tensor.storage_size()), 0.0f);
    tensor.bind(memory.data());
    const auto value = [](Index i) { return 1.0f + static_cast<float>(i) / 777.0f; };
    for (Index i = tensor.size(); i-- > 0;) tensor.set(i, value(i));
    const Index out = shape[0], in = shape.size() / out;
    const auto panels = tensor.bfloat16_panels();
    CHECK((panels.rows() == in && panels.columns() == out && panels.count() == (out + 31) / 32));
    Index wrong = 0;
    for (Index i = 0; i < tensor.size(); ++i) {
      const Index o = i / in, k = i % in, column = o % 32;
      const auto pair = std::bit_cast<std::uint32_t>(panels.panel(o / 32)[k * 16 + column % 16]);
      const float stored = bfloat16_to_float(static_cast<std::uint16_t>(column < 16 ? pair & 0xFFFF : pair >> 16));
      const float expected = rounded_to_bfloat16(value(i));
      wrong += stored == expected && panels(k, o) == expected && std::as_const(tensor)[i] == expected ? 0 : 1;
    }
    CHECK(wrong == 0);
    Index halves = 0;
    for (const float pair : memory)
      for (const int shift : {0, 16}) halves += (std::bit_cast<std::uint32_t>(pair) >> shift & 0xFFFF) != 0 ? 1 : 0;
    CHECK(halves == tensor.size());  // padding stays zero
  }
}
