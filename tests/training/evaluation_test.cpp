// SPDX-License-Identifier: MIT
#include "ttt/training/evaluation.hpp"

#include <array>
#include <atomic>
#include <cmath>

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "training/tiny_model.hpp"

using namespace ttt;
using namespace ttt::training;
using ttt::testing::error_lacks;
using Model = testing::TinyModel<double>;

namespace {

std::string text_of(Index size) {
  std::string text;
  for (Index i = 0; i < size; ++i) text += static_cast<char>('a' + (i * i + i / 7) % 26);
  return text;
}

}  // namespace

TEST_CASE("A model that knows nothing needs eight bits per byte at every position") {
  const Model model;
  const ParameterStore<Model::Parameters> zeros(model.make_parameters());
  const Corpus corpus = Corpus::from_documents({{"a", text_of(400)}}, 6);
  Context context;
  const Evaluation found = evaluate(model, zeros.views(), corpus, 4, context);
  CHECK(found.loss.rows == 6 * 6);
  CHECK(found.nats() == Approx(std::log(256.0)).epsilon(1e-14));
  CHECK(found.bits_per_byte() == Approx(8).epsilon(1e-14));
  REQUIRE(found.by_position.size() == 6);
  for (const double loss : found.by_position) CHECK(loss == Approx(std::log(256.0)).epsilon(1e-14));
}

TEST_CASE("Bits per byte are those of the text, however many bytes a token has") {
  const Model model;
  const ParameterStore<Model::Parameters> zeros(model.make_parameters());
  TextEncoding encoding;
  encoding.encode = [](std::string_view text) { return std::vector<std::int64_t>(text.size() / 2, 7); };
  encoding.bytes.assign(256, 2);
  const Corpus corpus = Corpus::from_documents({{"a", text_of(400)}}, 6, encoding);
  Context context;
  const Evaluation found = evaluate(model, zeros.views(), corpus, 4, context);
  CHECK(found.loss.rows == 3 * 6);
  CHECK(found.bytes == 3 * 6 * 2);
  CHECK(found.nats() == Approx(std::log(256.0)).epsilon(1e-14));
  CHECK(found.bits_per_byte() == Approx(4).epsilon(1e-14));
}

TEST_CASE("Loss and loss by position are those of the windows read one by one") {
  const Model model;
  ParameterStore<Model::Parameters> store(model.make_parameters());
  initialize(store.views(), 5);
  for (Index i = 0; i < store.arena().size(); ++i) store.arena()[i] *= 20;  // so that losses differ
  const Corpus corpus = Corpus::from_documents({{"a", text_of(400)}, {"b", text_of(200)}}, 6);
  Context context;
  const auto windows = corpus.validation_windows();
  REQUIRE(windows.size() == 6 + 3);
  std::vector<double> by_position(6);
  double sum = 0;
  for (const Window& window : windows) {
    std::vector<std::int64_t> ids(6), targets(6);
    corpus.read(window, ids, targets);
    auto state = model.initial_state(store.views());
    const std::array segments{Segment<Model::State>{6, &state, true}};
    std::vector<double> losses(6);
    model.loss(store.views(), ids, targets, segments, VectorView<double>(losses.data(), 6), context);
    for (std::size_t t = 0; t < 6; ++t) {
      sum += losses[t];
      by_position[t] += losses[t] / 9;
    }
  }
  const Evaluation found = evaluate(model, store.views(), corpus, 4, context);
  CHECK(found.nats() == Approx(sum / 54).epsilon(1e-13));
  for (std::size_t t = 0; t < 6; ++t) CHECK(found.by_position[t] == Approx(by_position[t]).epsilon(1e-13));
  CHECK(found.by_position[0] != Approx(found.by_position[5]).epsilon(1e-3));

  for (const Index batch : {1, 2, 9, 100}) {
    const Evaluation other = evaluate(model, store.views(), corpus, batch, context);
    CHECK(other.loss.sum == found.loss.sum);
    CHECK(other.by_position == found.by_position);
  }
  const Evaluation part = evaluate(model, store.views(), corpus, std::span(windows).first(2), 4, context);
  CHECK(part.loss.rows == 12);
}

TEST_CASE("An evaluation can be cancelled") {
  const Model model;
  const ParameterStore<Model::Parameters> store(model.make_parameters());
  const Corpus corpus = Corpus::from_documents({{"a", text_of(400)}}, 6);
  Context context;
  const std::atomic<bool> cancellation{true};
  context.cancellation = &cancellation;
  CHECK_THROWS_AS(evaluate(model, store.views(), corpus, 4, context), Cancelled);
}

TEST_CASE("No validation window is an error") {
  const Model model;
  const ParameterStore<Model::Parameters> store(model.make_parameters());
  const Corpus corpus = Corpus::from_documents({{"a", text_of(40)}}, 6);
  Context context;
  CHECK(error_lacks([&] { evaluate(model, store.views(), corpus, 4, context); }, {"window of 6 tokens", "4 bytes"}) ==
        "");
}
