// SPDX-License-Identifier: MIT
#include "ttt/io/tokenizer/pattern.hpp"

#include <nlohmann/json.hpp>

#include "io/tokenizer/fixtures.hpp"
#include "support/error_message.hpp"

namespace {

using namespace ttt::io::detail;
using ttt::testing::contains;
using ttt::testing::error_message;
using Words = std::vector<std::string>;

const std::string llama3 = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
                           R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string o200k =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

Words words(const SplittingStep& step, std::string_view text) {
  Words result;
  step.split(text, [&](std::string_view word) { result.emplace_back(word); });
  return result;
}
Words words(std::string_view pattern, std::string_view text, SplitBehavior behavior = SplitBehavior::isolated,
            bool inverted = false) {
  return words(SplittingStep(Pattern(pattern, "pattern"), behavior, inverted), text);
}

/// Tries the ways of a program one after another, as the formula of what a pattern matches; npos: none does.
std::size_t first_way(const PatternProgram& program, std::size_t place, std::string_view text, std::size_t at) {
  const auto& one = program.code[place];
  const bool is_end = at == text.size();
  const Character next = is_end ? Character{} : first_character(text.substr(at));
  const bool is_in = one.kind != PatternProgram::Kind::match && one.kind != PatternProgram::Kind::fork && !is_end &&
                     program.sets[one.set].contains(next.code);
  switch (one.kind) {
    case PatternProgram::Kind::character:
      return is_in ? first_way(program, one.next, text, at + next.length) : std::string_view::npos;
    case PatternProgram::Kind::ahead:
      return is_in ? first_way(program, one.next, text, at) : std::string_view::npos;
    case PatternProgram::Kind::not_ahead:
      return is_in ? std::string_view::npos : first_way(program, one.next, text, at);
    case PatternProgram::Kind::fork:
      if (const auto end = first_way(program, one.next, text, at); end != std::string_view::npos) return end;
      return first_way(program, one.other, text, at);
    case PatternProgram::Kind::match:
      break;
  }
  return at;
}

}  // namespace

TEST_CASE("a pattern finds what trying its ways one after another finds") {
  std::mt19937 random(8);
  const Words pieces{"a", "B",  "ſ", "1", "٣",      " ",  "\n",   "\r",    "'",
                     "S", "ll", "/", "!", "\u0301", "数", "\xFF", "\u00a0"};
  for (const std::string& text : {std::string(gpt2_pattern), llama3, o200k, std::string(R"((a|aB|a(?:1| )+)\s)"),
                                  std::string(R"((?:aa?|a{2,3}1)(?=[a1])|\P{L}{2}|[^a-z\d\-]a?)")}) {
    const PatternProgram program = PatternParser(text, "pattern").read();
    const Pattern pattern(text, "pattern");
    for (int i = 0; i < 3000; ++i) {
      std::string sample;
      for (std::size_t count = random() % 12; count > 0; --count) sample += pieces[random() % pieces.size()];
      Pattern::Scans scans;
      const std::size_t expected = first_way(program, program.start, sample, 0);
      CAPTURE(text, sample);
      CHECK(pattern.match_end(sample, 0, scans) == (expected == std::string_view::npos ? 0 : expected));
    }
  }
}

TEST_CASE("patterns of pre-tokenisers split as their alternatives say") {
  CHECK(words(llama3, "I'LL x'ſ 12345 \n\n  a") == Words{"I", "'LL", " x", "'ſ", " ", "123", "45", " \n\n", " ", " a"});
  CHECK(words(gpt2_pattern, "I'LL you'll  a") == Words{"I", "'", "LL", " you", "'ll", " ", " a"});
  CHECK(words(o200k, "HTTPServer's naïveX/\n!") == Words{"HTTPServer's", " naïve", "X", "/\n", "!"});
  CHECK(words("(?i:kl)", "\u212Al") == Words{"\u212Al"});
  CHECK(words(R"([\-\]a-c\\]+)", "x-]b\\d") == Words{"x", "-]b\\", "d"});
}

TEST_CASE("a byte that is no UTF-8 is a symbol to a pattern") {
  for (const std::string& pattern : {std::string(gpt2_pattern), llama3})
    CHECK(words(pattern, "a\xFF\xFE!b \xC3") == Words{"a", "\xFF\xFE!", "b", " \xC3"});
  CHECK(words(llama3, std::string("\xFF") + "ab") == Words{std::string("\xFF") + "ab"});
}

TEST_CASE("behaviours say which matches and parts between them are one word") {
  const auto split = [](SplitBehavior behavior, bool inverted = false) {
    return words("[0-9]", "a12b3", behavior, inverted);
  };
  CHECK(split(SplitBehavior::isolated) == Words{"a", "1", "2", "b", "3"});
  CHECK(split(SplitBehavior::contiguous) == Words{"a", "12", "b", "3"});
  CHECK(split(SplitBehavior::merged_with_previous) == Words{"a1", "2", "b3"});
  CHECK(split(SplitBehavior::merged_with_next) == Words{"a", "1", "2b", "3"});
  CHECK(split(SplitBehavior::merged_with_previous, true) == Words{"a", "1", "2b", "3"});
  CHECK(split(SplitBehavior::merged_with_next, true) == Words{"a1", "2", "b3"});
  CHECK(words("b", "", SplitBehavior::contiguous).empty());
}

TEST_CASE("behind ByteLevel a pattern sees the characters that bytes are spelt with") {
  // 0xB2 is spelt U+00B2, a number; 0x20 is spelt U+0120, a letter.
  const SplittingStep numbers(Pattern(R"(\p{N})", "pattern", Alphabet::bytes));
  const SplittingStep letters(Pattern(R"(\p{L}+)", "pattern", Alphabet::bytes));
  CHECK(words(numbers,
              "a\xC2\xB2"
              "b") == Words{"a\xC2", "\xB2", "b"});
  CHECK(words(letters, "! a!") == Words{"!", " a", "!"});
}

TEST_CASE("patterns read a text about once, whatever they look for") {
  const std::string text(400'000, 'a');
  for (const char* pattern : {"a*b|a", "(?:a+)+b|aa", "(?:a|aa)+(?!a)", "[^b]*b|a{3}", "(?:a{1,9}){1,9}b|a"}) {
    std::size_t size = 0;
    SplittingStep(Pattern(pattern, "pattern")).split(text, [&](std::string_view word) { size += word.size(); });
    CHECK(size == text.size());
  }
}

TEST_CASE("patterns with anything else are refused by name") {
  const auto refusal = [](const std::string& pattern) {
    return error_message([&] { Pattern(pattern, "file, key 'Regex'"); });
  };
  const std::vector<std::pair<std::string, std::string>> cases{
      {"a(?<=b)", "(?<=b)"},
      {"(a)\\1", "\\1"},
      {"a+?", "'?'"},
      {"a++", "'+'"},
      {"^a", "'^a'"},
      {"a$", "'$'"},
      {"a.b", "'.b'"},
      {"\\w+", "\\w+"},
      {"\\ba", "\\ba"},
      {"(?<x>a)", "(?<x>a)"},
      {"(?i)a", "(?i)a"},
      {"(?!ab)a", "'b)a'"},
      {"(?=a)*b", "'*b'"},
      {"[b-a]", "'a]'"},
      {"[[:alpha:]]", "["},
      {"[a&&b]", "&&b]"},
      {"a{3,1}", "{3,1}"},
      {"a{x}", "'x}'"},
      {"(a", "its end"},
      {"[a", "its end"},
      {"a)", "')'"},
      {"\\p{Han}", "\\p{Han}"},
      {"\\p{L", "\\p{L"},
      {"(?i:\\p{Lu})", "\\p{Lu}"},
      {"(?i:\u00DF)", "\u00DF"},
      {"(?i:aSs)", "'s)'"},
      {"a\\", "'\\'"},
      {"[]a]", "']a]'"},
      {"a*", "match nothing"},
      {"a|", "match nothing"},
      {"(?!a)", "match"},
      {"a{99999}", "{99999}"},
  };
  for (const auto& [pattern, part] : cases) {
    const std::string message = refusal(pattern);
    CAPTURE(pattern, message);
    CHECK(contains(message, "file, key 'Regex'", part));
  }
  CHECK(contains(refusal("a\xFF"), "UTF-8"));
  CHECK(contains(refusal(std::string(2001, 'a')), "at most 2000 bytes"));
  CHECK(contains(refusal("(?:a{900}){900}"), "at most 1000 steps"));
  CHECK(contains(refusal("((((){999}){999}){999}){999}a"), "at most 1000 steps"));
  CHECK(contains(refusal("(?:a|b)*a(?:a|b){12}"), "at most 1000 states"));
  CHECK(contains(refusal(std::string(30, '(') + "a" + std::string(30, ')')), "'("));
  std::string classes;
  for (char c = '!'; c <= 'h'; ++c) classes += std::string("[^\\") + c + "]";
  CHECK_FALSE(refusal(classes).empty());
}
