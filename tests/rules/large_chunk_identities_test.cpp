// SPDX-License-Identifier: MIT
// What the equations of LaCT imply, in double.
#include <cmath>

#include "rules/delta_sequence.hpp"
#include "rules/large_chunk_model.hpp"
#include "suites/sequence_rule.hpp"
#include "support/catch.hpp"
#include "ttt/rules/delta/delta.hpp"

using namespace ttt;
using delta_tests::difference;
using rule_tests::Dense;
using rules::ChunkStep;
using testing::Matrix;
using testing::random_matrix;

namespace {

using Swiglu = rule_tests::LargeChunkModel<rules::InnerSwiglu<double>>;
using Linear = rule_tests::LargeChunkModel<rules::InnerLinear<double>>;

/// Random rows of a rule, and a call.
template <class Model>
struct Sequence {
  Sequence(const Model& of, Index tokens)
      : model(of),
        numbers(suites::draw_numbers<double>(model.rows(), {}, tokens, {model.rule.state_size(), model.drawn_state()},
                                             5)) {}

  void set_rates(double rate) { fill(numbers.rows[3].view(), rate); }
  /// Output; `numbers.state` becomes the final state.
  Matrix<double> read() {
    Matrix<double> out(numbers.tokens(), model.width());
    Arena scratch;
    const auto rows = suites::views_of<MatrixView<const double>>(numbers.rows, 0, numbers.tokens());
    model.rule.template forward<simd::Native>({{}, model.rows_of(rows), 0}, numbers.state.view().data(), out.view(), {},
                                              scratch);
    return out;
  }
  std::vector<Dense> weights() const { return model.matrices(std::as_const(numbers.state).view().data()); }
  /// The sums of the open chunk.
  std::vector<Dense> sums() const {
    return model.matrices(std::as_const(numbers.state).view().data() +
                          (model.rule.has_momentum() ? 2 : 1) * model.rule.initial_size());
  }
  std::vector<double> row(std::size_t i, Index t) const {
    const auto view = numbers.rows[i].view();
    return {view.row(t), view.row(t) + view.columns()};
  }

  Model model;
  suites::RuleNumbers<double> numbers;
};

double largest_difference(const std::vector<Dense>& a, const std::vector<Dense>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t j = 0; j < a[i].values.size(); ++j)
      largest = std::max(largest, std::abs(a[i].values[j] - b[i].values[j]));
  return largest;
}

Matrix<double> newton_schulz(const Matrix<double>& g) {
  Matrix<double> step(g.rows(), g.columns());
  Arena scratch;
  rules::NewtonSchulz<simd::Native, double>(g.rows(), g.columns(), scratch).run(g.view(), step.view());
  return step;
}

Matrix<double> product(const Matrix<double>& a, const Matrix<double>& b) {
  Matrix<double> c(a.rows(), b.columns());
  reference::matmul<double>(a.view(), b.view(), c.view());
  return c;
}
Matrix<double> turned(const Matrix<double>& a) {
  Matrix<double> t(a.columns(), a.rows());
  kernels::transpose<double>(a.view(), t.view());
  return t;
}
/// A reflection, then another.
Matrix<double> rotation(Index size, std::uint64_t seed) {
  Matrix<double> q(size, size);
  for (Index i = 0; i < size; ++i) q(i, i) = 1;
  for (const std::uint64_t s : {seed, seed + 1}) {
    const auto v = random_matrix<double>(size, 1, s);
    double square = 0;
    for (Index i = 0; i < size; ++i) square += v(i, 0) * v(i, 0);
    Matrix<double> mirror(size, size);
    for (Index i = 0; i < size; ++i)
      for (Index j = 0; j < size; ++j) mirror(i, j) = (i == j) - 2 * v(i, 0) * v(j, 0) / square;
    q = product(q, mirror);
  }
  return q;
}

}  // namespace

TEST_CASE("sums of a chunk are the gradient of Σ η f(k) · v", "[rules][large_chunk]") {
  constexpr double rate = 0.7;
  Sequence<Swiglu> sequence(Swiglu({5, 6}, 8, ChunkStep::plain), 7);
  sequence.set_rates(rate);
  auto weights = sequence.weights();
  sequence.read();
  const auto sums = sequence.sums();
  const auto objective = [&] {
    double sum = 0;
    for (Index t = 0; t < 7; ++t) {
      const auto answer = rule_tests::PlainSwiglu::answer(weights, sequence.row(1, t)), value = sequence.row(2, t);
      for (std::size_t c = 0; c < answer.size(); ++c) sum += rate * answer[c] * value[c];
    }
    return sum;
  };
  suites::Report report{"sums", 0, {}};
  for (std::size_t i = 0; i < 3; ++i)
    suites::compare_with_differences(
        report, "W" + std::to_string(i), sums[i].values,
        testing::sample_indices(static_cast<Index>(sums[i].values.size()), 40, 40, 1),
        [&](Index j) -> double& { return weights[i].values[static_cast<std::size_t>(j)]; }, objective);
  suites::require(report);
}

TEST_CASE("rows of the fast weights keep the lengths they began with", "[rules][large_chunk]") {
  for (const ChunkStep step : {ChunkStep::plain, ChunkStep::momentum, ChunkStep::muon}) {
    Sequence<Swiglu> sequence(Swiglu({5, 6}, 4, step), 19);
    const auto before = sequence.weights();
    sequence.read();
    const auto after = sequence.weights();
    for (std::size_t i = 0; i < 3; ++i)
      for (std::size_t r = 0; r < before[i].rows; ++r)
        CHECK(after[i].length(r) == Approx(before[i].length(r)).epsilon(0).margin(2e-5));
    CHECK(largest_difference(before, after) > 0.1);  // by a turn
  }
}

TEST_CASE("an orthogonal step turns with what it is of", "[rules][large_chunk]") {
  for (const auto& [rows, columns] : {std::pair<Index, Index>{5, 9}, {9, 5}, {6, 6}}) {
    const auto g = random_matrix<double>(rows, columns, 1);
    const auto step = newton_schulz(g);
    CHECK(difference(newton_schulz(turned(g)), turned(step)) <= 1e-12);
    const auto left = rotation(rows, 3), right = rotation(columns, 7);
    CHECK(difference(newton_schulz(product(product(left, g), right)), product(product(left, step), right)) <= 1e-10);
  }
}

TEST_CASE("an orthogonal step lifts singular values to about 1", "[rules][large_chunk]") {
  const auto lifted = [](double s) {
    Matrix<double> g(2, 2);
    g(0, 0) = s;
    g(1, 1) = std::sqrt(1 - s * s);
    return newton_schulz(g)(0, 0);
  };
  for (double s = 0.003; s <= 1; s *= 1.01) {
    CHECK(lifted(s) >= 0.977);
    CHECK(lifted(s) <= 1.146);
  }
  CHECK(lifted(0.001) == Approx(0.475).margin(1e-3));
  CHECK(lifted(0.0005) == Approx(0.244).margin(1e-3));
  CHECK(lifted(0) == 0);
  CHECK(difference(newton_schulz(Matrix<double>(3, 4)), Matrix<double>(3, 4)) == 0);
}

TEST_CASE("a linear inner model in chunks of one token is linear attention without the token itself",
          "[rules][large_chunk]") {
  constexpr Index tokens = 30, width = 6;
  Sequence<Linear> sequence(Linear(rules::InnerLinear<double>(width), 1, ChunkStep::plain, false), tokens);
  auto state = Matrix<double>(width, width);
  copy(MatrixView<const double>(sequence.numbers.state.view().data(), width, width), state.view());
  const auto &q = sequence.numbers.rows[0], &k = sequence.numbers.rows[1], &rates = sequence.numbers.rows[3];
  auto values = sequence.numbers.rows[2], attention = Matrix<double>(tokens, width);
  for (Index t = 0; t < tokens; ++t)
    for (Index c = 0; c < width; ++c) values(t, c) *= rates(t, 0);
  Arena scratch;
  rules::delta_forward<simd::Native, double>({q.view(), {}, k.view(), values.view(), {}}, state.view(),
                                             attention.view(), {}, scratch);
  for (Index t = 0; t < tokens; ++t)  // what the token itself adds
    for (Index c = 0; c < width; ++c)
      attention(t, c) -= kernels::dot<simd::Native>(q.view().row(t), k.view().row(t), width) * values(t, c);
  CHECK(difference(sequence.read(), attention) <= 1e-12);
}

TEST_CASE("up to a chunk of tokens is answered by the first weights, whatever the rates", "[rules][large_chunk]") {
  for (const ChunkStep step : {ChunkStep::plain, ChunkStep::momentum, ChunkStep::muon})
    for (const Index tokens : {1, 5, 8}) {
      Sequence<Swiglu> sequence(Swiglu({5, 6}, 8, step), tokens);
      sequence.set_rates(1e3);
      const auto weights = sequence.weights();
      const auto out = sequence.read();
      for (Index t = 0; t < tokens; ++t) {
        const auto answer = rule_tests::PlainSwiglu::answer(weights, sequence.row(0, t));
        for (Index c = 0; c < 5; ++c)
          CHECK(out(t, c) == Approx(answer[static_cast<std::size_t>(c)]).epsilon(0).margin(1e-12));
      }
    }
}

TEST_CASE("rates of zero leave the weights as they are", "[rules][large_chunk]") {
  for (const ChunkStep step : {ChunkStep::plain, ChunkStep::momentum, ChunkStep::muon})
    for (const bool keeps_lengths : {false, true}) {
      Sequence<Swiglu> sequence(Swiglu({5, 6}, 4, step, keeps_lengths), 19);
      sequence.set_rates(0);
      const auto before = sequence.weights();
      sequence.read();
      // A column shrinks by ρ / (ρ + 1e-5) at each of the four ends of chunks.
      CHECK(largest_difference(before, sequence.weights()) <= (keeps_lengths ? 2e-4 : 0));
    }
}

TEST_CASE("chunks longer than a block, and widths of whole packs, are the formula", "[rules][large_chunk]") {
  for (const ChunkStep step : {ChunkStep::momentum, ChunkStep::muon})
    suites::require(suites::SequenceRuleSuite<double>(Swiglu({16, 36}, 150, step)).formula());
}
