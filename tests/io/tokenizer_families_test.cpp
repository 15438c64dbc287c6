// SPDX-License-Identifier: MIT
#include <cstdlib>
#include <set>

#include "io/tokenizer/fixtures.hpp"
#include "support/golden_folder.hpp"

namespace {

using namespace ttt::io;
using namespace ttt::testing;
using nlohmann::json;

const std::filesystem::path folder = ttt::golden::folder() / "families" / "tokenizer";

/// Names of the files beside expected.json.
std::set<std::string> names() {
  std::set<std::string> result;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".json") result.insert(entry.path().stem().string());
  result.erase("expected");
  return result;
}

}  // namespace

TEST_CASE("the tokenizers of families of models give the ids and texts of the tokenizers package") {
  const json expected = json::parse(read_bytes(folder / "expected.json"));
  REQUIRE_FALSE(names().empty());
  REQUIRE(names().size() == expected.size());
  for (const std::string& name : names()) {
    const Tokenizer tokenizer = Tokenizer::load(folder / (name + ".json"));
    REQUIRE_FALSE(expected.at(name).empty());
    for (const json& one : expected.at(name)) {
      const auto text = one.at("text").get<std::string>();
      CAPTURE(name, text);
      CHECK(tokenizer.encode(text) == one.at("ids").get<Ids>());
      CHECK(tokenizer.encode(text, SpecialTokens::add) == one.at("ids_with_specials").get<Ids>());
      CHECK(tokenizer.decode(one.at("ids").get<Ids>()) == one.at("decoded").get<std::string>());
    }
  }
}

TEST_CASE("the tokenizers of families of models say which bytes each id stands for") {
  std::mt19937 random(6);
  for (const std::string& name : names()) {
    const Tokenizer tokenizer = Tokenizer::load(folder / (name + ".json"));
    for (int i = 0; i < 300; ++i) {
      const std::string text = random_bytes(random, random() % 80);
      const Ids ids = tokenizer.encode(text);
      const auto found = parts(tokenizer, text);
      CAPTURE(name, text);
      // No byte belongs to a token that stands for others.
      for (std::size_t id = 0; id < ids.size(); ++id)
        CHECK(detail::replaced(found[id], "\u2581", " ") == tokenizer.token(ids[id]));
      if (name != "gemma2_gemma3") CHECK(tokenizer.decode(ids) == text);
    }
  }
}

TEST_CASE("golden files are looked for where TTT_GOLDEN_DIR says when the test runs") {
  const char* before = std::getenv("TTT_GOLDEN_DIR");
  const std::string kept = before ? before : "";
  ::setenv("TTT_GOLDEN_DIR", "/another", 1);
  CHECK(ttt::golden::folder() == "/another");
  ::setenv("TTT_GOLDEN_DIR", "", 1);
  CHECK(ttt::golden::folder() == TTT_GOLDEN_DIR);
  ::setenv("TTT_GOLDEN_DIR", kept.c_str(), 1);
}
