// SPDX-License-Identifier: MIT
#include "ttt/io/json_header.hpp"

#include "support/catch.hpp"
#include "support/error_message.hpp"

using namespace ttt::io;
using ttt::testing::contains;
using ttt::testing::error_message;

namespace {

std::string skip_error(const std::string& text) {
  return error_message([&] {
    JsonReader json(text, "file");
    json.skip_value(1000);
    json.finish();
  });
}

std::string parsed_string(const std::string& text) { return JsonReader(text, "file").string(); }

std::string repeated(const std::string& text, int count) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

}  // namespace

TEST_CASE("valid JSON is read to its end") {
  const auto text = GENERATE(as<std::string>{}, "{}", " [ ] ", "[1,-0,0.5,1e9,-2E-3,1e+2]", "[true,false,null]",
                             "{\"a\":{\"b\":[{\"c\":\"\"}]},\"d\":1}", "\"\\u20ac\\ud83d\\ude00\"", "\t\r\n0 ");
  CAPTURE(text);
  CHECK(skip_error(text).empty());
}

TEST_CASE("anything else is refused") {
  const auto text = GENERATE(
      as<std::string>{}, "", "{", "[1", "[1,]", "{\"a\":1,}", "{\"a\"}", "{a:1}", "{'a':1}", "[1 2]", "01", "+1", "1.",
      ".5", "-", "1e", "1e+", "NaN", "Infinity", "-Infinity", "nul", "tru", "{} {}", "[1]x", "\"", "\"\\", "\"\\x\"",
      "\"\\u12\"", "\"\\u12g4\"", "\"\n\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\ud800x\"", "\"\\udc00\"", "/**/1",
      "\xEF\xBB\xBF{}", "\"\xC0\x80\"", "[,1]", "{\"a\":1 \"b\":2}", "]", "\"\\ud800\\", "{\"a\":");
  CAPTURE(text);
  CHECK(contains(skip_error(text), "file, byte ", "expected", "found"));
}

TEST_CASE("a zero byte is neither white space nor the end") {
  CHECK_FALSE(skip_error(std::string("1\0", 2)).empty());
  CHECK_FALSE(skip_error(std::string("\0", 1)).empty());
  CHECK_FALSE(skip_error(std::string("\"a\0\"", 4)).empty());
}

TEST_CASE("escapes are resolved") {
  CHECK(parsed_string(R"("\"\\\/\b\f\n\r\t")") == "\"\\/\b\f\n\r\t");
  CHECK(parsed_string(R"("\u0041\u00e9\u20AC\ud83d\uDE00\u0000")") ==
        std::string("A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\0", 11));
  CHECK(parsed_string("\"\xF0\x9F\x98\x80 plain\"") == "\xF0\x9F\x98\x80 plain");
}

TEST_CASE("a written string is read back, for every byte and for other scripts") {
  std::string text = "\xE2\x82\xAC";
  for (char c = 0; c != 127; ++c) text.push_back(c);
  std::string written;
  append_json_string(written, text);
  CHECK(parsed_string(written) == text);
  std::string control;
  append_json_string(control, std::string("\x1F\n\"", 3));
  CHECK(control == "\"\\u001f\\n\\\"\"");
}

TEST_CASE("keys occur once, also when spelled differently and inside what is skipped") {
  CHECK(contains(skip_error(R"({"a":1,"b":2,"a":3})"), "'a' twice"));
  CHECK(contains(skip_error(R"({"a":1,"\u0061":3})"), "'a' twice"));
  CHECK(contains(skip_error(R"([{"x":{"k":1,"k":1}}])"), "'k' twice"));
  CHECK(skip_error(R"({"a":{"a":1},"b":{"a":1}})").empty());
}

TEST_CASE("nesting is bounded") {
  CHECK(skip_error(repeated("[", 127) + repeated("]", 127)).empty());
  CHECK(contains(skip_error(repeated("[", 128) + repeated("]", 128)), "nested"));
  CHECK(contains(skip_error(repeated("[", 3000)), "nested"));
  CHECK(contains(skip_error(repeated("{\"a\":", 1'000'000)), "nested"));
}

TEST_CASE("counts are bounded") {
  JsonReader members("{\"a\":1,\"b\":2}", "file");
  CHECK(contains(error_message([&] { members.skip_value(1); }), "at most 1 items"));
  JsonReader elements("[1,2,3]", "file");
  CHECK(contains(error_message([&] { elements.skip_value(2); }), "at most 2 items"));
}

TEST_CASE("a number that no double holds is refused also where it is skipped") {
  CHECK(skip_error("[1e308,-1e308,1e-999," + repeated("9", 308) + "]").empty());
  CHECK(contains(skip_error("[1e309]"), "byte 1 ", "range of a double"));
  CHECK(contains(skip_error("-1E+999"), "range of a double"));
  CHECK(contains(skip_error(repeated("9", 310)), "range of a double"));
}

TEST_CASE("whole numbers are digits below 2^64") {
  CHECK(JsonReader("18446744073709551615", "file").unsigned_integer() == 18446744073709551615u);
  CHECK(JsonReader("0", "file").unsigned_integer() == 0);
  const auto text = GENERATE(as<std::string>{}, "18446744073709551616", "99999999999999999999", "-1", "-0", "1.0",
                             "1e3", "01", "00", "", "NaN", "\"1\"", "null");
  CAPTURE(text);
  CHECK_THROWS_AS(JsonReader(text, "file").unsigned_integer(), ttt::Error);
}
