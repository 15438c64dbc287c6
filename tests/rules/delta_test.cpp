// SPDX-License-Identifier: MIT
#include <limits>

#include "rules/delta_sequence.hpp"
#include "support/allocation_hook.hpp"
#include "support/central_difference.hpp"
#include "support/compare.hpp"
#include "support/denormals.hpp"

using namespace ttt;
using namespace ttt::delta_tests;

namespace {

// All kinds with sizes below, at and above packs and panels; a decay for each row of the state is K of them.
struct Sizes {
  Index keys, values;
};
constexpr Sizes sizes[] = {{1, 1}, {5, 3}, {12, 16}, {64, 64}, {9, 70}};

template <class Body>
void for_each_kind(Index keys, Body&& body) {
  for (const Index decay : {Index{0}, Index{1}, keys})
    for (const bool erases : {false, true}) {
      INFO("decays " << decay << ", erases " << erases);
      body(decay, erases);
    }
}

}  // namespace

TEMPLATE_TEST_CASE("every kind of the delta family is its recurrence, in chunks and token by token", "[rules][delta]",
                   float, double) {
  const double tolerance = std::is_same_v<TestType, double> ? 1e-12 : 2e-5;
  for (const auto& [keys, values] : sizes)
    for_each_kind(keys, [&, keys = keys, values = values](Index decay, bool erases) {
      for (const Index tokens : {0, 1, 2, 3, 4, 15, 16, 17, 32, 50}) {
        INFO("K " << keys << ", V " << values << ", T " << tokens);
        const auto s = random_sequence<TestType>(tokens, keys, values, decay, erases);
        const auto expected = by_hand(s);
        for (const auto& result : {forward(s), forward<simd::Generic>(s), recurrent(s)}) {
          CHECK(difference(result.out, expected.out) <= tolerance);
          CHECK(difference(result.state, expected.state) <= tolerance);
        }
      }
    });
}

TEST_CASE("gradients of the delta family", "[rules][delta]") {
  for_each_kind(6, [&](Index decay, bool erases) {
    for (const Index tokens : {1, 3, 16, 37, 70}) {
      INFO("T " << tokens);
      auto s = random_sequence<double>(tokens, 6, 5, decay, erases);
      const auto d_out = random_matrix<double>(tokens, 5, 11), d_state = random_matrix<double>(6, 5, 12);
      const auto d = backward(s, d_out, d_state);
      const auto loss = [&] {
        const auto result = forward(s);
        double sum = 0;
        for (Index n = 0; n < 5; ++n) {
          for (Index t = 0; t < tokens; ++t) sum += result.out(t, n) * d_out(t, n);
          for (Index k = 0; k < 6; ++k) sum += result.state(k, n) * d_state(k, n);
        }
        return sum;
      };
      auto gradients = d;
      for (std::size_t i = 0; i < s.names.size(); ++i) {
        INFO(s.names[i]);
        auto& input = *s.inputs()[i];
        const auto& gradient = *gradients.inputs()[i];
        double largest = 1;
        for (Index r = 0; r < gradient.rows(); ++r)
          for (Index c = 0; c < gradient.columns(); ++c) largest = std::max(largest, std::abs(gradient(r, c)));
        double worst = 0;
        for (const Index index : testing::sample_indices(input.rows() * input.columns(), 24, 24, 9)) {
          const double numeric = testing::central_difference(loss, input.view().data()[index]);
          worst = std::max(worst, std::abs(numeric - gradient.view().data()[index]));
        }
        CHECK(worst <= 1e-7 * largest);
      }
    }
  });
}

TEMPLATE_TEST_CASE("gradients do not depend on checkpoints or packs", "[rules][delta]", float, double) {
  for_each_kind(12, [&](Index decay, bool erases) {
    const auto s = random_sequence<TestType>(150, 12, 20, decay, erases);
    const auto d_out = random_matrix<TestType>(150, 20, 11), d_state = random_matrix<TestType>(12, 20, 12);
    auto expected = backward(s, d_out, d_state, 1), generic = backward<simd::Generic>(s, d_out, d_state, 1);
    for (const Index interval : {2, 3, 100}) {
      auto d = backward(s, d_out, d_state, interval);
      for (std::size_t i = 0; i < s.names.size(); ++i) CHECK(*d.inputs()[i] == *expected.inputs()[i]);
    }
    const double tolerance = std::is_same_v<TestType, double> ? 1e-12 : 1e-4;
    for (std::size_t i = 0; i < s.names.size(); ++i)
      CHECK(difference(*generic.inputs()[i], *expected.inputs()[i]) <= tolerance);
  });
}

TEST_CASE("pieces of a sequence are the sequence, and so are their gradients", "[rules][delta]") {
  for_each_kind(8, [&](Index decay, bool erases) {
    auto s = random_sequence<double>(60, 8, 10, decay, erases);
    const auto whole = forward(s);
    const auto d_out = random_matrix<double>(60, 10, 11), d_state = random_matrix<double>(8, 10, 12);
    auto d_whole = backward(s, d_out, d_state);
    for (const Index cut : {1, 2, 16, 33, 59}) {
      INFO("cut after " << cut);
      const auto part = [&](Index first, Index count) {
        auto piece = random_sequence<double>(count, 8, 10, decay, erases);
        for (std::size_t i = 0; i < 5; ++i)
          if (s.inputs()[i]->columns() > 0) copy(s.inputs()[i]->rows(first, count), piece.inputs()[i]->view());
        return piece;
      };
      auto left = part(0, cut), right = part(cut, 60 - cut);
      left.state = s.state;
      const auto first = forward(left);
      right.state = first.state;
      const auto second = forward(right);
      CHECK(difference(second.state, whole.state) <= 1e-12);
      Matrix<double> out(60, 10), d_left_out(cut, 10), d_right_out(60 - cut, 10);
      copy(first.out.view(), out.rows(0, cut));
      copy(second.out.view(), out.rows(cut, 60 - cut));
      CHECK(difference(out, whole.out) <= 1e-12);
      copy(d_out.rows(0, cut), d_left_out.view());
      copy(d_out.rows(cut, 60 - cut), d_right_out.view());
      auto d_right = backward(right, d_right_out, d_state);
      auto d_left = backward(left, d_left_out, d_right.state);
      CHECK(difference(d_left.state, d_whole.state) <= 1e-11);
      for (std::size_t i = 0; i < 5; ++i) {
        auto joined = *d_whole.inputs()[i];
        if (joined.columns() == 0) continue;
        copy(d_left.inputs()[i]->view(), joined.rows(0, cut));
        copy(d_right.inputs()[i]->view(), joined.rows(cut, 60 - cut));
        CHECK(difference(joined, *d_whole.inputs()[i]) <= 1e-11);
      }
    }
  });
}

TEMPLATE_TEST_CASE("decays of any strength leave finite numbers, the recurrence's", "[rules][delta]", float, double) {
  for (const double strength : {80.0, 1e4, 1e30})
    for (const Index decay : {1, 8})
      for (const bool erases : {false, true}) {
        INFO("g of order -" << strength);
        const auto s = random_sequence<TestType>(40, 8, 10, decay, erases, strength);
        const auto expected = by_hand(s);
        const auto result = forward(s);
        const double tolerance = std::is_same_v<TestType, double> ? 1e-12 : 1e-5;
        CHECK(difference(result.out, expected.out) <= tolerance);
        CHECK(difference(result.state, expected.state) <= tolerance);
        auto d = backward(s, random_matrix<TestType>(40, 10, 11), random_matrix<TestType>(8, 10, 12));
        for (const auto* part : d.inputs())
          for (Index r = 0; r < part->rows(); ++r)
            for (Index c = 0; c < part->columns(); ++c) CHECK(std::isfinite((*part)(r, c)));
      }
}

TEST_CASE("a state that decays to nothing is zero, never denormal", "[rules][delta]") {
  for (const Index decay : {1, 8}) {
    auto s = random_sequence<float>(20, 8, 10, decay, false);
    s.decay = Matrix<float>(20, decay, -86.0F);
    s.write = Matrix<float>(20, 8);
    for (const auto& result : {forward(s), recurrent(s)})
      for (const auto* part : {&result.out, &result.state})
        CHECK(testing::denormals(testing::parts_of(part->view(), "")[0].values) == 0);
  }
}

TEST_CASE("what comes later changes no bit of what came before, not even a NaN", "[rules][delta]") {
  for_each_kind(8, [&](Index decay, bool erases) {
    const auto s = random_sequence<float>(40, 8, 10, decay, erases);
    const auto whole = forward(s);
    for (const Index changed : {0, 5, 16, 39})
      for (std::size_t i = 0; i < 5; ++i) {
        auto other = s;
        auto& input = *other.inputs()[i];
        if (input.columns() == 0) continue;
        input(changed, 0) = std::numeric_limits<float>::quiet_NaN();
        const auto result = forward(other);
        bool same = true;
        for (Index t = 0; t < changed; ++t)
          for (Index n = 0; n < 10; ++n) same = same && result.out(t, n) == whole.out(t, n);
        CHECK(same);
        CHECK(std::isnan(result.out(changed, i == 3 ? 0 : 9)));
      }
  });
}

TEST_CASE("a rule that has run once allocates nothing", "[rules][delta]") {
  auto s = random_sequence<float>(50, 64, 64, 1, true);
  Matrix<float> out(50, 64);
  Arena scratch;
  const auto run = [&] {
    rules::delta_forward<simd::Native, float>(s.rows(), s.state.view(), out.view(), {}, scratch);
    rules::delta_forward<simd::Native, float>(s.rows().rows(0, 1), s.state.view(), out.rows(0, 1), {}, scratch);
  };
  run();
  const auto before = testing::allocations();
  run();
  CHECK(testing::allocations() == before);
}
