// SPDX-License-Identifier: MIT
#include "ttt/layers/layer_options.hpp"

#include <array>
#include <limits>
#include <string>

#include "support/catch.hpp"

using namespace ttt;

namespace colours {
enum class Colour { red, green };
inline constexpr std::array<std::string_view, 2> names_of(Colour) { return {"red", "green"}; }
}  // namespace colours

TEST_CASE("values of options come back from their text") {
  const auto comes_back = [](auto value, const std::string& text) {
    CHECK(option_text::text(value) == text);
    decltype(value) parsed{};
    CHECK(option_text::parse(text, parsed));
    CHECK(parsed == value);
  };
  comes_back(Index{-12}, "-12");
  comes_back(0.1, "0.1");
  comes_back(std::numeric_limits<double>::infinity(), "inf");
  comes_back(true, "true");
  comes_back(false, "false");
  comes_back(colours::Colour::green, "green");
  comes_back(std::optional<double>(), "none");
  comes_back(std::optional<double>(2.5), "2.5");
  comes_back(std::vector<double>(), "");
  comes_back(std::vector<double>{1, 2.5, -3}, "1/2.5/-3");
}

TEST_CASE("what is no value changes nothing") {
  const auto refused = [](auto value, const std::string& text, const std::string& expected) {
    const auto before = value;
    CHECK_FALSE(option_text::parse(text, value));
    CHECK(value == before);
    CHECK(option_text::expected<decltype(value)>() == expected);
  };
  for (const char* text : {"", "one", "1x", "1.5", " 1", "99999999999999999999"})
    refused(Index{7}, text, "a whole number");
  for (const char* text : {"", "half", "0.5.5", "1e999"}) refused(0.25, text, "a number");
  for (const char* text : {"", "1", "True"}) refused(true, text, "true or false");
  refused(colours::Colour::green, "blue", "one of red, green");
  refused(std::optional<double>(2), "no", "a number or none");
  for (const char* text : {"/", "1/", "/1", "1//2", "1/two", "1,2"})
    refused(std::vector<double>{7}, text, "numbers with / between them");
}
