// SPDX-License-Identifier: MIT
#include "ttt/training/evaluation.hpp"

#include <array>
#include <atomic>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "support/temporary_folder.hpp"
#include "training/tiny_model.hpp"
#include "ttt/io/tokenizer.hpp"

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

nlohmann::json fixture(const std::string& name) {
  return nlohmann::json::parse(testing::read_bytes(TTT_GOLDEN_DIR "/../io/tokenizer/" + name + ".json"));
}

/// A vocabulary, and the bytes of the first token of a text that begins with "!".
struct Vocabulary {
  std::string name;
  io::Tokenizer tokenizer;
  Index first_bytes;
};

/// Every kind there is: those of the tests of io::Tokenizer, and some made of them.
std::vector<Vocabulary> vocabularies() {
  std::vector<Vocabulary> result{{"bytes", io::Tokenizer::bytes(), 1}};
  const auto add = [&](const std::string& name, const nlohmann::json& file, Index first_bytes) {
    result.push_back({name, io::Tokenizer::from_json(file.dump(), name), first_bytes});
  };
  // Those that put a space in front begin with a token for it, which is of no byte.
  for (const char* const name : {"gpt2", "llama3"}) add(name, fixture(name), 1);
  for (const char* const name : {"gpt2_prefix_space", "llama2", "llama2_normalized", "metaspace", "metaspace_unknown"})
    add(name, fixture(name), 0);
  nlohmann::json single = fixture("metaspace_unknown");
  single["model"]["fuse_unk"] = false;
  add("unknown characters one by one", single, 0);
  nlohmann::json unmarked = fixture("metaspace_unknown");
  unmarked["pre_tokenizer"]["prepend_scheme"] = "never";
  add("no mark in front", unmarked, 1);
  for (const char* const side : {"lstrip", "rstrip"}) {
    nlohmann::json stripping = fixture("llama3");
    stripping["added_tokens"][2][side] = false;
    add(std::string("added token without ") + side, stripping, 1);
  }
  nlohmann::json both = fixture("llama2");
  both["pre_tokenizer"] = fixture("metaspace")["pre_tokenizer"];
  both["pre_tokenizer"]["prepend_scheme"] = "always";
  add("normaliser and Metaspace", both, 0);
  nlohmann::json without_mark = fixture("llama2");
  without_mark["model"]["merges"] = nlohmann::json::array();
  without_mark["model"]["vocab"].erase("\u2581");
  add("spaces as bytes of a mark", without_mark, 0);
  return result;
}

/// Spaces in a row, marks of spaces, characters without a token, special tokens with white space beside them.
const std::string difficult_text =
    "!the state\u2581of  the model \u6570\u5b57 \U0001F600\n<|mask|>   the <s> end</s>\n  <|end|> \u2581\u2581 x <unk>"
    "  <|mask|>\t\tnumbers 12345 \u00e9t\u00e9 <tool>\u0441\u043b\u043e\u0432\u043e \u6570 \u5b57 ";

/// −Σ log₂ p of all tokens of a text but the first, windows of `context` read one by one.
double bits_of(const Model& model, const Model::Parameters& parameters, const std::vector<std::int64_t>& ids,
               std::size_t context) {
  Context machine;
  std::vector<double> losses(ids.size() - 1);
  for (std::size_t first = 0; first + 1 < ids.size(); first += context) {
    const std::size_t length = std::min(context, ids.size() - 1 - first);
    auto state = model.initial_state(parameters);
    const std::array segments{Segment<Model::State>{static_cast<Index>(length), &state, true}};
    model.loss(parameters, std::span(ids).subspan(first, length), std::span(ids).subspan(first + 1, length), segments,
               VectorView<double>(losses.data() + first, static_cast<Index>(length)), machine);
  }
  return std::accumulate(losses.begin(), losses.end(), 0.0) / std::log(2.0);
}

}  // namespace

TEST_CASE("Bits per byte are those of the bytes that were encoded, for every kind of vocabulary and window") {
  Context context;
  for (const auto& [name, tokenizer, first_bytes] : vocabularies()) {
    const Model model{tokenizer.vocabulary()};
    ParameterStore<Model::Parameters> store(model.make_parameters());
    initialize(store.views(), 5);
    for (Index i = 0; i < store.arena().size(); ++i) store.arena()[i] *= 20;
    const auto ids = tokenizer.encode(difficult_text);
    const auto bytes = static_cast<Index>(difficult_text.size()) - first_bytes;
    for (const std::size_t length :
         {std::size_t{1}, std::size_t{2}, std::size_t{7}, ids.size() - 1, std::size_t{5000}}) {
      CAPTURE(name, length);
      const auto corpus = Corpus::from_documents({{"a", difficult_text}}, static_cast<Index>(length),
                                                 encoding_of(tokenizer), Split::whole);
      const Evaluation found = evaluate(model, store.views(), corpus, 3, context);
      CHECK(found.loss.rows == static_cast<Index>(ids.size()) - 1);
      CHECK(found.bytes == bytes);
      const double expected = bits_of(model, store.views(), ids, length) / static_cast<double>(bytes);
      CHECK(found.bits_per_byte() == Approx(expected).epsilon(1e-12));
      CHECK((found.by_position.size() == std::min(length, ids.size() - 1)));
    }
  }
}

TEST_CASE("Bytes of windows are those of their targets, and with the first tokens those of the text") {
  for (const auto& [name, tokenizer, first_bytes] : vocabularies())
    for (const Index length : {1, 2, 7, 5000}) {
      CAPTURE(name, length);
      const Corpus corpus = Corpus::from_documents({{"a", difficult_text + text_of(500)}, {"b", difficult_text}},
                                                   length, encoding_of(tokenizer), Split::whole);
      Index bytes = 2 * first_bytes;
      for (const Window& window : corpus.validation_windows()) {
        CHECK(corpus.target_bytes(window) >= 0);
        bytes += corpus.target_bytes(window);
      }
      CHECK(bytes == corpus.validation_bytes());
      CHECK(bytes == static_cast<Index>(2 * difficult_text.size()) + 500);
    }
}

TEST_CASE("A model that knows nothing needs eight bits per byte at every position") {
  const Model model;
  const ParameterStore<Model::Parameters> zeros(model.make_parameters());
  const Corpus corpus = Corpus::from_documents({{"a", text_of(400)}}, 6);
  Context context;
  const Evaluation found = evaluate(model, zeros.views(), corpus, 4, context);
  CHECK(found.loss.rows == 39);  // of 40 bytes, the first of which is only read
  CHECK(found.nats() == Approx(std::log(256.0)).epsilon(1e-14));
  CHECK(found.bits_per_byte() == Approx(8).epsilon(1e-14));
  REQUIRE(found.by_position.size() == 6);
  for (const Loss& loss : found.by_position) CHECK(loss.mean() == Approx(std::log(256.0)).epsilon(1e-14));
  CHECK(found.by_position[2].rows == 7);
  CHECK(found.by_position[3].rows == 6);
}

TEST_CASE("Loss and loss by position are those of the windows read one by one") {
  const Model model;
  ParameterStore<Model::Parameters> store(model.make_parameters());
  initialize(store.views(), 5);
  for (Index i = 0; i < store.arena().size(); ++i) store.arena()[i] *= 20;  // so that losses differ
  const Corpus corpus = Corpus::from_documents({{"a", text_of(400)}, {"b", text_of(200)}}, 6);
  Context context;
  const auto windows = corpus.validation_windows();
  REQUIRE(windows.size() == 7 + 4);  // of 6 predictions but for the last of each text, of 3 and 1
  std::vector<Loss> by_position(6);
  double sum = 0;
  for (const Window& window : windows) {
    const auto length = static_cast<std::size_t>(window.length);
    std::vector<std::int64_t> ids(length), targets(length);
    corpus.read(window, ids, targets);
    auto state = model.initial_state(store.views());
    const std::array segments{Segment<Model::State>{window.length, &state, true}};
    std::vector<double> losses(length);
    model.loss(store.views(), ids, targets, segments, VectorView<double>(losses.data(), window.length), context);
    for (std::size_t t = 0; t < length; ++t) {
      sum += losses[t];
      by_position[t] += {losses[t], 1};
    }
  }
  const Evaluation found = evaluate(model, store.views(), corpus, 4, context);
  CHECK(found.nats() == Approx(sum / (39 + 19)).epsilon(1e-13));
  const auto is_same = [](const Loss& a, const Loss& b) { return a.sum == b.sum && a.rows == b.rows; };
  CHECK(
      std::equal(by_position.begin(), by_position.end(), found.by_position.begin(), found.by_position.end(), is_same));
  CHECK(by_position[0].rows == 11);
  CHECK(by_position[5].rows == 9);
  CHECK(found.by_position[0].mean() != Approx(found.by_position[5].mean()).epsilon(1e-3));

  for (const Index batch : {-1, 1, 2, 9, 100}) {
    const Evaluation other = evaluate(model, store.views(), corpus, batch, context);
    CHECK(other.loss.sum == found.loss.sum);
    CHECK(std::equal(other.by_position.begin(), other.by_position.end(), found.by_position.begin(),
                     found.by_position.end(), is_same));
  }
  const Evaluation part = evaluate(model, store.views(), corpus, std::span(windows).first(2), 4, context);
  CHECK(part.loss.rows == 12);
  Evaluation together = evaluate(model, store.views(), corpus, std::span(windows).subspan(10), 4, context);
  CHECK(together.by_position.size() == 1);
  together += part;
  CHECK(together.loss.rows == 13);
  CHECK(together.bytes == 13);
  REQUIRE(together.by_position.size() == 6);
  CHECK(together.by_position[0].rows == 3);
  CHECK(together.by_position[1].rows == 2);
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
  const Corpus corpus = Corpus::from_documents({{"a", text_of(10)}}, 6);
  Context context;
  CHECK(error_lacks([&] { evaluate(model, store.views(), corpus, 4, context); }, {"at least two tokens", "1 bytes"}) ==
        "");
}
