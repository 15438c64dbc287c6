// SPDX-License-Identifier: MIT
#include "ttt/io/tokenizer/normalization.hpp"

#include <random>

#include "support/catch.hpp"
#include "ttt/io/tokenizer/rewriting.hpp"

namespace {

using namespace ttt::io;
using namespace ttt::io::detail;

RewrittenText composed(std::string_view text) { return rewritten(text, {ComposeCharacters{}}, true, true); }
std::string form(std::string_view text) { return std::string(composed(text).text()); }

/// How much of the original every end in the changed text stands for.
std::vector<std::size_t> ends(const RewrittenText& text) {
  std::vector<std::size_t> result;
  for (std::size_t end = 0; end <= text.text().size(); ++end) result.push_back(text.original_end(end));
  return result;
}

}  // namespace

TEST_CASE("texts get Normalization Form C") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", ""},
      {"plain", "plain"},
      {"e\u0301", "\u00E9"},
      {"x e\u0301\u0302 y", "x \u00E9\u0302 y"},
      {"\u212B\u2126", "\u00C5\u03A9"},                      // other characters for the same
      {"\uFB01\u00BD", "\uFB01\u00BD"},                      // compatible is not the same
      {"a\u0323\u0307", "\u1EA1\u0307"},                     // two marks, in order
      {"a\u0307\u0323", "\u1EA1\u0307"},                     // and not
      {"a\u0307\u0307", "\u0227\u0307"},                     // one of two that stand in each other's way
      {"e\u0305\u0301", "e\u0305\u0301"},                    // or behind another one of its kind
      {"\u0915\u093C \u0958", "\u0915\u093C \u0915\u093C"},  // never composed
      {"\u0344", "\u0308\u0301"},
      {"\u1100\u1161\u11A8 \u1100\u1161", "\uAC01 \uAC00"},
      {"\uAC00\u11A8\u11A8", "\uAC01\u11A8"},
      {"\u0301e\u0301", "\u0301\u00E9"},
      {"\uF900", "\u8C48"},
      {"\U0001D15E", "\U0001D157\U0001D165"},
      {"e\xFF\u0301 \xCC", "e\xFF\u0301 \xCC"},  // marks stay behind bytes that are no UTF-8
  };
  for (const auto& [text, expected] : cases) {
    CAPTURE(text);
    CHECK(form(text) == expected);
    CHECK(form(expected) == expected);
    CHECK(form("<" + text + ">") == "<" + expected + ">");
  }
}

TEST_CASE("the form of a text is that of its form, and that of its decomposed characters") {
  const CanonicalForms& forms = CanonicalForms::get();
  std::mt19937 random(7);
  std::vector<std::uint32_t> candidates;
  for (std::uint32_t code = 0; code < code_point_count; ++code)
    if ((code < 0xD800 || code >= 0xE000) && (!forms.is_settled(code) || code % 37 == 0)) candidates.push_back(code);
  for (int i = 0; i < 20000; ++i) {
    std::string text, parts;
    for (std::size_t count = random() % 6; count > 0; --count) {
      const std::uint32_t code = candidates[random() % candidates.size()];
      std::vector<std::uint32_t> decomposed;
      forms.decompose(code, decomposed);
      append_utf8(text, code);
      for (const std::uint32_t part : decomposed) append_utf8(parts, part);
    }
    CAPTURE(text);
    CHECK(form(form(text)) == form(text));
    CHECK(form(parts) == form(text));
    CHECK(ends(composed(text)).back() == text.size());
  }
}

TEST_CASE("many marks take no more than n log n") {
  std::string marks = "a";
  for (int i = 0; i < 200'000; ++i) marks += i % 2 ? "\u0307" : "\u0323";
  CHECK(form(marks).starts_with("\u1EA1\u0323"));
}

TEST_CASE("bytes of a rewritten text stand for those of the original") {
  using Ends = std::vector<std::size_t>;
  CHECK(ends(composed("xe\u0301y")) == Ends{0, 1, 1, 4, 5});
  CHECK(ends(rewritten("a b", {ReplacePart{" ", "__"}}, true, true)) == Ends{0, 1, 1, 2, 3});
  CHECK(ends(rewritten("a b", {ReplacePart{" ", ""}}, true, true)) == Ends{0, 1, 3});
  CHECK(ends(rewritten("ab", {PutInFront{"__"}}, true, true)) == Ends{0, 0, 0, 1, 2});
  CHECK(ends(rewritten("a e\u0301", {PutInFront{" "}, ReplacePart{" ", "__"}, ComposeCharacters{}}, true, true)) ==
        Ends{0, 0, 0, 1, 1, 2, 2, 5});
  const auto text = [](const PutInFront& step, std::string_view original, bool is_beginning) {
    return std::string(rewritten(original, {step}, is_beginning, false).text());
  };
  CHECK(text({"_"}, "_a", false) == "__a");
  CHECK(text({"_"}, "", false).empty());
  CHECK(text({"_", true}, "_a", false) == "_a");
  CHECK(text({"_", true, true}, "a", false) == "a");
  CHECK(text({"_", true, true}, "a", true) == "_a");
}
