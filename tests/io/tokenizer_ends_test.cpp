// SPDX-License-Identifier: MIT
#include "ttt/io/tokenizer.hpp"

#include "io/tokenizer/fixtures.hpp"
#include "support/error_message.hpp"

namespace {

using namespace ttt::io;
using namespace ttt::testing;
using nlohmann::json;

/// Why a part of a text may have become a token with this spelling, if it may.
bool explains(const std::string& part, std::string spelling) {
  const auto marks_as_spaces = [](const std::string& text) { return detail::replaced(text, "\u2581", " "); };
  const auto trimmed = [](const std::string& text) {
    const auto first = text.find('<'), last = text.rfind('>');
    return first == std::string::npos || last == std::string::npos ? text : text.substr(first, last - first + 1);
  };
  spelling = marks_as_spaces(spelling);
  return marks_as_spaces(part) == spelling || " " + marks_as_spaces(part) == spelling || trimmed(part) == spelling ||
         spelling == "<unk>";
}

}  // namespace

TEST_CASE("every byte of a text belongs to one id, whose token it spells") {
  std::mt19937 random(4);
  const json expected = fixture("expected");
  for (const auto& [name, results] : expected["results"].items()) {
    const Tokenizer tokenizer = load_fixture(name);
    std::vector<std::string> texts = expected["texts"].get<std::vector<std::string>>();
    for (int i = 0; i < 200; ++i) texts.push_back(random_bytes(random, random() % 80));
    for (const std::string& text : texts)
      for (const auto special : {SpecialTokens::keep, SpecialTokens::add}) {
        CAPTURE(name, text);
        const auto ids = tokenizer.encode(text, special);
        const auto found = parts(tokenizer, text, special);
        for (std::size_t i = 0; i < ids.size(); ++i) {
          CAPTURE(i, found[i], tokenizer.token(ids[i]));
          const bool is_around = special == SpecialTokens::add && found[i].empty() && tokenizer.is_special(ids[i]);
          CHECK((is_around || explains(found[i], std::string(tokenizer.token(ids[i])))));
        }
      }
  }
}

TEST_CASE("ids stand for what was in the text, whatever a tokenizer makes of it") {
  using Parts = std::vector<std::string>;
  // A space that is added has no bytes, one that is there has.
  CHECK(parts(load_fixture("gpt2_prefix_space"), "!a")[0] == "");
  CHECK(parts(load_fixture("gpt2_prefix_space"), " !")[0] == " ");
  CHECK(parts(load_fixture("metaspace_unknown"), "\u2581a")[0].starts_with("\u2581"));
  // White space that a token takes beside it is its own.
  CHECK(parts(load_fixture("llama3"), "!  <|mask|> \n!") == Parts{"!", "  <|mask|> \n", "!"});
  CHECK(parts(changed("llama3", "/added_tokens/2/lstrip", false), "!  <|mask|> \n!") ==
        Parts{"!", " ", " ", "<|mask|> \n", "!"});
  CHECK(parts(changed("llama3", "/added_tokens/2/rstrip", false), "!  <|mask|> !") ==
        Parts{"!", "  <|mask|>", " ", "!"});
  // Unknown characters are one token or many.
  CHECK(parts(load_fixture("metaspace_unknown"), "数字漢") == Parts{"", "数字漢"});
  CHECK(parts(changed("metaspace_unknown", "/model/fuse_unk", false), "数字漢") == Parts{"", "数", "字", "漢"});
  CHECK(parts(load_fixture("metaspace_unknown"), "数 字") == Parts{"", "数", " ", "字"});
  // Bytes that stand in for a character have one each.
  CHECK(parts(load_fixture("llama2"), "\U00020000") == Parts{"", "\xF0", "\xA0", "\x80", "\x80"});
  // Marks around a text have none.
  CHECK(parts(load_fixture("llama2"), "", SpecialTokens::add) == Parts{"", ""});
  // Bytes of a mark that has no token: the space belongs to the last of them.
  json without_mark = fixture("llama2");
  without_mark["model"]["merges"] = json::array();
  without_mark["model"]["vocab"].erase("\u2581");
  CHECK(parts(Tokenizer::from_json(without_mark.dump(), "without"), "! !") == Parts{"", "", "", "!", "", "", " ", "!"});
}
