// SPDX-License-Identifier: MIT
#include "ttt/models/next_token_loss.hpp"

#include <cmath>
#include <string>
#include <vector>

#include "support/allocation_hook.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/error_message.hpp"
#include "support/random_matrix.hpp"

using namespace ttt;
using testing::Matrix;
using testing::parts_of;
using testing::random_matrix;
using Targets = std::vector<std::int64_t>;

namespace {

Targets some_targets(Index rows, Index vocabulary) {
  Targets targets;
  for (Index r = 0; r < rows; ++r) targets.push_back(r % 4 == 1 ? -1 - r : r * 7 % vocabulary);
  return targets;
}

}  // namespace

TEST_CASE("The loss of a row is log Σ eˣ − x[target], the gradient softmax − onehot") {
  const Index rows = 35, vocabulary = 19;
  const auto logits = random_matrix<double>(rows, vocabulary, 1, 3);
  const Targets targets = some_targets(rows, vocabulary);
  std::vector<double> losses(static_cast<std::size_t>(rows), -1);
  Matrix<double> d_logits(rows, vocabulary, 7);
  Context context;
  const double scale = 0.25;
  const Loss loss = next_token_loss(logits.view(), targets, scale, {losses.data(), rows}, d_logits.view(), context);
  double sum = 0;
  for (Index r = 0; r < rows; ++r) {
    const std::int64_t target = targets[static_cast<std::size_t>(r)];
    double exponentials = 0;
    for (Index v = 0; v < vocabulary; ++v) exponentials += std::exp(logits(r, v));
    const double expected = target < 0 ? 0 : std::log(exponentials) - logits(r, static_cast<Index>(target));
    // Logits are below 16: log, exp and their sum round a few times at that size.
    CHECK(std::abs(losses[static_cast<std::size_t>(r)] - expected) < 1e-14 * 16);
    for (Index v = 0; v < vocabulary; ++v) {
      const double gradient = target < 0 ? 0 : scale * (std::exp(logits(r, v)) / exponentials - (v == target));
      REQUIRE(std::abs(d_logits(r, v) - gradient) < 1e-15);
    }
    sum += expected;
  }
  CHECK(loss.rows == counted_rows(targets));
  CHECK(loss.rows == 26);
  CHECK(loss.sum == Approx(sum).epsilon(1e-13));
  CHECK(loss.mean() == loss.sum / 26);

  auto in_place = logits;
  const Loss same = next_token_loss<double>(in_place.view(), targets, scale, {}, in_place.view(), context);
  CHECK(same.sum == loss.sum);
  CHECK(testing::bits_differ(parts_of<double>(in_place.view(), "")[0].values,
                             parts_of<double>(d_logits.view(), "")[0].values) == "");
}

TEST_CASE("No counted row is a loss of zero rows") {
  const auto logits = random_matrix<float>(2, 5, 2);
  Context context;
  const Loss ignored = next_token_loss<float>(logits.view(), Targets{-1, -100}, 1, {}, {}, context);
  CHECK(ignored.rows == 0);
  CHECK(ignored.sum == 0);
  CHECK(ignored.mean() == 0);
  CHECK(next_token_loss<float>(logits.rows(0, 0), Targets{}, 1, {}, {}, context).rows == 0);
}

TEST_CASE("A target outside of the vocabulary, or one too few, is refused before anything is written") {
  auto logits = random_matrix<float>(2, 5, 3);
  const auto before = logits;
  Context context;
  const auto message = [&](const Targets& targets) {
    return testing::error_message(
        [&] { next_token_loss<float>(logits.view(), targets, 1, {}, logits.view(), context); });
  };
  CHECK(message({0, 5}) == "target at row 1: expected an id below the vocabulary of 5, found 5");
  CHECK(message({0}) == "targets: expected 2 (one for each id), found 1");
  CHECK(testing::bits_differ(parts_of<float>(logits.view(), "")[0].values,
                             parts_of<float>(before.view(), "")[0].values) == "");
}

// A vocabulary this large is cut into blocks of 256 rows, so 600 rows are three blocks.
TEST_CASE("The head's loss in blocks of rows has the bits of all rows at once, in bounded memory") {
  const Index rows = 600, vocabulary = 16500, width = 3;
  const auto features = random_matrix<float>(rows, width, 4);
  const Targets targets = some_targets(rows, vocabulary);
  Buffer<float> memory(3 * PanelView<float>::storage_size(width, vocabulary));
  Tensor<float> weight = nn::make_weight<float>(vocabulary, width), in_blocks = weight, at_once = weight;
  weight.bind(memory.data());
  in_blocks.bind(memory.data() + weight.storage_size());
  at_once.bind(memory.data() + 2 * weight.storage_size());
  const RandomStream random(5, "weight");
  for (Index i = 0; i < weight.size(); ++i)
    weight[i] = static_cast<float>(random.normal(static_cast<std::uint64_t>(i)));

  ThreadPool pool(2);
  Context context(pool), plenty;
  REQUIRE(detail::rows_of_logits(vocabulary, context) == 256);
  Matrix<float> d_features(rows, width), d_expected(rows, width), logits(rows, vocabulary);
  std::vector<double> losses(static_cast<std::size_t>(rows)), expected(static_cast<std::size_t>(rows));
  const Loss blocked =
      head_loss(weight, features.view(), targets, 0.5, {losses.data(), rows}, d_features.view(), &in_blocks, context);
  nn::linear_forward(weight, features.view(), logits.view(), plenty);
  const Loss whole =
      next_token_loss<float>(logits.view(), targets, 0.5, {expected.data(), rows}, logits.view(), plenty);
  nn::linear_backward(weight, features.view(), logits.view(), d_expected.view(), at_once, plenty);
  CHECK(blocked.sum == whole.sum);
  CHECK(blocked.rows == whole.rows);
  CHECK(losses == expected);
  CHECK(testing::bits_differ(parts_of<float>(d_features.view(), "")[0].values,
                             parts_of<float>(d_expected.view(), "")[0].values) == "");
  Index different = 0;
  for (Index i = 0; i < weight.size(); ++i) different += in_blocks[i] != at_once[i];
  CHECK(different == 0);
  const Loss only = head_loss<float>(weight, features.view(), targets, 0, {}, {}, nullptr, context);
  CHECK(only.sum == whole.sum);
  // The transposed weight and one block of logits, and as much again twice because an arena doubles; all logits at once
  // would take 120 MB.
  const auto transposed = static_cast<std::size_t>(PanelView<float>::storage_size(vocabulary, width)) * sizeof(float);
  CHECK(context.scratch().bytes() <= static_cast<std::size_t>(Context::initial_scratch_bytes) + transposed +
                                         3 * 256 * static_cast<std::size_t>(vocabulary) * sizeof(float));
}
