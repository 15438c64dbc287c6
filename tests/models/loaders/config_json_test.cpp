// SPDX-License-Identifier: MIT
#include <string>

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "ttt/core/error.hpp"
#include "ttt/models/loaders/config_json.hpp"

using namespace ttt;
using loaders::ConfigJson;
using ttt::testing::error_message;

namespace {

ConfigJson parse(const std::string& text) { return ConfigJson(text, "config.json"); }

std::string parse_error(const std::string& text) {
  return error_message([&] { parse(text); });
}

}  // namespace

TEST_CASE("keys of a config.json come with their type") {
  const auto json = parse(R"({"n": 3, "x": 1e-5, "y": 2, "flag": true, "name": "silu", "none": null,
                              "inner": {"n": 7}, "unknown": [1, {"a": 2}]})");
  CHECK(json.whole("n") == 3);
  CHECK(json.whole_or("n", 5) == 3);
  CHECK(json.whole_or("none", 5) == 5);
  CHECK(json.whole_or("missing", 5) == 5);
  CHECK(json.positive_or("x", 1) == 1e-5);
  CHECK(json.positive_or("y", 1) == 2);
  CHECK(json.positive_or("none", 7) == 7);
  CHECK(json.flag_or("flag", false));
  CHECK(json.flag_or("missing", true));
  CHECK(json.text("name") == "silu");
  CHECK(json.text_or("none", "gelu") == "gelu");
  CHECK(json.object("inner").whole("n") == 7);
  CHECK(json.contains("none"));
  CHECK(!json.has("none"));
}

TEST_CASE("a key of another type or out of range is named with what was expected and found") {
  const auto json = parse(R"({"n": 3.5, "big": 2147483648, "huge": 18446744073709551615, "negative": -1, "zero": 0,
                              "text": "a\nb", "inner": {"n": "x"}})");
  const auto whole = [&](const char* key) { return error_message([&] { json.whole(key); }); };
  const std::string range = "': expected a whole number from 1 to 2147483647, found ";
  CHECK(whole("n") == "config.json, key 'n" + range + "3.5");
  CHECK(whole("big") == "config.json, key 'big" + range + "2147483648");
  CHECK(whole("huge") == "config.json, key 'huge" + range + "18446744073709551615");
  CHECK(whole("negative") == "config.json, key 'negative" + range + "-1");
  CHECK(whole("zero") == "config.json, key 'zero" + range + "0");
  CHECK(whole("missing") == "config.json, key 'missing" + range + "none");
  CHECK(error_message([&] { json.object("inner").whole("n"); }) == "config.json, key 'inner.n" + range + "\"x\"");
  CHECK(error_message([&] { json.positive_or("zero", 1); }) ==
        "config.json, key 'zero': expected a number above 0, found 0");
  CHECK(error_message([&] { json.flag_or("zero", true); }) ==
        "config.json, key 'zero': expected true or false, found 0");
  CHECK(error_message([&] { json.text("zero"); }) == "config.json, key 'zero': expected a string, found 0");
  CHECK(error_message([&] { json.object("zero"); }) == "config.json, key 'zero': expected an object, found 0");
  CHECK(error_message([&] { json.flag_or("text", true); }) ==
        "config.json, key 'text': expected true or false, found \"a\\nb\"");
}

TEST_CASE("numbers that only Python writes do not keep the rest from being read") {
  const auto json =
      parse(R"({"limit": [0.0, Infinity], "a": [-Infinity], "b": NaN, "c": "NaN \" Infinity [", "n": 4})");
  CHECK(json.whole("n") == 4);
  CHECK(!json.has("b"));
  CHECK(json.text("c") == "NaN \" Infinity [");
}

TEST_CASE("texts that are no config.json") {
  CHECK(parse_error("") == "config.json: expected JSON, found a syntax error at byte 1");
  CHECK(parse_error("{\"a\": }") == "config.json: expected JSON, found a syntax error at byte 7");
  CHECK(parse_error("{} {}") == "config.json: expected JSON, found a syntax error at byte 4");
  CHECK(parse_error("{\"a\": \"\xFF\"}") == "config.json: expected JSON, found a syntax error at byte 8");
  CHECK(parse_error("{\"a\": 1e999}") == "config.json: expected JSON, found a number out of range");
  CHECK(parse_error("[1]") == "config.json: expected a JSON object, found array");
  CHECK(parse_error("{\"a\\") == "config.json: expected JSON, found a syntax error at byte 5");
}

TEST_CASE("a key that is there twice is refused, as programs differ in which one they take") {
  CHECK(parse_error(R"({"a": 1, "b": {"a": 2}, "c": [{"a": 1}, {"a": 1}]})") == "");
  CHECK(parse_error(R"({"a": 1, "b": 2, "a": 1})") == "config.json: expected each key once, found 'a' twice");
  CHECK(parse_error(R"({"b": [{"x\n": 1, "x\u000a": 2}]})") ==
        "config.json: expected each key once, found 'x\\x0a' twice");
}

TEST_CASE("size and depth of a config.json are bounded") {
  const auto nested = [](std::size_t depth) {
    return "{\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  CHECK(parse_error(nested(63)) == "");
  CHECK(parse_error(nested(64)) == "config.json: expected at most 64 levels of JSON, found more");
  CHECK(parse_error(nested(400'000)) == "config.json: expected at most 64 levels of JSON, found more");
  CHECK(parse_error("{}" + std::string(999'998, ' ')) == "");
  CHECK(parse_error("{}" + std::string(999'999, ' ')) == "config.json: expected at most 1000000 bytes, found 1000001");
}
