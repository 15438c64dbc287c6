// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "rules/delta_model.hpp"
#include "rules/delta_sequence.hpp"

using namespace ttt;
using namespace ttt::delta_tests;
using rules::DeltaDecay;

namespace {

constexpr double tolerance = 1e-12;
constexpr Index keys = 5, values = 6;

using Chunk = rules::detail::DeltaChunk<simd::Native, double>;
using ChunkBackward = rules::detail::DeltaChunkBackward<simd::Native, double>;

/// What a head answers and leaves, and the gradients of its inputs and its initial state.
struct Run {
  Result<double> result;
  Sequence<double> d;
};

double kept(const Sequence<double>& s, Index t, Index d) {
  return s.decay.columns() == 0 ? 1 : std::exp(s.decay(t, s.decay.columns() == 1 ? 0 : d));
}

/// S̃ = Diag(e^g) S, u = v − S̃ᵀ e, S = S̃ + c uᵀ, o = Sᵀ q, and back: dS += q doᵀ, du = dSᵀ c, dS̃ = dS − e duᵀ.
Run recurrence(const Sequence<double>& s, const Matrix<double>& d_out, const Matrix<double>& d_state) {
  const Index tokens = s.queries.rows();
  const bool erases = s.erase.columns() > 0;
  std::vector<Matrix<double>> decayed, states{s.state};
  Matrix<double> learned = s.values, out(tokens, values);
  for (Index t = 0; t < tokens; ++t) {
    Matrix<double> state = states.back();
    for (Index d = 0; d < keys; ++d)
      for (Index n = 0; n < values; ++n) state(d, n) *= kept(s, t, d);
    decayed.push_back(state);
    for (Index n = 0; n < values; ++n) {
      for (Index d = 0; d < keys && erases; ++d) learned(t, n) -= s.erase(t, d) * state(d, n);
      for (Index d = 0; d < keys; ++d) out(t, n) += s.queries(t, d) * (state(d, n) += s.write(t, d) * learned(t, n));
    }
    states.push_back(state);
  }
  Sequence<double> d = s;
  for (auto* part : d.inputs()) *part = Matrix<double>(part->rows(), part->columns());
  d.state = d_state;
  for (Index t = tokens - 1; t >= 0; --t)
    for (Index n = 0; n < values; ++n) {
      const auto &before = states[static_cast<std::size_t>(t)], &after = states[static_cast<std::size_t>(t) + 1];
      for (Index k = 0; k < keys; ++k) {
        d.queries(t, k) += d_out(t, n) * after(k, n);
        d.state(k, n) += d_out(t, n) * s.queries(t, k);
        d.write(t, k) += d.state(k, n) * learned(t, n);
        d.values(t, n) += d.state(k, n) * s.write(t, k);
      }
      for (Index k = 0; k < keys; ++k) {
        if (erases) {
          d.erase(t, k) -= d.values(t, n) * decayed[static_cast<std::size_t>(t)](k, n);
          d.state(k, n) -= d.values(t, n) * s.erase(t, k);
        }
        d.state(k, n) *= kept(s, t, k);
        if (s.decay.columns() > 0) d.decay(t, s.decay.columns() == 1 ? 0 : k) += d.state(k, n) * before(k, n);
      }
    }
  return {{out, states.back()}, d};
}

/// Chunks of `size` tokens, the last one of what is left.
Run in_chunks(Sequence<double> s, Index size, const Matrix<double>& d_out, const Matrix<double>& d_state) {
  Arena scratch;
  Run run{{Matrix<double>(s.queries.rows(), values, 777), s.state}, s};
  for (auto* part : run.d.inputs()) *part = Matrix<double>(part->rows(), part->columns(), 777);
  run.d.state = d_state;
  Chunk chunk(s.rows(), scratch);
  std::vector<Matrix<double>> states;
  const auto read = [&](Index first, const Matrix<double>& state) {
    const Index count = std::min(size, s.queries.rows() - first);
    chunk.read(s.rows().rows(first, count), state.view());
    return count;
  };
  for (Index first = 0; first < s.queries.rows(); first += size) {
    states.push_back(run.result.state);
    const Index count = read(first, states.back());
    chunk.answer(states.back().view(), run.result.out.rows(first, count));
    chunk.advance(run.result.state.view());
  }
  for (auto i = static_cast<Index>(states.size()) - 1; i >= 0; --i) {
    const Arena::Frame frame(scratch);
    const auto& state = states[static_cast<std::size_t>(i)];
    const Index first = i * size, count = read(first, state);
    const auto d = run.d.rows().rows(first, count);
    ChunkBackward(chunk, state.view(), d, scratch).run(d_out.rows(first, count), run.d.state.view());
  }
  return run;
}

/// How far apart any part of two runs is; infinity where a number is none.
double difference(Run a, Run b) {
  double largest = std::max(delta_tests::difference(a.result.out, b.result.out),
                            delta_tests::difference(a.result.state, b.result.state));
  const auto of_a = a.d.inputs(), of_b = b.d.inputs();
  for (std::size_t i = 0; i < of_a.size(); ++i)
    largest = std::max(largest, delta_tests::difference(*of_a[i], *of_b[i]));
  return largest;
}

enum class Strength { usual, fading, strong, mixed };

/// Decays of 0.3 or so, of −7 at every step, of −80 at every step, or of −80 here and there.
template <DeltaDecay decay, bool erases>
Sequence<double> drawn(Index tokens, Strength strength) {
  const Index width = decay == DeltaDecay::none ? 0 : decay == DeltaDecay::one ? 1 : keys;
  auto s = random_sequence<double>(tokens, keys, values, width, erases);
  for (Index t = 0; t < tokens; ++t)
    for (Index d = 0; d < width; ++d)
      if (strength == Strength::fading)
        s.decay(t, d) = -7;
      else if (strength == Strength::strong || (strength == Strength::mixed && (t + d) % 3 == 1))
        s.decay(t, d) = -80;
  return s;
}

/// a b.
Matrix<double> product(const Matrix<double>& a, const Matrix<double>& b) {
  Matrix<double> result(a.rows(), b.columns());
  for (Index r = 0; r < a.rows(); ++r)
    for (Index i = 0; i < a.columns(); ++i)
      for (Index c = 0; c < b.columns(); ++c) result(r, c) += a(r, i) * b(i, c);
  return result;
}
Matrix<double> identity(Index size) {
  Matrix<double> result(size, size);
  for (Index i = 0; i < size; ++i) result(i, i) = 1;
  return result;
}

}  // namespace

TEST_CASE("chunks of any size are the recurrence, with its gradients, under any decay", "[rules][delta]") {
  rule_tests::for_each_delta([]<DeltaDecay decay, bool erases>() {
    for (const auto strength : {Strength::usual, Strength::fading, Strength::strong, Strength::mixed})
      for (const Index size : {1, 2, 3, 5, 8, 16})
        for (Index tokens = 1; tokens <= 3 * size + 2; ++tokens) {
          INFO("decay of kind " << static_cast<int>(decay) << ", strength " << static_cast<int>(strength) << ", erases "
                                << erases << ", " << tokens << " tokens in chunks of " << size);
          const auto s = drawn<decay, erases>(tokens, strength);
          const auto d_out = random_matrix<double>(tokens, values, 7), d_state = random_matrix<double>(keys, values, 8);
          REQUIRE(difference(in_chunks(s, size, d_out, d_state), recurrence(s, d_out, d_state)) <= tolerance);
        }
  });
}

TEST_CASE("the rule is the recurrence, with its gradients, at any length up to 3 chunks and 2", "[rules][delta]") {
  rule_tests::for_each_delta([]<DeltaDecay decay, bool erases>() {
    for (const auto strength : {Strength::usual, Strength::fading, Strength::strong, Strength::mixed})
      for (Index tokens = 1; tokens <= 3 * rules::delta_chunk + 2; ++tokens) {
        INFO("decay of kind " << static_cast<int>(decay) << ", strength " << static_cast<int>(strength) << ", erases "
                              << erases << ", " << tokens << " tokens");
        const auto s = drawn<decay, erases>(tokens, strength);
        const auto d_out = random_matrix<double>(tokens, values, 7), d_state = random_matrix<double>(keys, values, 8);
        const Run run{forward(s), backward(s, d_out, d_state)}, expected = recurrence(s, d_out, d_state);
        REQUIRE(difference(run, expected) <= tolerance);
        REQUIRE(difference({recurrent(s), run.d}, expected) <= tolerance);
      }
  });
}

TEST_CASE("what a chunk learns is (I + A)⁻¹ of what it lacks, A strictly lower", "[rules][delta]") {
  rule_tests::for_each_delta([]<DeltaDecay decay, bool erases>() {
    for (const Index count : {1, 2, 7, 16}) {
      INFO("decay of kind " << static_cast<int>(decay) << ", erases " << erases << ", " << count << " tokens");
      auto s = drawn<decay, erases>(count, Strength::usual);
      // I + A with A_ij = Σ e_id c_jd e^(G_id − G_jd), and v − (e^G ∘ e) S.
      auto triangle = identity(count), lacking = s.values;
      for (Index i = 0; i < count && erases; ++i) {
        std::vector<double> between(static_cast<std::size_t>(keys), 1);
        for (Index j = i; j >= 0; --j)
          for (Index d = 0; d < keys; ++d) {
            double& kept_since = between[static_cast<std::size_t>(d)];
            if (j < i) triangle(i, j) += s.erase(i, d) * s.write(j, d) * kept_since;
            kept_since *= kept(s, j, d);
          }
        for (Index d = 0; d < keys; ++d)
          for (Index n = 0; n < values; ++n)
            lacking(i, n) -= between[static_cast<std::size_t>(d)] * s.erase(i, d) * s.state(d, n);
      }
      const auto learned = [&](const Matrix<double>& state) {
        Arena scratch;
        Chunk chunk(s.rows(), scratch);
        chunk.read(s.rows(), state.view());
        Matrix<double> result(count, s.values.columns());
        copy(MatrixView<const double>(chunk.learned), result.view());
        return result;
      };
      CHECK(delta_tests::difference(product(triangle, learned(s.state)), lacking) <= tolerance);
      s.values = identity(count);  // and no state before it: the inverse itself
      const auto inverse = learned(Matrix<double>(keys, count));
      CHECK(delta_tests::difference(product(triangle, inverse), identity(count)) <= tolerance);
      for (Index i = 0; i < count; ++i) CHECK(inverse(i, i) == 1);
    }
  });
}

TEST_CASE("two chunks are one of double length, as affine maps of the state", "[rules][delta]") {
  constexpr Index half = rules::delta_chunk / 2;
  rule_tests::for_each_delta([]<DeltaDecay decay, bool erases>() {
    INFO("decay of kind " << static_cast<int>(decay) << ", erases " << erases);
    const auto s = drawn<decay, erases>(2 * half, Strength::usual);
    const auto end = [&](Index first, Index count, Matrix<double> state, bool learns) {
      auto part = s;
      if (!learns) part.values = Matrix<double>(2 * half, state.columns());
      Arena scratch;
      Chunk chunk(part.rows(), scratch);
      chunk.read(part.rows().rows(first, count), state.view());
      chunk.advance(state.view());
      return state;
    };
    // S ↦ M S + N.
    const auto slope = [&](Index first, Index count) { return end(first, count, identity(keys), false); };
    const auto offset = [&](Index first, Index count) { return end(first, count, Matrix<double>(keys, values), true); };
    const auto mapped = [](const Matrix<double>& m, const Matrix<double>& state, const Matrix<double>& n) {
      auto result = product(m, state);
      for (Index r = 0; r < keys; ++r)
        for (Index c = 0; c < values; ++c) result(r, c) += n(r, c);
      return result;
    };
    const auto first_slope = slope(0, half), second_slope = slope(half, half);
    const auto both_slopes = product(second_slope, first_slope);
    const auto both_offsets = mapped(second_slope, offset(0, half), offset(half, half));
    CHECK(delta_tests::difference(both_slopes, slope(0, 2 * half)) <= tolerance);
    CHECK(delta_tests::difference(both_offsets, offset(0, 2 * half)) <= tolerance);
    CHECK(delta_tests::difference(mapped(both_slopes, s.state, both_offsets), end(0, 2 * half, s.state, true)) <=
          tolerance);
    if (erases || decay != DeltaDecay::none)  // the order counts
      CHECK(delta_tests::difference(mapped(first_slope, offset(half, half), offset(0, half)), both_offsets) > 1e-3);
  });
}
