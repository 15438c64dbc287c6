// SPDX-License-Identifier: MIT
// Tokenizers through the program: made from text, trained with, and used by generate and evaluate.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "examples/ttt_lm.hpp"
#include "support/catch.hpp"
#include "ttt/io/tokenizer.hpp"
#include "ttt/io/utf8.hpp"

namespace {

using namespace ttt::testing;
using ttt::testing::operator+;
using nlohmann::json;

std::string sample_text() {
  std::string text;
  for (unsigned i = 0; i < 400; ++i) text += "line " + std::to_string(i * i % 97) + " of the text, großer Hut\n";
  return text;
}

/// A folder with a text and a tokenizer of it.
struct Workplace {
  TemporaryFolder folder;
  std::string text = folder.write("text.txt", sample_text()), tokenizer = folder / "tokenizer.json";

  Workplace() {
    const Outcome made =
        run({"train-tokenizer", "--data", text, "--vocabulary", "300", "--out", tokenizer, "--json", "--quiet"});
    REQUIRE(made.exit_code == 0);
    const json result = json::parse(made.output);
    CHECK(result["vocabulary"] == 300);
    CHECK(result["merges"] == 44);
    CHECK(result["bytes_per_token"] > 2);
  }

  Arguments tiny(const std::string& out) const {
    return {"train", "--data",    text, "--width", "16",    "--depth",      "1", "--heads",
            "2",     "--context", "24", "--batch", "2",     "--mini-batch", "4", "--eval-windows",
            "2",     "--threads", "1",  "--quiet", "--out", folder / out};
  }
  std::string model() const {
    REQUIRE(run(tiny("model") + Arguments{"--steps", "3", "--tokenizer", tokenizer}).exit_code == 0);
    return folder / "model";
  }
};

}  // namespace

TEST_CASE("train-tokenizer writes the same file every time, and not over another one unless told to") {
  const Workplace place;
  const Arguments again{"train-tokenizer", "--data", place.text, "--vocabulary", "300", "--out"};
  CHECK(run(again + Arguments{place.folder / "other.json"}).output.starts_with("300 tokens, "));
  CHECK(read_bytes(place.folder / "other.json") == read_bytes(place.tokenizer));
  check_refused(place.folder, again + Arguments{place.tokenizer}, 1, {place.tokenizer, "--force"});
  const Outcome forced =
      run({"train-tokenizer", "--data", place.text, "--vocabulary", "9999", "--out", place.tokenizer, "--force"});
  CHECK(forced.exit_code == 0);
  CHECK(contains(forced.errors, "not 9999"));
  CHECK(ttt::io::Tokenizer::load(place.tokenizer).vocabulary() > 300);
}

TEST_CASE("train-tokenizer refuses what it cannot do in one line") {
  const TemporaryFolder folder;
  const std::string text = folder.write("text.txt", sample_text());
  const auto refused = [&](const Arguments& options, int code, const Arguments& parts) {
    check_refused(folder, Arguments{"train-tokenizer", "--quiet"} + options, code, parts);
  };
  refused({"--data", text}, 2, {"--out"});
  refused({"--data", text, "--out", folder / "a", "--vocabulary", "255"}, 2, {"--vocabulary", "256", "255"});
  refused({"--data", folder / "missing", "--out", folder / "a"}, 1, {"missing", "no such file"});
  refused({"--data", text, "--out", folder / "no/folder"}, 1, {"no/folder"});
  CHECK(run({"train-tokenizer", "--help"}).output.starts_with("Examples:\n  ttt-lm train-tokenizer"));
}

TEST_CASE("a model is trained on tokens and goes on from its folder alone") {
  const Workplace place;
  const Outcome outcome = run(place.tiny("whole") +
                              Arguments{"--steps", "6", "--save-every", "3", "--tokenizer", place.tokenizer, "--json"});
  REQUIRE(outcome.exit_code == 0);
  CHECK(read_bytes(place.folder / "whole/tokenizer.json") == read_bytes(place.tokenizer));
  CHECK(json::parse(read_bytes(place.folder / "whole/config.json"))["vocab_size"] == 300);
  const json end = json::parse(outcome.output.substr(outcome.output.rfind("{\"event\":\"end\"")));
  // An untrained model needs log2(300) bits a token; a token has more than two bytes here.
  CHECK(end["validation_loss"] > 4.5);
  CHECK(end["bits_per_byte"] < 4);

  const Arguments first = place.tiny("parts") + Arguments{"--steps", "6", "--save-every", "3"};
  REQUIRE(run(first + Arguments{"--tokenizer", place.tokenizer}).exit_code == 0);
  std::filesystem::remove(place.tokenizer);
  CHECK(run({"train", "--resume", "--out", place.folder / "parts", "--quiet"}).exit_code == 0);
  CHECK(read_bytes(place.folder / "parts/model.safetensors") == read_bytes(place.folder / "whole/model.safetensors"));
  check_refused(place.folder,
                {"train", "--resume", "--out", place.folder / "parts", "--tokenizer", place.folder / "x.json"}, 1,
                {"--tokenizer", "x.json"});

  // Trained anew on bytes, the folder keeps no tokenizer.
  REQUIRE(run(place.tiny("whole") + Arguments{"--steps", "1", "--force"}).exit_code == 0);
  CHECK_FALSE(std::filesystem::exists(place.folder / "whole/tokenizer.json"));
}

TEST_CASE("generate reads and writes the tokens of the folder") {
  const Workplace place;
  const std::string model = place.model();
  const Arguments arguments{"generate", "--model", model, "--prompt", "line großer", "--tokens", "12", "--quiet"};
  const Outcome text = run(arguments);
  const json result = json::parse(run(arguments + Arguments{"--json"}).output);
  const auto tokenizer = ttt::io::Tokenizer::load(place.tokenizer);
  CHECK(result["prompt_ids"] == tokenizer.encode("line großer"));
  CHECK(result["prompt_ids"].size() < 10);
  REQUIRE(result["ids"].size() == 12);
  CHECK(text.output == "line großer" + tokenizer.decode(result["ids"].get<std::vector<std::int64_t>>()));
  check_refused(place.folder, {"generate", "--model", model, "--prompt", ""}, 1, {"--prompt", "empty"});
}

TEST_CASE("a text ends at the token that the configuration calls its end") {
  const Workplace place;
  const std::string model = place.model();
  const Arguments arguments{"generate", "--model", model, "--prompt", "line", "--tokens", "12", "--json", "--quiet"};
  const auto ids = json::parse(run(arguments).output)["ids"].get<std::vector<std::int64_t>>();
  REQUIRE(ids.size() == 12);
  json config = json::parse(read_bytes(model + "/config.json"));
  for (const json& ends : {json(ids[3]), json({70000, ids[3]})}) {
    config["eos_token_id"] = ends;
    place.folder.write("model/config.json", config.dump());
    const json result = json::parse(run(arguments).output);
    const auto end = std::find(ids.begin(), ids.end(), ids[3]);
    CHECK(result["ids"] == std::vector<std::int64_t>(ids.begin(), end + 1));
    const auto tokenizer = ttt::io::Tokenizer::load(place.tokenizer);
    CHECK(ttt::io::utf8_unescaped(result["text"].get<std::string>()) ==
          tokenizer.decode(std::vector<std::int64_t>(ids.begin(), end)));
  }
}

TEST_CASE("evaluate counts the bytes of the text") {
  const Workplace place;
  const std::string model = place.model();
  const auto tokenizer = ttt::io::Tokenizer::load(place.tokenizer);
  const auto ids = tokenizer.encode(sample_text());
  const Arguments arguments{"evaluate", "--model", model, "--data", place.text, "--context", "24", "--quiet"};
  const json result = json::parse(run(arguments + Arguments{"--json"}).output);
  const double tokens = result["tokens"], bytes = result["bytes"], loss = result["loss"],
               bits = result["bits_per_byte"];
  // All of it but the first token, which is only read.
  CHECK(tokens == static_cast<double>(ids.size() - 1));
  CHECK(bytes == static_cast<double>(sample_text().size() - tokenizer.token(ids[0]).size()));
  CHECK(bits == Approx(loss * tokens / bytes / 0.6931471805599453).epsilon(1e-12));
  const std::string table = run(arguments).output;
  char rounded[32];
  std::snprintf(rounded, sizeof rounded, "%.4f", bits);
  CHECK(contains(table.substr(table.rfind("all")), rounded));
}

TEST_CASE("a tokenizer that does not fit the model is named") {
  const Workplace place;
  const std::string model = place.model(), file = model + "/tokenizer.json";
  const auto refused = [&](const Arguments& parts) {
    check_refused(place.folder, {"generate", "--model", model, "--prompt", "a", "--quiet"}, 1, parts);
    check_refused(place.folder, {"evaluate", "--model", model, "--data", place.text, "--quiet"}, 1, parts);
  };
  std::filesystem::remove(file);
  refused({model, "tokenizer.json", "256", "300"});
  place.folder.write("model/tokenizer.json", "{}");
  refused({file, "'model'", "none"});
  const Arguments larger{"train-tokenizer", "--data", place.text, "--vocabulary", "310", "--out", file, "--force"};
  REQUIRE(run(larger).exit_code == 0);
  refused({file, "300 ids of the model", "310"});
  // A smaller one than the model is what files with rounded vocabularies have.
  REQUIRE(run({"train-tokenizer", "--data", place.text, "--vocabulary", "290", "--out", file, "--force"}).exit_code ==
          0);
  CHECK(run({"generate", "--model", model, "--prompt", "a", "--tokens", "5", "--quiet"}).exit_code == 0);
  check_refused(place.folder, place.tiny("new") + Arguments{"--tokenizer", place.folder / "missing.json"}, 1,
                {"missing.json"});
}
