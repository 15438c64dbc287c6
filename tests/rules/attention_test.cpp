// SPDX-License-Identifier: MIT
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/central_difference.hpp"
#include "support/compare.hpp"
#include "support/random_matrix.hpp"
#include "ttt/rules/attention/backward.hpp"
#include "ttt/rules/attention/cache.hpp"
#include "ttt/rules/attention/forward.hpp"
#include "ttt/rules/attention/reference.hpp"

namespace {

using namespace ttt;
using testing::Matrix;
using testing::random_matrix;

/// One key/value head and its queries over a whole sequence.
template <class Scalar>
struct Sequence {
  rules::AttentionShape shape;
  Matrix<Scalar> queries, keys, values, d_output;

  Sequence(Index tokens, const rules::AttentionShape& attention)
      : shape(attention),
        queries(random_matrix<Scalar>(tokens, attention.group * attention.head_width, 1)),
        keys(random_matrix<Scalar>(tokens, attention.head_width, 2)),
        values(random_matrix<Scalar>(tokens, attention.head_width, 3)),
        d_output(random_matrix<Scalar>(tokens, attention.group * attention.head_width, 4)) {}
  Index tokens() const { return queries.rows(); }
};

template <class Scalar>
struct Result {
  Matrix<Scalar> output, log_sums;
};

/// Queries [first, first + count) against keys in a cache for each of `ranges`.
template <class Arch = simd::Native, class Scalar>
Result<Scalar> forward(const Sequence<Scalar>& s, const std::vector<rules::KeyRange>& ranges, Index first,
                       Index count) {
  std::vector<std::vector<Scalar>> memory;
  std::vector<rules::KeyValueStretch<Scalar>> stretches;
  const Index width = s.shape.head_width;
  for (const auto& range : ranges) {
    if (range.empty()) continue;
    const Index origin = rules::panel_begin(range.first), rows = range.end - origin;
    const auto size = rules::KeyValueCache<Scalar>::size(rows, 1, width);
    memory.emplace_back(static_cast<std::size_t>(size), Scalar(55));
    const rules::KeyValueCache<Scalar> cache(memory.back().data(), rows, 1, width, origin);
    rules::write_cache(cache, range.first, s.keys.rows(range.first, range.size()),
                       s.values.rows(range.first, range.size()));
    stretches.push_back(
        {range.first, range.end, cache.key(0, 0), cache.values(0).rows(range.first - origin, range.size())});
  }
  Result<Scalar> result{Matrix<Scalar>(count, s.queries.columns(), Scalar(777)), Matrix<Scalar>(count, s.shape.group)};
  Arena scratch;
  rules::attention_forward<Arch, Scalar>(s.shape, stretches, first, s.queries.rows(first, count), result.output.view(),
                                         result.log_sums.view(), scratch);
  return result;
}

template <class Scalar>
Matrix<Scalar> expected(const Sequence<Scalar>& s) {
  Matrix<Scalar> output(s.tokens(), s.queries.columns());
  for (Index head = 0; head < s.shape.group; ++head) {
    const Index column = head * s.shape.head_width;
    reference::attention<Scalar>(s.queries.view().columns(column, s.shape.head_width), s.keys.view(), s.values.view(),
                                 s.shape.window, s.shape.sinks, output.view().columns(column, s.shape.head_width));
  }
  return output;
}

template <class Scalar>
std::string far_apart(const Matrix<Scalar>& actual, const Matrix<Scalar>& wanted, double tolerance) {
  return testing::far_apart(testing::parts_of(actual.view(), "")[0].values,
                            testing::parts_of(wanted.view(), "")[0].values, tolerance);
}

template <class Scalar>
bool same_bits(MatrixView<const Scalar> a, MatrixView<const Scalar> b) {
  return testing::bits_differ(testing::parts_of(a, "")[0].values, testing::parts_of(b, "")[0].values).empty();
}

const std::vector<rules::AttentionShape> shapes{{6, 1, rules::unlimited_window},
                                                {10, 3, rules::unlimited_window},
                                                {64, 2, 1000},
                                                {6, 2, 1},
                                                {8, 1, 7},
                                                {6, 3, 96},
                                                {6, 1, 97},
                                                {4, 100, 13},
                                                {6, 2, 1, 1},
                                                {8, 1, 7, 3},
                                                {6, 3, 96, 16},
                                                {6, 1, 40, 120},
                                                {6, 2, 200, 5},
                                                {4, 1, 20, rules::forward_tiling.keys + 3}};
std::string describe(const rules::AttentionShape& shape) {
  return "D " + std::to_string(shape.head_width) + ", G " + std::to_string(shape.group) + ", window " +
         std::to_string(shape.window) + ", sinks " + std::to_string(shape.sinks);
}

/// Keys, values and their gradients, the sinks and the others apart.
template <class Scalar>
rules::KeyValueGradientParts<Scalar> in_parts(const rules::AttentionShape& shape, const Matrix<Scalar>& keys,
                                              const Matrix<Scalar>& values, Matrix<Scalar>& d_keys,
                                              Matrix<Scalar>& d_values) {
  const auto part = [&](rules::KeyRange range) {
    const auto rows = [&](auto& of) { return of.rows(range.first, range.size()); };
    return rules::KeyValueGradients<Scalar>{range.first, rows(keys), rows(values), rows(d_keys), rows(d_values)};
  };
  const auto seen = shape.seen(0, keys.rows());
  return {part(seen[0]), part(seen[1])};
}

constexpr Index tile = rules::forward_tiling.rows, block = rules::forward_tiling.keys;

}  // namespace

TEMPLATE_TEST_CASE("attention agrees with the reference", "[rules][attention]", float, double) {
  // Sums of T weights and of D products in another order: a few ulp each, against outputs of order one.
  const double tolerance = 64 * static_cast<double>(std::numeric_limits<TestType>::epsilon());
  for (const auto& shape : shapes)
    for (const Index tokens : {Index{1}, Index{2}, Index{7}, tile - 1, tile, tile + 1, block - 1, block + 1}) {
      INFO(describe(shape) << ", T " << tokens);
      const Sequence<TestType> s(tokens, shape);
      const auto wanted = expected(s);
      CHECK(far_apart(forward(s, {{0, tokens}}, 0, tokens).output, wanted, tolerance).empty());
      CHECK(far_apart(forward<simd::Generic>(s, {{0, tokens}}, 0, tokens).output, wanted, tolerance).empty());
    }
}

TEMPLATE_TEST_CASE("the bits of attention do not depend on tiles, parts or company", "[rules][attention]", float,
                   double) {
  for (const auto& shape : shapes) {
    INFO(describe(shape));
    constexpr Index tokens = block + tile;
    const Sequence<TestType> s(tokens, shape);
    const auto whole = forward(s, {{0, tokens}}, 0, tokens);
    for (const Index first : {Index{0}, Index{1}, tile + 2, 2 * tile - 1, 2 * tile, block - 1, block, tokens - 1})
      for (const Index count : {Index{1}, Index{3}, tile + 1, tokens - first}) {
        if (first + count > tokens) continue;
        const auto [sinks, others] = shape.seen(first, first + count);
        const Index border = rules::panel_begin(std::max(others.first, first / 2)), next = border + rules::key_panel;
        const auto part = forward(
            s, {sinks, others.within({0, border}), others.within({border, next}), others.within({next, tokens})}, first,
            count);
        CHECK(same_bits(part.output.view(), whole.output.rows(first, count)));
        CHECK(same_bits(part.log_sums.view(), whole.log_sums.rows(first, count)));
      }
  }
}

TEST_CASE("attention survives scores of any size, and reports a NaN", "[rules][attention]") {
  Sequence<float> s(120, {8, 1, rules::unlimited_window});
  for (Index c = 0; c < 8; ++c) {
    for (Index t = 0; t < 120; ++t) s.queries(t, c) *= 1e9F;
    s.keys(3, c) *= 1e9F;
  }
  const auto result = forward(s, {{0, 120}}, 0, 120);
  for (Index t = 0; t < 120; ++t) CHECK(std::isfinite(result.output(t, 0)));
  CHECK(far_apart(result.output, expected(s), 1e-5).empty());
  s.keys(70, 2) = std::numeric_limits<float>::quiet_NaN();
  const auto poisoned = forward(s, {{0, 120}}, 0, 120);
  CHECK(same_bits(poisoned.output.rows(0, 70), result.output.rows(0, 70)));
  for (Index t = 70; t < 120; ++t) CHECK(std::isnan(poisoned.output(t, 0)));
}

TEST_CASE("gradients of attention across tiles and blocks", "[rules][attention]") {
  for (const auto& shape : {rules::AttentionShape{6, 1, rules::unlimited_window},
                            {4, 3, rules::unlimited_window},
                            {6, 2, 50},
                            {4, 1, 120},
                            {6, 5, 1},
                            {6, 2, 50, 3},
                            {4, 1, 20, 100},
                            {4, 1, 120, rules::backward_tiling.keys + 5}}) {
    INFO(describe(shape));
    constexpr Index tokens = rules::backward_tiling.keys + 10;
    Sequence<double> s(tokens, shape);
    const auto recorded = forward(s, {{0, tokens}}, 0, tokens);
    Matrix<double> d_queries(tokens, s.queries.columns(), 777.0);
    Matrix<double> d_keys(tokens, shape.head_width, 0.5), d_values(tokens, shape.head_width, 0.25);
    const auto keys = in_parts(shape, s.keys, s.values, d_keys, d_values);
    Arena scratch;
    const rules::AttentionRecordRows<double> record{s.queries.view(), recorded.output.view(), recorded.log_sums.view()};
    rules::attention_backward<simd::Native, double>(shape, keys, 0, record, s.d_output.view(), d_queries.view(),
                                                    scratch);

    const auto loss = [&] {
      const auto result = forward(s, {{0, tokens}}, 0, tokens);
      double sum = 0;
      for (Index t = 0; t < tokens; ++t)
        for (Index c = 0; c < s.queries.columns(); ++c) sum += result.output(t, c) * s.d_output(t, c);
      return sum;
    };
    // The gradients of keys and values were added to what stood there.
    const std::array<std::pair<Matrix<double>*, Matrix<double>*>, 3> pairs{
        std::pair{&s.queries, &d_queries}, std::pair{&s.keys, &d_keys}, std::pair{&s.values, &d_values}};
    const std::array offsets{0.0, 0.5, 0.25};
    for (std::size_t i = 0; i < 3; ++i) {
      auto& [values, gradient] = pairs[i];
      const double bound =
          1e-7 *
          std::max(1.0, testing::largest_magnitude(testing::parts_of(std::as_const(*gradient).view(), "")[0].values));
      for (const Index index : testing::sample_indices(values->rows() * values->columns(), 0, 40, 9)) {
        const double numeric = testing::central_difference(loss, values->view().data()[index]);
        CHECK(std::abs(gradient->view().data()[index] - offsets[i] - numeric) <= bound);
      }
    }
  }
}

TEST_CASE("gradients of attention leave out what is masked, whatever it holds", "[rules][attention]") {
  constexpr Index tokens = 40, poisoned = 17, window = 5, width = 4;
  const Index sinks = GENERATE(0, 2);
  const rules::AttentionShape shape{width, 2, window, sinks};
  const Sequence<float> s(tokens, shape);
  const auto recorded = forward(s, {{0, tokens}}, 0, tokens);
  const auto backward = [&](const Matrix<float>& queries, const Matrix<float>& keys) {
    std::array<Matrix<float>, 3> gradients{Matrix<float>(tokens, 2 * width), Matrix<float>(tokens, width),
                                           Matrix<float>(tokens, width)};
    auto& [d_queries, d_keys, d_values] = gradients;
    Arena scratch;
    rules::attention_backward<simd::Native, float>(shape, in_parts(shape, keys, s.values, d_keys, d_values), 0,
                                                   {queries.view(), recorded.output.view(), recorded.log_sums.view()},
                                                   s.d_output.view(), d_queries.view(), scratch);
    return gradients;
  };
  const auto clean = backward(s.queries, s.keys);
  // A query reaches the keys that it sees, a key the queries that see it; of these also what their own rows say. Every
  // query sees the sinks.
  const auto same_outside = [&](const std::array<Matrix<float>, 3>& actual, std::size_t part, Index first, Index end) {
    const Index from = part == 0 ? 0 : sinks;
    return same_bits(std::as_const(actual[part]).view().rows(from, first - from),
                     clean[part].view().rows(from, first - from)) &&
           same_bits(std::as_const(actual[part]).view().rows(end, tokens - end),
                     clean[part].view().rows(end, tokens - end));
  };
  auto queries = s.queries, keys = s.keys;
  queries(poisoned, 1) = std::numeric_limits<float>::quiet_NaN();
  const auto of_query = backward(queries, s.keys);
  CHECK(same_outside(of_query, 0, poisoned, poisoned + 1));
  for (const std::size_t part : {1U, 2U}) CHECK(same_outside(of_query, part, poisoned - window + 1, poisoned + 1));
  keys(poisoned, 1) = std::numeric_limits<float>::infinity();
  const auto of_key = backward(s.queries, keys);
  CHECK(same_outside(of_key, 0, poisoned, poisoned + window));
  for (const std::size_t part : {1U, 2U}) CHECK(same_outside(of_key, part, poisoned - window + 1, poisoned + window));
}

TEST_CASE("scalar and wide packs agree in the backward", "[rules][attention]") {
  const Sequence<double> s(130, {7, 2, 60, 5});
  const auto recorded = forward(s, {{0, 130}}, 0, 130);
  const auto run = [&]<class Arch>(Arch) {
    Matrix<double> d(130, 14), d_keys(130, 7), d_values(130, 7);
    const auto keys = in_parts(s.shape, s.keys, s.values, d_keys, d_values);
    Arena scratch;
    const rules::AttentionRecordRows<double> record{s.queries.view(), recorded.output.view(), recorded.log_sums.view()};
    rules::attention_backward<Arch, double>(s.shape, keys, 0, record, s.d_output.view(), d.view(), scratch);
    return std::array{d, d_keys, d_values};
  };
  const auto wide = run(simd::Native{}), scalar = run(simd::Generic{});
  for (std::size_t i = 0; i < 3; ++i) CHECK(far_apart(wide[i], scalar[i], 1e-13).empty());
}

TEST_CASE("a cache holds the last positions where position mod rows says", "[rules][attention]") {
  constexpr Index rows = 32, heads = 2, width = 3;
  std::vector<double> memory(static_cast<std::size_t>(rules::KeyValueCache<double>::size(rows, heads, width)), 0.0);
  const rules::KeyValueCache<double> cache(memory.data(), rows, heads, width);
  const auto keys = random_matrix<double>(77, heads * width, 1), values = random_matrix<double>(77, heads * width, 2);
  for (const auto& [first, count] : {std::pair<Index, Index>{0, 3}, {3, 1}, {4, 29}, {33, 44}})
    rules::write_cache(cache, first, keys.rows(first, count), values.rows(first, count));
  for (Index position = 45; position < 77; ++position)
    for (Index head = 0; head < heads; ++head)
      for (Index c = 0; c < width; ++c) {
        CHECK(cache.key(head, position % rows)[c * rules::key_panel] == keys(position, head * width + c));
        CHECK(cache.values(head)(position % rows, c) == values(position, head * width + c));
      }
  Matrix<double> read_keys(34, heads * width, 9.0), read_values(34, heads * width, 9.0);
  rules::read_cache<double>({memory.data(), rows, heads, width}, 43, read_keys.view(), read_values.view());
  for (Index r = 0; r < 34; ++r) {
    CHECK(read_keys(r, 4) == (r < 2 ? 9.0 : keys(43 + r, 4)));
    CHECK(read_values(r, 4) == (r < 2 ? 9.0 : values(43 + r, 4)));
  }
  rules::clear_positions(cache, 63, 65);
  for (Index position = 45; position < 77; ++position)
    CHECK((cache.values(1)(position % rows, 2) == 0) == (position == 63 || position == 64));
}

TEST_CASE("a ring keeps its sinks and the last positions", "[rules][attention]") {
  constexpr Index window = 16, sinks = 3, rows = rules::key_panel + window, width = 2;
  std::vector<double> memory(static_cast<std::size_t>(rules::KeyValueCache<double>::size(rows, 1, width)), 0.0);
  const rules::KeyValueCache<double> cache(memory.data(), rows, 1, width, 0, sinks);
  CHECK(cache.holds({0, 19}));
  CHECK(cache.holds({3, 19}));
  CHECK_FALSE(cache.holds({0, 20}));
  CHECK_FALSE(cache.holds({24, 41}));
  const auto keys = random_matrix<double>(60, width, 1), values = random_matrix<double>(60, width, 2);
  for (const auto& [first, count] : {std::pair<Index, Index>{0, 2}, {2, 4}, {6, 54}})
    rules::write_cache(cache, first, keys.rows(first, count), values.rows(first, count));
  const auto held = [](Index position) { return position < sinks || position >= 60 - window; };
  Matrix<double> read_keys(60, width, 9.0), read_values(60, width, 9.0);
  rules::read_cache<double>({memory.data(), rows, 1, width, 0, sinks}, 0, read_keys.view(), read_values.view());
  for (Index position = 0; position < 60; ++position)
    for (Index c = 0; c < width; ++c) {
      CHECK(read_keys(position, c) == (held(position) ? keys(position, c) : 9.0));
      CHECK(read_values(position, c) == (held(position) ? values(position, c) : 9.0));
    }
  rules::clear_positions(cache, 0, 60);
  CHECK(memory == std::vector<double>(memory.size(), 0.0));
}

TEST_CASE("the rows of a cache follow from its size", "[rules][attention]") {
  for (Index rows = 0; rows <= 50; ++rows) {
    const Index size = rules::KeyValueCache<float>::size(rows, 3, 10);
    CHECK(size >= 2 * rows * 30);
    CHECK(rules::KeyValueCache<float>::rows_of(size, 3, 10) == rows);
  }
}
